"""Separation and simulation against scipy, brute force and hand computation."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, hypergeom, mannwhitneyu, pearsonr, zscore

from neuronlab.labels import simulation, statistics
from neuronlab.labels.simulation import Hypothesis, controls, correlations, from_traits
from neuronlab.labels.statistics import Explainer, Separation, adjusted, candidates
from neuronlab.labels.traits import MIN_COUNT, Traits, named, traits, words
from neuronlab.proteins.features import FEATURES

TITLES = {name: feature.title for name, feature in FEATURES.items()}
PROTEINS, K = 120, 12
DRAW = np.random.default_rng(3)


def some_traits():
    """Two features without ties, one with many, one with gaps; a rare and a common annotation."""
    values = DRAW.normal(size=(PROTEINS, 6)).astype(np.float32)
    values[:, 2] = DRAW.integers(0, 4, PROTEINS)
    values[DRAW.permutation(PROTEINS)[:15], 3] = np.nan
    values[:, 4] = DRAW.random(PROTEINS) < 0.1
    values[:, 5] = DRAW.random(PROTEINS) < 0.6
    names = ("a", "b", "c", "d", "rare", "common")
    return Traits(names, names, values, np.array([False] * 4 + [True] * 2))


TRAITS = some_traits()
EVERY = np.ones(PROTEINS, bool)


def chosen(neurons, among, seed=0):
    """Proteins of neurons, drawn with a liking for some traits."""
    draw = np.random.default_rng(seed)
    found = []
    for neuron in range(neurons):
        liking = np.nan_to_num(TRAITS.values[among, neuron % 6].astype(float))
        weight = np.exp((neuron % 4) * liking)
        found.append(draw.choice(among, K, replace=False, p=weight / weight.sum()))
    return np.array(found)


def filled(background):
    middle = np.nanmedian(TRAITS.values[background], axis=0)
    return np.where(np.isnan(TRAITS.values), middle, TRAITS.values)


def more_often(own, others):
    """The chance of more less the chance of less, pair by pair."""
    return np.mean([np.sign(float(a) - float(b)) for a in own for b in others])


def tails(own, others):
    carried, size, total = own.sum(), len(own) + len(others), own.sum() + others.sum()
    more = hypergeom.pmf(np.arange(carried, len(own) + 1), size, total, len(own)).sum()
    less = hypergeom.pmf(np.arange(0, carried + 1), size, total, len(own)).sum()
    return min(1.0, 2 * min(more, less))


# --- Separation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [True, False])
def test_the_tests_are_those_of_scipy(inside):
    background = EVERY.copy()
    if not inside:
        background[:30] = False
    at = chosen(13, np.flatnonzero(background) if inside else np.arange(30))
    found = Explainer(TRAITS, background).separation(at)
    values = filled(background)
    assert found.p.shape == found.effect.shape == (13, 6)
    for neuron, rows in enumerate(at):
        rest = np.setdiff1d(np.flatnonzero(background), rows)
        for t in range(6):
            own, others = values[rows, t], values[rest, t]
            assert found.effect[neuron, t] == pytest.approx(more_often(own, others), abs=1e-6)
            if t < 4:
                p = mannwhitneyu(own, others, method="asymptotic").pvalue
                # Outside, the share of ties is that of the background alone.
                exact = inside or t < 2
                assert found.p[neuron, t] == pytest.approx(p, rel=1e-6 if exact else 0.1)
            else:
                assert found.p[neuron, t] == pytest.approx(tails(own, others), rel=1e-6)
    assert found.p.min() < 1e-3 < 0.5 < found.p.max() <= 1


def test_of_a_sample_only_some_proteins_are_inside():
    background = EVERY.copy()
    background[::8] = False
    at = chosen(13, np.arange(PROTEINS))
    assert 0 < (~background[at]).sum(1).max() < K
    found = Explainer(TRAITS, background).separation(at)
    values = filled(background)
    for neuron, rows in enumerate(at):
        rest = np.setdiff1d(np.flatnonzero(background), rows)
        for t in range(6):
            own, others = values[rows, t], values[rest, t]
            assert found.effect[neuron, t] == pytest.approx(more_often(own, others), abs=0.04)
            if t >= 4:
                assert found.p[neuron, t] == pytest.approx(tails(own, others), rel=1e-6)


def test_what_the_sample_lacks_is_no_proof():
    """Two of the neuron's proteins carry what one of a background of others does."""
    values = np.zeros((1000, 1), np.float32)
    values[[0, 1, 999]] = 1
    background = np.arange(1000) >= 30
    found = Explainer(Traits(("x",), ("x",), values, np.array([True])), background)
    p = found.separation(np.arange(30)[None]).p[0, 0]
    assert p == pytest.approx(2 * hypergeom.sf(1, 1000, 3, 30))
    assert p > 1e-3


