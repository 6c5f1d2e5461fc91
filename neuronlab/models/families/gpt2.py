"""GPT-2 and what is built like it: pre-norm blocks named ``h``, an FFN without a gate."""

from dataclasses import replace
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from neuronlab.models.families.base import Family
from neuronlab.models.families.places import Places, by_group, side_by_side

GPT2_PLACES = Places(
    blocks="h",
    norm="ln_f",
    projections=("attn.c_attn", "attn.c_attn", "attn.c_attn"),
    layout=side_by_side,
    head_size="attn.head_dim",
    output="attn.c_proj",
    down="mlp.c_proj",
    inputs={"input": "mlp.c_fc"},
    input_norms=("ln_1", "ln_2"),
)
GPT2 = Family(name="gpt2", title="GPT-2", model_types=("gpt2",), places=GPT2_PLACES)


class GPTBigCode(Family):
    """One key-value head for all query heads, or as many as these, each beside its query."""

    def states(
        self, hf: Any, ids: Int[Tensor, "row token"], **inputs: Any
    ) -> Float[Tensor, "rows tokens hidden"]:
        """Taken from the last norm: the trunk insists on as many rows as it was given."""
        kept: list[Tensor] = []

        def keep(module: nn.Module, args: Any, output: Tensor) -> Tensor:
            kept.append(output)
            return output[: len(ids)]

        handle = hf.base_model.ln_f.register_forward_hook(keep)
        try:
            super().states(hf, ids, **inputs)
        finally:
            handle.remove()
        return kept[0]


GPT_BIGCODE = GPTBigCode(
    name="gpt_bigcode",
    title="GPT-BigCode (StarCoder)",
    model_types=("gpt_bigcode",),
    places=replace(GPT2_PLACES, layout=by_group),
)
GPT_NEO = Family(
    name="gpt_neo",
    title="GPT-Neo",
    model_types=("gpt_neo",),
    interface=False,
    places=replace(
        GPT2_PLACES,
        projections=(
            "attn.attention.q_proj",
            "attn.attention.k_proj",
            "attn.attention.v_proj",
        ),
        layout=None,
        output="attn.attention.out_proj",
    ),
)
# Attention and FFN read the same normed stream.
GPTJ_PLACES = replace(
    GPT2_PLACES,
    projections=("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    layout=None,
    output="attn.out_proj",
    down="mlp.fc_out",
    inputs={"input": "mlp.fc_in"},
    input_norms=("ln_1", "ln_1"),
)
GPTJ = Family(
    name="gptj", title="GPT-J", model_types=("gptj",), interface=False, places=GPTJ_PLACES
)
