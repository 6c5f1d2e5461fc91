"""How well a hypothesis predicts a neuron's activation on proteins it was not made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from neuronlab.labels.traits import Traits

Array = np.ndarray


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
    found = np.full((len(hypotheses), len(standard)), np.nan, np.float32)
    for row, hypothesis in enumerate(hypotheses):
        if hypothesis.terms:
            found[row] = sum(sign * standard[:, at[name]] for name, sign in hypothesis.terms)
    return found


def correlations(
    predicted: Float[Array, "row protein"], seen: Float[Array, "row protein"]
) -> Float[Array, " row"]:
    """Pearson's r of each pair of rows; nan where one of them is constant or undefined."""
    a = predicted - predicted.mean(1, keepdims=True)
    b = seen - seen.mean(1, keepdims=True)
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    r = np.divide((a * b).sum(1), scale, out=np.full(len(a), np.nan), where=scale > 1e-12)
    return r.clip(-1, 1)
