"""What changing neurons does to a prediction, beside the same change of random neurons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from neuronlab.models import Model, Prompt
from neuronlab.neurons.activity import Activity
from neuronlab.neurons.interventions import Intervention
from neuronlab.neurons.neurons import NeuronSet
from neuronlab.neurons.predictions import predict_many
from neuronlab.statistics import rank_p, seeds

RANDOM_SETS = 20


class Control(StrEnum):
    """Random neurons of the same layers beside the chosen ones; the value stands in tables.

    Two kinds: most neurons are nearly silent, so that random ones are easily beaten.
    """

    RANDOM = "random"
    AS_ACTIVE = "as active"

    @property
    def key(self) -> str:
        """The kind in the names of columns and numbers, which have no spaces."""
        return self.name.lower()


RANDOM, AS_ACTIVE = Control.RANDOM, Control.AS_ACTIVE
CONTROLS = {
    RANDOM: "random neurons of the same layers",
    AS_ACTIVE: "random neurons of the same layers, matched in activity",
}
_CHOICES = 10


def percent(share: float, digits: int = 1) -> str:
    """A share as a person reads it; a small one has two digits of its own, so that some is left.

    Example: ``percent(0.7705) == "77.1%"``, ``percent(0.004) == "0.40%"``.
    """
    small = 0 < abs(share) < 10.0 ** -(digits + 1)
    return f"{100 * share:#.2g}%" if small else f"{share:.{digits}%}"


# What is judged, as it is written: see ``Effect.measure``.
WRITTEN: dict[str, Callable[[float], str]] = {
    "probability": percent,
    "log_odds": "{:+.2f}".format,
}


@dataclass(frozen=True)
class Effect:
    """Before, after, and after the same change of random sets.

    Attributes:
        label, foil: the target, and what it is compared with, as a person reads them.
        choices: the first choices of either, and a foil with its target: columns token, index,
            before, after (probabilities).
        probability: of the target before and after.
        rank: of the target before and after; 1 is the first choice.
        log_odds: where there is a foil, the target's log-probability less the foil's, before and
            after: what is judged then, instead of the target's probability.
        controls: what is judged, under the change of each random set, by kind:
            ``RANDOM`` sets have as many neurons in each layer and component
            (``NeuronSet.matched_random``), ``AS_ACTIVE`` ones are also as active there, and write
            as much (``Activity.matched``).
        activity: how active the random sets of a kind are at the predicted token, which is also
            where they are matched, as a share of the chosen neurons (geometric means). Where these
            are the most active ones, none are as active.
    """

    label: str
    choices: pd.DataFrame
    probability: tuple[float, float]
    rank: tuple[int, int]
    controls: Mapping[Control, tuple[float, ...]]
    activity: Mapping[Control, float]
    foil: str = ""
    log_odds: tuple[float, float] | None = None

    @property
    def measure(self) -> str:
        """What is judged: "probability" of the target, or "log_odds" against a foil."""
        return "probability" if self.log_odds is None else "log_odds"

    @property
    def judged(self) -> tuple[float, float]:
        """Before and after: the target's probability, or its log-odds against a foil."""
        return self.probability if self.log_odds is None else self.log_odds

    def to_frame(self) -> pd.DataFrame:
        """What is judged, before and after, beside the random sets of each kind.

        Columns set, ``measure``, sd (over the random sets) and p (see ``p``); a row each for the
        model as it is, the chosen neurons, and each kind of random sets.
        """
        before, after = self.judged
        rows: list[dict[str, Any]] = [
            {"set": "none", self.measure: before},
            {"set": "the chosen neurons", self.measure: after},
        ]
        rows += [
            {"set": CONTROLS[kind], self.measure: self.mean(kind)}
            | {"sd": self.sd(kind), "p": self.p(kind)}
            for kind in self.controls
        ]
        return pd.DataFrame(rows)

    def _repr_html_(self) -> str:
        """In a notebook: the table of ``to_frame``."""
        return self.to_frame().to_html(index=False, na_rep="")

    def mean(self, control: Control | str) -> float:
        """Mean over the random sets of a kind."""
        return float(np.mean(self.controls[Control(control)]))

    def sd(self, control: Control | str) -> float:
        """Standard deviation over the random sets of a kind (n - 1)."""
        return float(np.std(self.controls[Control(control)], ddof=1))

    @property
    def stronger(self) -> Control:
        """The kind of control that the chosen neurons stand out from less: by p, then by its sd."""

        def distance(control: Control) -> tuple[float, float]:
            away, sd = abs(self.mean(control) - self.judged[1]), self.sd(control)
            return -self.p(control), away / sd if sd > 0 else np.inf if away > 0 else 0.0

        return min(self.controls, key=distance)

    def p(self, control: Control | str) -> float:
        """How often a random set moves it as far, up or down; at least 1 / (sets + 1)."""
        before, after = self.judged
        return rank_p(
            abs(after - before), np.abs(np.subtract(self.controls[Control(control)], before))
        )


def effect(
    model: Model,
    prompt: Prompt,
    neurons: NeuronSet,
    change: Callable[[NeuronSet], Intervention],
) -> Effect:
    """Run the change of a set, and of ``RANDOM_SETS`` random ones of each kind, in batches.

    Of a prompt with a foil the log-odds of the two are judged, else the target's probability.

    Args:
        change: makes the intervention on a set; it is called for every set.

    Raises:
        UserError: the prompt or the set does not fit the model.
    """
    neurons.check(model)
    encoded = model.encode(prompt)
    activity = Activity.of(model, [encoded], neurons.counts())
    chosen_level = activity.level(neurons) or 1.0
    drawn = seeds(0, RANDOM_SETS)
    controls = {
        RANDOM: [neurons.matched_random(model.sizes, seed) for seed in drawn],
        AS_ACTIVE: [activity.matched(neurons, seed) for seed in drawn],
    }
    sets = [neurons, *(one for kind in controls.values() for one in kind)]
    before, after, *others = predict_many(model, encoded, [None, *map(change, sets)])
    compared = before.foil is not None
    first = pd.concat([before.top(_CHOICES), after.top(_CHOICES)])["index"].tolist()
    indices = list(dict.fromkeys([*first, *([before.target, before.foil] if compared else [])]))
    judged = iter(other.log_odds if compared else other.probability for other in others)
    return Effect(
        label=before.label,
        choices=pd.DataFrame(
            {
                "token": [model.label(index) for index in indices],
                "index": indices,
                "before": before.probabilities[indices].numpy(force=True),
                "after": after.probabilities[indices].numpy(force=True),
            }
        ),
        probability=(before.probability, after.probability),
        rank=(before.rank, after.rank),
        controls={kind: tuple(next(judged) for _ in of_kind) for kind, of_kind in controls.items()},
        activity={
            kind: float(np.mean([activity.level(one) for one in of_kind]) / chosen_level)
            for kind, of_kind in controls.items()
        },
        foil="" if before.foil is None else model.label(before.foil),
        log_odds=(before.log_odds, after.log_odds) if compared else None,
    )
