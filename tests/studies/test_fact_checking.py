"""Fact-checking: measures by hand and against scikit-learn, scores against the method retold."""

import json
from collections import Counter
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from contexts import context_with
from scipy.stats import kstest, norm, spearmanr
from sklearn import metrics as sk

import neuronlab as nl
from neuronlab import statistics
from neuronlab.facts import Fact
from neuronlab.facts.asking import ask, ask_all
from neuronlab.neurons.activity import Activity
from neuronlab.runs import Context, Store, read_spec, run_study
from neuronlab.studies import fact_checking as study
from neuronlab.studies.fact_checking import (
    FactCheckingSpec,
    FactCheckingStudy,
    best_threshold,
    curves,
    decide,
    measured,
)

STUDY = FactCheckingStudy()
MEASURES = ["precision", "recall", "f1", "auc"]
NULLS = {
    "degenerate": ("random_like_degenerate", "as_active_as_degenerate"),
    "knowledge": ("random_like_knowledge", "as_active_as_knowledge"),
}
DRAWN = [null for nulls in NULLS.values() for null in nulls]
ALONE = ["degenerate", "knowledge", "probability", "top_1", "always_true"]
SCORERS = ["degenerate", *DRAWN[:2], "knowledge", *DRAWN[2:], *ALONE[2:]]
COLUMNS = [*ALONE[:2], *(f"{null}_{i}" for null in DRAWN for i in (0, 1)), *ALONE[2:]]
CHOSEN = COLUMNS[:-2]  # whose threshold is chosen on the training part
FACTS = tuple(
    Fact(prompt, tuple(answers.split("|")), relation, prompt)
    for relation, pairs in {
        "capital": (
            ("London is the capital of", "jumps"),
            ("the quick fox jumps over", "fox"),
            ("the capital of France is", "Paris"),
            ("the capital of two is", "London"),
            ("x y of the dog", "France|two"),
            ("lazy dog is", "brown"),
        ),
        "animal": (
            ("the dog jumps over a", "Paris"),
            ("the w of", "fox|dog"),
            ("a quick lazy fox", "dog"),
            ("a brown fox is", "lazy"),
            ("quick dog is over", "jumps"),
        ),
        "letter": (("w x y", "z"),),
    }.items()
    for prompt, answers in pairs
)
CANDIDATES = 8


def spec(own=FACTS, **changes):
    settings = {"model": "x", "facts": "own", "own": own, "test": 0.3}
    settings |= {"candidates": CANDIDATES, "random_sets": 2}
    return FactCheckingSpec(**settings | changes)


def run(model, asked, folder):
    return run_study(STUDY, asked, Store(folder), context_with(model))


def some(relation, count=None):
    return tuple(fact for fact in FACTS if fact.relation == relation)[:count]


@pytest.fixture(scope="module")
def llama(tiny):
    return tiny("llama")


@pytest.fixture(scope="module")
def small(llama, tmp_path_factory):
    """One relation: three facts to train on and one to test."""
    asked = spec(some("animal", 4), candidates=3)
    return run(llama, asked, tmp_path_factory.mktemp("runs"))


# --- Measures by hand ----------------------------------------------------------------------------


def array(*values):
    return np.array(values, float)


def test_precision_and_recall_are_not_swapped():
    """One of four true ones is called true, and no wrong one: right, but rarely."""
    found = decide(array(5, 1, 1, 1), array(0, 0, 0, 0), 2.0)
    assert found["precision"] == 1.0
    assert found["recall"] == 0.25
    assert found["f1"] == pytest.approx(0.4)
    assert found["auc"] == 1.0
    # All true ones are called true, and three of the wrong ones: never missed, often false.
    found = decide(array(5, 5, 5, 5), array(9, 9, 9, 0), 2.0)
    assert found["precision"] == pytest.approx(4 / 7)
    assert found["recall"] == 1.0
    assert found["f1"] == pytest.approx(8 / 11)
    assert found["auc"] == 0.25


def test_ties_count_half_for_the_area_and_are_not_called_true():
    found = decide(array(1, 2), array(1, 0), 1.0)
    assert found["auc"] == pytest.approx(3.5 / 4)
    assert (found["precision"], found["recall"]) == (1.0, 0.5)


def test_where_nothing_is_called_true_all_but_the_area_is_zero():
    found = decide(array(1, 2), array(0, 0), 9.0)
    assert [found[name] for name in MEASURES] == [0, 0, 0, 1]


def test_calling_everything_true_is_the_line_to_beat():
    found = decide(array(0, 0, 0), array(0, 0, 0), -1.0)
    assert [found[name] for name in MEASURES] == pytest.approx([0.5, 1, 2 / 3, 0.5])


def labelled(true, wrong):
    return np.repeat([1, 0], [len(true), len(wrong)]), np.concatenate([true, wrong])


def drawn(seed, count=15):
    """Scores with many ties, the true ones somewhat higher."""
    draw = np.random.default_rng(seed)
    return draw.integers(0, 8, count) + 1.0, draw.integers(0, 8, count) * 1.0


@pytest.mark.parametrize("seed", range(4))
def test_measures_against_scikit_learn(seed):
    true, wrong = drawn(seed)
    truth, scores = labelled(true, wrong)
    for threshold in (-1.0, 2.0, 3.5, 6.0, 7.5, 20.0):
        found = decide(true, wrong, threshold)
        expected = sk.precision_recall_fscore_support(
            truth, scores > threshold, average="binary", zero_division=0
        )
        assert [found[name] for name in MEASURES[:3]] == pytest.approx(expected[:3])
        assert found["auc"] == pytest.approx(sk.roc_auc_score(truth, scores))