def test_portions_of_neurons_change_nothing(monkeypatch):
    at = chosen(13, np.arange(PROTEINS))
    explainer = Explainer(TRAITS, EVERY)
    whole = explainer.separation(at)
    monkeypatch.setattr(statistics, "_CHUNK", 3)
    parts = explainer.separation(at)
    assert np.array_equal(parts.effect, whole.effect)
    assert np.array_equal(parts.p, whole.p)


def test_other_units_and_the_other_direction():
    values = TRAITS.values.copy()
    values[:, 0] = np.exp(values[:, 0])
    values[:, 1] *= -1
    at = chosen(6, np.arange(PROTEINS))
    one = Explainer(TRAITS, EVERY).separation(at)
    other = Explainer(Traits(TRAITS.names, TRAITS.titles, values, TRAITS.binary), EVERY)
    other = other.separation(at)
    assert other.effect[:, 0] == pytest.approx(one.effect[:, 0])
    assert other.effect[:, 1] == pytest.approx(-one.effect[:, 1])
    assert other.p[:, :2] == pytest.approx(one.p[:, :2])


def test_by_chance_few_are_significant():
    draw = np.random.default_rng(0)
    at = np.array([draw.permutation(PROTEINS)[:K] for _ in range(800)])
    p = Explainer(TRAITS, EVERY).separation(at).p
    assert (p[:, :4] < 0.05).mean() == pytest.approx(0.05, abs=0.015)
    assert (p[:, 4:] < 0.05).mean() < 0.05  # exact tests are careful


