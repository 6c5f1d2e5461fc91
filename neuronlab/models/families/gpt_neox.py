"""GPT-NeoX (Pythia), BLOOM and Falcon: one projection, interleaved head by head."""

from dataclasses import replace
from typing import Any

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places, by_group

NEOX_PLACES = Places(
    norm="final_layer_norm",
    projections=("attention.query_key_value",) * 3,
    layout=by_group,
    head_size="attention.head_size",
    output="attention.dense",
    down="mlp.dense_4h_to_h",
    inputs={"input": "mlp.dense_h_to_4h"},
    parallel="use_parallel_residual",
)


GPT_NEOX = Family(
    name="gpt_neox",
    title="GPT-NeoX (Pythia)",
    model_types=("gpt_neox",),
    places=NEOX_PLACES,
)
_OF_BLOOM = replace(
    NEOX_PLACES,
    blocks="h",
    norm="ln_f",
    projections=("self_attention.query_key_value",) * 3,
    head_size="self_attention.head_dim",
    output="self_attention.dense",
    parallel="",
)


class Bloom(Family):
    """Attention falls with distance (ALiBi)."""

    def unsupported(self, hf: Any) -> str:
        """A block may add to what it has normed, and then the stream is no sum."""
        name = "apply_residual_connection_post_layernorm"
        return name if getattr(hf.config, name) else ""


BLOOM = Bloom(
    name="bloom",
    title="BLOOM",
    model_types=("bloom",),
    interface=False,
    per_row=("self_attention.alibi",),
    places=_OF_BLOOM,
)


class Falcon(Family):
    """One key-value head for all query heads, one for each group of them, or one for each."""

    def unsupported(self, hf: Any) -> str:
        """With ALiBi, the attention that it puts out is not the attention that it computes."""
        return "alibi" if hf.config.alibi else ""


FALCON = Falcon(
    name="falcon",
    title="Falcon",
    model_types=("falcon",),
    interface=False,
    places=replace(
        _OF_BLOOM,
        input_norms=("ln_attn|input_layernorm", "ln_mlp|post_attention_layernorm|input_layernorm"),
        parallel="config.parallel_attn",
    ),
)