@pytest.mark.parametrize("seed", range(6))
def test_the_threshold_is_the_best_of_all(seed):
    true, wrong = drawn(seed, 6 + seed)
    truth, scores = labelled(true, wrong)
    best = max(
        sk.f1_score(truth, scores > cut, zero_division=0)
        for cut in np.arange(-2, 11, 0.25)  # on, between and beyond all scores
    )
    threshold = best_threshold(true, wrong)
    assert sk.f1_score(truth, scores > threshold) == pytest.approx(best)
    assert best >= 2 / 3
    assert threshold not in scores


def test_the_threshold_lies_half_way():
    assert best_threshold(array(1, 2), array(0, -5)) == 0.5
    assert best_threshold(array(3), array(1)) == 2.0
    # Where nothing tells true from wrong, all are called true.
    assert best_threshold(array(4, 4), array(4, 4)) < 4
    assert best_threshold(array(0, 1), array(8, 9)) < 0


# --- All scorers of a table ----------------------------------------------------------------------


def table(train=20, test=30, seed=0):
    """Candidates with scores drawn at random, of two relations."""
    draw = np.random.default_rng(seed)
    count = train + test
    rows = pd.DataFrame(
        {
            "fact": np.repeat(np.arange(count), 2),
            "relation": np.repeat(np.where(np.arange(count) % 2, "r", "s"), 2),
            "true": np.tile([True, False], count),
            "test": np.repeat(np.arange(count) >= train, 2),
        }
    )
    for i, column in enumerate(COLUMNS):
        rows[column] = (draw.normal(size=2 * count) + 0.3 * i * rows["true"]).round(1)
    rows["top_1"] = -draw.integers(1, 4, 2 * count).astype(float)
    rows["always_true"] = 0.0
    return rows


def scores(rows, column, *, test):
    own = rows[rows["test"] == test]
    return own[own["true"]][column].to_numpy(), own[~own["true"]][column].to_numpy()


def columns(scorer):
    return [f"{scorer}_0", f"{scorer}_1"] if scorer in DRAWN else [scorer]


def test_each_scorer_has_its_measures_at_its_own_threshold():
    rows = table()
    found, lambdas = measured(rows)
    assert found["scorer"].tolist() == SCORERS
    assert lambdas.keys() == set(COLUMNS)
    found = found.set_index("scorer")
    for scorer in SCORERS:
        each = [decide(*scores(rows, c, test=True), lambdas[c]) for c in columns(scorer)]
        for name in MEASURES:
            expected = np.mean([one[name] for one in each])
            assert found.loc[scorer, name] == pytest.approx(expected)
        own = [decide(*scores(rows, c, test=False), lambdas[c])["f1"] for c in columns(scorer)]
        assert found.loc[scorer, "train_f1"] == pytest.approx(np.mean(own))
        expected = np.mean([lambdas[c] for c in columns(scorer)])
        assert found.loc[scorer, "lambda"] == pytest.approx(expected)
    assert found.loc["always_true", MEASURES].tolist() == pytest.approx([0.5, 1, 2 / 3, 0.5])


def test_the_forced_choice_is_between_both_candidates_of_a_fact():
    rows = table()
    found = measured(rows)[0].set_index("scorer")
    for scorer in SCORERS:
        right = []
        for column in columns(scorer):
            for _, own in rows[rows["test"]].groupby("fact"):
                true, wrong = own.sort_values("true", ascending=False)[column]
                right.append(1.0 if true > wrong else 0.5 if true == wrong else 0.0)
        assert found.loc[scorer, "accuracy"] == pytest.approx(np.mean(right))
    assert found.loc["always_true", "accuracy"] == pytest.approx(0.5)
    ends = found.loc["probability", ["accuracy", "accuracy_low", "accuracy_high"]]
    assert ends.tolist() == pytest.approx(
        statistics.proportion(study.chosen(*scores(rows, "probability", test=True)))
    )


def test_the_forced_choice_by_hand():
    assert study.chosen(array(3, 1, 2), array(1, 3, 2)).tolist() == [1.0, 0.0, 0.5]


def test_which_is_more_probable_is_no_judge_of_one_candidate():
    """Both candidates have to be known for it: it is the forced choice of the probability."""
    assert "p_true_over_p_wrong" not in study.SCORERS
    assert set(study.SCORERS) == set(SCORERS)


def test_the_correlation_with_the_probability_is_scipys():
    rows = table()
    found = measured(rows)[0].set_index("scorer")
    test = rows[rows["test"]]
    for scorer in SCORERS[:-1]:
        each = [spearmanr(test[c], test["probability"]).statistic for c in columns(scorer)]
        assert found.loc[scorer, "spearman"] == pytest.approx(np.mean(each))
    assert found.loc["probability", "spearman"] == pytest.approx(1)
    assert np.isnan(found.loc["always_true", "spearman"])
    row = found.loc["knowledge"]
    assert row["spearman_low"] < row["spearman"] < row["spearman_high"]


def test_thresholds_are_the_best_on_the_training_part():
    rows = table()
    _, lambdas = measured(rows)
    for column in CHOSEN:
        true, wrong = scores(rows, column, test=False)
        truth, both = labelled(true, wrong)
        best = max(sk.f1_score(truth, both >= cut) for cut in both)
        assert sk.f1_score(truth, both > lambdas[column]) == pytest.approx(best)


