"""The effect of a change against one prediction at a time."""

import numpy as np
import pytest

import neuronlab as nl
from neuronlab.neurons import NeuronSet, effect


@pytest.fixture
def found(model, asked):
    chosen = NeuronSet([(0, "ffn", 3), (1, "query", 2), (2, "value", 5)])
    return chosen, effect(model, asked(model), chosen, nl.Suppress)


def test_before_and_after_are_the_models_own(model, asked, found):
    chosen, effect_ = found
    before = nl.predict(model, asked(model))
    after = nl.predict(model, asked(model), intervention=nl.Suppress(chosen))
    assert effect_.label == before.label
    assert effect_.probability == pytest.approx((before.probability, after.probability), rel=1e-4)
    assert effect_.rank == (before.rank, after.rank)


def test_the_first_choices_of_either_are_told(model, asked, found):
    chosen, effect_ = found
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


def test_the_random_sets_are_changed_in_the_same_way(model, asked, found):
    chosen, effect_ = found
    alone = [
        nl.predict(
            model,
            asked(model),
            intervention=nl.Suppress(chosen.matched_random(model.sizes, seed)),
        ).probability
        for seed in range(20)
    ]
    assert effect_.random == pytest.approx(alone, rel=1e-4)
    assert effect_.random_mean == pytest.approx(np.mean(alone), rel=1e-4)
    assert effect_.random_sd == pytest.approx(np.std(alone, ddof=1), rel=0.02, abs=1e-7)
