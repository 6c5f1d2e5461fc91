"""Which hypothesis is a neuron's label, and what speaks for it on proteins that nobody used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from neuronlab.labels.proteins import CHOSEN, JUDGED, DescribedProteins, group
from neuronlab.labels.simulation import Hypothesis, controls, correlations
from neuronlab.labels.statistics import Separation

# Of fewer proteins a correlation says nothing.
FEW = 10
TEXTS = ("label", "concept", "group")
CORRELATIONS = ("correlation", "unrelated_correlation", "related_correlation")


def best(
    neurons: Int[np.ndarray, " hypothesis"], r: Float[np.ndarray, " hypothesis"]
) -> dict[int, int]:
    """The hypothesis of the highest correlation, by the neurons that have one."""
    highest: dict[int, int] = {}
    for number, neuron in enumerate(neurons.tolist()):
        if not np.isnan(r[number]) and (neuron not in highest or r[number] > r[highest[neuron]]):
            highest[neuron] = number
    return highest


def judged(
    proteins: DescribedProteins,
    predicted: Float[np.ndarray, "label protein"],
    activations: Float[np.ndarray, "label protein"],
) -> dict[str, Any]:
    """The correlations of labels on the proteins that judge, and their controls."""
    choosing, judging = (proteins.side == name for name in (CHOSEN, JUDGED))
    judges = (judging, judging & ~proteins.related, judging & proteins.related)
    columns = {
        name: correlations(predicted[:, some], activations[:, some])
        if some is judging or some.sum() >= FEW
        else np.nan
        for name, some in zip(CORRELATIONS, judges, strict=True)
    }
    control, beaten = controls(predicted, activations, choosing, judging)
    return columns | {"control_correlation": control, "beaten": beaten}


def tested(
    proteins: DescribedProteins,
    labels: Sequence[Hypothesis],
    neurons: Int[np.ndarray, " label"],
    separation: Separation,
) -> dict[str, Any]:
    """Labels in words, and the effect and p of the traits that they name."""
    names, titles = proteins.traits.names, proteins.traits.titles
    place = {name: i for i, name in enumerate(names)}
    rows = []
    for neuron, label in zip(neurons, labels, strict=True):
        named = [place[name] for name, _ in label.terms]
        if not named:
            rows.append((label.text, "", "", np.nan, 1.0))
            continue
        first = named[0]
        p = min(1.0, separation.p[neuron, named].max() * len(place))
        effect = separation.effect[neuron, first]
        rows.append((label.text, titles[first], group(names[first]), effect, p))
    columns = zip(*rows, strict=True) if rows else [()] * 5
    return dict(zip((*TEXTS, "effect", "p"), map(list, columns), strict=True))
