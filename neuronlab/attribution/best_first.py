"""A search that proves which are the best, by upper bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.progress import Check, unheard

# How many neurons at the top are proven, unless asked otherwise.
CERTIFIED = 100
# Rounding of bounds and scores in float32, as a fraction of the largest bound.
_ROUNDING = 1e-5


class Level(NamedTuple):
    """A better look at some candidates.

    Attributes:
        score: closer upper bounds of the candidates of these numbers; their scores at the last
            level.
        step: how many are looked at together.
    """

    score: Callable[[Int[Tensor, " row"]], Float[Tensor, " row"]]
    step: int


class Proof(NamedTuple):
    """What a search proved.

    Attributes:
        bounds: at least the score of each candidate.
        every: the score where it is known, the closest bound elsewhere.
        rescored: numbers of those with an exact score.
        scores: of these, exactly. As many of them as were wanted are at least as high as the
            bound of every other candidate.
    """

    bounds: Float[Tensor, " candidate"]
    every: Float[Tensor, " candidate"]
    rescored: Int[Tensor, " row"]
    scores: Float[Tensor, " row"]


def best_first(
    bounds: Float[Tensor, " candidate"],
    levels: Sequence[Level],
    count: int,
    *,
    check: Check = unheard,
) -> Proof:
    """Look closer at the highest, level after level, until the best ``count`` are proven.

    Args:
        check: called before each look; an exception it raises ends the search.
    """
    every = bounds.clone()
    seen = torch.zeros_like(bounds, dtype=torch.long)
    count = min(count, len(bounds))
    slack = _ROUNDING * float(bounds.abs().max())
    while True:
        scored = seen == len(levels)
        scores = every[scored]
        least = float(scores.topk(count).values[-1]) if len(scores) >= count else -torch.inf
        hopeful = torch.nonzero(~scored & (every > least - slack)).squeeze(1)
        if not len(hopeful):
            return Proof(bounds, every, torch.nonzero(scored).squeeze(1), scores)
        hopeful = hopeful[every[hopeful].argsort(descending=True)]
        hopeful = hopeful[: max(count, *(level.step for level in levels))]
        for number, level in enumerate(levels):
            check()
            chosen = hopeful[seen[hopeful] == number][: level.step]
            if len(chosen):
                every[chosen] = level.score(chosen)
                seen[chosen] = number + 1
