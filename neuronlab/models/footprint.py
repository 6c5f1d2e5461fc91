"""What loading a model takes in memory, told before any weight is read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

_STORED = {torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}

# Bytes of a safetensors file's header, at the most; what says more is no such file.
_HEADER = 100_000_000


@dataclass(frozen=True)
class Footprint:
    """Bytes that loading takes.

    Attributes:
        weights: of parameters and buffers, as long as the model is loaded. Where the files hold the
            same type, these are the files themselves, mapped.
        files: of files with another type, which are mapped while they are converted. The system
            takes these pages back where memory is short: they cost time then, and no model.
    """

    weights: int
    files: int

    @property
    def peak(self) -> int:
        """What is resident at the most, where nothing is taken back."""
        return self.weights + self.files


def footprint(empty: Any, dtype: torch.dtype, source: str) -> Footprint:
    """What loading takes.

    Args:
        empty: the model without weights; what it shares counts once.
        dtype: that its parameters will have.
        source: the folder of its files; one that is none has no files.
    """
    parameters = sum(parameter.numel() for parameter in empty.parameters())
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in empty.buffers())
    files = list(Path(source).glob("*.safetensors")) if Path(source).is_absolute() else []
    others = [file.stat().st_size for file in files if {*types(file).values()} != {_STORED[dtype]}]
    return Footprint(parameters * dtype.itemsize + buffers, sum(others))


def types(file: Path) -> dict[str, str]:
    """The type of each tensor in a safetensors file, by name, such as "F32"; its header tells.

    The file is not mapped, which is refused where it is larger than the memory.
    """
    with file.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        header = json.loads(stream.read(min(size, _HEADER)))
    return {name: facts["dtype"] for name, facts in header.items() if name != "__metadata__"}
