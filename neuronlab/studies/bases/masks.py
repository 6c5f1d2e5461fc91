"""Which neurons a submodel keeps: the best by their scores, or random ones with as many alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float
from scipy.stats import spearmanr

from neuronlab.models import Component
from neuronlab.neurons import NeuronSet

Selection = Literal["raw", "z", "quota"]
Scores = Mapping[Component, Float[np.ndarray, "layer neuron"]]
Mask = dict[Component, Bool[np.ndarray, "layer neuron"]]


def select(scores: Scores, fraction: float, selection: Selection) -> Mask:
    """The highest-scored neurons: floor(fraction N) of all N, or of every matrix.

    Ties go to the earlier component, layer and neuron.
    """
    if selection == "quota":
        return {
            c: np.stack([best(layer, _count(fraction, layer.size)) for layer in of_component])
            for c, of_component in scores.items()
        }
    if selection == "z":
        scores = {c: _standard(of_component) for c, of_component in scores.items()}
    flat = np.concatenate([of_component.ravel() for of_component in scores.values()])
    chosen = best(flat, _count(fraction, flat.size))
    ends = np.cumsum([of_component.size for of_component in scores.values()])
    parts = np.split(chosen, ends[:-1])
    return {c: part.reshape(scores[c].shape) for c, part in zip(scores, parts, strict=True)}


def random_mask(scores: Scores, fraction: float, seed: int, like: Mask | None = None) -> Mask:
    """As many neurons at random, or as many in every matrix as another mask has."""
    draw = np.random.default_rng([seed, round(1e6 * fraction)])
    noise = {c: draw.random(of_component.shape) for c, of_component in scores.items()}
    if like is None:
        return select(noise, fraction, "raw")
    return {
        c: np.stack(
            [best(row, int(kept.sum())) for row, kept in zip(noise[c], like[c], strict=True)]
        )
        for c in scores
    }


def neurons_of(mask: Mask) -> NeuronSet:
    """The neurons of a mask."""
    return NeuronSet(
        (int(layer), c, int(index))
        for c, kept in mask.items()
        for layer, index in np.argwhere(kept)
    )


def overlaps(one: Scores, other: Scores, fractions: Sequence[float]) -> list[dict[str, Any]]:
    """How alike two scores are: a row per fraction that is kept and component.

    Each has fraction, component, shared (how many both keep) and expected (by chance, with as many
    in every layer), jaccard, and spearman: of the scores themselves, so the same for all fractions.
    """
    rho = {c: float(spearmanr(one[c].ravel(), other[c].ravel()).statistic) for c in one}
    rows = []
    for fraction in fractions:
        first, second = (select(scores, fraction, "raw") for scores in (one, other))
        for c in one:
            a, b = first[c], second[c]
            shared, either = int((a & b).sum()), int((a | b).sum())
            rows.append(
                {
                    "fraction": fraction,
                    "component": c,
                    "shared": shared,
                    "expected": float((a.mean(axis=1) * b.mean(axis=1) * a.shape[1]).sum()),
                    "jaccard": shared / either if either else np.nan,
                    "spearman": rho[c],
                }
            )
    return rows


def best(scores: Float[np.ndarray, " neuron"], count: int) -> Bool[np.ndarray, " neuron"]:
    """As many of the highest-scored; ties go to the earlier."""
    mask = np.zeros(scores.size, bool)
    mask[np.argsort(-scores, kind="stable")[:count]] = True
    return mask


def _standard(scores: Float[np.ndarray, "layer neuron"]) -> Float[np.ndarray, "layer neuron"]:
    spread = scores.std(axis=1, keepdims=True)
    return (scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1.0)


def _count(fraction: float, size: int) -> int:
    """Floor(fraction size), where .29 of 100 are 29."""
    return int(fraction * size + 1e-9)