def test_the_test_part_never_moves_a_threshold():
    rows = table()
    found, lambdas = measured(rows)
    moved = rows.copy()
    moved.loc[moved["test"] & moved["true"], COLUMNS] -= 5.0
    worse, same = measured(moved)
    assert same == lambdas
    for scorer in SCORERS:
        one, two = (t.set_index("scorer").loc[scorer] for t in (found, worse))
        assert (one["lambda"], one["train_f1"]) == (two["lambda"], two["train_f1"])
        assert two["f1"] < one["f1"]
    # While the training part does.
    moved = rows.copy()
    moved.loc[~moved["test"], COLUMNS] += 5.0
    other = measured(moved)[1]
    assert all(other[column] == pytest.approx(lambdas[column] + 5) for column in CHOSEN)


def test_what_is_fixed_beforehand_stays():
    for seed in range(3):
        _, lambdas = measured(table(seed=seed))
        assert -2 < lambdas["top_1"] < -1  # rank 1, and no other
        assert lambdas["always_true"] < 0.0


def test_thresholds_can_be_given():
    rows = table()
    given = dict.fromkeys(COLUMNS, 0.4)
    found, lambdas = measured(rows, 0, given)
    assert lambdas == given
    expected = decide(*scores(rows, "knowledge", test=True), 0.4)
    assert found.set_index("scorer").loc["knowledge", MEASURES].to_dict() == pytest.approx(expected)


def test_intervals_hold_the_value():
    for seed in range(3):
        found, _ = measured(table(seed=seed), seed)
        for name in MEASURES:
            assert (found[f"{name}_low"] <= found[name] + 1e-9).all()
            assert (found[name] <= found[f"{name}_high"] + 1e-9).all()
        own = found[~found["scorer"].isin(["always_true"])]
        assert (own["f1_low"] < own["f1_high"]).all()


def test_intervals_are_those_of_facts_drawn_with_replacement():
    rows = table(test=40)
    found, lambdas = measured(rows)
    row = found.set_index("scorer").loc["probability"]
    true, wrong = scores(rows, "probability", test=True)
    draw = np.random.default_rng(5)
    resamples = []
    for _ in range(2000):
        own = draw.integers(0, 40, 40)
        resamples.append(decide(true[own], wrong[own], lambdas["probability"]))
    for name in MEASURES:
        # A little wider than plain percentiles, for 40 facts: 98.1 % instead of 97.5 %.
        low, high = np.percentile([one[name] for one in resamples], [1.9, 98.1])
        assert row[f"{name}_low"] == pytest.approx(low, abs=0.03)
        assert row[f"{name}_high"] == pytest.approx(high, abs=0.03)


def test_both_candidates_of_a_fact_are_drawn_together():
    """Of each fact both are called true or none is: as many true as wrong in any resample."""
    rows = table(train=1, test=12)
    rows["knowledge"] = np.where(rows["fact"] % 2, 1.0, -1.0)
    found, _ = measured(rows, 0, dict.fromkeys(COLUMNS, 0.0))
    row = found.set_index("scorer").loc["knowledge"]
    for name in ("precision", "auc"):
        assert [row[f"{name}_low"], row[f"{name}_high"]] == pytest.approx([0.5, 0.5])
    assert row["recall_low"] < 0.5 < row["recall_high"]


def test_of_one_fact_there_is_nothing_to_draw():
    rows = table(train=3, test=1)
    found, lambdas = measured(rows)
    for name in MEASURES:
        assert found[[f"{name}_low", f"{name}_high"]].isna().all(axis=None)
    assert (found["accuracy_high"] - found["accuracy_low"] > 0.5).all()
    assert study.compared(rows, lambdas)["difference_low"].isna().all()


@pytest.mark.parametrize(
    ("facts", "said"), [(2, "like"), (5, "like"), (6, "better"), (24, "better")]
)
def test_few_facts_that_all_agree_are_no_evidence(facts, said):
    """All are right, and so is every resample of them: guessing does that for five in one of 16."""
    rows = table(train=20, test=facts)
    rows["knowledge"] = np.where(rows["true"], 1.0, -1.0)
    comparisons = study.compared(rows, dict.fromkeys(COLUMNS, 0.0))
    for measure in ("f1", "accuracy"):
        (row,) = comparisons[
            (comparisons["scorer"] == "knowledge")
            & (comparisons["against"] == "always_true")
            & (comparisons["measure"] == measure)
        ].to_dict("records")
        assert row["difference"] > 0.3
        assert study.verdict(pd.Series(row)) == said


# --- Comparisons, and what they claim ------------------------------------------------------------


def test_comparisons_are_differences_on_the_same_facts():
    rows = table()
    found, lambdas = measured(rows)
    found = found.set_index("scorer")
    each = {column: decide(*scores(rows, column, test=True), lambdas[column]) for column in COLUMNS}
    comparisons = study.compared(rows, lambdas)
    expected = [
        (scorer, against, measure)
        for scorer, nulls in NULLS.items()
        for against in (*nulls, "probability", "always_true")
        for measure in ("f1", "auc", "accuracy")
    ]
    keys = ["scorer", "against", "measure"]
    assert list(comparisons[keys].itertuples(index=False, name=None)) == expected
    for row in comparisons.itertuples():
        one, other = (found.loc[s, row.measure] for s in (row.scorer, row.against))
        assert row.difference == pytest.approx(one - other)
        assert row.difference_low <= row.difference + 1e-9
        assert row.difference <= row.difference_high + 1e-9
        if row.against not in DRAWN:
            assert np.isnan(row.p)
        elif row.measure != "accuracy":
            sets = [each[f"{row.against}_{i}"][row.measure] for i in (0, 1)]
            reached = sum(one >= each[row.scorer][row.measure] for one in sets)
            assert row.p == pytest.approx((1 + reached) / 3)


