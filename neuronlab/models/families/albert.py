"""ALBERT: one set of weights for many layers, each of which has neurons of its own."""

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.models.families.base import Family, twin
from neuronlab.models.families.places import Places


class Albert(Family):
    """Its layers are one module, which ``fuse`` makes one for each: hooks tell them apart."""

    def fuse(self, hf: Any) -> None:
        """A module for each layer, on the same parameters."""
        encoder, config = hf.base_model.encoder, hf.config
        groups, passes = list(encoder.albert_layer_groups), config.num_hidden_layers
        encoder.albert_layer_groups = nn.ModuleList(
            twin(groups[i * len(groups) // passes], config) for i in range(passes)
        )
        config.num_hidden_groups = passes

    def blocks(self, hf: Any) -> list[nn.Module]:
        """In the order in which they run."""
        groups: Any = super().blocks(hf)
        return [layer for group in groups for layer in group.albert_layers]

    def classifier_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """A dense layer of the first token, and the classes."""
        trunk = hf.base_model
        return hf.classifier(trunk.pooler_activation(trunk.pooler(hidden)))


ALBERT = Albert(
    name="albert",
    title="ALBERT",
    model_types=("albert",),
    causal=False,
    places=Places(
        blocks="encoder.albert_layer_groups",
        norm="",
        projections=("attention.query", "attention.key", "attention.value"),
        output="attention.dense",
        down="ffn_output",
        inputs={"input": "ffn"},
        input_norms=("", ""),
        stream_norms=("attention.LayerNorm", "full_layer_layer_norm"),
        head=("predictions",),
        transform=("predictions.dense", "predictions.LayerNorm"),
        classifier=("albert.pooler", "classifier"),
    ),
)
