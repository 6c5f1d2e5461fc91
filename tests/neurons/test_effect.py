"""The effect of a change against one prediction at a time."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kstest

import neuronlab as nl
from neuronlab.neurons import Activity, Effect, NeuronSet, effect
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM, Control, percent
from neuronlab.statistics import seeds


@pytest.fixture
def changed(model, asked):
    chosen = NeuronSet([(0, "ffn", 3), (1, "query", 2), (2, "value", 5)])
    return chosen, effect(model, asked(model), chosen, nl.Suppress)


def test_before_and_after_are_the_models_own(model, asked, changed):
    chosen, effect_ = changed
    before = nl.predict(model, asked(model))
    after = nl.predict(model, asked(model), intervention=nl.Suppress(chosen))
    assert effect_.label == before.label
    assert effect_.probability == pytest.approx((before.probability, after.probability), rel=1e-4)
    assert effect_.rank == (before.rank, after.rank)


def test_the_first_choices_of_either_are_told(model, asked, changed):
    chosen, effect_ = changed
    before = nl.predict(model, asked(model))
    after = nl.predict(model, asked(model), intervention=nl.Suppress(chosen))
    choices = effect_.choices
    count = min(10, len(before.logits))
    assert choices["index"].tolist()[:count] == before.top(10)["index"].tolist()
    assert set(choices["index"]) == {*before.top(10)["index"], *after.top(10)["index"]}
    assert choices["index"].is_unique
    for column, prediction in (("before", before), ("after", after)):
        expected = prediction.probabilities[choices["index"].tolist()].numpy()
        assert choices[column].to_numpy() == pytest.approx(expected, rel=1e-4)


def test_the_random_sets_are_changed_in_the_same_way(model, asked, changed):
    chosen, effect_ = changed
    activity = Activity.of(model, [model.encode(asked(model))], ("query", "value", "ffn"))
    draws = {
        RANDOM: lambda seed: chosen.matched_random(model.sizes, seed),
        AS_ACTIVE: lambda seed: activity.matched(chosen, seed),
    }
    assert effect_.controls.keys() == draws.keys()
    for control, draw in draws.items():
        sets = [draw(seed) for seed in seeds(0, 20)]
        alone = [
            nl.predict(model, asked(model), intervention=nl.Suppress(one)).probability
            for one in sets
        ]
        assert effect_.controls[control] == pytest.approx(alone, rel=1e-4)
        assert effect_.mean(control) == pytest.approx(np.mean(alone), rel=1e-4)
        assert effect_.sd(control) == pytest.approx(np.std(alone, ddof=1), rel=0.02, abs=1e-7)
        share = np.mean([activity.level(one) for one in sets]) / activity.level(chosen)
        assert effect_.activity[control] == pytest.approx(share)


def effect_of(after, **controls):
    names = {Control[name.upper()]: tuple(values) for name, values in controls.items()}
    return Effect("x", pd.DataFrame(), (0.8, after), (1, 2), names, dict.fromkeys(names, 1.0))


def test_the_stronger_control_is_the_one_less_stood_out_from():
    narrow, wide, near = (0.8, 0.79, 0.81), (0.8, 0.5, 0.6), (0.3, 0.31, 0.32)
    assert effect_of(0.1, random=narrow, as_active=wide).stronger == "as active"
    assert effect_of(0.1, random=wide, as_active=narrow).stronger == "random"
    assert effect_of(0.305, random=near, as_active=wide).stronger == "random"
    same = (0.8,) * 3
    assert effect_of(0.1, random=same, as_active=wide).stronger == "as active"
    assert effect_of(0.8, random=same, as_active=wide).stronger == "random"


def test_p_is_the_rank_of_how_far_the_target_moves():
    assert effect_of(0.1, random=np.linspace(0.5, 0.9, 19)).p(RANDOM) == 0.05
    assert effect_of(0.95, random=np.linspace(0.7, 0.9, 19)).p(RANDOM) == 0.05
    assert effect_of(0.79, random=[0.1] * 10 + [0.805] * 9).p(RANDOM) == 11 / 20


@pytest.mark.long
def test_random_sets_of_a_tiny_model_have_no_small_p(tiny):
    """Sets that are drawn as their controls are: p is uniform."""
    model = tiny("llama", "causal")
    prompt = nl.Prompt("the quick brown", target="fox")
    p = []
    for seed in range(60):
        drawn = NeuronSet([(0, "ffn", 3), (1, "ffn", 7)]).matched_random(model.sizes, 1000 + seed)
        p.append(effect(model, prompt, drawn, nl.Suppress).p(RANDOM))
    assert kstest(np.array(p) - np.random.default_rng(0).random(60) / 21, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("share", "digits", "written"),
    [
        (0.4567, 1, "45.7%"),
        (0.0006, 1, "0.060%"),
        (0.00187, 1, "0.19%"),
        (0.00187, 2, "0.19%"),
        (0.0004, 1, "0.040%"),
        (0.0000123, 2, "0.0012%"),
        (-0.0000123, 1, "-0.0012%"),
        (0.0, 1, "0.0%"),
        (1.0, 1, "100.0%"),
    ],
)
def test_a_small_share_keeps_digits(share, digits, written):
    assert percent(share, digits) == written
