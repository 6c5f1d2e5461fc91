"""What is wrong with a folder whose model could not be loaded, and what helps."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from neuronlab.models.footprint import types

_INDEX = "model.safetensors.index.json"
_POINTER = b"version https://git-lfs"
_SETTINGS = ("config.json", "adapter_config.json")
_WEIGHTS = (".safetensors", ".bin")


class Fault(NamedTuple):
    """What is wrong, and what to do about it: the end of a sentence about the folder."""

    what: str
    remedy: str


class UnfitError(ValueError):
    """Weights are not those that the configuration describes; the text is a fault's ``what``."""


def some(names: list[str]) -> str:
    """The first of many."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"


# What the libraries say in words of their own, by a part of these.
_TOLD = {
    "ignore_mismatched_sizes": Fault(
        "its weights have other shapes than its config.json says", "take both from the same model"
    ),
    "backend tokenizer": Fault(
        "it has no tokenizer", "copy tokenizer.json and tokenizer_config.json into it"
    ),
    "Validation error": Fault(
        "a setting in its config.json is of the wrong kind", "copy that file anew"
    ),
    "deserializing header": Fault("a file of its weights is damaged", "copy it anew"),
    "unable to mmap": Fault(
        "a file of its weights is larger than the free memory",
        "save them in smaller ones (save_pretrained, max_shard_size)",
    ),
}


def fault_in(folder: Path, error: Exception) -> Fault | None:
    """The first fault that is found; None where it is none of the usual.

    Args:
        error: what loading ended with.
    """
    with suppress(OSError):
        for fault in _faults(folder):
            return fault
    if isinstance(error, UnfitError):
        return Fault(str(error), "take weights and config.json from the same model")
    return next((fault for words, fault in _TOLD.items() if words in str(error)), None)


def _faults(folder: Path) -> Iterator[Fault]:
    """Of the files, without reading any weights."""
    texts = {file.name: _json(file) for file in sorted(folder.glob("*.json"))}
    weights = [file for file in sorted(folder.iterdir()) if file.suffix in _WEIGHTS]
    alone = "adapter_config.json" in texts and "config.json" not in texts  # its base is elsewhere
    if not alone and "config.json" not in texts:
        yield Fault("it has no config.json", "give the folder that save_pretrained wrote")
    for file in (*map(folder.joinpath, texts), *weights):
        with file.open("rb") as stream:
            if stream.read(len(_POINTER)) == _POINTER:
                yield Fault(f"its {file.name} is a pointer of Git LFS", "replace it (git lfs pull)")
    for name, content in texts.items():
        if content is None or (name in _SETTINGS and not isinstance(content, dict)):
            yield Fault(f"its {name} is damaged", "copy that file anew")
    if not alone and not isinstance(texts["config.json"].get("model_type"), str):
        yield Fault("its config.json names no model_type", "write the model's type into it")
    index = texts.get(_INDEX)
    parts = index.get("weight_map") if isinstance(index, dict) else None
    parts = parts.values() if isinstance(parts, dict) else ()
    # Of a path its end alone: what is elsewhere is nobody's to ask for.
    for name in sorted({Path(str(part)).name for part in parts}):
        if not (folder / name).is_file():
            yield Fault(f"it lacks {name}, which {_INDEX} names", "copy that file into it")
    if not weights:
        yield Fault("it has no weights", "copy model.safetensors into it")
    if index is None and any(file.name.startswith("model-") for file in weights):
        yield Fault(f"it has parts of weights and no {_INDEX}", "copy that file into it")
    for file in weights:
        if file.suffix == ".safetensors" and not _has_header(file):
            yield Fault(f"its {file.name} is damaged", "copy that file anew")


def _json(file: Path) -> Any:
    """What a file holds; None where that is no JSON."""
    with suppress(ValueError, RecursionError):
        return json.loads(file.read_bytes())
    return None


def _has_header(file: Path) -> bool:
    with suppress(AttributeError, LookupError, OverflowError, TypeError, ValueError):
        return bool(types(file))
    return False
