"""Degenerate pairs against the plain loop, one pair at a time, and the rule by hand."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from contexts import context_with, watched

import neuronlab as nl
from neuronlab import statistics
from neuronlab.neurons import Neuron
from neuronlab.neurons.activity import Activity
from neuronlab.runs import Store, read_spec, run_study
from neuronlab.studies import degenerate_pairs
from neuronlab.studies.degenerate_pairs import (
    DegeneratePairsSpec,
    DegeneratePairsStudy,
    pairs_table,
    published,
)

STUDY = DegeneratePairsStudy()
NEURONS = [Neuron(0, "ffn", 1), Neuron(1, "ffn", 2), Neuron(2, "ffn", 3)]


@pytest.fixture(params=[("llama", "causal"), ("gpt2", "causal"), ("bert", "masked")])
def ran(request, tiny, asked, tmp_path):
    model = tiny(*request.param)
    prompt = asked(model)
    spec = DegeneratePairsSpec(
        model="x", text=prompt.text, target=prompt.target, candidates=6, random_sets=3
    )
    return model, prompt, run_study(STUDY, spec, Store(tmp_path), context_with(model))


def without(model, prompt, *neurons):
    off = nl.Suppress(nl.NeuronSet(neurons), "predicted")
    return nl.predict(model, prompt, intervention=off).probability


def test_every_pair_is_what_the_plain_loop_finds(ran):
    model, prompt, found = ran
    assert found.numbers["p0"] == pytest.approx(nl.predict(model, prompt).probability, abs=2e-6)
    candidates = found.tables["candidates"]
    scores = nl.attribute(model, prompt, method="amig", components=("ffn",))
    best = scores.top(6)
    assert (
        candidates[["layer", "neuron"]].values.tolist() == best[["layer", "neuron"]].values.tolist()
    )
    assert candidates["score"].to_numpy() == pytest.approx(best["score"].to_numpy())
    places = [(int(r.layer), "ffn", int(r.neuron)) for r in candidates.itertuples()]
    for place, p in zip(places, candidates["p"], strict=True):
        assert p == pytest.approx(without(model, prompt, place), abs=2e-6)
    table = found.tables["all_pairs"]
    assert len(table) == 15
    for row, (a, b) in zip(table.itertuples(), combinations(places, 2), strict=True):
        assert (row.layer_a, row.neuron_a, row.layer_b, row.neuron_b) == (a[0], a[2], b[0], b[2])
        assert row.p_ab == pytest.approx(without(model, prompt, a, b), abs=2e-6)
        assert row.product == pytest.approx(row.p_a * row.p_b / found.numbers["p0"], rel=1e-6)
        assert row.synergy == pytest.approx(row.p_ab / row.product, rel=1e-6)


def test_the_numbers_are_those_others_rely_on(ran):
    _, _, found = ran
    numbers, table = found.numbers, found.tables["all_pairs"]
    p0 = numbers["p0"]
    expected = {
        (r.layer_a, r.neuron_a, r.layer_b, r.neuron_b): r.p_ab
        for r in table.itertuples()
        if min(r.p_a, r.p_b) >= 0.8 * p0 and r.p_ab < 0.75 * p0
    }
    assert {(*pair["a"], *pair["b"]): pair["p_ab"] for pair in numbers["pairs"]} == expected
    for pair in numbers["pairs"]:
        assert pair.keys() == {"a", "b", "p_a", "p_b", "p_ab"}
    random = found.tables["random_pairs"]
    assert random["null"].tolist() == ["random"] * 3 + ["as_active"] * 3
    assert random["set"].tolist() == [0, 1, 2] * 2
    for null, counts in random.groupby("null")["pairs"]:
        beside = numbers[f"{null}_pairs"]
        assert beside["mean"] == pytest.approx(counts.mean())
        assert beside["sd"] == pytest.approx(counts.std(ddof=1))
        assert beside["p"] == pytest.approx((1 + (counts >= len(expected)).sum()) / 4)


def test_the_rule_by_hand():
    """P0 is .8: alone at least .64 must be left, together less than .6."""
    alone = np.array([0.70, 0.66, 0.60])
    together = {(0, 1): 0.5775, (0, 2): 0.3, (1, 2): 0.5}
    table = pairs_table(NEURONS, 0.8, alone, together)
    assert table["product"].tolist() == pytest.approx([0.5775, 0.525, 0.495])
    assert table["synergy"].tolist() == pytest.approx([1.0, 0.3 / 0.525, 0.5 / 0.495])
    kept = published(table, 0.8)
    assert kept[["neuron_a", "neuron_b"]].values.tolist() == [[1, 2]]
    # The pair that passes is nothing but two separate effects.
    assert kept["synergy"][0] == pytest.approx(1.0)
    looser = published(table, 0.8, t_low=0.3)
    assert looser[["neuron_a", "neuron_b"]].values.tolist() == [[1, 3], [1, 2], [2, 3]]
    assert published(table, 0.8, t_low=0.3, t_high=0.5)["neuron_b"].tolist() == [3]
    assert published(table, 0.8, t_low=0.0).empty


def test_a_threshold_is_met_by_what_equals_it():
    table = pairs_table(NEURONS[:2], 1.0, np.array([0.8, 0.8]), {(0, 1): 0.75})
    assert published(table, 1.0).empty  # both together must leave less
    table = pairs_table(NEURONS[:2], 1.0, np.array([0.8, 0.8]), {(0, 1): 0.74})
    assert len(published(table, 1.0)) == 1


def test_random_sets_come_from_the_same_layers(tiny, asked, monkeypatch, tmp_path):
    model = tiny("llama")
    seen = []

    def watched(model, encoded, sets, **keywords):
        seen.append([one for one in sets if len(one) == 1])
        return degenerate_pairs_rescaled(model, encoded, sets, **keywords)

    degenerate_pairs_rescaled = degenerate_pairs.rescaled
    monkeypatch.setattr(degenerate_pairs, "rescaled", watched)
    prompt = asked(model)
    spec = DegeneratePairsSpec(
        model="x", text=prompt.text, target=prompt.target, candidates=5, random_sets=2
    )
    run_study(STUDY, spec, Store(tmp_path), context_with(model))
    own, *random = ([next(iter(one)) for one in sets] for sets in seen)
    assert len(random) == 4
    for drawn in random:
        assert sorted(n.layer for n in drawn) == sorted(n.layer for n in own)
        assert not set(drawn) & set(own)
    assert random[0] != random[2]
    # Every second set is as active: each neuron one of the ten nearest to one of the candidates.
    activity = Activity.of(model, [model.encode(prompt)], ("ffn",))
    for number, drawn in enumerate(random[1::2]):
        seed = statistics.seeds(spec.seed, 2)[number]
        assert set(drawn) == set(activity.matched(nl.NeuronSet(own), seed))


@pytest.mark.long
def test_another_seed_is_a_replication(tiny, asked, monkeypatch, tmp_path):
    """No random set of seed 0 is one of seed 1's."""
    model = tiny("llama")
    seen = []

    def watched(model, encoded, neurons, context):
        seen[-1].append(frozenset(neurons))
        return all_pairs(model, encoded, neurons, context)

    all_pairs = degenerate_pairs.all_pairs
    monkeypatch.setattr(degenerate_pairs, "all_pairs", watched)
    prompt = asked(model)
    for seed in (0, 1):
        seen.append([])
        spec = DegeneratePairsSpec(
            model="x", text=prompt.text, candidates=4, random_sets=8, seed=seed
        )
        run_study(STUDY, spec, Store(tmp_path), context_with(model))
    (own, *first), (again, *second) = seen
    assert own == again
    assert len(set(first)) > 12
    assert not set(first) & set(second)


