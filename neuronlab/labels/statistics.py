"""The built-in explainer: which traits separate a neuron's proteins from the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import hypergeom, norm

from neuronlab.labels.traits import Traits

Array = np.ndarray
# Neurons whose tests are held in memory at once.
_CHUNK = 256


@dataclass(frozen=True)
class Separation:
    """How the proteins of each neuron differ from the rest.

    Attributes:
        effect: rank-biserial correlation, -1 to 1: the chance that one of the neuron's proteins has
            more of the trait than one of the rest, less the chance that it has less. For an
            annotation: the difference of the shares that carry it.
        p: two-sided; Mann and Whitney with ties for features, hypergeometric for annotations.
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
        rest = traits.values[background]
        # What is undefined is neither high nor low.
        self._rest = np.where(np.isnan(rest), np.nanmedian(rest, axis=0), rest)
        values = np.where(np.isnan(traits.values), np.nanmedian(rest, axis=0), traits.values)
        self._below = np.stack(
            [_below(values[:, t], self._rest[:, t]) for t in range(values.shape[1])], axis=1
        )
        self._values, self._background = values, background
        self._binary = traits.binary
        self._ties = np.array(
            [(n.astype(float) ** 3 - n).sum() for n in map(_counts, self._rest.T)]
        )

    def separation(self, at: Int[Array, "neuron kept"]) -> Separation:
        """The test of every trait.

        Args:
            at: the proteins of each neuron, as rows of the traits.
        """
        parts = [self._part(at[i : i + _CHUNK]) for i in range(0, len(at), _CHUNK)]
        return Separation(*(np.concatenate(own) for own in zip(*parts, strict=True)))

    def _part(self, at: Int[Array, "neuron kept"]) -> tuple[Array, Array]:
        k, all_ = at.shape[1], len(self._rest)
        inside = self._background[at].sum(1)[:, None]
        others = all_ - inside
        # Pairs of a neuron's own proteins cancel where all of them are in the background.
        wins = self._below[at].sum(1) - inside * k / 2
        effect = 2 * wins / (k * others) - 1
        spread = np.sqrt(k * others / 12 * (all_ + 1 - self._ties / max(all_ * (all_ - 1), 1)))
        excess = np.maximum(np.abs(wins - k * others / 2) - 0.5, 0)
        p = 2 * norm.sf(np.divide(excess, spread, out=np.zeros_like(excess), where=spread > 0))
        if self._binary.any():
            carried = self._values[at][..., self._binary].sum(1)
            total = self._rest[:, self._binary].sum(0)
            more = hypergeom.sf(carried - 1, all_, total, np.minimum(k, all_))
            less = hypergeom.cdf(carried, all_, total, np.minimum(k, all_))
            p[:, self._binary] = 2 * np.minimum(more, less)
        return effect.clip(-1, 1), np.minimum(p, 1.0)


def adjusted(p: Float[Array, " test"]) -> Float[Array, " test"]:
    """Benjamini and Hochberg: the false discovery rate at which each test is found."""
    order = np.argsort(p)
    rank = np.arange(1, len(p) + 1)
    scaled = np.minimum.accumulate((p[order] * len(p) / rank)[::-1])[::-1]
    found = np.empty_like(p)
    found[order] = np.minimum(scaled, 1.0)
    return found


def candidates(
    separation: Separation, count: int, *, level: float = 0.05
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
    found = []
    for row, best in enumerate(order):
        own = [
            (int(t), 1 if separation.effect[row, t] > 0 else -1)
            for t in best
            if strength[row, t] > 0
        ]
        alone: list[tuple[tuple[int, int], ...]] = [(each,) for each in own]
        found.append(alone + ([(own[0], own[1])] if len(own) > 1 else []))
    return found


def _below(values: Float[Array, " protein"], rest: Float[Array, " other"]) -> Array:
    """How many of the rest are lower, those equal counting half."""
    ordered = np.sort(rest)
    return (
        np.searchsorted(ordered, values, "left") + np.searchsorted(ordered, values, "right")
    ) / 2


def _counts(values: Float[Array, " protein"]) -> Int[Array, " different"]:
    return np.unique(values, return_counts=True)[1]
