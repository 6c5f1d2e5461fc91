"""Granite: like Llama, with factors on the embeddings, on what a block adds, and on the logits."""

from dataclasses import replace
from typing import Any

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places


class Granite(Family):
    """What a block adds is multiplied by a number, and logits are divided by another."""

    def logit_factor(self, hf: Any) -> float:
        """As the configuration says."""
        return 1 / hf.config.logits_scaling


GRANITE = Granite(
    name="granite",
    title="Granite",
    model_types=("granite",),
    places=replace(Places(), branch_factor="residual_multiplier"),
)