def activity_of_sets(tiny, monkeypatch, tmp_path, prompt):
    """How active the candidates and each random set are, in the order in which they run."""
    model = tiny("llama")
    seen = []

    def watched(model, encoded, neurons, context):
        activity = Activity.of(model, [encoded], ("ffn",))
        seen.append(np.mean([activity.active[n.layer, "ffn"][n.index] for n in neurons]))
        return all_pairs(model, encoded, neurons, context)

    all_pairs = degenerate_pairs.all_pairs
    monkeypatch.setattr(degenerate_pairs, "all_pairs", watched)
    spec = DegeneratePairsSpec(model="x", text=prompt.text, candidates=6, random_sets=10)
    run_study(STUDY, spec, Store(tmp_path), context_with(model))
    return seen


@pytest.mark.long
def test_the_stronger_null_is_about_as_active(tiny, asked, monkeypatch, tmp_path):
    own, *random = activity_of_sets(tiny, monkeypatch, tmp_path, asked(tiny("llama")))
    same_layers, as_active = np.mean(random[::2]), np.mean(random[1::2])
    assert abs(np.log(as_active / own)) < abs(np.log(same_layers / own))


def test_the_preview_has_the_pairs_before_random_ones(tiny, asked, tmp_path):
    model = tiny("llama")
    spec = DegeneratePairsSpec(model="x", text=asked(model).text, candidates=4, random_sets=2)
    result, (preview,) = watched(model, spec, tmp_path)
    assert preview.result.tables.keys() == {"candidates", "all_pairs"}
    for name, table in preview.result.tables.items():
        pd.testing.assert_frame_equal(table, result.tables[name])
    for name, value in preview.result.numbers.items():
        assert result.numbers[name] == value


def test_a_spec_goes_through_its_json():
    spec = STUDY.default()
    again = read_spec(spec.to_json(), {"degenerate_pairs": DegeneratePairsSpec})
    assert again.key == spec.key
    for wrong in ({"candidates": 1}, {"candidates": 1000}, {"random_sets": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            DegeneratePairsSpec(model="x", text="y", **wrong)
