"""Gemma, text models."""

from dataclasses import replace

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places

GEMMA = Family(name="gemma", title="Gemma", model_types=("gemma",), less_one=True)
# Norms before and after attention and FFN. Gemma 3 norms query and key after the projection, too.
GEMMA2_PLACES = replace(
    Places(),
    input_norms=("input_layernorm", "pre_feedforward_layernorm"),
    branch_norms=("post_attention_layernorm", "post_feedforward_layernorm"),
    logit_cap="config.final_logit_softcapping",
)
GEMMA2 = Family(
    name="gemma2",
    title="Gemma 2",
    model_types=("gemma2",),
    less_one=True,
    places=GEMMA2_PLACES,
)
GEMMA3 = Family(
    name="gemma3",
    title="Gemma 3",
    model_types=("gemma3_text",),
    less_one=True,
    places=GEMMA2_PLACES,
)