def test_what_is_equal_on_every_fact_differs_by_nothing():
    rows = table()
    rows["knowledge"] = rows["probability"]
    _, lambdas = measured(rows)
    own = study.compared(rows, lambdas).set_index(["scorer", "against"])
    own = own.loc[("knowledge", "probability")]
    assert (own[["difference", "difference_low", "difference_high"]] == 0).all(axis=None)


@pytest.mark.parametrize(
    ("ends", "p", "said"),
    [
        ((0.1, 0.3), 0.04, "better"),
        ((0.1, 0.3), 0.2, "like"),  # clear over facts, but random sets differ as much
        ((0.1, 0.3), np.nan, "better"),
        ((-0.1, 0.3), 0.04, "like"),
        ((-0.3, -0.1), 1.0, "worse"),
        ((np.nan, np.nan), 0.04, "like"),
    ],
)
def test_a_verdict_needs_facts_and_sets(ends, p, said):
    row = pd.Series({"difference_low": ends[0], "difference_high": ends[1], "p": p})
    assert study.verdict(row) == said


def test_the_stronger_random_sets_are_those_to_be_beaten():
    rows = [
        ("knowledge", "random_like_knowledge", "f1", 0.3),
        ("knowledge", "as_active_as_knowledge", "f1", 0.1),
        ("knowledge", "probability", "f1", -0.2),
        ("knowledge", "random_like_knowledge", "auc", 0.0),
        ("degenerate", "random_like_degenerate", "f1", -0.5),
    ]
    found = pd.DataFrame(rows, columns=["scorer", "against", "measure", "difference"])
    assert study.stronger(found, "knowledge", "f1")["against"] == "as_active_as_knowledge"


def simulated(draw, facts=24, sets=20, signal=0.0):
    """Half of the facts to train on; degenerate neurons are random ones but for the signal.

    Every fact has an easiness that its scores share, as two candidates of one prompt do, and every
    set of neurons tells true from wrong by some chance.
    """
    true = np.tile([True, False], 2 * facts)
    rows = pd.DataFrame(
        {
            "fact": np.repeat(np.arange(2 * facts), 2),
            "relation": "r",
            "true": true,
            "test": np.repeat(np.arange(2 * facts) >= facts, 2),
        }
    )

    def scored(effect):
        easy = np.repeat(draw.normal(size=2 * facts), 2)
        return easy + draw.normal(size=4 * facts) + effect * true

    names = ["degenerate", *(f"random_like_degenerate_{i}" for i in range(sets))]
    one = {name: scored(draw.normal(0, 0.5)) for name in names}
    one["degenerate"] += signal * true
    for null in DRAWN[1:]:
        one[f"{null}_0"] = scored(0.0)
    one |= {"knowledge": scored(0.0), "probability": scored(1.0)}
    return rows.assign(**one, top_1=-1.0, always_true=0.0)


def judged(rows, measure="auc"):
    lambdas = dict.fromkeys([c for c in rows if c not in ("fact", "relation")], 0.0)
    found = study.compared(rows, lambdas)
    return found[
        (found["scorer"] == "degenerate")
        & (found["against"] == "random_like_degenerate")
        & (found["measure"] == measure)
    ].iloc[0]


@pytest.fixture
def quick(monkeypatch):
    """Only the degenerate neurons, their random sets and what all need."""
    kept = {s: s for s in ("degenerate", "random_like_degenerate", "probability", "always_true")}
    monkeypatch.setattr(study, "SCORERS", kept)
    monkeypatch.setattr(study, "NULLS", {"degenerate": ("random_like_degenerate",)})


@pytest.mark.slow
@pytest.mark.usefixtures("quick", "without_type_checks")
def test_neurons_like_random_ones_seldom_beat_them():
    draw = np.random.default_rng(0)
    rows = [judged(simulated(draw)) for _ in range(150)]
    p = np.array([row["p"] for row in rows])
    assert kstest(p - draw.random(len(p)) / 21, "uniform").pvalue > 0.01
    clear = np.array([row["difference_low"] > 0 for row in rows])
    assert clear.mean() > 0.1  # over facts alone
    assert np.mean([study.verdict(row) == "better" for row in rows]) < 0.09


@pytest.mark.usefixtures("quick", "without_type_checks")
def test_neurons_that_tell_true_from_false_are_found():
    draw = np.random.default_rng(1)
    for measure in ("auc", "accuracy"):
        rows = [judged(simulated(draw, signal=3.0), measure) for _ in range(20)]
        assert np.mean([study.verdict(row) == "better" for row in rows]) > 0.8


