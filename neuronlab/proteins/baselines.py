"""How good a protein classifier is, and what length and composition alone achieve."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from neuronlab.errors import UserError
from neuronlab.proteins.labelled import LabelledProtein
from neuronlab.proteins.sequences import AMINO_ACIDS

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
        Probabilities of the classes (test protein, class) by logistic regression on the "length"
        and the "composition"; and for "majority" the frequencies of the classes in training.

    Raises:
        UserError: the training proteins have fewer than two classes.
    """
    labels = np.array([each.label for each in train], int)
    if len(np.unique(labels)) < 2:
        raise UserError("The training proteins have one class only: add proteins of another.")
    classes = max(each.label for each in (*train, *test)) + 1
    frequencies = np.bincount(labels, minlength=classes) / len(labels)
    found = {}
    for name, features in (("length", lengths), ("composition", composition)):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
        model.fit(features(train), labels)
        found[name] = np.zeros((len(test), classes))
        found[name][:, model.classes_] = model.predict_proba(features(test))
    return found | {"majority": np.tile(frequencies, (len(test), 1))}


def metrics(
    labels: Int[np.ndarray, " protein"], probabilities: Float[np.ndarray, "protein class"]
) -> dict[str, float]:
    """Accuracy, F1 and the area under the ROC curve ("accuracy", "f1", "auc").

    The most probable class is the predicted one. With two classes F1 and AUC are those of class
    1; with more they are means over classes: F1 over those that occur among labels or predictions,
    AUC of one class against the rest over those among the labels. The AUC of one class alone is
    nan.
    """
    predicted = probabilities.argmax(1)
    present = np.unique(labels)
    binary = probabilities.shape[1] == 2
    # The macro mean over class 1 alone is its F1, and 0 where the class does not occur.
    f1 = f1_score(
        labels, predicted, labels=[1] if binary else None, average="macro", zero_division=0
    )
    areas = [np.nan]
    if len(present) > 1:
        ranked = [1] if binary else present
        areas = [roc_auc_score(labels == each, probabilities[:, each]) for each in ranked]
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "f1": float(f1),
        "auc": float(np.mean(areas)),
    }


def intervals(
    labels: Int[np.ndarray, " protein"],
    probabilities: Float[np.ndarray, "protein class"],
    *,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, tuple[float, float]]:
    """95 % bootstrap intervals of the ``metrics``: proteins with replacement, percentiles.

    The same seed gives the same resamples for all that is judged on the same proteins. For the
    AUC, resamples with one class only do not count; without any other it is (nan, nan).
    """
    count = len(labels)
    draw = np.random.default_rng(seed)
    step = max(BLOCK // count, 1)
    blocks = []
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        weights = draw.multinomial(count, np.full(count, 1 / count), size).astype(float)
        blocks.append(_weighted(labels, probabilities, weights))
    found = {}
    for name in blocks[0]:
        values = np.concatenate([block[name] for block in blocks])
        values = values[~np.isnan(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (np.nan, np.nan)
        found[name] = float(low), float(high)
    return found


def _weighted(
    labels: Int[np.ndarray, " protein"],
    probabilities: Float[np.ndarray, "protein class"],
    weights: Float[np.ndarray, "resample protein"],
) -> dict[str, Float[np.ndarray, " resample"]]:
    """The ``metrics`` of all resamples at once; the weights are how often each protein is drawn."""
    predicted = probabilities.argmax(1)
    classes = probabilities.shape[1]
    f1, areas = [], []
    for each in [1] if classes == 2 else range(classes):
        own, called = labels == each, predicted == each
        total = weights @ (own.astype(float) + called)
        f1.append(_ratio(2 * (weights @ (own & called)), total))
        areas.append(_area(own, probabilities[:, each], weights))
    # With two classes, an F1 without a single case counts as 0, as it does in `metrics`.
    return {
        "accuracy": weights @ (labels == predicted) / len(labels),
        "f1": np.nan_to_num(_mean(np.array(f1))),
        "auc": _mean(np.array(areas)),
    }


def _area(
    own: Bool[np.ndarray, " protein"],
    scores: Float[np.ndarray, " protein"],
    weights: Float[np.ndarray, "resample protein"],
) -> Float[np.ndarray, " resample"]:
    """The share of pairs, one protein of the class and one other, in the right order.

    Equal scores are half right; nan where there is no pair.
    """
    order = np.argsort(scores)
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    inside = np.add.reduceat((weights * own)[:, order], starts, axis=1)
    outside = np.add.reduceat((weights * ~own)[:, order], starts, axis=1)
    below = outside.cumsum(1) - outside / 2
    return _ratio((inside * below).sum(1), inside.sum(1) * outside.sum(1))


def _ratio(
    part: Float[np.ndarray, " resample"], whole: Float[np.ndarray, " resample"]
) -> Float[np.ndarray, " resample"]:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _mean(values: Float[np.ndarray, "class resample"]) -> Float[np.ndarray, " resample"]:
    """The mean over the classes that have a value; nan where none has."""
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0).sum(0), there.sum(0).astype(float))
