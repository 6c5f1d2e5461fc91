"""What changing neurons does to other predictions: is it the answer that goes, or the model?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from neuronlab.models import Model, Prompt
from neuronlab.neurons.activity import Activity
from neuronlab.neurons.effect import RANDOM_SETS
from neuronlab.neurons.interventions import Intervention
from neuronlab.neurons.neurons import NeuronSet
from neuronlab.neurons.predictions import predict_many
from neuronlab.neurons.scores import NeuronScores
from neuronlab.statistics import rank_p, seeds

# Below so small a change of bystanders (of their log-probability) no quotient is given.
_UNTOUCHED = 0.01


@dataclass(frozen=True)
class Bystander:
    """A prompt on which neurons of another one should do little.

    Attributes:
        kind: how it is related to that one, in words: "same relation", "another protein", …
        name: what it is called: a prompt's text, a residue.
        prompt: without a target, the model's first choice is watched.
    """

    kind: str
    name: str
    prompt: Prompt


@dataclass(frozen=True)
class Specificity:
    """What a change does to an answer, and to bystanders.

    Attributes:
        change: of the answer: its log-probability after less before, natural logarithms; also of a
            prompt with a foil, so that bystanders have the same measure.
        bystanders: columns kind, name, answer (what is watched), before, after (its probability),
            instead (the first choice afterwards), change (of its log-probability), random (the mean
            of that change over random sets; nan where there are none).
        controls: for each random set the change of the answer, and the mean change of bystanders;
            the sets are of the same layers, as active and writing as much (``AS_ACTIVE``).
    """

    change: float
    bystanders: pd.DataFrame
    controls: tuple[tuple[float, float], ...]

    def alone(self) -> Specificity:
        """The same without random sets."""
        return replace(self, bystanders=self.bystanders.assign(random=np.nan), controls=())

    @property
    def mean(self) -> float:
        """The mean change of bystanders."""
        return float(self.bystanders["change"].mean())

    @property
    def difference(self) -> float:
        """How much more the answer changes than bystanders do in the mean."""
        return self.change - self.mean

    @property
    def differences(self) -> tuple[float, ...]:
        """The same for each random set."""
        return tuple(answer - bystanders for answer, bystanders in self.controls)

    @property
    def quotient(self) -> float | None:
        """How many times as much the answer changes.

        None where bystanders hardly change, or the other way.
        """
        if abs(self.mean) < _UNTOUCHED or self.change * self.mean <= 0:
            return None
        return self.change / self.mean

    @property
    def p(self) -> float:
        """How often a random set is as specific: from 1 / (sets + 1) on; 1 where there are none."""
        return rank_p(abs(self.difference), np.abs(self.differences))

    @property
    def stays(self) -> pd.Series:
        """Of each bystander, whether its answer stays the first choice."""
        return self.bystanders["instead"] == self.bystanders["answer"]

    @property
    def erased(self) -> list[str]:
        """Answers of bystanders that are no longer the first choice."""
        return self.bystanders["answer"][~self.stays].tolist()

    @property
    def kept(self) -> list[str]:
        """Answers of bystanders that stay the first choice."""
        return self.bystanders["answer"][self.stays].tolist()


def specific_scores(scores: NeuronScores, others: Sequence[NeuronScores]) -> NeuronScores:
    """Scores less their mean over bystanders: what is this prompt's alone comes first.

    A ranking of our own; see docs/methods.md. Who judges it asks other bystanders than these.

    Args:
        scores: of a prompt.
        others: of its bystanders, by the same method and of the same components.

    Raises:
        ValueError: there are none.

    Example:
        >>> specific_scores(scores, [nl.attribute(model, other) for other in others]).select(top=10)
    """
    if not others:
        raise ValueError("without bystanders there is nothing to subtract")
    return NeuronScores(
        {c: scores[c] - np.mean([other[c] for other in others], axis=0) for c in scores},
        scores.provenance,
    )


def specificity(
    model: Model,
    prompt: Prompt,
    neurons: NeuronSet,
    change: Callable[[NeuronSet], Intervention],
    bystanders: Sequence[Bystander],
    *,
    random_sets: int = RANDOM_SETS,
) -> Specificity:
    """Change a set, and random ones that are as active, on a prompt and on its bystanders.

    Args:
        change: makes the intervention on a set; it is called for every set.
        bystanders: at least one.
        random_sets: each costs as much as the set itself.

    Raises:
        UserError: a prompt or the set does not fit the model.

    Example:
        >>> bystanders = [Bystander("plain", "Yes", nl.Prompt("Yes, of course"))]
        >>> specificity(model, prompt, basket, nl.Suppress, bystanders).quotient
    """
    neurons.check(model)
    encoded = model.encode(prompt)
    sets = [neurons]
    if random_sets:
        activity = Activity.of(model, [encoded], neurons.counts())
        sets += [activity.matched(neurons, seed) for seed in seeds(0, random_sets)]
    asked = [None, *map(change, sets)]
    before, *after = predict_many(model, encoded, asked)
    changes = [one.log_probability - before.log_probability for one in after]
    rows, of_sets = [], []
    for bystander in bystanders:
        first, *others = predict_many(model, bystander.prompt, asked)
        moved = [one.log_probability - first.log_probability for one in others]
        of_sets.append(moved)
        rows.append(
            {
                "kind": bystander.kind,
                "name": bystander.name,
                "answer": first.label,
                "before": first.probability,
                "after": others[0].probability,
                "instead": model.label(int(others[0].logits.argmax())),
                "change": moved[0],
                "random": float(np.mean(moved[1:])) if random_sets else np.nan,
            }
        )
    means = np.mean(of_sets, axis=0)
    return Specificity(
        change=changes[0],
        bystanders=pd.DataFrame(rows),
        controls=tuple(zip(changes[1:], means[1:].tolist(), strict=True)),
    )
