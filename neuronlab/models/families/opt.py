"""OPT, XGLM and BioGPT: decoders in fairseq's names."""

from dataclasses import replace
from types import MethodType
from typing import Any

from torch import Tensor

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places

FAIRSEQ_PLACES = Places(
    norm="layer_norm",
    output="self_attn.out_proj",
    down="fc2",
    inputs={"input": "fc1"},
    input_norms=("self_attn_layer_norm", "final_layer_norm"),
)


def _forward(block: Any, hidden_states: Tensor, use_cache: bool = False, **inputs: Any) -> Tensor:
    """What an OPT block does, but its FFN is not given all rows as one."""
    normed = block.self_attn_layer_norm(hidden_states)
    hidden_states = hidden_states + block.self_attn(hidden_states=normed, **inputs)[0]
    units = block.activation_fn(block.fc1(block.final_layer_norm(hidden_states)))
    return hidden_states + block.fc2(units)


class Opt(Family):
    """The smallest but one is built otherwise: its stream is normed, and projected at its ends."""

    def fuse(self, hf: Any) -> None:
        """Neurons are told apart by row and token: see ``_forward``."""
        for block in self.blocks(hf):
            block.forward = MethodType(_forward, block)

    def unsupported(self, hf: Any) -> str:
        """What none of the others does."""
        if not hf.config.do_layer_norm_before:
            return "do_layer_norm_before: false"
        return "" if hf.base_model.decoder.project_out is None else "word_embed_proj_dim"


OPT = Opt(
    name="opt",
    title="OPT",
    model_types=("opt",),
    places=replace(FAIRSEQ_PLACES, blocks="decoder.layers", norm="decoder.final_layer_norm"),
)
XGLM = Family(
    name="xglm",
    title="XGLM",
    model_types=("xglm",),
    interface=False,
    per_row=("self_attn.attention_mask",),
    places=FAIRSEQ_PLACES,
)
BIOGPT = Family(
    name="biogpt",
    title="BioGPT",
    model_types=("biogpt",),
    places=replace(FAIRSEQ_PLACES, head=("output_projection",)),
)