@pytest.mark.slow
@pytest.mark.usefixtures("quick", "without_type_checks")
def test_scores_without_a_signal_are_chance_and_intervals_hold_what_is_true():
    draw = np.random.default_rng(2)
    truths = {"degenerate": 0.0, "probability": 1.0}
    hits = {(scorer, m): [] for scorer in truths for m in ("auc", "accuracy", "f1")}
    means = {key: [] for key in hits}
    for _ in range(400):
        rows = simulated(draw, facts=40, sets=1)
        rows["degenerate"] = rows["probability"] - 1.0 * rows["true"]
        found = measured(rows, 0, dict.fromkeys(rows, 0.5))[0].set_index("scorer")
        for scorer, effect in truths.items():
            truth = {
                "auc": norm.cdf(effect / 2),  # two facts: variances 2 and 2
                "accuracy": norm.cdf(effect / np.sqrt(2)),
            }
            said = norm.sf((0.5 - effect) / np.sqrt(2))
            truth["f1"] = 2 * said / (said + norm.sf(0.5 / np.sqrt(2)) + 1)
            for measure, value in truth.items():
                row = found.loc[scorer]
                held = row[f"{measure}_low"] <= value <= row[f"{measure}_high"]
                hits[scorer, measure].append(held)
                means[scorer, measure].append(row[measure])
    for key, held in hits.items():
        assert 0.92 <= np.mean(held) <= 0.98, key  # of 400
    for measure in ("auc", "accuracy"):
        assert np.mean(means["degenerate", measure]) == pytest.approx(0.5, abs=0.01)


def test_scores_that_differ_by_rounding_are_equal():
    scored = pd.Series([0.5, 0.1, 0.1 + 4e-6, 0.1 + 9e-6, 0.1 + 3e-5, -2.0])
    tied = study._tied(scored)
    assert tied.tolist() == [0.5, 0.1, 0.1, 0.1, 0.1 + 3e-5, -2.0]
    assert study.chosen(tied[1:2], tied[2:3]).tolist() == [0.5]


# --- Curves --------------------------------------------------------------------------------------


def test_curves_have_the_points_of_scikit_learn():
    rows = table()
    drawn = curves(rows)
    assert set(drawn["scorer"]) == set(SCORERS)
    assert (drawn.groupby("scorer")["column"].nunique()[DRAWN] == 2).all()
    assert drawn["column"].nunique() == len(COLUMNS)
    for column, own in drawn.groupby("column", sort=False):
        truth, both = labelled(*scores(rows, column, test=True))
        false, true, cuts = sk.roc_curve(truth, both, drop_intermediate=False)
        np.testing.assert_allclose(own["false_positive_rate"], false)
        np.testing.assert_allclose(own["true_positive_rate"], true)
        np.testing.assert_allclose(own["threshold"], cuts)
        precision, recall, _ = sk.precision_recall_curve(truth, both)
        np.testing.assert_allclose(own["precision"], precision[::-1])
        np.testing.assert_allclose(own["true_positive_rate"], recall[::-1])


def test_the_area_under_a_curve_is_the_auc():
    rows = table()
    drawn = curves(rows)
    for column, own in drawn.groupby("column"):
        area = np.trapezoid(own["true_positive_rate"], own["false_positive_rate"])
        expected = decide(*scores(rows, column, test=True), 0.0)["auc"]
        assert area == pytest.approx(expected)
    always = drawn[drawn["scorer"] == "always_true"]
    points = always[["false_positive_rate", "true_positive_rate"]].values.tolist()
    assert points == [[0, 0], [1, 1]]


def test_a_curve_is_of_the_test_part_alone():
    rows = table()
    moved = rows.copy()
    moved.loc[~moved["test"], COLUMNS] = 0.0
    pd.testing.assert_frame_equal(curves(rows), curves(moved))


# --- A run on a tiny model, against the method retold ---------------------------------------------


@pytest.fixture(scope="module", params=["llama", "bert"])
def ran(request, tiny, tmp_path_factory):
    model = tiny(request.param, "masked" if request.param == "bert" else "causal")
    random, controls = [], study._controls

    def watched(kind, places, *arguments):
        random.append((kind, places, controls(kind, places, *arguments)))
        return random[-1][2]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "_controls", watched)
        found = run(model, spec(), tmp_path_factory.mktemp("runs"))
    rows = found.tables["candidates"]
    scored = {
        (row.prompt, row.true): attributed(model, row.prompt, row.candidate)
        for row in rows.itertuples()
    }
    pairs = {
        row.prompt: pairs_of(model, row.prompt, row.candidate, scored[row.prompt, True])
        for row in rows[rows["true"] & ~rows["test"]].itertuples()
    }
    return SimpleNamespace(
        model=model, found=found, rows=rows, random=random, scored=scored, pairs=pairs
    )


def prompt_of(model, text, answer):
    return nl.Prompt(f"{text} [MASK]." if model.kind == "masked" else text, target=answer)


def attributed(model, text, answer):
    prompt = prompt_of(model, text, answer)
    return nl.attribute(model, prompt, method="amig", components=("ffn",))["ffn"].ravel()


