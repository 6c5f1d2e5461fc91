"""How well a hypothesis predicts a neuron's activation on proteins it was not made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from neuronlab.labels.traits import Traits

Array = np.ndarray
# Neurons that are compared with all labels at once.
_ROWS = 512


@dataclass(frozen=True)
class Hypothesis:
    """What a neuron may respond to.

    Attributes:
        text: in words.
        source: who says so: "statistics", "endpoint …" or "chat …".
        terms: the traits it names, each with its direction.
    """

    text: str
    source: str
    terms: tuple[tuple[str, int], ...] = ()


def from_traits(
    hypotheses: Sequence[Hypothesis], traits: Traits, standard: Float[Array, "protein trait"]
) -> Float[Array, "hypothesis protein"]:
    """The sum of the named traits in standard deviations; nan where a hypothesis names none."""
    at = {name: i for i, name in enumerate(traits.names)}
    predicted = np.full((len(hypotheses), len(standard)), np.nan, np.float32)
    for row, hypothesis in enumerate(hypotheses):
        if hypothesis.terms:
            predicted[row] = sum(sign * standard[:, at[name]] for name, sign in hypothesis.terms)
    return predicted


def correlations(
    predicted: Float[Array, "row protein"], seen: Float[Array, "row protein"]
) -> Float[Array, " row"]:
    """Pearson's r of each pair of rows; nan where one of them is constant or undefined."""
    return (_unit(predicted) * _unit(seen)).sum(1).clip(-1, 1)


def controls(
    predicted: Float[Array, "neuron protein"],
    seen: Float[Array, "neuron protein"],
    choosing: Bool[Array, " protein"],
    judging: Bool[Array, " protein"],
) -> tuple[Float[Array, " neuron"], Float[Array, " neuron"]]:
    """What the labels of all other neurons tell about each neuron.

    Whether another neuron's label stands for more or less activation of this one has no meaning, so
    that it is turned the way in which it correlates with this neuron on the proteins that choose;
    then it is judged like the neuron's own.

    Args:
        predicted: by each neuron's own label.
        seen: activations.

    Returns:
        The mean correlation with the others' labels, and the share of them that the neuron's own
        label beats, equal ones counting half: one half where labels might as well be exchanged.
        nan where there are no others, or the own label has no correlation.
    """
    labels = [_unit(predicted[:, part]).T for part in (choosing, judging)]
    mean, beaten = np.full((2, len(seen)), np.nan)
    for start in range(0, len(seen), _ROWS):
        rows = np.arange(start, min(start + _ROWS, len(seen)))
        chosen, judged = (
            _unit(seen[rows][:, part]) @ label
            for part, label in zip((choosing, judging), labels, strict=True)
        )
        label_r = judged[rows - start, rows][:, None]
        judged *= np.sign(chosen)
        judged[rows - start, rows] = np.nan
        count = (~np.isnan(judged + label_r)).sum(1)
        # What differs by rounding alone is equal: many neurons have the same label.
        better = np.nansum((np.sign((label_r - judged).round(5)) + 1) / 2, axis=1)
        for share, total in ((mean, np.nansum(judged + 0 * label_r, axis=1)), (beaten, better)):
            share[rows] = np.divide(total, count, out=np.full(len(rows), np.nan), where=count > 0)
    return mean, beaten


def _unit(rows: Float[Array, "row protein"]) -> Float[Array, "row protein"]:
    """Rows of mean 0 and length 1; nan where they are constant or undefined."""
    centred = rows - rows.mean(1, keepdims=True)
    length = np.sqrt((centred**2).sum(1, keepdims=True))
    return np.divide(centred, length, out=np.full_like(centred, np.nan), where=length > 1e-6)
