"""Llama and the decoders built like it, whose parts have the same names: ``Places`` as it is."""

from dataclasses import replace

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places

LLAMA_PLACES = Places()
LLAMA = Family(
    name="llama",
    title="Llama (with Mistral, Qwen2 and Qwen3)",
    model_types=(
        "llama",
        "cwm",
        "ernie4_5",
        "helium",
        "hunyuan_v1_dense",
        "ministral",
        "ministral3",
        "mistral",
        "qwen2",
        "qwen3",
        "seed_oss",
        "smollm3",
    ),
)
# The two halves of one projection are gate and up.
GLM = Family(
    name="glm",
    title="GLM",
    model_types=("glm",),
    places=replace(LLAMA_PLACES, inputs=dict.fromkeys(("gate", "up"), "mlp.gate_up_proj")),
)
GLM4 = Family(
    name="glm4",
    title="GLM-4",
    model_types=("glm4",),
    places=replace(GLM.places, branch_norms=("post_self_attn_layernorm", "post_mlp_layernorm")),
)
UNGATED_PLACES = replace(LLAMA_PLACES, inputs={"input": "mlp.up_proj"})
ARCEE = Family(
    name="arcee",
    title="Arcee and Jais 2",
    model_types=("arcee", "jais2"),
    places=UNGATED_PLACES,
)
APERTUS = Family(
    name="apertus",
    title="Apertus",
    model_types=("apertus",),
    places=replace(UNGATED_PLACES, input_norms=("attention_layernorm", "feedforward_layernorm")),
)
NEMOTRON = Family(
    name="nemotron",
    title="Nemotron",
    model_types=("nemotron",),
    interface=False,
    less_one=True,
    places=UNGATED_PLACES,
)
STARCODER2 = Family(
    name="starcoder2",
    title="StarCoder2",
    model_types=("starcoder2",),
    places=replace(LLAMA_PLACES, down="mlp.c_proj", inputs={"input": "mlp.c_fc"}),
)
STABLELM = Family(
    name="stablelm",
    title="StableLM",
    model_types=("stablelm",),
    interface=False,
    places=replace(
        LLAMA_PLACES,
        input_norms=("input_layernorm", "post_attention_layernorm|input_layernorm"),
        parallel="use_parallel_residual",
    ),
)