def pairs_of(model, text, answer, scores):
    """Degenerate pairs among the best neurons, each suppressed in a row of its own."""
    size = model.sizes["ffn"]
    best = sorted(range(scores.size), key=lambda i: -scores[i])[:CANDIDATES]
    groups = [(), *((n,) for n in best), *combinations(best, 2)]
    changes = [
        nl.Suppress(nl.NeuronSet([(n // size, "ffn", n % size) for n in group]), "predicted")
        for group in groups
    ]
    prompt = prompt_of(model, text, answer)
    found = nl.neurons.predict_many(model, prompt, changes)
    p = {group: one.probability for group, one in zip(groups, found, strict=True)}
    alone = [n for n in best if p[n,] >= 0.8 * p[()]]
    return [pair for pair in combinations(alone, 2) if p[pair] < 0.75 * p[()]]


def counted(ran, facts):
    """How often each neuron occurs in pairs of the facts, and in how many facts' own neurons."""
    pairs, own = Counter(), Counter()
    for fact in facts:
        pairs.update(n for pair in ran.pairs[fact] for n in pair)
        scores = ran.scored[fact, True]
        own.update(np.flatnonzero(scores > 0.3 * scores.max()).tolist())
    return {"degenerate": pairs, "knowledge": own}


def often(counts):
    return {n for n, count in counts.items() if count > 0.3 * max(counts.values())}


def mean_of(scores, neurons):
    return sum(float(scores[n]) for n in neurons) / max(len(neurons), 1)


def standardised(rows, raw):
    """In standard deviations of the relation's training scores from their mean."""
    known = np.array([value for value, row in zip(raw, rows, strict=True) if not row.test])
    spread = np.sqrt(((known - known.mean()) ** 2).mean())
    return (np.array(raw) - known.mean()) / (spread if spread > 0 else 1.0)


def by_relation(ran):
    for relation, own in ran.rows.groupby("relation", sort=False):
        rows = list(own.itertuples())
        yield relation, rows, list(dict.fromkeys(row.prompt for row in rows if not row.test))


@pytest.mark.parametrize("kind", ["degenerate", "knowledge"])
def test_a_score_is_the_mean_attribution_of_the_relations_neurons(ran, kind):
    found_some = others_differ = 0
    for _, rows, train in by_relation(ran):
        everyone = often(counted(ran, train)[kind])
        found_some += len(everyone) > 0
        raw = []
        for row in rows:
            neurons = everyone
            if not row.test:  # those of the other training facts
                neurons = often(counted(ran, [f for f in train if f != row.prompt])[kind])
                others_differ += neurons != everyone
            raw.append(mean_of(ran.scored[row.prompt, row.true], neurons))
        expected = standardised(rows, raw)
        assert [getattr(row, kind) for row in rows] == pytest.approx(expected, rel=1e-4, abs=1e-4)
    # In the tiny BERT the facts of one relation have no degenerate pairs.
    assert found_some >= 1
    assert others_differ


def test_neurons_that_occur_often_occur_more_than_a_share_of_the_most():
    assert study._often(Counter({7: 10, 8: 4, 9: 3, 1: 1})) == {7, 8}
    assert study._often(Counter({7: 1, 8: 1})) == {7, 8}
    assert study._often(Counter()) == frozenset()


def test_the_table_of_neurons_counts_pairs_and_facts(ran):
    neurons = ran.found.tables["neurons"]
    for relation, _, train in by_relation(ran):
        for kind, counts in counted(ran, train).items():
            own = neurons[(neurons["relation"] == relation) & (neurons["kind"] == kind)]
            places = own["layer"] * ran.model.sizes["ffn"] + own["neuron"]
            found = dict(zip(places, own["count"], strict=True))
            assert found == {n: counts[n] for n in often(counts)}
            assert own["count"].is_monotonic_decreasing
    assert set(neurons["relation"]) == {"capital", "animal"}


def test_random_neurons_are_as_many_of_the_same_layers(ran):
    size = ran.model.sizes["ffn"]
    calls = iter(ran.random)
    different = set()
    for number, (_, rows, train) in enumerate(by_relation(ran)):
        prompts = [ran.model.encode(prompt_of(ran.model, text, None)) for text in train]
        activity = Activity.of(ran.model, prompts, ("ffn",))
        for kind, counts in counted(ran, train).items():
            everyone = often(counts)
            of_kind, places, sets = next(calls)
            assert (of_kind, places) == (kind, everyone)
            assert list(sets) == [f"{null}_{i}" for i in (0, 1) for null in NULLS[kind]]
            layers = Counter(n // size for n in everyone)
            neurons = nl.NeuronSet((n // size, "ffn", n % size) for n in everyone)
            for column, random in sets.items():
                assert Counter(n // size for n in random) == layers
                if max(layers.values(), default=0) <= size / 2:
                    assert not random & everyone
                different |= {random}
                raw = [mean_of(ran.scored[row.prompt, row.true], random) for row in rows]
                expected = standardised(rows, raw)
                found = [getattr(row, column) for row in rows]
                assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
            for i, seed in enumerate(statistics.seeds([0, number], 2)):
                drawn = activity.matched(neurons, seed)
                assert sets[f"{NULLS[kind][1]}_{i}"] == {n.layer * size + n.index for n in drawn}
    assert next(calls, None) is None
    assert len(different) >= 9


def test_another_seed_draws_other_random_sets(llama, tmp_path, monkeypatch):
    """Seed 1 repeats the study; it does not share all but one of the sets of seed 0."""
    sets, controls = {}, study._controls

    def watched(*arguments):
        sets[seed].append(controls(*arguments))
        return sets[seed][-1]

    monkeypatch.setattr(study, "_controls", watched)
    for seed in (0, 1):
        sets[seed] = []
        asked = spec(some("animal", 4), candidates=2, random_sets=8, seed=seed)
        run(llama, asked, tmp_path)
    for one, other in zip(*sets.values(), strict=True):
        apart = [n for n in one if one[n]]
        assert not {one[n] for n in apart} & {other[n] for n in apart}


def test_the_scorers_without_neurons(ran):
    for _, rows, _ in by_relation(ran):
        own = {
            (row.prompt, row.true): nl.predict(
                ran.model, prompt_of(ran.model, row.prompt, row.candidate)
            )
            for row in rows
        }
        logs = [own[row.prompt, row.true].log_probability for row in rows]
        expected = standardised(rows, logs)
        assert [row.probability for row in rows] == pytest.approx(expected, abs=1e-4)
        for row in rows:
            assert row.top_1 == -own[row.prompt, row.true].rank
            assert row.always_true == 0.0


def test_every_fact_has_its_answer_and_a_wrong_one_of_its_relation(ran):
    facts = {fact.prompt: fact for fact in FACTS}
    asked = ran.rows.groupby("fact", sort=False)
    assert len(asked) == 11
    for number, own in asked:
        fact = facts[own["prompt"].iloc[0]]
        assert FACTS[number] == fact
        assert own["true"].tolist() == [True, False]
        assert own["test"].nunique() == 1
        assert (own["relation"] == fact.relation).all()
        true, wrong = own["candidate"]
        assert true in fact.answers
        assert wrong not in fact.answers
        assert wrong in {a for f in FACTS if f.relation == fact.relation for a in f.answers}
        # Of several accepted answers the model's own choice stands for the fact.
        p = {a: nl.predict(ran.model, prompt_of(ran.model, fact.prompt, a)) for a in fact.answers}
        assert p[true].rank == min(one.rank for one in p.values())


def test_the_split_is_that_of_the_spec(ran):
    held_out = spec().held_out()
    asked = ran.rows.drop_duplicates("fact")
    assert asked["test"].tolist() == held_out[:11]
    assert asked.groupby("relation")["test"].sum().to_dict() == {"capital": 2, "animal": 2}
    assert ran.found.numbers["facts"] == {"train": 7, "test": 4}


def test_the_numbers_are_those_others_rely_on(ran, tmp_path):
    ran.found.save(tmp_path)
    numbers = json.loads((tmp_path / "result.json").read_text())
    found = ran.found.tables["scorers"].set_index("scorer")
    assert found.index.tolist() == SCORERS
    for scorer in SCORERS:
        for name in MEASURES:
            assert numbers[scorer][name] == pytest.approx(found.loc[scorer, name])
            assert 0 <= numbers[scorer][name] <= 1
    line = [numbers["always_true"][name] for name in MEASURES]
    assert line == pytest.approx([0.5, 1, 2 / 3, 0.5])
    expected, lambdas = measured(ran.rows)
    pd.testing.assert_frame_equal(found.reset_index(), expected)
    pd.testing.assert_frame_equal(
        ran.found.tables["comparisons"], study.compared(ran.rows, lambdas)
    )
    for scorer in SCORERS[:-1]:
        for name in ("accuracy", "spearman"):
            value = found.loc[scorer, name]
            assert numbers[scorer].get(name, np.nan) == pytest.approx(value, nan_ok=True)


def test_measures_of_the_run_against_scikit_learn(ran):
    numbers, test = ran.found.numbers, ran.rows[ran.rows["test"]]
    for scorer in ALONE:
        said = test[scorer] > numbers[scorer]["lambda"]
        expected = sk.precision_recall_fscore_support(
            test["true"], said, average="binary", zero_division=0
        )
        assert [numbers[scorer][n] for n in MEASURES[:3]] == pytest.approx(expected[:3])
        auc = sk.roc_auc_score(test["true"], test[scorer])
        assert numbers[scorer]["auc"] == pytest.approx(auc)


def test_relations_are_measured_at_the_thresholds_of_all(ran):
    found = ran.found.tables["by_relation"].set_index(["relation", "scorer"])
    assert len(found) == 2 * len(SCORERS)
    for relation, own in ran.rows.groupby("relation"):
        for scorer in ("degenerate", "knowledge", "probability", "top_1"):
            threshold = ran.found.numbers[scorer]["lambda"]
            expected = decide(*scores(own, scorer, test=True), threshold)
            row = found.loc[(relation, scorer)]
            assert row["lambda"] == threshold
            assert row[MEASURES].to_dict() == pytest.approx(expected)


def test_a_relation_with_one_fact_is_left_out(ran):
    """It has no other whose answer would be wrong."""
    assert "letter" not in set(ran.rows["relation"])
    assert ran.found.numbers["alone"] == 1


def test_a_relation_with_one_fact_is_named(ran):
    assert ran.found.numbers["one_part"] == ["letter"]


# --- Which facts ---------------------------------------------------------------------------------


def nameless(relation, count, language="en"):
    return tuple(
        Fact(f"{relation} {i}", (f"a{i}",), relation, f"{i}", language) for i in range(count)
    )


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.8])
def test_each_relation_is_split_by_itself(share):
    counts = {"r": 20, "s": 7, "t": 2}
    own = [fact for relation, count in counts.items() for fact in nameless(relation, count)]
    held_out = spec(tuple(own), test=share).held_out()
    assert len(held_out) == len(own)
    for relation, count in counts.items():
        test = [held for held, fact in zip(held_out, own, strict=True) if fact.relation == relation]
        assert sum(test) == pytest.approx(max(1, share * count), abs=0.5)
    # The other relations do not matter.
    assert spec(nameless("s", 7), test=share).held_out() == held_out[20:27]


def test_the_split_is_the_same_each_time_and_another_with_another_seed():
    own = nameless("r", 20)
    assert spec(own).held_out() == spec(own).held_out()
    splits = {tuple(spec(own, seed=seed).held_out()) for seed in range(10)}
    assert len(splits) > 5
    # Every fact is in a test part at some time.
    assert np.any(list(splits), axis=0).mean() > 0.8


def test_a_wrong_answer_is_never_an_accepted_one(llama):
    facts = (
        Fact("the quick", ("Paris", "fox"), "r", "a"),
        Fact("a quick", ("Paris",), "r", "b"),
        Fact("the lazy", ("fox", "Paris"), "r", "c"),
        Fact("a lazy", ("Berlin", "dog"), "r", "d"),  # the first is no word of the model
        Fact("over the", ("London",), "r", "e"),
        Fact("over a", ("z",), "s", "f"),
        Fact("of the", ("z",), "s", "g"),
    )
    asked = ask_all(llama, facts)
    expected = {
        "a": {"dog", "London"},
        "b": {"fox", "dog", "London"},
        "c": {"dog", "London"},
        "d": {"Paris", "fox", "London"},
        "e": {"Paris", "fox", "dog"},
        "f": {None},
        "g": {None},
    }
    for one in asked:
        found = [study._wrong(llama, one, asked, f"{seed}") for seed in range(40)]
        words = {token if token is None else llama.label(token) for token in found}
        assert words == expected[one.fact.name]
        assert found[0] == study._wrong(llama, one, asked, "0")


def test_a_fact_that_cannot_be_asked_gives_no_wrong_answer(llama):
    """And is none of the facts that are counted."""
    one = Fact("the quick", ("Paris",), "r", "a")
    lost = Fact("a [MASK] fox", ("London",), "r", "b")  # not for a causal model
    asked = ask_all(llama, [one, lost])
    assert asked[1] is None
    assert study._wrong(llama, ask(llama, one), asked, "0") is None


def test_a_relation_all_in_one_part_is_left_out_and_named(llama, tmp_path):
    letters = tuple(Fact(f"{p} the", (p,), "letter", p) for p in "xyz")
    own = (*some("animal", 3), *letters)
    held_out = spec(own).held_out()[3:]
    lost = tuple(
        Fact(f.prompt, ("Berlin",) if held else f.answers, "letter", f.name)
        for f, held in zip(letters, held_out, strict=True)
    )
    asked = spec((*own[:3], *lost), candidates=2)
    found = run(llama, asked, tmp_path)
    assert found.numbers["one_part"] == ["letter"]
    assert set(found.tables["candidates"]["relation"]) == {"animal"}
    assert "1 that it cannot be asked" in found.numbers["left_out"]
    assert found.numbers["facts"] == {"train": 2, "test": 1}


def test_all_in_one_part_is_one_sentence(llama, tmp_path, sentence):
    two = spec(some("animal", 2), test=0.9, candidates=2)
    assert two.held_out() == [True, True]
    sentence(run, llama, two, tmp_path / "test", says="training")
    sentence(run, llama, spec(some("letter")), tmp_path / "alone", says="facts")


def test_no_fact_that_can_be_asked_is_one_sentence(llama, tmp_path, sentence):
    lost = (Fact("a fox", ("Berlin",), "r", "a"), Fact("a dog", ("Rome",), "r", "b"))
    sentence(run, llama, spec(lost), tmp_path / "lost", says="in the vocabulary")
    sentence(run, llama, spec(language="zh"), tmp_path / "none", says="no facts")


def test_the_language_picks_the_facts():
    both = (*nameless("r", 3), *nameless("r", 4, "xx"))
    assert spec(both).chosen() == list(both[:3])
    assert spec(both, language="xx").chosen() == list(both[3:])
    assert len(STUDY.shards(spec(both, language="xx"), Context())) == 4
    assert len(spec(both, language="xx").held_out()) == 4
    english = FactCheckingSpec(facts="six_languages").chosen()
    chinese = FactCheckingSpec(facts="six_languages", language="zh").chosen()
    assert {fact.language for fact in english} == {"en"}
    assert {fact.language for fact in chinese} == {"zh"}
    assert len(english) == len(chinese) == 75


# --- Repetition ----------------------------------------------------------------------------------


def test_the_same_spec_gives_the_same_result(llama, small, tmp_path):
    again = run(llama, spec(some("animal", 4), candidates=3), tmp_path)
    assert again.numbers == small.numbers
    assert again.tables.keys() == small.tables.keys()
    for name, own in small.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], own)


def test_a_spec_goes_through_its_json():
    for one in (STUDY.default(), spec(), spec(language="xx", seed=3)):
        again = read_spec(one.to_json(), {"fact_checking": FactCheckingSpec})
        assert again == one
        assert again.key == one.key
    assert len({spec(**change).key for change in ({}, {"test": 0.4}, {"language": "xx"})}) == 3


@pytest.mark.parametrize(
    "wrong", [{"test": 0.0}, {"test": 1.0}, {"candidates": 1}, {"random_sets": 0}], ids=str
)
def test_a_spec_refuses_what_cannot_be(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        spec(**wrong)


def test_by_default_facts_are_not_filtered_by_what_the_model_knows():
    """To leave out what it does not know would choose facts by what is tested."""
    assert not STUDY.default().filtered
    assert len(STUDY.shards(STUDY.default(), Context())) == len(STUDY.default().held_out()) > 100
