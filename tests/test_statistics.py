"""Simulations: under the null p is uniform, and intervals hold the truth as often as they say."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import binom, binomtest, kstest, spearmanr
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from neuronlab import statistics

TIMES = 2000


def covered(hits):
    return 0.93 <= np.mean(hits) <= 0.97


def test_seeds_of_two_studies_have_nothing_in_common():
    every = [set(statistics.seeds(seed, 20)) for seed in range(5)]
    every.append(set(statistics.seeds([0, 3], 20)))
    assert all(len(one) == 20 for one in every)
    assert not any(one & other for one, other in combinations(every, 2))
    assert statistics.seeds(7, 5) == statistics.seeds(7, 20)[:5]


@pytest.mark.parametrize("count", [12, 24, 67])
@pytest.mark.parametrize("skewed", [False, True])
def test_the_bootstrap_interval_holds_the_mean(count, skewed):
    draw = np.random.default_rng(count)
    shape = count, TIMES
    values = draw.gamma(4, size=shape) - 4 if skewed else draw.normal(size=shape)
    low, high = statistics.bootstrap(values)
    assert covered((low <= 0) & (high >= 0))


def normal(count, columns=1, seed=0):
    return np.random.default_rng(seed).normal(2.0, 3.0, (count, columns))


@pytest.mark.parametrize("count", [2, 3, 10, 75, 400])
def test_an_interval_holds_the_mean_and_lies_among_the_values(count):
    for seed in range(5):
        values = normal(count, 4, seed)
        low, high = statistics.bootstrap(values, seed)
        assert low.shape == high.shape == (4,)
        assert (low <= values.mean(0)).all()
        assert (values.mean(0) <= high).all()
        assert (low >= values.min(0) - 1e-9).all()
        assert (high <= values.max(0) + 1e-9).all()
        assert (low < high).all()


def test_where_nothing_varies_the_interval_is_the_mean():
    for values in (np.full((9, 2), 0.3), np.zeros((4, 1))):
        low, high = statistics.bootstrap(values)
        assert low == pytest.approx(values.mean(0))
        assert high == pytest.approx(values.mean(0))


def test_the_same_seed_gives_the_same_interval():
    values = normal(20)
    assert np.array_equal(statistics.bootstrap(values, 5), statistics.bootstrap(values, 5))
    assert not np.array_equal(statistics.bootstrap(values, 5), statistics.bootstrap(values, 6))


def test_the_width_is_that_of_the_normal_theory_and_shrinks_with_the_facts():
    widths = {}
    for count in (100, 1600):
        values = normal(count)
        low, high = statistics.bootstrap(values)
        widths[count] = float(high[0] - low[0])
        expected = 2 * 1.96 * values.std() / np.sqrt(count)
        assert widths[count] == pytest.approx(expected, rel=0.1)
    assert widths[100] / widths[1600] == pytest.approx(4, rel=0.2)


def test_columns_are_drawn_together():
    """The interval of a column does not depend on its unit, nor on the columns beside it."""
    values = normal(30)
    low, high = statistics.bootstrap(np.hstack([values, 2 * values + 1, -values]), 1)
    alone = statistics.bootstrap(values, 1)
    assert low[0] == pytest.approx(alone[0][0])
    assert low[1] == pytest.approx(2 * low[0] + 1)
    assert high[1] == pytest.approx(2 * high[0] + 1)
    assert low[2] == pytest.approx(-high[0])


@pytest.mark.parametrize("count", [2, 4, 8])
def test_students_interval_holds_the_mean_of_few(count):
    draw = np.random.default_rng(count)
    ends = [statistics.mean_interval(draw.normal(1.0, 3.0, count)) for _ in range(TIMES)]
    assert covered([low <= 1.0 <= high for low, high in ends])
    assert np.isnan(statistics.mean_interval(np.ones(1))).all()


def test_few_units_that_agree_tell_no_methods_apart():
    """Drawn again they agree again: without a rule the interval would be a point."""
    for count in (2, 5, 6, 40):
        values = np.repeat([[0.5, 0.1]], count, axis=0)
        difference, low, _ = statistics.pairwise(values)
        assert difference[0, 1] == pytest.approx(0.4)
        assert (low[0, 1] > 0) == (count >= statistics.FEWEST)


def test_a_difference_that_is_there_is_found_only_where_units_are_paired():
    draw = np.random.default_rng(0)
    easy = draw.normal(size=(30, 1)) * 3
    one, other = easy + draw.normal(size=(30, 1)) * 0.2, easy - 0.4
    low, _ = statistics.bootstrap(one - other)
    assert low > 0
    each = [statistics.bootstrap(values) for values in (one, other)]
    assert each[0][0] < each[1][1]  # the intervals of either overlap


def test_a_higher_level_is_a_wider_interval():
    values = np.random.default_rng(1).normal(size=(30, 2))
    low, high = statistics.bootstrap(values)
    lower, higher = statistics.bootstrap(values, level=0.995)
    assert (lower < low).all()
    assert (higher > high).all()


@pytest.mark.long
@pytest.mark.parametrize(("count", "columns"), [(24, 3), (67, 10)])
def test_all_differences_hold_at_once(count, columns):
    """Equal methods on facts that are easy or hard for all: no leader is found."""
    draw = np.random.default_rng(columns)
    hits = []
    for _ in range(500):
        values = 3 * draw.normal(size=(count, 1)) + draw.normal(size=(count, columns))
        _, low, high = statistics.pairwise(values)
        hits.append(((low <= 0) & (high >= 0)).all())
    assert covered(hits)


def test_differences_are_of_means_and_turn_their_sign():
    values = np.random.default_rng(3).normal(size=(40, 4)) - np.arange(4)
    difference, low, high = statistics.pairwise(values)
    assert difference[1, 3] == pytest.approx(values[:, 1].mean() - values[:, 3].mean())
    assert low == pytest.approx(-high.T)
    assert (np.diag(low) == 0).all()
    assert low[0, 3] > 0  # planted
    assert np.isnan(statistics.pairwise(np.ones((1, 2)))[1]).all()


def test_one_unit_has_no_interval():
    low, high = statistics.bootstrap(np.ones((1, 2)))
    assert np.isnan([low, high]).all()


def test_what_is_undefined_in_some_resamples_is_left_out_of_them():
    drawn = np.tile(np.linspace(0, 1, 1001)[:, None], (1, 3))
    drawn[::2, 1] = np.nan
    drawn[:, 2] = np.nan
    low, high = statistics.expanded(drawn, 10_000)
    assert low[:2] == pytest.approx([0.025, 0.025], abs=3e-3)
    assert high[:2] == pytest.approx([0.975, 0.975], abs=3e-3)
    assert np.isnan([low[2], high[2]]).all()


def pairs_of(groups, of_group):
    number = np.repeat(np.arange(groups), of_group)
    every = np.array(list(combinations(range(len(number)), 2)))
    same = number[every[:, 0]] == number[every[:, 1]]
    return len(number), every[same], every[~same]


@pytest.mark.long
@pytest.mark.parametrize("spread", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("same", [True, False])
def test_the_interval_over_pairs_holds_the_mean(spread, same):
    count, within, across = pairs_of(9, 5)
    first, second = (within if same else across).T
    draw = np.random.default_rng(int(10 * spread) + same)
    hits, naive = [], []
    for _ in range(TIMES):
        unit = spread * draw.normal(size=count)
        values = unit[first] + unit[second] + draw.normal(size=len(first))
        mean, low, high = statistics.mean_over_pairs(values, first, second)
        assert mean == pytest.approx(values.mean())
        hits.append(low <= 0 <= high)
        naive.append(abs(mean) <= 1.96 * values.std() / np.sqrt(len(values)))
    # Where units have no effects of their own it is wider than need be.
    assert covered(hits) if spread else np.mean(hits) > 0.94
    if spread == 1.0 and not same:
        assert np.mean(naive) < 0.6  # pairs that are taken for independent


@pytest.mark.slow
def test_several_values_of_a_pair_are_no_more_units():
    """Wordings of two facts: the more of them, the less their mean varies, and no further."""
    count, _, across = pairs_of(9, 5)
    draw = np.random.default_rng(4)
    first, second = np.repeat(across, 3, axis=0).T
    hits = []
    for _ in range(TIMES):
        unit = draw.normal(size=count)
        shared = np.repeat(draw.normal(size=len(across)), 3)
        values = unit[first] + unit[second] + shared + draw.normal(size=len(first))
        _, low, high = statistics.mean_over_pairs(values, first, second)
        hits.append(low <= 0 <= high)
    assert covered(hits)


FEW = {
    "5 of one kind": [range(5)],
    "9 of one kind": [range(9)],
    "6 kinds of 2": np.arange(12).reshape(6, 2),
    "6 kinds of 3": np.arange(18).reshape(6, 3),
    "6 kinds of 6": np.arange(36).reshape(6, 6),
}


@pytest.mark.long
@pytest.mark.parametrize("spread", [1.0, 5.0])
@pytest.mark.parametrize("across", [False, True])
@pytest.mark.parametrize("kinds", FEW)
def test_few_units_are_enough(kinds, across, spread):
    """All pairs of facts of a kind, or of two kinds, in one to eight values each."""
    kind_of = {unit: number for number, kind in enumerate(FEW[kinds]) for unit in kind}
    pairs = [p for p in combinations(kind_of, 2) if (kind_of[p[0]] != kind_of[p[1]]) == across]
    if not pairs:
        pytest.skip("one kind has no pairs across")
    draw = np.random.default_rng(len(pairs))
    first, second = np.repeat(pairs, draw.integers(1, 9, len(pairs)), axis=0).T
    hits = []
    for _ in range(TIMES // 4):
        unit = spread * draw.normal(size=len(kind_of))
        values = unit[first] + unit[second] + draw.normal(size=len(first))
        _, low, high = statistics.mean_over_pairs(values, first, second)
        hits.append(low <= 0 <= high)
    assert 0.92 <= np.mean(hits) <= 0.985  # of 500


def test_the_variance_over_all_pairs_of_units_is_right_on_average():
    """With a part of the pair's own, too: then, by algebra, the same factor is exact."""
    draw = np.random.default_rng(3)
    first, second = np.array(list(combinations(range(7), 2))).T
    found = []
    for _ in range(TIMES):
        unit = draw.normal(size=7)
        values = unit[first] + unit[second] + draw.normal(size=21)
        mean, low, _ = statistics.mean_over_pairs(values, first, second)
        found.append((mean, (mean - low) ** 2))
    _, squares = np.array(found).T
    # Here the sum has as many degrees of freedom as a variance of seven numbers.
    assert squares.mean() / student.ppf(0.975, 6) ** 2 == pytest.approx(4 / 7 + 1 / 21, rel=0.06)


