"""What training writes: tensors in half precision, and a card that says how they were made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import Tensor


def write(folder: Path, name: str, tensors: Mapping[str, Tensor], card: Mapping[str, Any]) -> None:
    """Write ``<name>.safetensors`` and ``<name>.json`` into a folder, which is made."""
    folder.mkdir(parents=True, exist_ok=True)
    halves = {key: tensor.detach().half().contiguous() for key, tensor in tensors.items()}
    # Not save_file, whose file its owner alone may read: it is to be shipped.
    (folder / f"{name}.safetensors").write_bytes(save(halves))
    (folder / f"{name}.json").write_text(json.dumps(card, indent=1) + "\n", "utf-8")
