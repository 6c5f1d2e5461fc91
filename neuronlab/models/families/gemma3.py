"""Gemma 3, text models."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.models.families.base import GatedDecoder, Part


class Gemma3(GatedDecoder):
    """Norms before and after attention and FFN; query and key are normed after the projection."""

    name = "gemma3"
    title = "Gemma 3"
    model_types = ("gemma3_text",)

    def input_norms(self, block: Part) -> tuple[nn.Module, nn.Module]:
        """Before attention and before the FFN."""
        return block.input_layernorm, block.pre_feedforward_layernorm

    def branch_norms(self, block: Part) -> tuple[nn.Module, nn.Module]:
        """What attention and FFN put out is normed before it is added."""
        return block.post_attention_layernorm, block.post_feedforward_layernorm

    def norm_scale(self, norm: Part) -> Float[Tensor, " hidden"]:
        """The weights are stored less one."""
        return 1 + norm.weight

    def logit_cap(self, hf: Any) -> float | None:
        """As the configuration says."""
        return hf.config.final_logit_softcapping

    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """The unembedding, with the cap on logits where the configuration sets one."""
        logits, cap = hf.lm_head(hidden), self.logit_cap(hf)
        return logits if cap is None else torch.tanh(logits / cap) * cap