@pytest.mark.parametrize("count", [2, 3])
def test_all_pairs_of_two_or_three_units_tell_no_interval(count):
    first, second = np.array(list(combinations(range(count), 2))).T
    values = np.arange(len(first)) * 1.0
    mean, low, high = statistics.mean_over_pairs(values, first, second)
    assert mean == values.mean()
    assert np.isnan([low, high]).all()


def test_pairs_within_units_are_judged_over_units():
    draw = np.random.default_rng(5)
    unit = np.repeat(np.arange(30), 3)
    hits = []
    for _ in range(TIMES):
        values = draw.normal(size=30)[unit] + 0.1 * draw.normal(size=90)
        _, low, high = statistics.mean_over_pairs(values, unit, unit)
        hits.append(low <= 0 <= high)
    assert covered(hits)


def test_one_unit_has_no_interval_over_pairs():
    mean, low, high = statistics.mean_over_pairs(np.array([1.0, 3.0]), *np.zeros((2, 2), int))
    assert mean == 2
    assert np.isnan([low, high]).all()


def test_one_pair_of_units_has_no_interval():
    """However many values it has: how much another pair would differ is not known."""
    values = np.array([1.0, 3.0, 5.0])
    mean, low, high = statistics.mean_over_pairs(values, np.array([0, 0, 1]), np.array([1, 1, 0]))
    assert mean == 3
    assert np.isnan([low, high]).all()


