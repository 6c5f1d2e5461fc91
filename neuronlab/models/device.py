"""The devices of this machine, and what they have room for."""

import psutil
import torch

from neuronlab.errors import UserError


def devices() -> list[str]:
    """The devices models can run on, the best first."""
    accelerators = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        accelerators.append("mps")
    return [*accelerators, "cpu"]


def resolve_device(device: str) -> str:
    """The device's full name. Raises UserError where this machine has no such device."""
    if device == "auto":
        return devices()[0]
    if device == "cuda":
        device = "cuda:0"
    if device not in devices():
        raise UserError(f"There is no device '{device}' here; there is {', '.join(devices())}.")
    return device


def free_memory(device: str) -> int:
    """Bytes that a model or a run may still take on this device."""
    if device.startswith("cuda"):
        # What torch keeps for this process's next tensors is free to it, too.
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    return psutil.virtual_memory().available
