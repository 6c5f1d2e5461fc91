"""ModernBERT: a pre-norm encoder with rotary positions and a gated FFN."""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places, side_by_side


class ModernBert(Family):
    """Its classifier pools as the configuration says."""

    def unsupported(self, hf: Any) -> str:
        """The mean over all tokens has no place that a neuron could be asked at."""
        pools = hasattr(hf, "classifier") and hf.config.classifier_pooling != "cls"
        return f'classifier_pooling: "{hf.config.classifier_pooling}"' if pools else ""

    def classifier_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """A dense layer of the first token, and the classes."""
        return hf.classifier(hf.head(hidden))


MODERNBERT = ModernBert(
    name="modernbert",
    title="ModernBERT",
    model_types=("modernbert",),
    causal=False,
    places=Places(
        norm="final_norm",
        projections=("attn.Wqkv",) * 3,
        layout=side_by_side,
        head_size="attn.head_dim",
        output="attn.Wo",
        down="mlp.Wo",
        inputs=dict.fromkeys(("input", "gate"), "mlp.Wi"),
        input_norms=("attn_norm", "mlp_norm"),
        head=("head", "decoder"),
        transform=("head.dense", "head.norm"),
        classifier=("head", "classifier"),
    ),
)
