"""BART, mBART and Pegasus: encoder-decoders in fairseq's names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from jaxtyping import Float
from torch import Tensor

from neuronlab.models.families.encoder_decoder import EncoderDecoder
from neuronlab.models.families.opt import FAIRSEQ_PLACES
from neuronlab.models.families.places import Places

_PAIRS = ("attention_heads", "ffn_dim")


class Bart(EncoderDecoder):
    """A bias is added to its logits."""

    def unsupported(self, hf: Any) -> str:
        """Layers of the encoder have as many neurons as the decoder's."""
        settings = [[f"{stack}_{name}" for stack in ("encoder", "decoder")] for name in _PAIRS]
        return "".join(
            f"{one} other than {other}"
            for one, other in settings
            if getattr(hf.config, one) != getattr(hf.config, other)
        )

    def language_head(self, hf: Any, hidden: Float[Tensor, "row hidden"]) -> Tensor:
        """Logits over the vocabulary, with their bias."""
        return super().language_head(hf, hidden) + hf.final_logits_bias


MBART_PLACES = replace(
    FAIRSEQ_PLACES,
    encoder="encoder.layers",
    blocks="decoder.layers",
    norm="decoder.layer_norm",
    cross=("encoder_attn.q_proj", "encoder_attn.k_proj", "encoder_attn.v_proj"),
)
# The stream is normed after each part of a block, so that nothing follows the last one.
BART_PLACES: Places = replace(
    MBART_PLACES,
    norm="",
    input_norms=("", ""),
    stream_norms=("self_attn_layer_norm", "final_layer_norm"),
)
BART = Bart(
    name="bart",
    title="BART",
    model_types=("bart",),
    restates=True,
    per_row=("encoder_attn.key_value_states",),
    places=BART_PLACES,
)
MBART = Bart(
    name="mbart",
    title="mBART",
    model_types=("mbart",),
    restates=True,
    per_row=BART.per_row,
    places=MBART_PLACES,
)
# It says what was left out, and no more.
PEGASUS = Bart(
    name="pegasus",
    title="Pegasus",
    model_types=("pegasus",),
    per_row=BART.per_row,
    places=MBART_PLACES,
)
