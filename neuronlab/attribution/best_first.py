"""A search that proves which are the best, by upper bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

# How many neurons at the top are proven, unless asked otherwise.
CERTIFIED = 100
# Rounding of bounds and scores in float32, as a fraction of the largest bound.
_ROUNDING = 1e-5


class Found(NamedTuple):
    """What a search proved.

    Attributes:
        bounds: at least the score of each candidate.
        rescored: numbers of those with an exact score, highest bound first.
        scores: of these, exactly. As many of them as were wanted are at least as high as the
            bound of every other candidate.
    """

    bounds: Float[Tensor, " candidate"]
    rescored: Int[Tensor, " row"]
    scores: Float[Tensor, " row"]

    @property
    def every(self) -> Float[Tensor, " candidate"]:
        """Scores where they are known, bounds elsewhere."""
        return self.bounds.index_copy(0, self.rescored, self.scores)


def best_first(
    bounds: Float[Tensor, " candidate"],
    exact: Callable[[Int[Tensor, " row"]], Float[Tensor, " row"]],
    count: int,
    *,
    step: int,
    check: Callable[[], None] = lambda: None,
) -> Found:
    """Score from the highest bound down until the best ``count`` are proven.

    Args:
        exact: scores of the candidates of those numbers.
        step: how many are scored at once.
        check: called before each time; an exception it raises ends the search.
    """
    order = bounds.argsort(descending=True)
    count = min(count, len(order))
    slack = _ROUNDING * float(bounds.abs().max())
    scores = bounds.new_empty(0)
    while len(scores) < len(order):
        check()
        chosen = order[len(scores) :][: max(step, count)]
        scores = torch.cat([scores, exact(chosen)])
        if len(scores) < len(order):
            highest_left = float(bounds[order[len(scores)]])
            if float(scores.topk(count).values[-1]) >= highest_left + slack:
                break
    return Found(bounds, order[: len(scores)], scores)
