"""Neurons by name, and the algebra of sets of them."""

import json

import pytest

from neuronlab.neurons import Neuron, NeuronSet

SIZES = {"query": 32, "key": 16, "value": 16, "ffn": 48}
SET = NeuronSet([(2, "ffn", 40), (0, "key", 3), (2, "ffn", 4), (0, "query", 3)], "mine")


def test_a_neuron_reads_back_what_it_writes():
    neuron = Neuron(22, "ffn", 1674)
    assert str(neuron) == "22.ffn.1674"
    assert Neuron.parse("22.ffn.1674") == neuron
    assert Neuron.parse(" 0.key.0 \n") == Neuron(0, "key", 0)


@pytest.mark.parametrize(
    "text",
    ["", "22", "22.ffn", "22.mlp.1", "a.ffn.1", "1.ffn.b", "-1.ffn.1", "1.ffn.-1", "1.ffn.1.1",
     "1.FFN.1", "1.ffn.1.5", "1..1", "22.ffn.1e3"],
)  # fmt: skip
def test_what_is_no_neuron(sentence, text):
    sentence(Neuron.parse, text, says="layer.component.index")


def test_sets_are_ordered_and_hold_each_neuron_once():
    assert [str(n) for n in SET] == ["0.key.3", "0.query.3", "2.ffn.4", "2.ffn.40"]
    assert len(NeuronSet([(0, "ffn", 1), (0, "ffn", 1)])) == 1
    assert Neuron(2, "ffn", 4) in SET
    assert Neuron(2, "ffn", 5) not in SET
    assert len(NeuronSet()) == 0
    assert list(NeuronSet()) == []


def test_set_algebra():
    left = NeuronSet([(0, "ffn", i) for i in range(4)], "left")
    right = NeuronSet([(0, "ffn", i) for i in range(2, 6)], "right")
    assert {n.index for n in left | right} == set(range(6))
    assert {n.index for n in left & right} == {2, 3}
    assert {n.index for n in left - right} == {0, 1}
    assert (left | right).name == "left"
    assert len(left) == 4  # the operands stay as they were
    assert left & right == right & left
    assert (left - left) == NeuronSet()


def test_equality_is_about_neurons_not_names():
    assert NeuronSet(SET, "other") == SET
    assert hash(NeuronSet(SET, "other")) == hash(SET)
    assert NeuronSet(list(SET)[:2]) != SET


def test_places_and_counts():
    assert SET.by_place() == {(0, "key"): [3], (0, "query"): [3], (2, "ffn"): [4, 40]}
    assert SET.counts() == {"key": 1, "query": 1, "ffn": 2}
    frame = SET.to_frame()
    assert list(frame.columns) == ["layer", "component", "neuron"]
    assert frame["neuron"].tolist() == [3, 3, 4, 40]
    assert NeuronSet().to_frame().empty


def test_json_round_trip():
    again = NeuronSet.from_json(SET.to_json())
    assert again == SET
    assert again.name == "mine"
    assert json.loads(SET.to_json())["neurons"][0] == "0.key.3"
    assert NeuronSet.from_json(NeuronSet().to_json()) == NeuronSet()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "3", '"1.ffn.1"', "{}", '{"neurons": 3}', '{"neurons": null}',
     '{"neurons": [3]}', '{"neurons": ["1.mlp.2"]}', '{"neurons": [["1", "ffn", "2"]]}',
     '{"neurons": "1.ffn.2"}', "[" * 100_000],
)  # fmt: skip
def test_json_that_is_no_set(sentence, text):
    sentence(NeuronSet.from_json, text)


def per_place(neurons):
    return {at: len(indices) for at, indices in neurons.by_place().items()}


def test_matched_random_sets_match_every_layer_and_component():
    for seed in range(20):
        drawn = SET.matched_random(SIZES, seed)
        assert per_place(drawn) == per_place(SET)
        assert not set(drawn) & set(SET)
        assert all(0 <= n.index < SIZES[n.component] for n in drawn)


def test_matched_random_sets_are_decided_by_the_seed():
    assert SET.matched_random(SIZES, 3) == SET.matched_random(SIZES, 3)
    shuffled = NeuronSet(reversed(list(SET)))
    assert shuffled.matched_random(SIZES, 3) == SET.matched_random(SIZES, 3)
    assert len({SET.matched_random(SIZES, seed) for seed in range(20)}) > 15


def test_matched_random_sets_reach_every_other_neuron():
    chosen = NeuronSet([(0, "key", i) for i in range(8)])
    drawn = set()
    for seed in range(50):
        drawn |= {n.index for n in chosen.matched_random(SIZES, seed)}
    assert drawn == set(range(8, 16))


def test_matched_random_sets_exist_also_where_few_others_do():
    nearly_all = NeuronSet([(0, "key", i) for i in range(12)])
    drawn = nearly_all.matched_random(SIZES, 0)
    assert per_place(drawn) == {(0, "key"): 12}
    assert NeuronSet().matched_random(SIZES, 0) == NeuronSet()
