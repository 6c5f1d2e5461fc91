"""What a change does to bystanders, against one prediction at a time."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import neuronlab as nl
from neuronlab.neurons import Activity, NeuronSet
from neuronlab.neurons.specificity import (
    Bystander,
    Specificity,
    specific_scores,
    specificity,
)
from neuronlab.statistics import seeds


@pytest.fixture
def measured(model, asked):
    chosen = NeuronSet([(0, "ffn", 3), (1, "query", 2), (2, "value", 5)])
    prompt = asked(model)
    other = nl.Prompt(prompt.text[: len(prompt.text) // 2], mask=None if prompt.mask is None else 1)
    if model.alphabet == "text" and model.kind == "masked":
        other = nl.Prompt("Paris is [MASK]")
    bystanders = [Bystander("itself", "the same", nl.Prompt(prompt.text, mask=prompt.mask))]
    bystanders.append(Bystander("other", "another", other))
    return chosen, prompt, bystanders, specificity(model, prompt, chosen, nl.Suppress, bystanders)


def test_random_sets_can_be_left_out(model, measured):
    chosen, prompt, bystanders, of = measured
    alone = specificity(model, prompt, chosen, nl.Suppress, bystanders, random_sets=0)
    assert of.alone().controls == alone.controls == ()
    assert of.alone().change == pytest.approx(alone.change, abs=1e-4)
    pd.testing.assert_frame_equal(of.alone().bystanders, alone.bystanders, atol=1e-4)


def log_probability(model, prompt, target, neurons=None):
    change = None if neurons is None else nl.Suppress(neurons)
    logits = nl.predict(model, prompt, intervention=change).logits
    return float(model.log_probabilities(logits)[target])


def test_changes_are_those_of_single_predictions(model, measured):
    chosen, prompt, bystanders, of = measured
    sets = [chosen] + [
        Activity.of(model, [model.encode(prompt)], chosen.counts()).matched(chosen, seed)
        for seed in seeds(0, 20)
    ]
    target = nl.predict(model, prompt).target
    before = log_probability(model, prompt, target)
    answer = [log_probability(model, prompt, target, one) - before for one in sets]
    assert of.change == pytest.approx(answer[0], abs=1e-4)
    assert [own for own, _ in of.controls] == pytest.approx(answer[1:], abs=1e-4)
    moved = []
    for bystander, row in zip(bystanders, of.bystanders.itertuples(), strict=True):
        first = nl.predict(model, bystander.prompt)
        moved.append(
            [
                log_probability(model, bystander.prompt, first.target, one) - first.log_probability
                for one in sets
            ]
        )
        assert row.answer == first.label
        assert row.before == pytest.approx(first.probability, rel=1e-4)
        assert row.change == pytest.approx(moved[-1][0], abs=1e-4)
        assert row.random == pytest.approx(np.mean(moved[-1][1:]), abs=1e-4)
    means = np.mean(moved, axis=0)
    assert of.mean == pytest.approx(means[0], abs=1e-4)
    assert [others for _, others in of.controls] == pytest.approx(means[1:], abs=1e-4)


def of(change, bystanders, controls=((0.0, 0.0),) * 20, instead=None):
    rows = {
        "answer": [str(i) for i in range(len(bystanders))],
        "change": bystanders,
        "instead": instead or [str(i) for i in range(len(bystanders))],
    }
    return Specificity(change, pd.DataFrame(rows), tuple(controls))


def test_a_broken_model_is_not_specific():
    assert of(-5.0, [-5.0, -5.0]).quotient == 1.0
    assert of(-5.0, [-5.0, -5.0]).difference == 0.0
    assert of(-5.0, [-1.0, 0.0]).quotient == 10.0
    assert of(-5.0, [0.001, -0.001]).quotient is None


def test_p_counts_the_random_sets_that_are_as_specific():
    assert of(-5.0, [-1.0]).p == pytest.approx(1 / 21)
    as_specific = [(-4.0, 0.0)] * 5 + [(-4.0, -4.0)] * 15
    assert of(-5.0, [-1.0], as_specific).p == pytest.approx(6 / 21)


def test_what_is_no_longer_first_is_erased():
    changed = of(-5.0, [-1.0, 0.0, -2.0], instead=["0", "1", "x"])
    assert changed.erased == ["2"]
    assert changed.kept == ["0", "1"]


def test_specific_scores_are_less_the_mean_over_others():
    rng = np.random.default_rng(0)
    own, *others = (
        nl.NeuronScores({c: rng.normal(size=(3, 4)).astype(np.float32) for c in ("ffn", "key")})
        for _ in range(4)
    )
    specific = specific_scores(own, others)
    for component in own:
        mean = sum(other[component] for other in others) / 3
        np.testing.assert_allclose(specific[component], own[component] - mean, rtol=1e-6)
    # What all share is nothing of one's own.
    assert not specific_scores(own, [own, own])["ffn"].any()
    with pytest.raises(ValueError, match="bystanders"):
        specific_scores(own, [])


def test_an_answer_with_a_foil_has_the_measure_of_bystanders(tiny, asked):
    model = tiny("bert", "masked")
    prompt, chosen = asked(model), NeuronSet([(0, "ffn", 3)])
    others = [Bystander("other", "another", nl.Prompt("Paris is [MASK]"))]
    found = [
        specificity(model, replace(prompt, foil=foil), chosen, nl.Suppress, others, random_sets=2)
        for foil in (None, 7)
    ]
    assert found[0].change == pytest.approx(found[1].change, abs=1e-6)
    assert found[0].controls == pytest.approx(np.array(found[1].controls), abs=1e-6)
