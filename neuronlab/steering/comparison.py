"""Does a set of neurons move a property more than random sets do?

Sets are compared, not chains: chains of one set share its neurons, so that eight of them are one
draw of a set and not eight. Where random sets differ, a test over chains finds almost any set
significant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from neuronlab.neurons.effect import CONTROLS
from neuronlab.statistics import mean_interval, rank_p
from neuronlab.steering.chains import STEERED, UNSTEERED
from neuronlab.steering.goals import Goal


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


def findings(goal: Goal, start: str, finals: pd.DataFrame) -> dict[str, Any]:
    """Where steered chains got to with a goal, beside unsteered ones and either kind of random set.

    Args:
        start: the sequence where all began.
        finals: as ``chains.reached`` gives them.

    Returns:
        Names and values; what they are is said by ``SteeringStudy``.
    """
    values = {
        name: chains.pivot(index="set", columns="chain", values=goal.property).to_numpy()
        for name, chains in finals.groupby("condition")
    }
    steered, unsteered = values[STEERED][0], values[UNSTEERED][0]
    controls = {
        control.value: compared(steered, values[control], larger=goal.direction == "up")
        for control in CONTROLS
    }
    control = stronger(controls)
    return {
        "property": goal.property,
        "title": goal.title,
        "direction": goal.direction,
        "start": goal.value(start),
        UNSTEERED: _spread(unsteered),
        STEERED: _spread(steered),
        **{name: asdict(comparison) for name, comparison in controls.items()},
        "shift": float(steered.mean() - unsteered.mean()),
        "shift_interval": list(mean_interval(steered - unsteered)),
        "control": control,
        "effect_size": controls[control].effect_size,
        "z": controls[control].z,
        "p_value": controls[control].p_value,
        "floor": controls[control].floor,
    }


def _spread(values: Float[np.ndarray, " chain"]) -> dict[str, float]:
    return {"mean": float(values.mean()), "sd": float(values.std(ddof=1))}


def _ratio(difference: float, spread: float) -> float:
    """nan for a difference where nothing varies: it is no number of standard deviations."""
    return difference / spread if spread > 0 else 0.0 if difference == 0 else np.nan
