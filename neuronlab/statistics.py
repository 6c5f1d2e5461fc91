"""Intervals, ranks among controls, and seeds: what every study's claims rest on.

What is drawn again is what was drawn in the first place: facts, proteins, sets of neurons; never
the many numbers that one of them gives. ``tests/test_statistics.py`` simulates each function: under
the null its p is uniform, and its 95 % interval holds the truth in 93 to 97 % of cases.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import norm
from scipy.stats import t as student

RESAMPLES = 2000
LEVEL = 0.95
# Fewer units agree by chance more often than one time in twenty (2 / 2**5): what all of them say is
# not clear yet, though drawing them again says the same each time.
FEWEST = 6


def seeds(seed: int | Sequence[int], count: int) -> list[int]:
    """Seeds of so many independent draws, in NumPy's way (``SeedSequence.spawn``).

    Those of seed 0 and of seed 1 have nothing in common, so that another seed is a replication.

    Args:
        seed: of the study; or several numbers, such as the study's seed and the number of a fact.
    """
    spawned = np.random.SeedSequence(seed).spawn(count)
    return [int(one.generate_state(1, np.uint64)[0]) for one in spawned]


def bootstrap(
    values: Float[np.ndarray, "unit column"], seed: int = 0, *, level: float = LEVEL
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
    """Interval of each column's mean: units drawn with replacement.

    For a difference between two methods on the same units give the differences: units that are easy
    for both then cancel.

    Args:
        values: one row for each unit that was drawn independently (a fact, a protein).
        level: how often the interval is to hold the truth.
    """
    return expanded(resampled(len(values), seed) @ values, len(values), level=level)


def mean_interval(
    values: Float[np.ndarray, " unit"], *, level: float = LEVEL
) -> tuple[float, float]:
    """Student's interval of a mean: of so few units that drawing them again says little.

    Args:
        values: of units that vary about normally, such as the chains of a generation; the ends are
            nan for fewer than two.
    """
    if len(values) < 2:
        return np.nan, np.nan
    error = values.std(ddof=1) / np.sqrt(len(values))
    reach = float(student.ppf((1 + level) / 2, len(values) - 1) * error)
    return float(values.mean()) - reach, float(values.mean()) + reach


def expanded(
    drawn: Float[np.ndarray, "resample column"], count: int, *, level: float = LEVEL
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
    """Percentiles of resampled statistics, a little wider than the level says.

    Plain percentiles are too narrow for few units: by sqrt((n - 1) / n), and for want of Student's
    t (Hesterberg 2015, "expanded percentile interval"). What is nan in some resamples is left out
    of them; the ends are nan where all are, and for fewer than two units.

    Args:
        drawn: the statistic in each resample.
        count: of units that were resampled.
    """
    low, high = np.full((2, drawn.shape[1]), np.nan)
    there = ~np.isnan(drawn).all(axis=0)
    if count > 1 and there.any():
        widest = student.ppf((1 + level) / 2, count - 1) * np.sqrt(count / (count - 1))
        tail = 100 * norm.sf(widest)
        # "nearest", since some ratios may be infinite
        ends = np.nanpercentile(drawn[:, there], [tail, 100 - tail], axis=0, method="nearest")
        low[there], high[there] = ends
    return low, high


@lru_cache(maxsize=1)
def resampled(count: int, seed: int) -> Float[np.ndarray, "resample unit"]:
    """How much each unit weighs in each resample; the same for all that is compared."""
    draw = np.random.default_rng(seed)
    return draw.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count


def pairwise(
    values: Float[np.ndarray, "unit column"], seed: int = 0, *, level: float = LEVEL
) -> tuple[
    Float[np.ndarray, "column column"],
    Float[np.ndarray, "column column"],
    Float[np.ndarray, "column column"],
]:
    """Mean differences between all columns, with intervals that hold all at once.

    For "which is best": the best of several is chosen by the same units that it is then compared
    on, so that intervals of single differences find leaders where there are none. The bootstrap's
    largest studentised deviation of any difference gives the width of all (max-t).

    Args:
        values: of each column (a method) on the same units (facts).

    Returns:
        difference, low, high; entry (i, j) is of column i less column j. The ends are nan for fewer
        than ``FEWEST`` units.
    """
    count, columns = values.shape
    difference = values.mean(0)[:, None] - values.mean(0)
    if count < FEWEST:
        nothing = np.full((columns, columns), np.nan)
        return difference, nothing, nothing
    drawn = resampled(count, seed) @ values
    apart = drawn[:, :, None] - drawn[:, None, :] - difference
    spread = apart.std(axis=0)
    far = np.divide(np.abs(apart), spread, out=np.zeros_like(apart), where=spread > 0)
    widest = np.percentile(far.max(axis=(1, 2)), 100 * level)
    few = student.ppf((1 + level) / 2, count - 1) / norm.ppf((1 + level) / 2)
    wide = widest * spread * few * np.sqrt(count / (count - 1))
    return difference, difference - wide, difference + wide


def mean_over_pairs(
    values: Float[np.ndarray, " pair"],
    first: Int[np.ndarray, " pair"],
    second: Int[np.ndarray, " pair"],
    *,
    level: float = LEVEL,
) -> tuple[float, float, float]:
    """The mean over pairs of units, and its interval over units.

    Pairs that share a unit are not independent: the variance adds up the products of all residuals
    of pairs with a unit in common (Fafchamps and Gubert 2007; Aronow, Samii and Assenova 2015),
    and is no smaller than that of independent pairs of units. Residuals from the mean of few units
    are too small, and their products vary: both are made up for as if every value were the sum of
    its units' effects (a factor, and Satterthwaite's degrees of freedom).

    Args:
        first, second: which units each value is of; the same one twice for a value of one unit. Two
            units may have several values.

    Returns:
        mean, low, high; the ends are nan where there are too few units to tell: one, two that all
        values are of, three that are all paired.
    """
    mean = float(values.mean())
    _, numbers = np.unique(np.concatenate([first, second]), return_inverse=True)
    pairs, which = np.unique(np.sort(numbers.reshape(2, -1), 0), axis=1, return_inverse=True)
    different = pairs[0] != pairs[1]
    units: Float[np.ndarray, "distinct unit"] = np.zeros((pairs.shape[1], numbers.max() + 1))
    units[np.arange(len(units)), pairs] = 1
    residual = np.bincount(which.ravel(), values - mean)
    together = ((residual @ units) ** 2).sum() - (residual[different] ** 2).sum()
    # The same sum as a quadratic form in the effects of the units.
    often = np.bincount(which.ravel())[:, None]
    count = (often * units).sum(0)
    effects = often * (units - count / len(values))
    shared, twice = units.T @ effects, effects[different]
    form: Float[np.ndarray, "unit unit"] = shared.T @ shared - twice.T @ twice
    trace = np.trace(form)
    if trace < 1e-9 * (count**2).sum():
        return mean, np.nan, np.nan
    alone = (residual**2).sum() * len(units) / max(len(units) - 1, 1)
    spread = np.sqrt(max(together * (count**2).sum() / trace, alone)) / len(values)
    margin = float(student.ppf((1 + level) / 2, trace**2 / (form**2).sum()) * spread)
    return mean, mean - margin, mean + margin


def proportion(
    values: Float[np.ndarray, " unit"], *, level: float = LEVEL
) -> tuple[float, float, float]:
    """The mean of values between 0 and 1, such as right and wrong, and its interval (Wilson 1927).

    It has a width even where all are right, and stays within 0 and 1. Where values lie between, as
    ties do, it is a little wider than need be.

    Returns:
        mean, low, high.
    """
    mean, square = float(values.mean()), float(norm.ppf((1 + level) / 2)) ** 2 / len(values)
    middle = (mean + square / 2) / (1 + square)
    width = np.sqrt(square * (mean * (1 - mean) + square / 4)) / (1 + square)
    return mean, max(float(middle - width), 0.0), min(float(middle + width), 1.0)


def rank_p(
    value: float, controls: Sequence[float] | Float[np.ndarray, " control"], *, larger: bool = True
) -> float:
    """How often a control does at least as well, the value itself counting as one of them.

    Of n controls the smallest possible p is 1 / (n + 1). One-sided: that of the value's being no
    more than one of the controls.

    Args:
        controls: the same number, of sets that were drawn at random.
        larger: whether larger is better.
    """
    others = np.asarray(controls, float)
    reached = others >= value if larger else others <= value
    return float((1 + reached.sum()) / (1 + len(others)))


def normal_p(
    value: float, controls: Sequence[float] | Float[np.ndarray, " control"], *, larger: bool = True
) -> float:
    """How often one more control would do at least as well, were controls normally distributed.

    For controls that are too few for ``rank_p`` to be small: the value's distance from their mean
    in units of what one more is expected to have, by Student's t. One-sided. Controls without any
    spread say nothing about it: then p is ``rank_p``'s.

    Args:
        controls: the same number, of sets that were drawn at random; p is nan for fewer than two.
        larger: whether larger is better.
    """
    others = np.asarray(controls, float)
    count = len(others)
    if count < 2:
        return np.nan
    spread = float(others.std(ddof=1)) * np.sqrt(1 + 1 / count)
    if spread == 0:
        return rank_p(value, others, larger=larger)
    t = (value - float(others.mean())) / spread
    return float(student.sf(t if larger else -t, count - 1))


def rounded(scores: Float[np.ndarray, " item"], rounding: float) -> Int[np.ndarray, " item"]:
    """The place of each score in their order, where differences of rounding are ties.

    Scores tie with the lowest of their group when they are within ``rounding`` of it.
    """
    order = np.argsort(scores, kind="stable")
    places = np.zeros(len(scores), int)
    place, lowest = -1, -np.inf
    for item in order:
        if not scores[item] <= lowest + rounding:
            place, lowest = place + 1, scores[item]
        places[item] = place
    return places


def area(
    positive: Bool[np.ndarray, " item"],
    scores: Float[np.ndarray, " item"] | Int[np.ndarray, " item"],
    weights: Float[np.ndarray, "resample item"] | None = None,
) -> Float[np.ndarray, " resample"]:
    """Area under the ROC curve: the share of pairs, one positive and one not, in the right order.

    Equal scores are half right; nan where there is no pair.

    Args:
        scores: higher for what is thought positive; see ``rounded`` for what should tie.
        weights: how often each item is drawn; one resample with each once by default.
    """
    if weights is None:
        weights = np.ones((1, len(scores)))
    inside, outside = weights * positive, weights * ~positive
    right = (inside * _below(scores, outside)).sum(1)
    return ratio(right, inside.sum(1) * outside.sum(1))


def rank_correlation(
    first: Float[np.ndarray, " item"],
    second: Float[np.ndarray, " item"],
    weights: Float[np.ndarray, "resample item"] | None = None,
) -> Float[np.ndarray, " resample"]:
    """Spearman's correlation; nan where all of one are equal.

    Args:
        weights: how often each item is drawn; one resample with each once by default.
    """
    if weights is None:
        weights = np.ones((1, len(first)))
    weights = weights / weights.sum(1, keepdims=True)
    ranks = (_below(scores, weights) for scores in (first, second))
    a, b = (rank - (weights * rank).sum(1, keepdims=True) for rank in ranks)
    spread = np.sqrt((weights * a**2).sum(1) * (weights * b**2).sum(1))
    return ratio((weights * a * b).sum(1), np.where(spread > 1e-12, spread, 0.0))


def _below(
    scores: Float[np.ndarray, " item"] | Int[np.ndarray, " item"],
    weights: Float[np.ndarray, "resample item"],
) -> Float[np.ndarray, "resample item"]:
    """The weight of what scores lower than each item, and half of what scores the same."""
    _, group = np.unique(scores, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    each = np.add.reduceat(weights[:, order], starts, axis=1)
    return (each.cumsum(1) - each / 2)[:, group]


def ratio(
    part: Float[np.ndarray, " resample"], whole: Float[np.ndarray, " resample"]
) -> Float[np.ndarray, " resample"]:
    """The quotient; nan where the whole is nothing."""
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
