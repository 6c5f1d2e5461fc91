"""What changing neurons does to a prediction, beside the same change of random neurons."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True)
class Effect:
    """Before, after, and after the same change of random sets.

    Attributes:
        label: the target as a person reads it.
        choices: the first choices of either: columns token, index, before, after (probabilities).
        probability: of the target before and after.
        rank: of the target before and after; 1 is the first choice.
        controls: the target's probability under the change of each random set, by kind:
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
            away, sd = abs(self.mean(control) - self.probability[1]), self.sd(control)
            return -self.p(control), away / sd if sd > 0 else np.inf if away > 0 else 0.0

        return min(self.controls, key=distance)

    def p(self, control: Control | str) -> float:
        """How often a random set moves the target as far, up or down; at least 1 / (sets + 1)."""
        before, after = self.probability
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
    first = pd.concat([before.top(_CHOICES), after.top(_CHOICES)])
    first = first[["token", "index"]].drop_duplicates("index", ignore_index=True)
    indices = first["index"].tolist()
    probabilities = iter(other.probability for other in others)
    return Effect(
        label=before.label,
        choices=first.assign(
            before=before.probabilities[indices].numpy(force=True),
            after=after.probabilities[indices].numpy(force=True),
        ),
        probability=(before.probability, after.probability),
        rank=(before.rank, after.rank),
        controls={
            kind: tuple(next(probabilities) for _ in of_kind) for kind, of_kind in controls.items()
        },
        activity={
            kind: float(np.mean([activity.level(one) for one in of_kind]) / chosen_level)
            for kind, of_kind in controls.items()
        },
    )