@pytest.mark.parametrize(("right", "count"), [(0, 5), (24, 24), (17, 24), (300, 400)])
def test_the_interval_of_a_proportion_is_scipys(right, count):
    values = np.arange(count) < right
    mean, low, high = statistics.proportion(values.astype(float))
    expected = binomtest(right, count).proportion_ci(method="wilson")
    assert (mean, low, high) == pytest.approx((right / count, *expected))


def test_the_interval_of_a_proportion_holds_the_truth():
    """Exactly, by the binomial distribution; near 0 and 1 as well as between."""
    for count in (24, 96):
        ends = np.array(
            [statistics.proportion((np.arange(count) < k) * 1.0)[1:] for k in range(count + 1)]
        )
        truths = np.linspace(0.5, 0.98, 49)
        holds = (ends[:, :1] <= truths) & (truths <= ends[:, 1:])
        chances = binom.pmf(np.arange(count + 1)[:, None], count, truths)
        coverage = (holds * chances).sum(axis=0)
        assert covered(coverage)  # on average over truths: whole numbers make it rise and fall
        assert coverage.min() > 0.91


def test_a_rank_among_controls_is_uniform_under_the_null():
    draw = np.random.default_rng(6)
    p = [statistics.rank_p(one[0], one[1:]) for one in draw.normal(size=(2000, 20))]
    grid = np.arange(1, 21) / 20
    assert set(np.round(p, 6)) <= set(np.round(grid, 6))
    assert kstest(np.array(p) - draw.random(2000) / 20, "uniform").pvalue > 0.01


