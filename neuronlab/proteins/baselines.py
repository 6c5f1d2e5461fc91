"""How good a protein classifier is, and what length and composition alone achieve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuronlab import statistics
from neuronlab.errors import UserError
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins.labelled import LabelledProtein

# Log-odds that differ by less are the same. Where a submodel says the same of all proteins, they
# still differ by up to 4e-7, since probabilities are float32; those of a full model differ by 1.
ROUNDING = 1e-5
# A hundredth of the smallest float32: a probability of zero has a logarithm, too.
_SMALLEST = 1e-47
METRICS = ("accuracy", "f1", "auc")
# Resamples times proteins at a time: 2.4 MB stay in the processor's cache.
BLOCK = 300_000


def composition(proteins: Sequence[LabelledProtein]) -> Float[np.ndarray, "protein 20"]:
    """The fraction of each amino acid in a sequence, in the order of ``AMINO_ACIDS``."""
    counts = [[each.sequence.count(letter) for letter in AMINO_ACIDS] for each in proteins]
    sizes = [len(each.sequence) for each in proteins]
    return np.array(counts, float).reshape(-1, len(AMINO_ACIDS)) / np.array(sizes, float)[:, None]


def lengths(proteins: Sequence[LabelledProtein]) -> Float[np.ndarray, "protein 1"]:
    """The natural logarithm of the number of residues."""
    return np.log(np.array([len(each.sequence) for each in proteins], float))[:, None]


def baselines(
    train: Sequence[LabelledProtein], test: Sequence[LabelledProtein]
) -> dict[str, Float[np.ndarray, "protein class"]]:
    """What can be said of the test proteins without a protein model.

    Returns:
        Probabilities of the classes (test protein, class) by logistic regression on the "length",
        the "composition" and on "length and composition" together; by boosted trees on the latter;
        and for "majority" the frequencies of the classes in training.

    Raises:
        UserError: the training proteins have fewer than two classes.
    """
    labels = np.array([each.label for each in train], int)
    if len(np.unique(labels)) < 2:
        raise UserError("The training proteins have one class only: add proteins of another.")
    classes = max(each.label for each in (*train, *test)) + 1
    frequencies = np.bincount(labels, minlength=classes) / len(labels)
    probabilities = {}
    for name, features, model in (
        ("length", lengths, _logistic()),
        ("composition", composition, _logistic()),
        ("length and composition", _both, _logistic()),
        (
            "length and composition, boosted trees",
            _both,
            HistGradientBoostingClassifier(random_state=0),
        ),
    ):
        model.fit(features(train), labels)
        probabilities[name] = np.zeros((len(test), classes))
        probabilities[name][:, model.classes_] = model.predict_proba(features(test))
    return probabilities | {"majority": np.tile(frequencies, (len(test), 1))}


@dataclass(frozen=True)
class Judgement:
    """The ``METRICS`` of predictions on some proteins, and on each resample of these proteins.

    Attributes:
        metrics: see ``metrics``.
        drawn: the same in each resample; all that is judged on the same proteins has the same
            resamples, so that differences are paired.
        proteins: how many there are.
    """

    metrics: Mapping[str, float]
    drawn: Float[np.ndarray, "resample metric"]
    proteins: int

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """95 % bootstrap intervals over proteins (see ``statistics.expanded``).

        Resamples with one class only have no AUC and do not count for it.
        """
        return _pairs(*statistics.expanded(self.drawn, self.proteins))

    def row(self) -> dict[str, float]:
        """The metrics, and the ends of their intervals as ``_low`` and ``_high``."""
        ends = {
            f"{name}_{end}": value
            for name, pair in self.intervals.items()
            for end, value in zip(("low", "high"), pair, strict=True)
        }
        return {**self.metrics, **ends}

    def above(self, others: Sequence[Judgement]) -> list[dict[str, Any]]:
        """By how much the metrics are above the mean of others' on the same proteins.

        Two kinds of chance are told apart: which proteins were tested (the interval), and, where
        the others are sets that were drawn at random, which of those were drawn (p).

        Args:
            others: one, or several draws, which are averaged within each resample.

        Returns:
            A row for each metric: metric, difference, low, high (the 95 % interval), and p
            (two-sided, see ``statistics.normal_p``; nan for fewer than two others).
        """
        drawn = self.drawn - np.mean([other.drawn for other in others], axis=0)
        ends = _pairs(*statistics.expanded(drawn, self.proteins))
        rows = []
        for name, value in self.metrics.items():
            there = [other.metrics[name] for other in others]
            low, high = ends[name]
            tails = [statistics.normal_p(value, there, larger=larger) for larger in (True, False)]
            p = float(np.minimum(1.0, 2 * np.min(tails)))
            difference = value - float(np.mean(there))
            rows.append(
                {"metric": name, "difference": difference, "low": low, "high": high, "p": p}
            )
        return rows


def judge(
    labels: Int[np.ndarray, " protein"],
    probabilities: Float[np.ndarray, "protein class"],
    seed: int = 0,
) -> Judgement:
    """How good predictions are; the same seed gives the same resamples."""
    weights = statistics.resampled(len(labels), seed)
    drawn = np.stack(list(_weighted(labels, probabilities, weights).values()), axis=1)
    return Judgement(metrics(labels, probabilities), drawn, len(labels))


def metrics(
    labels: Int[np.ndarray, " protein"], probabilities: Float[np.ndarray, "protein class"]
) -> dict[str, float]:
    """Accuracy, F1 and the area under the ROC curve ("accuracy", "f1", "auc").

    The most probable class is the predicted one; classes that are equally probable to ``ROUNDING``
    share the prediction. The AUC ranks by the log-odds of a class against the rest, where smaller
    differences than that are ties. With two classes F1 and AUC are those of class 1; with more they
    are means over classes: F1 over those that occur among labels or predictions, AUC of one class
    against the rest over those among the labels. The AUC of one class alone is nan.
    """
    values = _weighted(labels, probabilities, np.ones((1, len(labels))))
    return {name: float(value[0]) for name, value in values.items()}


def log_odds(
    probabilities: Float[np.ndarray, "protein class"],
) -> Float[np.ndarray, "protein class"]:
    """The natural logarithm of p(class) over the sum of all others'.

    Unlike p itself it resolves what is nearly certain, and a difference means the same everywhere.
    """
    p = np.clip(probabilities.astype(float), _SMALLEST, None)
    others = [np.delete(p, each, axis=1).sum(1) for each in range(p.shape[1])]
    return np.log(p) - np.log(np.stack(others, axis=1))


def _weighted(
    labels: Int[np.ndarray, " protein"],
    probabilities: Float[np.ndarray, "protein class"],
    weights: Float[np.ndarray, "resample protein"],
) -> dict[str, Float[np.ndarray, " resample"]]:
    """The ``metrics`` of all resamples at once; the weights are how often each protein is drawn."""
    odds = log_odds(probabilities)
    first = odds >= odds.max(1, keepdims=True) - ROUNDING
    called = first / first.sum(1, keepdims=True)
    right = called[np.arange(len(labels)), labels]
    classes = [1] if probabilities.shape[1] == 2 else range(probabilities.shape[1])
    places = {each: statistics.rounded(odds[:, each], ROUNDING) for each in classes}
    parts = []
    for block in np.array_split(weights, -(-weights.size // BLOCK)):
        f1, areas = [], []
        for each in classes:
            inside = labels == each
            total = block @ (inside + called[:, each])
            f1.append(statistics.ratio(2 * (block @ (inside * called[:, each])), total))
            areas.append(statistics.area(inside, places[each], block))
        # With two classes, an F1 without a single case counts as 0.
        f1 = np.nan_to_num(_mean(np.array(f1)))
        parts.append((block @ right / block.sum(1), f1, _mean(np.array(areas))))
    return dict(zip(METRICS, np.concatenate(parts, axis=1), strict=True))


def _mean(values: Float[np.ndarray, "class resample"]) -> Float[np.ndarray, " resample"]:
    """The mean over the classes that have a value; nan where none has."""
    there = ~np.isnan(values)
    return statistics.ratio(np.where(there, values, 0).sum(0), there.sum(0).astype(float))


def _pairs(low: np.ndarray, high: np.ndarray) -> dict[str, tuple[float, float]]:
    return {name: (float(a), float(b)) for name, a, b in zip(METRICS, low, high, strict=True)}


def _logistic() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))


def _both(proteins: Sequence[LabelledProtein]) -> Float[np.ndarray, "protein 21"]:
    return np.hstack([lengths(proteins), composition(proteins)])