def test_what_is_undefined_in_the_background_says_nothing():
    values = TRAITS.values.copy()
    background = EVERY.copy()
    background[:30] = False
    values[background, 0] = np.nan
    gap = Traits(TRAITS.names, TRAITS.titles, values, TRAITS.binary)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = Explainer(gap, background).separation(chosen(6, np.arange(30)))
        standard = gap.standard(background)
    assert (found.effect[:, 0] == 0).all()
    assert (found.p[:, 0] == 1).all()
    assert (standard[:, 0] == 0).all()


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_false_discovery_rates_are_those_of_scipy(count):
    p = np.random.default_rng(count).random(count) ** 3
    p[: count // 5] = 0.01  # ties
    found = adjusted(p)
    assert found.shape == (count,)
    if count:
        assert found == pytest.approx(false_discovery_control(p))
        assert found[::-1] == pytest.approx(adjusted(p[::-1]))


def test_a_false_discovery_rate_by_hand():
    found = adjusted(np.array([0.04, 0.01, 0.9, 0.02]))
    assert found == pytest.approx([4 / 75, 0.04, 0.9, 0.04])


# --- Candidates ----------------------------------------------------------------------------------


def test_candidates_are_the_largest_effects_that_hold():
    effect = np.array([[0.2, -0.9, 0.5, 0.6], [0.1, 0.1, -0.1, 0.1], [0.0, 0.0, -0.3, 0.0]])
    p = np.array([[0.001, 0.001, 0.02, 0.001], [0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 0.0124, 1.0]])
    found = candidates(Separation(effect, p), 3)
    # .02 of four tests is not below .05; .0124 is.
    assert found[0] == [((1, -1),), ((3, 1),), ((0, 1),), ((1, -1), (3, 1))]
    assert found[1] == []
    assert found[2] == [((2, -1),)]
    assert candidates(Separation(effect, p), 1)[0] == [((1, -1),)]
    assert candidates(Separation(effect, p), 9, level=0.1)[0][2] == ((2, 1),)


# --- Simulation ----------------------------------------------------------------------------------


def test_the_prediction_is_a_sum_of_standard_scores():
    standard = TRAITS.standard(EVERY)
    assert standard[:, 0] == pytest.approx(zscore(TRAITS.values[:, 0]), abs=1e-5)
    assert standard[:, 3] == pytest.approx(
        np.nan_to_num(zscore(TRAITS.values[:, 3], nan_policy="omit")), abs=1e-5
    )
    hypotheses = [
        Hypothesis("", "", (("b", -1),)),
        Hypothesis("", "", (("a", 1), ("rare", -1))),
        Hypothesis("nothing known", ""),
    ]
    found = from_traits(hypotheses, TRAITS, standard)
    assert found[0] == pytest.approx(-standard[:, 1])
    assert found[1] == pytest.approx(standard[:, 0] - standard[:, 4], abs=1e-6)
    assert np.isnan(found[2]).all()
    assert from_traits([], TRAITS, standard).shape == (0, PROTEINS)


def test_standard_scores_are_those_of_the_proteins_named():
    some = np.arange(PROTEINS) < 40
    found = TRAITS.standard(some)
    assert found[some, 0].mean() == pytest.approx(0, abs=1e-6)
    assert found[some, 0].std() == pytest.approx(1, rel=1e-5)
    expected = (TRAITS.values[100, 0] - TRAITS.values[:40, 0].mean()) / TRAITS.values[:40, 0].std()
    assert found[100, 0] == pytest.approx(expected, rel=1e-4)
    flat = Traits(("x",), ("x",), np.full((5, 1), 3.0, np.float32), np.array([False]))
    assert (flat.standard(np.ones(5, bool)) == 0).all()


def test_correlations_are_pearsons():
    a, b = DRAW.normal(size=(2, 20, 30)).astype(np.float32)
    b += a * np.linspace(-3, 3, 20)[:, None].astype(np.float32)
    found = correlations(a, b)
    assert found == pytest.approx([pearsonr(x, y)[0] for x, y in zip(a, b, strict=True)], abs=1e-5)
    assert correlations(a, a * 3 - 2) == pytest.approx(np.ones(20), abs=1e-5)
    assert correlations(a * 1e-4, -b * 1e-4) == pytest.approx(-found, abs=1e-4)
    assert np.abs(found).max() > 0.9


def test_a_correlation_by_hand():
    found = correlations(np.array([[1.0, 2.0, 3.0]]), np.array([[1.0, 3.0, 2.0]]))
    assert found == pytest.approx([0.5])


def test_shuffled_activations_correlate_with_nothing():
    draw = np.random.default_rng(1)
    a = draw.normal(size=(300, 200))
    b = np.array([draw.permutation(row) for row in a])
    found = correlations(a, b)
    assert np.abs(found.mean()) < 0.02
    assert found.std() == pytest.approx(1 / np.sqrt(199), rel=0.15)


def test_what_is_constant_or_undefined_has_no_correlation():
    a = np.array([[1.0, 1, 1], [1, 2, 3], [np.nan] * 3, [1, 2, 3]])
    b = np.array([[1.0, 2, 3], [5, 5, 5], [1, 2, 3], [1, 2, np.nan]])
    assert np.isnan(correlations(a, b)).all()
    assert correlations(np.empty((0, 3)), np.empty((0, 3))).shape == (0,)


# --- Controls ------------------------------------------------------------------------------------

CHOOSING = np.arange(60) < 25
JUDGING = (np.arange(60) >= 25) & (np.arange(60) < 55)


def turned(predicted, seen):
    """Mean and share by hand, neuron by neuron."""
    found = []
    for i, truth in enumerate(seen):
        own = pearsonr(predicted[i][JUDGING], truth[JUDGING])[0]
        others = [
            np.sign(pearsonr(told[CHOOSING], truth[CHOOSING])[0])
            * pearsonr(told[JUDGING], truth[JUDGING])[0]
            for j, told in enumerate(predicted)
            if j != i
        ]
        better = [0.5 if abs(r - own) < 1e-5 else float(own > r) for r in others]
        found.append((np.mean(others), np.mean(better)))
    return np.array(found).T


@pytest.mark.parametrize("rows", [512, 4])
def test_controls_are_those_by_hand(monkeypatch, rows):
    monkeypatch.setattr(simulation, "_ROWS", rows)
    draw = np.random.default_rng(2)
    predicted, seen = draw.normal(size=(2, 15, 60))
    seen += predicted
    predicted[3], predicted[5] = predicted[0], -predicted[1]  # the same label, and its opposite
    mean, beaten = controls(predicted, seen, CHOOSING, JUDGING)
    expected = turned(predicted, seen)
    assert mean == pytest.approx(expected[0])
    assert beaten == pytest.approx(expected[1])
    assert mean.shape == beaten.shape == (15,)


def test_the_direction_of_labels_means_nothing():
    draw = np.random.default_rng(3)
    predicted, seen = draw.normal(size=(2, 15, 60))
    signs = draw.choice([-1.0, 1.0], 15)[:, None]
    one = controls(predicted, seen, CHOOSING, JUDGING)[0]
    other = controls(predicted * signs, seen, CHOOSING, JUDGING)[0]
    assert other == pytest.approx(one)


@pytest.mark.parametrize("common", [0.0, 1.5])
def test_exchangeable_labels_are_beaten_half_the_time(common):
    """Labels that tell a factor of all neurons, or nothing: none knows its own neuron."""
    draw = np.random.default_rng(4)
    shares, means = [], []
    for _ in range(60):
        factor = draw.normal(size=60)
        predicted, seen = common * factor + draw.normal(size=(2, 30, 60))
        seen *= draw.choice([-1, 1], 30)[:, None]  # some neurons follow it the other way
        # Each label is turned for its own neuron, as a label is.
        own = correlations(predicted[:, CHOOSING], seen[:, CHOOSING])
        mean, beaten = controls(predicted * np.sign(own)[:, None], seen, CHOOSING, JUDGING)
        shares.append(beaten.mean())
        means.append(mean.mean())
    error = np.std(shares) / np.sqrt(len(shares))
    assert np.mean(shares) == pytest.approx(0.5, abs=min(3 * error, 0.03))
    if common:
        assert np.mean(means) == pytest.approx(common**2 / (1 + common**2), abs=0.05)
    else:
        assert np.mean(means) == pytest.approx(0, abs=0.02)


def test_labels_that_know_their_neuron_beat_the_others():
    draw = np.random.default_rng(5)
    predicted = draw.normal(size=(30, 60))
    mean, beaten = controls(predicted, predicted + draw.normal(size=(30, 60)), CHOOSING, JUDGING)
    assert beaten.mean() > 0.97
    assert abs(mean.mean()) < 0.05


def test_without_others_or_a_correlation_there_is_no_control():
    draw = np.random.default_rng(6)
    predicted, seen = draw.normal(size=(2, 4, 60))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        alone = controls(predicted[:1], seen[:1], CHOOSING, JUDGING)
        none = controls(predicted[:0], seen[:0], CHOOSING, JUDGING)
        predicted[2] = 1.0
        mean, beaten = controls(predicted, seen, CHOOSING, JUDGING)
    assert np.isnan(alone).all()
    assert none[0].shape == none[1].shape == (0,)
    assert np.isnan([mean[2], beaten[2]]).all()
    kept = [0, 1, 3]
    expected = turned(predicted[kept], seen[kept])
    assert mean[kept] == pytest.approx(expected[0])
    assert beaten[kept] == pytest.approx(expected[1])


# --- Traits --------------------------------------------------------------------------------------


def table(**columns):
    return pd.DataFrame(columns, dtype=float)


def test_traits_are_what_differs():
    features = table(length=np.arange(40), charge=2.0, gravy=np.nan, entropy=[1.0, *[np.nan] * 39])
    annotations = [
        [*["often"] * (i < 25), *["rare"] * (i < 9), *["twice", "twice"] * (i < 10), "always"]
        for i in range(40)
    ]
    found = traits(features, annotations, TITLES)
    assert found.names == ("length", "often", "twice")
    assert found.titles == ("Length", "often", "twice")
    assert found.binary.tolist() == [False, True, True]
    assert found.values[:, 1].tolist() == [1.0] * 25 + [0.0] * 15
    assert found.values[:, 2].tolist() == [1.0] * 10 + [0.0] * 30
    assert MIN_COUNT == 10
    assert traits(features, annotations, TITLES, min_count=9).names == (
        "length",
        "often",
        "rare",
        "twice",
    )


def test_only_those_among_decide_which_traits_there_are():
    draw = np.random.default_rng(0)
    features = table(length=draw.normal(size=60), charge=[1.0] * 40 + [2.0] * 20, gravy=np.nan)
    features.loc[50:, "gravy"] = draw.normal(size=10)
    annotations = [["both"] * (i % 2) + ["others"] * (i >= 40) for i in range(60)]
    found = traits(features, annotations, TITLES, among=np.arange(60) < 40)
    assert found.names == ("length", "both")
    assert found.values.shape == (60, 2)
    assert found.values[:, 1].tolist() == [0.0, 1.0] * 30


def test_without_annotations_there_are_features():
    found = traits(table(length=np.arange(40)), [[]] * 40, TITLES)
    assert found.names == ("length",)
    at = np.arange(30, 40)[None]
    p = Explainer(found, np.ones(40, bool)).separation(at).p[0, 0]
    assert p == pytest.approx(mannwhitneyu(range(30, 40), range(30), method="asymptotic").pvalue)


ANNOTATIONS = (
    "function: ATP binding",
    "function: zinc ion binding",
    "function: binding",
    "family: IGHV1",
    "organism: Homo sapiens",
    "component: integral to membrane (inner)",
)
ALL = Traits(
    (*FEATURES, *ANNOTATIONS),
    (*TITLES.values(), *ANNOTATIONS),
    np.zeros((1, len(FEATURES) + len(ANNOTATIONS)), np.float32),
    np.array([False] * len(FEATURES) + [True] * len(ANNOTATIONS)),
)


def said(trait, sign):
    return words(ALL.titles[trait], sign, binary=bool(ALL.binary[trait]))


def test_words_read_as_a_person_says_them():
    assert words("Hydropathy (GRAVY)", 1, binary=False) == "high hydropathy (GRAVY)"
    assert words("Net charge at pH 7", -1, binary=False) == "low net charge at pH 7"
    assert words("function: ATP binding", 1, binary=True) == "function: ATP binding"
    assert words("function: ATP binding", -1, binary=True) == "not function: ATP binding"
    assert words("DNA repair", 1, binary=True) == "DNA repair"


def test_what_the_statistics_say_is_read_back():
    count = len(ALL.names)
    for one in range(count):
        for sign in (1, -1):
            assert named(said(one, sign), ALL) == ((ALL.names[one], sign),)
            other = (one * 7 + 5) % count
            if other == one:
                continue
            for second in (1, -1):
                text = f"{said(one, sign)} and {said(other, second)}"
                expected = ((ALL.names[one], sign), (ALL.names[other], second))
                assert named(text, ALL) == expected, text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("Membrane transport.", {}),
        ("Proteins with HIGH GRAVY!", {"gravy": 1}),
        ("Active on proteins whose GRAVY is negative.", {"gravy": -1}),
        ("Strongly activates for proteins with negative gravy scores", {"gravy": -1}),
        ("The net charge at pH 7 is very low, the length is large", {"charge": -1, "length": 1}),
        ("low-charge proteins", {"charge": -1}),
        ("lacks aromatic residues", {"aromaticity": -1}),
        ("non-polar residues", {"fraction_polar": -1}),
        ("Low charge and hydropathy", {"charge": -1, "gravy": -1}),
        ("low charge, high hydropathy", {"charge": -1, "gravy": 1}),
        ("low length and ATP binding", {"length": -1, "function: ATP binding": 1}),
        ("ATP binding proteins", {"function: ATP binding": 1}),
        ("binding", {"function: binding": 1}),
        ("no zinc ion binding", {"function: zinc ion binding": -1}),
        ("IGHV10 of homo sapiens", {"organism: Homo sapiens": 1}),
        ("fraction_K", {"fraction_K": 1}),
        ("rich in residue K", {"fraction_K": 1}),
        ("wavelength", {}),
        ("high charge, and again low charge", {"charge": 1}),
    ],
)
def test_free_text_names_traits(text, expected):
    assert dict(named(text, ALL)) == expected


def test_text_from_elsewhere_does_no_harm():
    for text in ("(", "*+?[", "\\", "low " * 1000, "\x00", "é" * 100, "is is are"):
        assert named(text, ALL) == ()
