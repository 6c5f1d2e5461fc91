"""T5 and its multilingual successors: relative positions, norms first, no biases."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor

from neuronlab.models.families.encoder_decoder import EncoderDecoder
from neuronlab.models.families.places import Part, Places, matrix, part


def _ffn(*names: str) -> str:
    """A part of the FFN, whichever is there: the decoder's stands behind cross-attention."""
    return "|".join(f"layer.{at}.{name}" for at in (2, 1) for name in names)


class Gated(EncoderDecoder):
    """Its FFN has a gate; in the oldest models it has none."""

    def ffn_inputs(self, block: Part) -> dict[str, Float[Tensor, "neuron hidden"]]:
        """The gate and what it lets through, or one projection."""
        alone = part(block, _ffn("DenseReluDense.wi"))
        return super().ffn_inputs(block) if alone is None else {"input": matrix(alone)}


class T5(Gated):
    """The oldest models, whose unembedding is the embedding, have smaller logits."""

    def logit_factor(self, hf: Any) -> float:
        """As the configuration says."""
        return hf.config.d_model**-0.5 if hf.config.scale_decoder_outputs else 1.0


class UMT5(Gated):
    """As the oldest T5 models."""

    def logit_factor(self, hf: Any) -> float:
        """As the configuration says."""
        return hf.config.d_model**-0.5 if hf.config.tie_word_embeddings else 1.0


T5_FAMILY = T5(
    name="t5",
    title="T5",
    model_types=("t5",),
    sentinels=True,
    per_row=("layer.1.EncDecAttention.key_value_states",),
    places=Places(
        encoder="encoder.block",
        blocks="decoder.block",
        norm="decoder.final_layer_norm|encoder.final_layer_norm",
        projections=(
            "layer.0.SelfAttention.q",
            "layer.0.SelfAttention.k",
            "layer.0.SelfAttention.v",
        ),
        cross=(
            "layer.1.EncDecAttention.q",
            "layer.1.EncDecAttention.k",
            "layer.1.EncDecAttention.v",
        ),
        output="layer.0.SelfAttention.o",
        down=_ffn("DenseReluDense.wo"),
        inputs={
            "gate": _ffn("DenseReluDense.wi_0", "DenseReluDense.wi"),
            "up": _ffn("DenseReluDense.wi_1", "DenseReluDense.wi"),
        },
        input_norms=("layer.0.layer_norm", _ffn("layer_norm")),
    ),
)
MT5_FAMILY = Gated(
    name="mt5",
    title="mT5",
    model_types=("mt5",),
    sentinels=True,
    per_row=T5_FAMILY.per_row,
    places=T5_FAMILY.places,
)
UMT5_FAMILY = UMT5(
    name="umt5",
    title="umT5",
    model_types=("umt5",),
    sentinels=True,
    per_row=("layer.1.EncDecAttention.encoder_hidden_states",),
    places=T5_FAMILY.places,
)
