"""DeBERTa: BERT whose attention also weighs relative positions."""

from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from neuronlab.models.families.base import Family, twin
from neuronlab.models.families.bert import BERT_PLACES
from neuronlab.models.families.places import Part, by_group


class Deberta(Family):
    """Which of two heads it has, the configuration says."""

    def unsupported(self, hf: Any) -> str:
        """A head that tells no unembedding, or a convolution that the stream passes through."""
        if hasattr(hf, "lm_predictions"):
            return "legacy: false"
        return "conv_kernel_size" if getattr(hf.base_model.encoder, "conv", None) else ""


class DebertaV2(Deberta):
    """Positions may go through the same projections as tokens."""

    def fuse(self, hf: Any) -> None:
        """They get modules of their own, on the same parameters: hooks tell them apart."""
        block: Part
        for block in self.blocks(hf):
            attention = block.attention.self
            if attention.share_att_key:
                attention.pos_key_proj = twin(attention.key_proj, hf.config)
                attention.pos_query_proj = twin(attention.query_proj, hf.config)
                attention.share_att_key = False


class DebertaV1(Deberta):
    """The biases of query and value are added after what is read."""

    def mixed_values(self, block: Part, neurons: Float[Tensor, "*row neuron"]) -> Tensor:
        """With their bias."""
        return neurons + block.attention.self.v_bias


_PLACES = replace(BERT_PLACES, attention="", classifier=("pooler", "classifier"))
DEBERTA = DebertaV1(
    name="deberta",
    title="DeBERTa",
    model_types=("deberta",),
    causal=False,
    interface=False,
    centred=True,
    places=replace(
        _PLACES,
        projections=("attention.self.in_proj",) * 3,
        layout=by_group,
        head_size="attention.self.attention_head_size",
    ),
)
DEBERTA_V2 = DebertaV2(
    name="deberta_v2",
    title="DeBERTa v2 and v3",
    model_types=("deberta-v2",),
    causal=False,
    interface=False,
    places=replace(
        _PLACES,
        projections=(
            "attention.self.query_proj",
            "attention.self.key_proj",
            "attention.self.value_proj",
        ),
    ),
)
