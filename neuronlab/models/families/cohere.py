"""Cohere's Command models: attention and FFN read the same stream, and logits are scaled."""

from dataclasses import replace
from typing import Any

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places


class Cohere(Family):
    """A factor on the logits, which the configuration says."""

    def logit_factor(self, hf: Any) -> float:
        """As the configuration says."""
        return hf.config.logit_scale


COHERE = Cohere(
    name="cohere",
    title="Cohere",
    model_types=("cohere", "cohere2"),
    centred=True,
    places=replace(Places(), input_norms=("input_layernorm", "input_layernorm")),
)