def test_a_rank_finds_what_is_beyond_all_controls():
    assert statistics.rank_p(5.0, np.zeros(19)) == 0.05
    assert statistics.rank_p(-5.0, np.zeros(19)) == 1.0
    assert statistics.rank_p(-5.0, np.zeros(19), larger=False) == 0.05
    assert statistics.rank_p(0.0, np.zeros(19)) == 1.0  # ties are no evidence


@pytest.mark.parametrize("count", [2, 3, 5, 20])
def test_one_more_normal_control_is_uniform(count):
    draw = np.random.default_rng(count)
    p = [statistics.normal_p(one[0], one[1:]) for one in draw.normal(7, 3, (TIMES, 1 + count))]
    assert kstest(p, "uniform").pvalue > 0.01


def test_few_controls_tell_what_is_far_beyond_them():
    draw = np.random.default_rng(10)
    p = [statistics.normal_p(one[0] + 6, one[1:]) for one in draw.normal(size=(200, 6))]
    assert np.mean(np.array(p) < 0.05) > 0.9  # of ranks among five none is below 1 / 6
    lower = [
        statistics.normal_p(one[0] - 6, one[1:], larger=False) for one in draw.normal(size=(9, 6))
    ]
    assert max(lower) < 0.1
    assert statistics.normal_p(2.0, [1.0, 2.0, 3.0]) == 0.5


def test_too_few_or_equal_controls_have_no_spread_to_go_by():
    assert np.isnan(statistics.normal_p(1.0, [0.0]))
    assert statistics.normal_p(0.6, [0.5] * 4) == statistics.rank_p(0.6, [0.5] * 4) == 0.2
    assert statistics.normal_p(0.5, [0.5] * 4) == 1.0


