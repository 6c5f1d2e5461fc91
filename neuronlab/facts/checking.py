"""Telling true candidates from wrong ones by scores: measures, comparisons and what they claim.

A candidate is a prompt with an answer: the right one, or one of another fact of its relation. Two
tasks are asked of every scorer, and are not compared with each other:

- **judging** one candidate, of which nothing else is known: above a threshold lambda it is called
  true. Every second candidate is true, so that calling all of them true gives recall 1 and F1
  .667: the line to beat. Lambda is the one that gives the best F1 on the training part.
- **forced choice** between both candidates of a fact: the one with the higher score is called
  true, and half of the guesses would be right.

Tables of candidates have a true and a wrong row per fact, next to each other, with columns true,
test (the part on which nothing is chosen) and one or several per scorer: see ``columns_of``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from neuronlab.neurons.effect import AS_ACTIVE, RANDOM
from neuronlab.statistics import (
    FEWEST,
    area,
    expanded,
    proportion,
    rank_correlation,
    rank_p,
    ratio,
    resampled,
    rounded,
)

DEGENERATE, KNOWLEDGE = "degenerate", "knowledge"
PROBABILITY, FIRST, ALWAYS = "probability", "top_1", "always_true"
# Beside each kind of neurons: random ones of the same layers, and those that are as active, too.
NULLS = {
    kind: (f"{RANDOM.key}_like_{kind}", f"{AS_ACTIVE.key}_as_{kind}")
    for kind in (DEGENERATE, KNOWLEDGE)
}
SCORERS = {
    DEGENERATE: "Degenerate neurons",
    NULLS[DEGENERATE][0]: "Random, like degenerate",
    NULLS[DEGENERATE][1]: "Random, as active as degenerate",
    KNOWLEDGE: "All knowledge neurons",
    NULLS[KNOWLEDGE][0]: "Random, like knowledge",
    NULLS[KNOWLEDGE][1]: "Random, as active as knowledge",
    PROBABILITY: "Probability of the candidate",
    FIRST: "Model's first choice",
    ALWAYS: "Always true",
}
DRAWN = tuple(null for nulls in NULLS.values() for null in nulls)
# What is fixed beforehand and not chosen on the training part.
FIXED = {FIRST: -1.5, ALWAYS: -1.0}
JUDGED = ("precision", "recall", "f1", "auc")
# What neurons are compared by with others: two of judging, one of the forced choice.
COMPARED = ("f1", "auc", "accuracy")
# Scores that are nearer to each other, in standard deviations, differ by rounding.
_TIED = 1e-5


def columns_of(scorer: str, table: pd.DataFrame) -> list[str]:
    """The columns of a scorer in the table of candidates: one, or one per random set."""
    if scorer not in DRAWN:
        return [scorer]
    return [name for name in table if name.rpartition("_")[0] == scorer]


def measured(
    table: pd.DataFrame, seed: int = 0, lambdas: dict[str, float] | None = None
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Every scorer at both tasks on the test part, with 95 % intervals.

    Args:
        table: of candidates.
        lambdas: threshold per column; by default the best on the table's training part.

    Returns:
        One row per scorer (lambda, train_f1, then with ``_low`` and ``_high``: the measures of
        ``decide``, accuracy of the forced choice, and spearman, the rank correlation with the
        candidate's probability, nan where all scores are equal), and the thresholds. Facts are
        drawn with replacement, both candidates together; the interval of the accuracy is Wilson's.
        Means over random sets.
    """
    train, test = table[~table["test"]], table[table["test"]]
    lambdas = dict(lambdas or {})
    rows = []
    for scorer in SCORERS:
        columns, train_f1 = columns_of(scorer, table), []
        for column in columns:
            true, wrong = scores_of(train, column)
            if column not in lambdas:
                lambdas[column] = FIXED.get(scorer, best_threshold(true, wrong))
            train_f1.append(decide(true, wrong, lambdas[column])["f1"])
        row = {
            "scorer": scorer,
            "lambda": float(np.mean([lambdas[column] for column in columns])),
            "train_f1": float(np.mean(train_f1)),
        }
        for name, samples in _samples(test, columns, lambdas, seed).items():
            value, *ends = _interval(samples.mean(axis=0), len(test) // 2)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), (value, *ends), strict=True))
        right = np.mean([chosen(*scores_of(test, column)) for column in columns], axis=0)
        _, row["accuracy_low"], row["accuracy_high"] = proportion(right)
        rows.append(row)
    return pd.DataFrame(rows), lambdas


def compared(table: pd.DataFrame, lambdas: dict[str, float], seed: int = 0) -> pd.DataFrame:
    """Neurons against their random sets, the probability, and always answering true.

    Args:
        table, lambdas: see ``measured``.

    Returns:
        Columns scorer, against, measure, difference, with ``_low`` and ``_high`` (95 %: the same
        facts are drawn for both; nan for fewer than ``FEWEST`` facts), p (against random sets: how
        often one of them does as well; else nan). See ``verdict``.
    """
    test = table[table["test"]]
    facts = len(test) // 2
    samples = {
        scorer: _samples(test, columns_of(scorer, table), lambdas, seed) for scorer in SCORERS
    }
    rows = []
    for scorer, nulls in NULLS.items():
        for against in (*nulls, PROBABILITY, ALWAYS):
            for measure in COMPARED:
                ours, theirs = samples[scorer][measure], samples[against][measure]
                difference = ours.mean(axis=0) - theirs.mean(axis=0)
                value, *ends = _interval(difference, facts)
                low, high = ends if facts >= FEWEST else (np.nan, np.nan)
                p = rank_p(ours[0, 0], theirs[:, 0]) if against in DRAWN else np.nan
                rows.append((scorer, against, measure, value, low, high, p))
    names = ["scorer", "against", "measure", "difference"]
    return pd.DataFrame(rows, columns=[*names, "difference_low", "difference_high", "p"])


def verdict(row: pd.Series) -> str:
    """Whether a scorer does "better" or "worse" than the other, or is "like" it: not clear.

    Better, or worse, than random sets is what is clear over facts and reached, or missed, by nearly
    no set: of any one set the difference from their mean is clear on enough facts.

    Args:
        row: of ``compared``.
    """
    if row["difference_high"] < 0 and not row["p"] < 0.95:
        return "worse"
    return "better" if row["difference_low"] > 0 and not row["p"] > 0.05 else "like"


def stronger(comparisons: pd.DataFrame, scorer: str, measure: str) -> pd.Series:
    """The row of the random sets that do better: those to be beaten."""
    rows = comparisons[
        (comparisons["scorer"] == scorer)
        & (comparisons["measure"] == measure)
        & comparisons["against"].isin(NULLS[scorer])
    ]
    return rows.loc[rows["difference"].idxmin()]


def decide(
    true: Float[np.ndarray, " fact"], wrong: Float[np.ndarray, " fact"], threshold: float
) -> dict[str, float]:
    """What calling everything above a threshold true gives.

    Precision is the share of true ones among those called true (0 where none is), recall the share
    of the true ones that are called true, F1 their harmonic mean, AUC the probability that a true
    candidate scores higher than a wrong one of any fact, ties counting half.
    """
    measures = _judged(true, wrong, threshold, _once(len(true)))
    return {name: float(value) for name, (value,) in measures.items()}


def chosen(
    true: Float[np.ndarray, " fact"], wrong: Float[np.ndarray, " fact"]
) -> Float[np.ndarray, " fact"]:
    """The forced choice: 1 where the true candidate scores higher, one half where both tie."""
    return (true > wrong) + 0.5 * (true == wrong)


def best_threshold(true: Float[np.ndarray, " fact"], wrong: Float[np.ndarray, " fact"]) -> float:
    """The threshold with the highest F1, half way between neighbouring scores."""
    scores = np.unique(np.concatenate([true, wrong]))
    cuts = np.concatenate([[scores[0] - 1.0], (scores[1:] + scores[:-1]) / 2])
    recall = (true > cuts[:, None]).mean(axis=1)
    false_rate = (wrong > cuts[:, None]).mean(axis=1)
    return float(cuts[np.argmax(2 * recall / (recall + false_rate + 1))])


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """ROC and precision-recall of every scorer on the test part, one curve per random set.

    Columns scorer, column, threshold, false_positive_rate, true_positive_rate (recall), precision;
    from the highest threshold to the lowest.
    """
    test = table[table["test"]]
    rows = []
    for scorer in SCORERS:
        for column in columns_of(scorer, table):
            true, wrong = scores_of(test, column)
            for cut in [np.inf, *np.unique(np.concatenate([true, wrong]))[::-1]]:
                recall, false_rate = float((true >= cut).mean()), float((wrong >= cut).mean())
                precision = recall / (recall + false_rate) if recall + false_rate else 1.0
                rows.append((scorer, column, float(cut), false_rate, recall, precision))
    names = ["scorer", "column", "threshold"]
    names += ["false_positive_rate", "true_positive_rate", "precision"]
    return pd.DataFrame(rows, columns=names)


def scores_of(
    table: pd.DataFrame, column: str
) -> tuple[Float[np.ndarray, " fact"], Float[np.ndarray, " fact"]]:
    """Scores of the true and of the wrong candidates, in the order of the facts."""
    true: Bool[np.ndarray, " candidate"] = table["true"].to_numpy(bool)
    scores = table[column].to_numpy(float)
    return scores[true], scores[~true]


def tied(scores: pd.Series) -> Float[np.ndarray, " candidate"]:
    """Scores that differ by rounding made equal: the lowest of them."""
    in_order = np.sort(scores.to_numpy(float))
    places = rounded(scores.to_numpy(float), _TIED)
    return in_order[np.searchsorted(np.sort(places), places)]


def _samples(
    test: pd.DataFrame, columns: Sequence[str], lambdas: dict[str, float], seed: int
) -> dict[str, Float[np.ndarray, "column sample"]]:
    """All measures of each column: first as it is, then of every resample of facts."""
    facts = len(test) // 2
    weights = np.concatenate([_once(facts), resampled(facts, seed)])
    probability = np.concatenate(scores_of(test, PROBABILITY))
    measures = []
    for column in columns:
        true, wrong = scores_of(test, column)
        both, twice = np.concatenate([true, wrong]), np.tile(weights, 2)
        measures.append(
            {
                **_judged(true, wrong, lambdas[column], weights),
                "accuracy": weights @ chosen(true, wrong),
                "spearman": rank_correlation(both, probability, twice),
            }
        )
    return {name: np.stack([each[name] for each in measures]) for name in measures[0]}


def _judged(
    true: Float[np.ndarray, " fact"],
    wrong: Float[np.ndarray, " fact"],
    threshold: float,
    weights: Float[np.ndarray, "sample fact"],
) -> dict[str, Float[np.ndarray, " sample"]]:
    recall, false_rate = weights @ (true > threshold), weights @ (wrong > threshold)
    called = recall + false_rate
    positive = np.repeat([True, False], len(true))
    return {
        "precision": np.nan_to_num(ratio(recall, called)),
        "recall": recall,
        "f1": 2 * recall / (called + 1),
        "auc": area(positive, np.concatenate([true, wrong]), np.tile(weights, 2)),
    }


def _once(facts: int) -> Float[np.ndarray, "1 fact"]:
    return np.full((1, facts), 1 / facts)


def _interval(samples: Float[np.ndarray, " sample"], facts: int) -> tuple[float, float, float]:
    """The first of the samples, and the ends of what the others say."""
    (low,), (high,) = expanded(samples[1:, None], facts)
    return float(samples[0]), float(low), float(high)
