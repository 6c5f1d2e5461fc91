"""Gemma 3, text models."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.models.families.base import GatedDecoder


class Gemma3(GatedDecoder):
    """Norms before and after attention and FFN; query and key are normed after the projection."""

    name = "gemma3"
    title = "Gemma 3"
    model_types = ("gemma3_text",)

    def ffn_directions(self, block: nn.Module) -> Float[Tensor, "neuron hidden"]:
        """A norm follows the FFN: its weights (stored less one) stretch each direction."""
        return self.ffn_vectors(block) * (1 + block.post_feedforward_layernorm.weight)

    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """The unembedding, with the cap on logits where the configuration sets one."""
        logits = hf.lm_head(hidden)
        cap = hf.config.final_logit_softcapping
        return logits if cap is None else torch.tanh(logits / cap) * cap