def test_differences_of_rounding_are_ties():
    scores = np.array([0.3, 0.1 + 2e-7, 0.1, 0.1 + 9e-7, 0.1 + 1.2e-6, 0.3 + 1e-9])
    places = statistics.rounded(scores, 1e-6)
    assert places.tolist() == [2, 0, 0, 0, 1, 2]
    assert statistics.rounded(np.zeros(0), 1e-6).tolist() == []


def test_an_order_of_rounding_noise_has_area_one_half():
    draw = np.random.default_rng(7)
    positive = draw.random(200) < 0.5
    noise = 0.5 + 1e-7 * (positive + 0.1 * draw.normal(size=200))
    assert statistics.area(positive, noise)[0] > 0.99
    assert statistics.area(positive, statistics.rounded(noise, 1e-6))[0] == 0.5
    weights = draw.multinomial(200, np.full(200, 1 / 200), 50).astype(float)
    assert (statistics.area(positive, statistics.rounded(noise, 1e-6), weights) == 0.5).all()


def test_the_area_is_scikit_learns_with_ties_and_weights():
    draw = np.random.default_rng(8)
    for _ in range(20):
        positive = draw.random(60) < 0.4
        scores = np.round(draw.normal(size=60) + positive, 1)
        weights = draw.integers(0, 4, (3, 60)).astype(float)
        for row, area in zip(weights, statistics.area(positive, scores, weights), strict=True):
            assert area == pytest.approx(roc_auc_score(positive, scores, sample_weight=row))
    assert np.isnan(statistics.area(np.ones(4, bool), np.arange(4.0))).all()


@pytest.mark.long
def test_the_bootstrap_interval_holds_the_area():
    """Two normal distributions, one standard deviation apart: area .760."""
    draw = np.random.default_rng(9)
    positive = np.arange(100) % 2 == 0
    weights = statistics.resampled(100, 0) * 100
    scores = draw.normal(size=(TIMES // 4, 100)) + positive
    areas = np.stack([statistics.area(positive, one, weights) for one in scores], axis=1)
    low, high = statistics.expanded(areas, 100)
    assert covered((low <= 0.7602499) & (high >= 0.7602499))


def test_the_rank_correlation_is_scipys_with_ties_and_weights():
    draw = np.random.default_rng(10)
    for _ in range(20):
        first, second = np.round(draw.normal(size=(2, 50)), 1)
        second += first
        assert statistics.rank_correlation(first, second)[0] == pytest.approx(
            spearmanr(first, second).statistic
        )
        counts = draw.integers(0, 4, (3, 50))
        for often, found in zip(
            counts, statistics.rank_correlation(first, second, counts / 7), strict=True
        ):
            drawn = (np.repeat(one, often) for one in (first, second))
            assert found == pytest.approx(spearmanr(*drawn).statistic)
    assert np.isnan(statistics.rank_correlation(np.zeros(5), np.arange(5.0))).all()


@pytest.mark.slow  # with others, to keep `make test` short
@pytest.mark.parametrize("truth", [0.0, 0.6])
def test_the_bootstrap_interval_holds_the_rank_correlation(truth):
    """Of normal numbers it is 6 / pi arcsin(r / 2); units are facts with two candidates each."""
    r = 2 * np.sin(np.pi / 6 * truth)
    draw = np.random.default_rng(11)
    facts = 60
    weights = np.repeat(statistics.resampled(facts, 0), 2, axis=1)
    drawn = []
    for _ in range(TIMES // 4):
        first = draw.normal(size=2 * facts)
        second = r * first + np.sqrt(1 - r**2) * draw.normal(size=2 * facts)
        drawn.append(statistics.rank_correlation(first, second, weights))
    low, high = statistics.expanded(np.stack(drawn, axis=1), facts)
    assert covered((low <= truth) & (truth <= high))
