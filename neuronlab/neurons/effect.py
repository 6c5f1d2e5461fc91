"""What changing neurons does to a prediction, beside the same change of random neurons."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from neuronlab.models import Model, Prompt
from neuronlab.neurons.interventions import Intervention
from neuronlab.neurons.neurons import NeuronSet
from neuronlab.neurons.predictions import predict_many

RANDOM_SETS = 20
_CHOICES = 10


@dataclass(frozen=True)
class Effect:
    """Before, after, and after the same change of matched random sets.

    Attributes:
        label: the target as a person reads it.
        choices: the first choices of either: columns token, index, before, after (probabilities).
        probability: of the target before and after.
        rank: of the target before and after; 1 is the first choice.
        random: the target's probability under the change of each random set.
    """

    label: str
    choices: pd.DataFrame
    probability: tuple[float, float]
    rank: tuple[int, int]
    random: tuple[float, ...]

    @property
    def random_mean(self) -> float:
        """Mean over the random sets."""
        return float(np.mean(self.random))

    @property
    def random_sd(self) -> float:
        """Standard deviation over the random sets (n - 1)."""
        return float(np.std(self.random, ddof=1))


def effect(
    model: Model,
    prompt: Prompt,
    neurons: NeuronSet,
    change: Callable[[NeuronSet], Intervention],
) -> Effect:
    """Run the change of a set, and of ``RANDOM_SETS`` random ones like it, in batches.

    Args:
        change: makes the intervention on a set; it is called for every set.

    Raises:
        UserError: the prompt or the set does not fit the model.
    """
    random = [neurons.matched_random(model.sizes, seed) for seed in range(RANDOM_SETS)]
    changes = [change(chosen) for chosen in (neurons, *random)]
    before, after, *controls = predict_many(model, prompt, [None, *changes])
    first = pd.concat([before.top(_CHOICES), after.top(_CHOICES)])
    first = first[["token", "index"]].drop_duplicates("index", ignore_index=True)
    indices = first["index"].tolist()
    return Effect(
        label=before.label,
        choices=first.assign(
            before=before.probabilities[indices].numpy(force=True),
            after=after.probabilities[indices].numpy(force=True),
        ),
        probability=(before.probability, after.probability),
        rank=(before.rank, after.rank),
        random=tuple(control.probability for control in controls),
    )
