"""Scores of candidates: measures by hand and against scikit-learn, and what may be claimed."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest, norm, spearmanr
from sklearn import metrics as sk

from neuronlab import statistics
from neuronlab.facts import checking
from neuronlab.facts.checking import best_threshold, curves, decide, measured

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
        statistics.proportion(checking.chosen(*scores(rows, "probability", test=True)))
    )


def test_the_forced_choice_by_hand():
    assert checking.chosen(array(3, 1, 2), array(1, 3, 2)).tolist() == [1.0, 0.0, 0.5]


def test_which_is_more_probable_is_no_judge_of_one_candidate():
    """Both candidates have to be known for it: it is the forced choice of the probability."""
    assert "p_true_over_p_wrong" not in checking.SCORERS
    assert set(checking.SCORERS) == set(SCORERS)


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


@pytest.mark.long
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
    assert checking.compared(rows, lambdas)["difference_low"].isna().all()


@pytest.mark.parametrize(
    ("facts", "said"), [(2, "like"), (5, "like"), (6, "better"), (24, "better")]
)
def test_few_facts_that_all_agree_are_no_evidence(facts, said):
    """All are right, and so is every resample of them: guessing does that for five in one of 16."""
    rows = table(train=20, test=facts)
    rows["knowledge"] = np.where(rows["true"], 1.0, -1.0)
    comparisons = checking.compared(rows, dict.fromkeys(COLUMNS, 0.0))
    for measure in ("f1", "accuracy"):
        (row,) = comparisons[
            (comparisons["scorer"] == "knowledge")
            & (comparisons["against"] == "always_true")
            & (comparisons["measure"] == measure)
        ].to_dict("records")
        assert row["difference"] > 0.3
        assert checking.verdict(pd.Series(row)) == said


# --- Comparisons, and what they claim ------------------------------------------------------------


def test_comparisons_are_differences_on_the_same_facts():
    rows = table()
    found, lambdas = measured(rows)
    found = found.set_index("scorer")
    each = {column: decide(*scores(rows, column, test=True), lambdas[column]) for column in COLUMNS}
    comparisons = checking.compared(rows, lambdas)
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
    own = checking.compared(rows, lambdas).set_index(["scorer", "against"])
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
    assert checking.verdict(row) == said


def test_the_stronger_random_sets_are_those_to_be_beaten():
    rows = [
        ("knowledge", "random_like_knowledge", "f1", 0.3),
        ("knowledge", "as_active_as_knowledge", "f1", 0.1),
        ("knowledge", "probability", "f1", -0.2),
        ("knowledge", "random_like_knowledge", "auc", 0.0),
        ("degenerate", "random_like_degenerate", "f1", -0.5),
    ]
    found = pd.DataFrame(rows, columns=["scorer", "against", "measure", "difference"])
    assert checking.stronger(found, "knowledge", "f1")["against"] == "as_active_as_knowledge"


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
    found = checking.compared(rows, lambdas)
    return found[
        (found["scorer"] == "degenerate")
        & (found["against"] == "random_like_degenerate")
        & (found["measure"] == measure)
    ].iloc[0]


@pytest.fixture
def quick(monkeypatch):
    """Only the degenerate neurons, their random sets and what all need."""
    kept = {s: s for s in ("degenerate", "random_like_degenerate", "probability", "always_true")}
    monkeypatch.setattr(checking, "SCORERS", kept)
    monkeypatch.setattr(checking, "NULLS", {"degenerate": ("random_like_degenerate",)})


@pytest.mark.slow
@pytest.mark.usefixtures("quick", "without_type_checks")
def test_neurons_like_random_ones_seldom_beat_them():
    draw = np.random.default_rng(0)
    rows = [judged(simulated(draw)) for _ in range(150)]
    p = np.array([row["p"] for row in rows])
    assert kstest(p - draw.random(len(p)) / 21, "uniform").pvalue > 0.01
    clear = np.array([row["difference_low"] > 0 for row in rows])
    assert clear.mean() > 0.1  # over facts alone
    assert np.mean([checking.verdict(row) == "better" for row in rows]) < 0.09


@pytest.mark.long
@pytest.mark.usefixtures("quick", "without_type_checks")
def test_neurons_that_tell_true_from_false_are_found():
    draw = np.random.default_rng(1)
    for measure in ("auc", "accuracy"):
        rows = [judged(simulated(draw, signal=3.0), measure) for _ in range(20)]
        assert np.mean([checking.verdict(row) == "better" for row in rows]) > 0.8


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
    tied = checking.tied(scored)
    assert tied.tolist() == [0.5, 0.1, 0.1, 0.1, 0.1 + 3e-5, -2.0]
    assert checking.chosen(tied[1:2], tied[2:3]).tolist() == [0.5]


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
