"""The built-in explainer: which traits separate a neuron's proteins from the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import false_discovery_control, hypergeom, norm

from neuronlab.labels.traits import Traits

Array = np.ndarray
LEVEL = 0.05
# Neurons whose tests are held in memory at once.
_CHUNK = 256


@dataclass(frozen=True)
class Separation:
    """How the proteins of each neuron differ from the rest.

    Attributes:
        effect: rank-biserial correlation, -1 to 1: the chance that one of the neuron's proteins has
            more of the trait than one of the rest, less the chance that it has less. For an
            annotation: the difference of the shares that carry it.
        p: two-sided; Mann and Whitney with ties for features, Fisher's (twice the smaller tail) for
            annotations.
    """

    effect: Float[Array, "neuron trait"]
    p: Float[Array, "neuron trait"]


class Explainer:
    """Tests every trait for many neurons against the same background."""

    def __init__(self, traits: Traits, background: Bool[Array, " protein"]) -> None:
        """Rank everything once.

        Args:
            background: proteins that exemplars were chosen from, or a sample of them.
        """
        # A feature that is undefined in all of them is the same everywhere.
        values = np.where(np.isnan(traits.values[background]).all(0), 0, traits.values)
        # What is undefined is neither high nor low.
        values = np.where(np.isnan(values), np.nanmedian(values[background], axis=0), values)
        self._rest = values[background]
        self._below = np.stack(
            [_below(values[:, t], self._rest[:, t]) for t in range(values.shape[1])], axis=1
        )
        self._background = background
        self._binary = traits.binary
        self._carried = values[:, traits.binary]
        self._carriers = self._carried[background].sum(0)
        n = len(self._rest)
        self._ties = np.array(
            [(n.astype(float) ** 3 - n).sum() for n in map(_counts, self._rest.T)]
        ) / max(n**3 - n, 1)

    def separation(self, at: Int[Array, "neuron kept"]) -> Separation:
        """The test of every trait.

        Args:
            at: the proteins of each neuron, as rows of the traits.
        """
        parts = [self._part(at[i : i + _CHUNK]) for i in range(0, len(at), _CHUNK)]
        return Separation(*(np.concatenate(chunks) for chunks in zip(*parts, strict=True)))

    def _part(self, at: Int[Array, "neuron kept"]) -> tuple[Array, Array]:
        k, all_ = at.shape[1], len(self._rest)
        inside = self._background[at].sum(1)[:, None]
        others = all_ - inside
        compared = k + others
        # Pairs of a neuron's own proteins cancel where all of them are in the background. Where
        # that is a sample, few are, and their pairs weigh nothing.
        wins = self._below[at].sum(1) - inside * k / 2
        effect = 2 * wins / (k * others) - 1
        spread = np.sqrt(k * others / 12 * (compared + 1) * (1 - self._ties))
        excess = np.maximum(np.abs(wins - k * others / 2) - 0.5, 0)
        p = 2 * norm.sf(np.divide(excess, spread, out=np.zeros_like(excess), where=spread > 0))
        if self._binary.any():
            annotations = self._carried[at]
            carried = annotations.sum(1)
            # Some of the neuron's proteins may be no part of the background.
            total = self._carriers + (annotations * ~self._background[at][..., None]).sum(1)
            p[:, self._binary] = _fisher(carried, total, compared, k)
        return effect.clip(-1, 1), np.minimum(p, 1.0)


def adjusted(p: Float[Array, " test"]) -> Float[Array, " test"]:
    """Benjamini and Hochberg: the false discovery rate at which each test is found."""
    return false_discovery_control(p)


def candidates(
    separation: Separation, count: int, *, level: float = LEVEL
) -> list[list[tuple[tuple[int, int], ...]]]:
    """Per neuron the traits that separate most, alone and the first two together.

    Args:
        count: of single traits at most.
        level: of p, after Bonferroni's correction for the number of traits.

    Returns:
        (trait, sign) in each; empty where nothing separates.
    """
    tests = separation.p.shape[1]
    strength = np.where(separation.p * tests < level, np.abs(separation.effect), 0.0)
    order = np.argsort(-strength, axis=1, kind="stable")[:, :count]
    hypotheses = []
    for row, best in enumerate(order):
        traits = [
            (int(t), 1 if separation.effect[row, t] > 0 else -1)
            for t in best
            if strength[row, t] > 0
        ]
        alone: list[tuple[tuple[int, int], ...]] = [(each,) for each in traits]
        hypotheses.append(alone + ([(traits[0], traits[1])] if len(traits) > 1 else []))
    return hypotheses


def _fisher(
    carried: Float[Array, "neuron annotation"],
    total: Float[Array, "neuron annotation"],
    compared: Int[Array, "neuron 1"],
    k: int,
) -> Float[Array, "neuron annotation"]:
    """Twice the smaller tail of drawing k of those compared; each different case is done once."""
    most = int(compared.max()) + 1
    case = (compared * most + total.astype(int)) * (k + 1) + carried.astype(int)
    different, where = np.unique(case.ravel(), return_inverse=True)
    rest, have = np.divmod(different, k + 1)
    of, marked = np.divmod(rest, most)
    tail = np.minimum(hypergeom.sf(have - 1, of, marked, k), hypergeom.cdf(have, of, marked, k))
    return 2 * tail[where].reshape(case.shape)


def _below(values: Float[Array, " protein"], rest: Float[Array, " other"]) -> Array:
    """How many of the rest are lower, those equal counting half."""
    ordered = np.sort(rest)
    return (
        np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    ) / 2


def _counts(values: Float[Array, " protein"]) -> Int[Array, " different"]:
    return np.unique(values, return_counts=True)[1]
