"""Metrics, their intervals and the baselines, against scikit-learn and brute force."""

import math
import warnings

import numpy as np
import pytest
from scipy.stats import binomtest, kstest
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from neuronlab import statistics
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins.baselines import (
    ROUNDING,
    baselines,
    composition,
    judge,
    lengths,
    log_odds,
    metrics,
)
from neuronlab.proteins.labelled import LABELLED, LabelledProtein, split


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
    found = metrics(labels, probabilities)
    assert found["auc"] == pytest.approx(roc_auc_score(labels, probabilities[:, 1]))
    # A protein that is as probable in both classes is two halves, one called each.
    twice, weights = np.tile(labels, 2), np.full(2 * len(labels), 0.5)
    predicted = np.concatenate(
        [probabilities[:, 1] > probabilities[:, 0], probabilities[:, 1] >= probabilities[:, 0]]
    )
    assert (predicted[:80] != predicted[80:]).any() == (decimals == 1)
    for name, score in (("accuracy", accuracy_score), ("f1", f1_score)):
        assert found[name] == pytest.approx(score(twice, predicted, sample_weight=weights))


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


def spread(odds):
    """Probabilities of two classes, in float32 as models give them."""
    ones = (1 / (1 + np.exp(-np.asarray(odds)))).astype(np.float32)
    return np.stack([1 - ones, ones], 1).astype(float)


def test_log_odds_by_hand():
    p = np.array([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0]])
    expected = [math.log(0.25), math.log(3 / 7), 0.0]
    assert log_odds(p)[0] == pytest.approx(expected)
    assert np.isfinite(log_odds(p)).all()
    assert log_odds(p)[1].argmax() == 2
    # What is nearly certain is told apart as well as what is not.
    sure = np.array([[1e-9, 1.0], [2e-9, 1.0]])
    assert np.diff(log_odds(sure)[:, 1])[0] == pytest.approx(-math.log(2))


@pytest.mark.parametrize("level", [0.0, 0.42, -3.0, 12.0])
def test_an_order_of_rounding_noise_is_no_order(level):
    """What a submodel that keeps nothing says: the same of all, to float32."""
    draw = np.random.default_rng(0)
    labels = draw.integers(2, size=120)
    # The noise even knows the labels.
    p = spread(level + 3e-7 * labels + 1e-7 * draw.normal(size=120))
    given = judge(labels, p)
    assert given.metrics["auc"] == 0.5
    assert given.intervals["auc"] == pytest.approx((0.5, 0.5))
    assert np.allclose(given.drawn[:, 2], 0.5)
    if level == 0.0:
        assert given.metrics["accuracy"] == 0.5
        # A coin that is never tossed: half of every protein is called positive.
        share = labels.mean()
        assert given.metrics["f1"] == pytest.approx(share / (0.5 + share))
    else:
        assert given.metrics["accuracy"] == np.mean(labels == (level > 0))


def test_differences_beyond_rounding_count():
    labels = np.arange(40) % 2
    p = spread(0.3 + 3 * ROUNDING * labels)
    assert metrics(labels, p)["auc"] == 1.0


# --- Intervals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize(("count", "decimals"), [(4, 1), (11, 1), (60, 9)])
def test_resamples_are_judged_as_the_proteins_are(classes, count, decimals):
    labels, probabilities = drawn(count, classes, 1, decimals)
    times = np.rint(statistics.resampled(count, 0) * count).astype(int)
    given = judge(labels, probabilities)
    assert given.metrics == metrics(labels, probabilities)
    assert given.drawn.shape == (statistics.RESAMPLES, 3)
    for row in range(60):
        again = np.repeat(np.arange(count), times[row])
        expected = list(metrics(labels[again], probabilities[again]).values())
        np.testing.assert_allclose(given.drawn[row], expected, atol=1e-12)


def test_intervals_hold_the_estimate_and_shrink():
    widths = []
    for count in (100, 400, 1600):
        labels, probabilities = drawn(count, 2)
        given = judge(labels, probabilities)
        assert all(low < given.metrics[k] < high for k, (low, high) in given.intervals.items())
        widths.append([high - low for low, high in given.intervals.values()])
    # With four times the proteins they are half as wide.
    np.testing.assert_allclose(np.divide(widths[1:], widths[:-1]), 0.5, atol=0.1)


