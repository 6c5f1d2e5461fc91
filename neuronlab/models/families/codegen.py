"""CodeGen: GPT-J with one projection, whose outputs lie as four machines had them."""

from dataclasses import replace

import torch
from torch import Tensor

from neuronlab.models.families.base import Family
from neuronlab.models.families.gpt2 import GPTJ_PLACES

_MACHINES = 4


def by_machine(width: int, query: int, head: int) -> tuple[Tensor, Tensor, Tensor]:
    """Each had a quarter of the heads: their queries, then their values, then their keys."""
    grid = torch.arange(width, device="cpu", dtype=torch.long).view(_MACHINES, 3, -1)
    return grid[:, 0].flatten(), grid[:, 2].flatten(), grid[:, 1].flatten()


CODEGEN = Family(
    name="codegen",
    title="CodeGen",
    model_types=("codegen",),
    interface=False,
    places=replace(GPTJ_PLACES, projections=("attn.qkv_proj",) * 3, layout=by_machine),
)
