"""Metrics, their intervals and the baselines, against scikit-learn and brute force."""

import math
import time
import warnings

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from neuronlab.proteins import baselines as module
from neuronlab.proteins.baselines import baselines, composition, intervals, lengths, metrics
from neuronlab.proteins.labelled import LABELLED, LabelledProtein, split
from neuronlab.proteins.sequences import AMINO_ACIDS


@pytest.fixture(autouse=True)
def no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def drawn(count, classes, seed=0, decimals=9):
    """Labels, and probabilities that know a little about them; few decimals give ties."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(classes, size=count)
    scores = draw.random((count, classes)) + 0.4 * np.eye(classes)[labels]
    return labels, np.round(scores / scores.sum(1, keepdims=True), decimals)


def protein(sequence, label=0):
    return LabelledProtein("", sequence, label)


# --- Features ------------------------------------------------------------------------------------


def test_features_of_proteins_made_by_hand():
    proteins = [protein("AAYC"), protein("W"), protein("AX")]
    expected = np.zeros((3, 20))
    expected[0, [0, 1, 19]] = 0.5, 0.25, 0.25
    expected[1, 18] = 1
    expected[2, 0] = 0.5
    np.testing.assert_array_equal(composition(proteins), expected)
    np.testing.assert_allclose(lengths(proteins), [[math.log(4)], [0], [math.log(2)]])
    assert AMINO_ACIDS == "ACDEFGHIKLMNPQRSTVWY"
    assert composition([]).shape == (0, 20)
    assert lengths([]).shape == (0, 1)


# --- Metrics -------------------------------------------------------------------------------------


def test_metrics_of_a_case_made_by_hand():
    labels = np.array([0, 0, 1, 1])
    ones = np.array([0.1, 0.6, 0.6, 0.9])
    found = metrics(labels, np.stack([1 - ones, ones], 1))
    # Of four pairs three are in order and one is a tie; one false and two true positives.
    assert found == pytest.approx({"accuracy": 0.75, "f1": 0.8, "auc": 3.5 / 4})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decimals", [1, 9])
def test_two_classes_agree_with_scikit_learn(seed, decimals):
    labels, probabilities = drawn(80, 2, seed, decimals)
    predicted = probabilities.argmax(1)
    assert metrics(labels, probabilities) == pytest.approx(
        {
            "accuracy": accuracy_score(labels, predicted),
            "f1": f1_score(labels, predicted),
            "auc": roc_auc_score(labels, probabilities[:, 1]),
        }
    )


@pytest.mark.parametrize("seed", range(3))
def test_more_classes_agree_with_scikit_learn(seed):
    labels, probabilities = drawn(80, 4, seed)
    predicted = probabilities.argmax(1)
    assert metrics(labels, probabilities) == pytest.approx(
        {
            "accuracy": accuracy_score(labels, predicted),
            "f1": f1_score(labels, predicted, average="macro"),
            "auc": roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
        }
    )


def test_classes_that_do_not_occur():
    labels = np.array([0, 2, 2, 0])
    sure = np.eye(4, dtype=np.float32)
    assert metrics(labels, sure[labels]) == {"accuracy": 1, "f1": 1, "auc": 1}
    alone = metrics(np.array([0, 0]), np.array([[0.9, 0.1], [0.8, 0.2]]))
    assert (alone["accuracy"], alone["f1"]) == (1, 0)
    assert math.isnan(alone["auc"])
    assert math.isnan(metrics(np.array([2, 2]), sure[[2, 0]])["auc"])


# --- Intervals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize(("count", "decimals"), [(4, 1), (11, 1), (60, 1), (60, 9)])
def test_intervals_are_those_of_the_metrics_resample_by_resample(
    monkeypatch, classes, count, decimals
):
    labels, probabilities = drawn(count, classes, 1, decimals)
    draw = np.random.default_rng(3)
    found = {"accuracy": [], "f1": [], "auc": []}
    for times in draw.multinomial(count, [1 / count] * count, 60):
        again = np.repeat(np.arange(count), times)
        for name, value in metrics(labels[again], probabilities[again]).items():
            found[name].append(value)
    expected = {name: np.nanpercentile(values, [2.5, 97.5]) for name, values in found.items()}
    for block in (module.BLOCK, 7 * count, 1):
        monkeypatch.setattr(module, "BLOCK", block)
        given = intervals(labels, probabilities, resamples=60, seed=3)
        assert list(given) == list(expected)
        for name, pair in given.items():
            np.testing.assert_allclose(pair, expected[name], atol=1e-12)


def test_areas_by_counting_pairs():
    labels, probabilities = drawn(25, 2, decimals=1)
    weights = np.random.default_rng(0).integers(3, size=(8, 25)).astype(float)
    scores = probabilities[:, 1]
    for row, area in zip(weights, module._area(labels == 1, scores, weights), strict=True):
        right = pairs = 0.0
        for i in np.flatnonzero(labels == 1):
            for j in np.flatnonzero(labels == 0):
                both = row[i] * row[j]
                pairs += both
                right += both * ((scores[i] > scores[j]) + (scores[i] == scores[j]) / 2)
        assert area == pytest.approx(right / pairs)


def test_intervals_hold_the_estimate_and_shrink():
    widths = []
    for count in (100, 400, 1600):
        labels, probabilities = drawn(count, 2)
        value, interval = metrics(labels, probabilities), intervals(labels, probabilities)
        assert all(low < value[name] < high for name, (low, high) in interval.items())
        widths.append([high - low for low, high in interval.values()])
    # With four times the proteins they are half as wide.
    np.testing.assert_allclose(np.divide(widths[1:], widths[:-1]), 0.5, atol=0.1)


def test_the_accuracys_interval_is_the_binomial_one():
    labels = np.arange(500) % 2
    probabilities = np.eye(2)[np.where(np.arange(500) < 350, labels, 1 - labels)]
    low, high = intervals(labels, probabilities, resamples=4000)["accuracy"]
    half = 1.96 * math.sqrt(0.7 * 0.3 / 500)
    assert low == pytest.approx(0.7 - half, abs=0.004)
    assert high == pytest.approx(0.7 + half, abs=0.004)


def test_the_seed_decides():
    labels, probabilities = drawn(50, 2)
    assert intervals(labels, probabilities) == intervals(labels, probabilities, seed=0)
    assert intervals(labels, probabilities) != intervals(labels, probabilities, seed=1)


def test_one_class_alone_has_no_area():
    labels, probabilities = np.zeros(9, int), drawn(9, 2)[1]
    given = intervals(labels, probabilities)
    assert np.isnan(given["auc"]).all()
    assert given["f1"] == (0, 0)
    # One protein of a class: a third of the resamples lack it and do not count.
    labels[0] = 1
    low, high = intervals(labels, np.eye(2)[labels])["auc"]
    assert (low, high) == (1, 1)


def test_a_thousand_resamples_are_fast():
    labels, probabilities = drawn(600, 2)
    start = time.perf_counter()
    intervals(labels, probabilities)
    assert time.perf_counter() - start < 1.5


# --- Baselines -----------------------------------------------------------------------------------


def test_baselines_find_what_there_is_to_find():
    draw = np.random.default_rng(0)

    def made(label, letters, low, high):
        size = draw.integers(low, high)
        return protein("".join(draw.choice(list(letters), size)), label)

    # Class 0 is short, 2 is long, and 1 as short as 0 but of other residues.
    kinds = [(0, "AC", 20, 40), (1, "DE", 20, 40), (2, "ACDE", 80, 100)]
    train = [made(*kind) for kind in kinds for _ in range(40)] + [made(*kinds[0])] * 30
    test = [made(*kind) for kind in kinds for _ in range(20)]
    found = baselines(train, test)
    assert list(found) == ["length", "composition", "majority"]
    for probabilities in found.values():
        assert probabilities.shape == (60, 3)
        np.testing.assert_allclose(probabilities.sum(1), 1)
    labels = np.array([each.label for each in test])
    predicted = found["length"].argmax(1)
    assert (predicted[labels == 2] == 2).all()
    assert not (predicted[labels != 2] == 2).any()
    assert (found["composition"].argmax(1) == labels)[labels != 2].all()
    np.testing.assert_allclose(found["majority"], [[70 / 150, 40 / 150, 40 / 150]] * 60)


def test_columns_are_classes_also_where_training_lacks_one():
    train = [protein("A" * n, 3 if n > 5 else 0) for n in range(1, 11)]
    found = baselines(train, [protein("A" * 9, 3), protein("AC", 4)])
    for probabilities in found.values():
        assert probabilities.shape == (2, 5)
        assert not probabilities[:, [1, 2, 4]].any()
    assert found["length"][0].argmax() == 3


def test_one_class_teaches_nothing(sentence):
    for train in ([], [protein("MKT", 1)] * 5):
        sentence(baselines, train, [protein("MKT")], says=["one class", "add"])


@pytest.mark.parametrize(
    ("name", "length", "residues"),
    [("pdb_enzyme", (0.69, 0.75), (0.69, 0.74)), ("swissprot_enzyme", (0.55, 0.62), (0.75, 0.80))],
)
def test_baselines_on_the_built_in_sets_are_as_published_with_them(name, length, residues):
    """Means over six splits, each with a standard deviation of about .02."""
    proteins = LABELLED[name].proteins
    areas = []
    for seed in range(6):
        given = split(proteins, seed=seed)
        train, test = ([proteins[i] for i in side] for side in (given.train, given.test))
        labels = np.array([each.label for each in test])
        found = baselines(train, test)
        areas.append([metrics(labels, found[each])["auc"] for each in found])
    by_length, by_composition, by_majority = np.mean(areas, axis=0)
    assert length[0] < by_length < length[1]
    assert residues[0] < by_composition < residues[1]
    assert by_majority == 0.5