def test_the_accuracys_interval_is_the_binomial_one():
    labels = np.arange(500) % 2
    probabilities = np.eye(2)[np.where(np.arange(500) < 350, labels, 1 - labels)]
    low, high = judge(labels, probabilities).intervals["accuracy"]
    expected = 1.96 * math.sqrt(0.7 * 0.3 / 500)
    assert low == pytest.approx(0.7 - expected, abs=0.005)
    assert high == pytest.approx(0.7 + expected, abs=0.005)


def test_the_seed_decides():
    labels, probabilities = drawn(50, 2)
    first, again, other = (judge(labels, probabilities, seed).intervals for seed in (0, 0, 1))
    assert first == again != other


def test_a_row_has_the_metrics_and_the_ends():
    given = judge(*drawn(30, 2))
    row = given.row()
    assert len(row) == 9
    for name in ("accuracy", "f1", "auc"):
        assert row[name] == given.metrics[name]
        assert (row[f"{name}_low"], row[f"{name}_high"]) == given.intervals[name]


def test_one_class_alone_has_no_area():
    labels, probabilities = np.zeros(9, int), drawn(9, 2)[1]
    given = judge(labels, probabilities).intervals
    assert np.isnan(given["auc"]).all()
    assert given["f1"] == (0, 0)
    # One protein of a class: a third of the resamples lack it and do not count.
    labels[0] = 1
    low, high = judge(labels, np.eye(2)[labels]).intervals["auc"]
    assert (low, high) == pytest.approx((1, 1))


# --- Differences ---------------------------------------------------------------------------------

TIMES = 300


def of(rows, metric="auc"):
    return next(row for row in rows if row["metric"] == metric)


def test_a_difference_by_hand():
    labels, one = drawn(40, 2)
    others = [drawn(40, 2, seed)[1] for seed in (1, 2, 3)]
    first, *rest = (judge(labels, p) for p in (one, *others))
    for name, row in zip(first.metrics, first.above(rest), strict=True):
        values = [other.metrics[name] for other in rest]
        assert row["metric"] == name
        assert row["difference"] == pytest.approx(first.metrics[name] - np.mean(values))
        assert row["low"] <= row["difference"] <= row["high"]
        upper = statistics.normal_p(first.metrics[name], values)
        assert row["p"] == pytest.approx(2 * min(upper, 1 - upper))
    assert np.isnan([row["p"] for row in first.above(rest[:1])]).all()
    same = of(first.above([first]))
    assert same["difference"] == same["low"] == same["high"] == 0


@pytest.mark.slow
def test_the_interval_holds_the_difference_of_two_areas():
    """Two correlated normal scores, 1 and 0.5 standard deviations apart: areas .760 and .638."""
    draw = np.random.default_rng(1)
    labels = np.arange(60) % 2
    truth = 0.7602499 - 0.6381632
    hits, apart = [], []
    for _ in range(TIMES):
        both = draw.normal(size=(1, 60))
        z = np.sqrt(0.6) * both + np.sqrt(0.4) * draw.normal(size=(2, 60))
        one, other = (
            judge(labels, spread(row + shift * labels))
            for row, shift in zip(z, (1.0, 0.5), strict=True)
        )
        row = of(one.above([other]))
        hits.append(row["low"] <= truth <= row["high"])
        ends = one.intervals["auc"], other.intervals["auc"]
        apart.append(
            (row["high"] - row["low"]) / (ends[0][1] - ends[0][0] + ends[1][1] - ends[1][0])
        )
    assert 0.93 <= np.mean(hits) <= 0.97
    assert np.mean(apart) < 0.6  # as the intervals of each would tell it


def sets(draw, labels, shifts, spread_of_sets=0.2):
    """Judgements of sets of neurons: each tells the classes apart by a shift of its own."""
    both = draw.normal(size=len(labels))
    return [
        judge(
            labels,
            spread(
                np.sqrt(0.5) * both
                + np.sqrt(0.5) * draw.normal(size=len(labels))
                + (shift + spread_of_sets * draw.normal()) * labels
            ),
        )
        for shift in shifts
    ]


