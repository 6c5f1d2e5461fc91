"""LoRA adapters as peft writes them: small differences, merged into their base's weights."""

from __future__ import annotations

import json
import math
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from neuronlab.errors import UserError
from neuronlab.models.entries import Kind

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_TRUNK = "base_model.model."
_KINDS: dict[str | None, Kind] = {"CAUSAL_LM": "causal", "SEQ_CLS": "classifier"}
# Settings that are followed, or that only say how the adapter was made.
_FOLLOWED = {
    *("alpha_pattern", "auto_mapping", "base_model_name_or_path", "bias", "exclude_modules"),
    *("fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern"),
    *("layers_to_transform", "lora_alpha", "lora_dropout", "megatron_core", "modules_to_save"),
    *("peft_type", "peft_version", "qalora_group_size", "r", "rank_pattern", "target_modules"),
    *("task_type", "use_rslora"),
}
# Other beginnings have changed the weights of the base, which are not in the adapter's file.
_BEGINNINGS = (True, False, None, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class Lora:
    """An adapter in a folder of its own.

    Attributes:
        base: the name of the model that it was made for.
        kind: what the two predict together; None where that is the base's own.
        classes: how many a head of its own has, or 0.
    """

    name: str
    settings: dict[str, Any]
    weights: dict[str, Tensor]

    @property
    def base(self) -> str:
        """See above."""
        return self.settings["base_model_name_or_path"]

    @property
    def kind(self) -> Kind | None:
        """See above."""
        return _KINDS.get(self.settings.get("task_type"))

    @property
    def whole(self) -> dict[str, Tensor]:
        """Parameters that take the place of the base's, such as those of a head of its own."""
        return {name: tensor for name, tensor in self.weights.items() if ".lora_" not in name}

    @property
    def classes(self) -> int:
        """See above."""
        heads = sorted(name for name in self.whole if name.startswith(("classifier.", "score.")))
        return len(self.whole[heads[-1]]) if heads and self.kind == "classifier" else 0

    @torch.no_grad()
    def merge(self, hf: Any) -> None:
        """Add the differences to the weights of its base, which are changed in place.

        A difference is B A alpha / rank (Hu et al. 2021), or B A alpha / √rank where the settings
        say so (Kalajdzievski 2023).

        Raises:
            UserError: the base has no such weights, or of another shape.
        """
        parameters, modules = dict(hf.named_parameters()), dict(hf.named_modules())
        for name, tensor in self.whole.items():
            self._require(name in parameters and parameters[name].shape == tensor.shape, name)
            parameters[name].copy_(tensor)
        differences = {name.partition(".lora_")[0] for name in self.weights.keys() - self.whole}
        for name in sorted(differences):
            pair = [f"{name}.lora_{letter}.weight" for letter in "AB"]
            there = {n for n in self.weights if n.startswith(f"{name}.lora_")}
            self._require(there == set(pair), name)
            module = modules.get(name)
            self._require(isinstance(module, nn.Linear | Conv1D), name)
            assert isinstance(module, nn.Linear | Conv1D)
            down, up = (self.weights[matrix] for matrix in pair)
            difference = up.float() @ down.float() * self._scale(name, len(down))
            difference = difference.T if isinstance(module, Conv1D) else difference
            tied = module.weight is hf.get_input_embeddings().weight
            self._require(difference.shape == module.weight.shape and not tied, name)
            module.weight.copy_(module.weight.float() + difference.to(module.weight.device))

    def _scale(self, module: str, rank: int) -> float:
        alpha = self.settings["lora_alpha"]
        for pattern, other in (self.settings.get("alpha_pattern") or {}).items():
            if re.match(rf"(.*\.)?({pattern})$", module):
                alpha = other
                break
        return alpha / (math.sqrt(rank) if self.settings.get("use_rslora") else rank)

    def _require(self, fits: bool, name: str) -> None:
        if not fits:
            raise UserError(
                f"The adapter '{self.name}' changes {name}, which '{self.base}' has not in that "
                "form: merge the two first (peft: merge_and_unload), and save that."
            )


def base_in(folder: Path) -> str:
    """The name of the model that a folder's adapter is for; "" where it has none, or a model, too.

    Its weights are not read.
    """
    with suppress(OSError, ValueError, LookupError, TypeError):
        if not (folder / "config.json").exists():
            return str(json.loads((folder / CONFIG).read_text("utf-8"))["base_model_name_or_path"])
    return ""


def adapter_in(name: str, source: str) -> Lora | None:
    """The adapter in a folder that has no model beside it; None where there is none.

    Args:
        source: the folder, or an id of the hub, which is none.

    Raises:
        UserError: an adapter that is no plain LoRA, or that does not say what it was made for.
    """
    folder = Path(source)
    alone = (folder / CONFIG).is_file() and not (folder / "config.json").exists()
    if not folder.is_absolute() or not alone:
        return None
    settings = json.loads((folder / CONFIG).read_text("utf-8"))
    odd = [key for key, value in settings.items() if value and key not in _FOLLOWED]
    if settings.get("revision") == "main":
        odd.remove("revision")
    if settings.get("peft_type") != "LORA":
        odd = [f"peft_type: {settings.get('peft_type')}"]
    elif settings.get("init_lora_weights") not in _BEGINNINGS:
        odd.append(f"init_lora_weights: {settings['init_lora_weights']}")
    if odd:
        raise UserError(
            f"The adapter '{name}' is no plain LoRA ({', '.join(odd)}): merge it into its base "
            "first (peft: merge_and_unload), and save that."
        )
    base = settings.get("base_model_name_or_path")
    if not isinstance(base, str) or not base.strip():
        raise UserError(
            f"The adapter '{name}' does not say which model it is for: write its name or folder "
            f'into {CONFIG}, "base_model_name_or_path".'
        )
    if not (folder / WEIGHTS).is_file():
        raise UserError(f"The adapter '{name}' has no {WEIGHTS}: save it in that form.")
    from safetensors.torch import load_file

    saved = load_file(folder / WEIGHTS)
    weights = {
        key.removeprefix(_TRUNK).replace(".base_layer.", "."): tensor
        for key, tensor in saved.items()
    }
    return Lora(name, settings, weights)
