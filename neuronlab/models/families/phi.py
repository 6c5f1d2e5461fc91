"""Phi: a decoder whose attention and FFN read the same stream, and its gated successor."""

from dataclasses import replace

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places, side_by_side

PHI = Family(
    name="phi",
    title="Phi",
    model_types=("phi",),
    places=Places(
        norm="final_layernorm",
        output="self_attn.dense",
        down="mlp.fc2",
        inputs={"input": "mlp.fc1"},
        input_norms=("input_layernorm", "input_layernorm"),
    ),
)
PHI3 = Family(
    name="phi3",
    title="Phi-3 and Phi-4",
    model_types=("phi3",),
    places=replace(
        Places(),
        projections=("self_attn.qkv_proj",) * 3,
        layout=side_by_side,
        inputs=dict.fromkeys(("gate", "up"), "mlp.gate_up_proj"),
    ),
)
