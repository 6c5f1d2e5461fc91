"""DistilBERT."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places


class DistilBert(Family):
    """The activation of its classifier's head is written into the model's code."""

    def classifier_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """A dense layer of the first token, and the classes."""
        return hf.classifier(hf.pre_classifier(hidden).relu())


DISTILBERT = DistilBert(
    name="distilbert",
    title="DistilBERT",
    model_types=("distilbert",),
    causal=False,
    places=Places(
        blocks="transformer.layer",
        norm="",
        projections=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        output="attention.out_lin",
        down="ffn.lin2",
        inputs={"input": "ffn.lin1"},
        input_norms=("", ""),
        stream_norms=("sa_layer_norm", "output_layer_norm"),
        head=("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
        transform=("vocab_transform", "vocab_layer_norm"),
        classifier=("pre_classifier", "classifier"),
    ),
)