@pytest.mark.slow
def test_one_more_random_set_is_not_better_than_random_sets():
    draw = np.random.default_rng(2)
    labels = np.arange(60) % 2
    rows = []
    for _ in range(200):
        one, *others = sets(draw, labels, [0.6] * 5, spread_of_sets=0.5)
        rows.append(of(one.above(others)))
    p = np.array([row["p"] for row in rows])
    assert kstest(p, "uniform").pvalue > 0.01
    assert np.mean([row["low"] > 0 for row in rows]) > 0.15  # with the interval alone
    better = [row["low"] > 0 and row["p"] < 0.05 for row in rows]
    # No more often than the 5 % of p allow; in 600 repeats it was 5.5 %.
    assert binomtest(sum(better), len(better), 0.05, alternative="greater").pvalue > 0.01


@pytest.mark.slow
def test_sets_that_differ_in_nothing_have_an_interval_that_holds_zero():
    draw = np.random.default_rng(3)
    labels = np.arange(60) % 2
    hits = []
    for _ in range(TIMES):
        one, *others = sets(draw, labels, [0.6] * 3, spread_of_sets=0.0)
        row = of(one.above(others))
        hits.append(row["low"] <= 0 <= row["high"])
    assert 0.93 <= np.mean(hits) <= 0.97


@pytest.mark.long
def test_an_advantage_over_random_sets_is_found():
    draw = np.random.default_rng(4)
    labels = np.arange(120) % 2
    found = []
    for _ in range(40):
        one, *others = sets(draw, labels, [1.8] + [0.6] * 5)
        row = of(one.above(others))
        found.append(row["low"] > 0 and row["p"] < 0.05)
    assert np.mean(found) > 0.7


# --- Baselines -----------------------------------------------------------------------------------


NAMES = [
    "length",
    "composition",
    "length and composition",
    "length and composition, boosted trees",
    "majority",
]


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
    assert list(found) == NAMES
    for probabilities in found.values():
        assert probabilities.shape == (60, 3)
        np.testing.assert_allclose(probabilities.sum(1), 1)
    labels = np.array([each.label for each in test])
    predicted = found["length"].argmax(1)
    assert (predicted[labels == 2] == 2).all()
    assert not (predicted[labels != 2] == 2).any()
    assert (found["composition"].argmax(1) == labels)[labels != 2].all()
    for name in NAMES[2:4]:
        assert (found[name].argmax(1) == labels).all()
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


def test_trees_find_what_no_line_does():
    """Class 1 is of middling length; the same trees every time."""
    draw = np.random.default_rng(1)
    kinds = [(0, 10, 30), (1, 40, 60), (0, 70, 90)]
    train, test = (
        [protein("A" * draw.integers(low, high), k) for k, low, high in kinds for _ in range(40)]
        for _ in range(2)
    )
    found, again = baselines(train, test), baselines(train, test)
    labels = np.array([each.label for each in test])
    line, trees = (metrics(labels, found[name])["auc"] for name in NAMES[2:4])
    assert trees > 0.99 > 0.7 > line
    assert all((found[name] == again[name]).all() for name in NAMES)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "length", "residues", "both", "trees"),
    [
        ("pdb_enzyme", (0.69, 0.75), (0.69, 0.74), (0.74, 0.80), (0.76, 0.82)),
        ("swissprot_enzyme", (0.55, 0.62), (0.75, 0.80), (0.76, 0.82), (0.84, 0.88)),
    ],
)
def test_baselines_on_the_built_in_sets_are_as_published_with_them(
    name, length, residues, both, trees
):
    """Means over six splits, each with a standard deviation of about .02."""
    proteins = LABELLED[name].proteins
    areas = []
    for seed in range(6):
        given = split(proteins, seed=seed)
        train, test = ([proteins[i] for i in side] for side in (given.train, given.test))
        labels = np.array([each.label for each in test])
        found = baselines(train, test)
        areas.append([metrics(labels, found[each])["auc"] for each in found])
    *means, by_majority = np.mean(areas, axis=0)
    for mean, (low, high) in zip(means, (length, residues, both, trees), strict=True):
        assert low < mean < high
    assert by_majority == 0.5
