"""A set beside random sets: simulations of sets that differ, as (a, b) = (5, 3) makes them."""

import numpy as np
import pytest
from scipy.stats import kstest, mannwhitneyu

from neuronlab.steering.comparison import Comparison, compared, stronger

# Standard deviations between sets and between the chains of one, as measured in hydropathy.
BETWEEN, WITHIN = 0.185, 0.1
SETS, CHAINS, TIMES = 20, 4, 10_000


def simulated(draw, *, shift=0.0, shared=0.0, sets=SETS, chains=CHAINS):
    """Chains of a chosen set, a draw like the others but for a shift, and of random sets.

    Chains of one number have ``shared`` in common, as those with the same random numbers may.
    """
    values = BETWEEN * draw.normal(size=(sets + 1, 1)) + WITHIN * draw.normal(
        size=(sets + 1, chains)
    )
    values += shared * draw.normal(size=chains)
    return values[0] + shift, values[1:]


@pytest.mark.long
@pytest.mark.parametrize("shared", [0.0, 0.3])
@pytest.mark.parametrize("larger", [True, False])
def test_under_the_null_p_is_uniform(shared, larger):
    draw = np.random.default_rng(0)
    p = np.array(
        [compared(*simulated(draw, shared=shared), larger=larger).p_value for _ in range(TIMES)]
    )
    assert p.min() == 1 / (SETS + 1)
    spread = p - draw.random(TIMES) / (SETS + 1)  # over the steps of a rank
    assert kstest(spread, "uniform").pvalue > 0.01
    assert 0.042 < (p <= 0.05).mean() < 0.053  # 1 in 21 is as near as 20 sets come


@pytest.mark.long
def test_the_rank_of_chains_against_single_chains_finds_what_is_not_there():
    """What is not to be done: eight chains of one set are no eight sets."""
    draw = np.random.default_rng(1)
    naive, ranked = [], []
    for _ in range(TIMES // 5):
        chosen, sets = simulated(draw, chains=8)
        naive.append(mannwhitneyu(chosen, sets[:, 0]).pvalue)
        ranked.append(compared(chosen, sets, larger=True).p_value)
    assert np.mean(np.array(naive) <= 0.05) > 0.25
    assert np.mean(np.array(ranked) <= 0.05) < 0.06


@pytest.mark.parametrize("direction", [1, -1])
def test_a_shift_that_is_planted_is_found(direction):
    draw = np.random.default_rng(2)
    away = 5 * BETWEEN * direction
    comparisons = [compared(*simulated(draw, shift=away), larger=direction > 0) for _ in range(300)]
    assert np.mean([one.p_value == one.floor for one in comparisons]) > 0.98
    assert np.median([one.z for one in comparisons]) == pytest.approx(direction * 5, rel=0.15)
    wrong = compared(*simulated(draw, shift=away), larger=direction < 0)
    assert wrong.p_value > 0.9


@pytest.mark.long
def test_the_stronger_controls_p_is_small_no_more_often_than_it_says():
    """Whichever kind of set the chosen one is a draw of."""
    draw = np.random.default_rng(3)
    p = []
    for _ in range(TIMES // 5):
        chosen, sets = simulated(draw)
        weak = simulated(draw)[1] - 0.3
        controls = {
            "weak": compared(chosen, weak, larger=True),
            "true": compared(chosen, sets, larger=True),
        }
        p.append(controls[stronger(controls)].p_value)
    assert np.mean(np.array(p) <= 0.05) < 0.06


def test_numbers_by_hand():
    sets = np.array([[0.0, 2.0], [1.0, 5.0], [4.0, 6.0]])  # means 1, 3, 5; variances 2, 8, 2
    assert compared(np.array([4.0, 8.0]), sets, larger=True) == Comparison(
        mean=3.0,
        between=2.0,
        within=2.0,
        effect_size=1.5,
        z=1.5,
        p_value=0.25,
        floor=0.25,
    )
    assert compared(np.array([4.0, 8.0]), sets, larger=False).p_value == 1.0
    assert compared(np.array([5.0, 5.0]), sets, larger=True).p_value == 0.5  # a tie is as good


def test_where_nothing_varies_a_difference_is_no_number_of_deviations():
    nothing = np.zeros((20, 2))
    apart = compared(np.ones(2), nothing, larger=True)
    assert np.isnan([apart.effect_size, apart.z]).all()
    assert apart.p_value == 1 / 21
    same = compared(np.zeros(2), nothing, larger=True)
    assert (same.effect_size, same.z, same.p_value) == (0, 0, 1)


def test_the_stronger_control_is_that_of_the_larger_p_then_of_the_smaller_z():
    def of(p, z):
        return Comparison(0.0, 1.0, 1.0, z, z, p, 1 / 21)

    assert stronger({"a": of(1 / 21, 2.0), "b": of(2 / 21, 5.0)}) == "b"
    assert stronger({"a": of(1 / 21, 4.0), "b": of(1 / 21, 3.0)}) == "b"
    assert stronger({"a": of(1 / 21, np.nan), "b": of(1 / 21, 9.0)}) == "b"
    assert stronger({"a": of(1.0, -4.0), "b": of(1.0, -3.0)}) == "b"
