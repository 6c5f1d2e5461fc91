"""What was done to a model's weights before it is asked, as a sentence."""

from __future__ import annotations

from pathlib import Path

from neuronlab.models import folders, gguf_files
from neuronlab.models.lora import base_in

_ROUNDED = 16  # bits of a weight: where a file has as many, nothing was quantised


def note(name: str) -> str:
    """What a person should know of a folder's or file's weights; "" if nothing is known.

    Of a GGUF file that is once it was loaded: before, it may be damaged, or no such file.

    Args:
        name: the model's, as ``load`` takes it.
    """
    folder = folders.named(name)
    if folder is not None:
        base = base_in(folder)
        return merged_into(base) if base else ""
    file = gguf_files.named(name)
    bits = None if file is None else gguf_files.bits(file)
    return "" if bits is None else _quantised(bits)


def merged_into(base: str) -> str:
    """Of an adapter."""
    return f"Its adapter is merged into {folders.shown(Path(base).name)}."


def _quantised(bits: float) -> str:
    if bits >= _ROUNDED:
        return "Its weights are rounded to bfloat16."
    return (
        f"Its weights are what quantisation has left of them, about {bits:.1f} bits for each: what "
        "was rounded away does not come back, and scores are those of the rounded model."
    )
