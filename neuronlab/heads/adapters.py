"""Low-rank adapters (Hu et al. 2021, arXiv 2106.09685): a small change of each linear layer."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor, nn


class Adapted(nn.Module):
    """A frozen linear layer plus a product of two small matrices, zero at first.

    Attributes:
        down: (rank, in).
        up: (out, rank).
    """

    def __init__(self, linear: nn.Linear, rank: int) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.down = nn.Parameter(linear.weight.new_empty(rank, linear.in_features))
        self.up = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, x: Float[Tensor, "... in"]) -> Float[Tensor, "... out"]:
        """What the layer with the change says."""
        return self.linear(x) + x @ self.down.T @ self.up.T


def adapt(blocks: nn.Module, rank: int) -> None:
    """Put an adapter at every linear layer, in place."""
    linear = {n: m for n, m in blocks.named_modules() if isinstance(m, nn.Linear)}
    for name, layer in linear.items():
        parent, _, leaf = name.rpartition(".")
        setattr(blocks.get_submodule(parent), leaf, Adapted(layer, rank))
