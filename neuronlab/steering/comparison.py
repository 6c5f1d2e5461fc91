"""Does a set of neurons move a property more than random sets do?

Sets are compared, not chains: chains of one set share its neurons, so that eight of them are one
draw of a set and not eight. Where random sets differ, a test over chains finds almost any set
significant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neuronlab.statistics import rank_p


@dataclass(frozen=True)
class Comparison:
    """A chosen set beside random sets of as many chains; a set's value is the mean of its chains.

    Attributes:
        mean: over the random sets.
        between: standard deviation of the random sets' values (n - 1).
        within: standard deviation between the chains of one random set (n - 1), pooled over sets.
        effect_size: how far the chosen set's value is from ``mean``, in ``within``; nan where it
            is elsewhere and nothing varies.
        z: the same in ``between``.
        p_value: the chosen set's rank among the random ones, one-sided (``statistics.rank_p``).
        floor: the smallest p that so many sets allow, 1 / (sets + 1).
    """

    mean: float
    between: float
    within: float
    effect_size: float
    z: float
    p_value: float
    floor: float


def compared(
    chosen: Float[np.ndarray, " chain"], sets: Float[np.ndarray, "set chain"], *, larger: bool
) -> Comparison:
    """Where a set stands among random ones, from what the chains of each reached.

    Chains of the same number may share their random numbers: given those, sets are still drawn
    independently, and the chosen one is a draw like the others where it is nothing special.

    Args:
        larger: whether larger is better.
    """
    values = sets.mean(axis=1)
    mean, between = float(values.mean()), float(values.std(ddof=1))
    within = float(np.sqrt(sets.var(axis=1, ddof=1).mean()))
    value = float(chosen.mean())
    return Comparison(
        mean,
        between,
        within,
        effect_size=_ratio(value - mean, within),
        z=_ratio(value - mean, between),
        p_value=rank_p(value, values, larger=larger),
        floor=1 / (len(sets) + 1),
    )


def stronger(controls: Mapping[str, Comparison]) -> str:
    """The control that the chosen set stands out from less: the larger p, then the smaller z.

    Its p is that of a set's being no more than one of either kind, and needs no correction.
    """

    def distance(name: str) -> tuple[float, float]:
        z = abs(controls[name].z)
        return -controls[name].p_value, np.inf if np.isnan(z) else z

    return min(controls, key=distance)


def _ratio(difference: float, spread: float) -> float:
    """nan for a difference where nothing varies: it is no number of standard deviations."""
    return difference / spread if spread > 0 else 0.0 if difference == 0 else np.nan
