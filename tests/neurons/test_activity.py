"""Random sets that are as active as a given one."""

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.neurons import NeuronSet
from neuronlab.neurons.activity import NEIGHBOURS, Activity, per_residue

CHOSEN = NeuronSet([(0, "ffn", 3), (0, "ffn", 7), (1, "query", 2), (2, "value", 5)])


@pytest.fixture
def encoded(model, asked):
    return model.encode(asked(model))


def of(sizes):
    """One layer of FFN neurons with these activations, which write as much as they are active."""
    sizes = np.asarray(sizes, np.float32)
    return Activity({(0, "ffn"): sizes}, {(0, "ffn"): sizes})


def test_activity_is_what_the_model_computes(model, encoded):
    seen = model.read(encoded, ("query", "ffn", "attention"))
    activity = Activity.of(model, [encoded], ("query", "ffn", "attention"))
    assert activity.active.keys() == seen.keys()
    classifier = model.kind == "classifier"
    for at, neurons in seen.items():
        magnitudes = neurons[0].abs()
        magnitudes = magnitudes.mean(0) if classifier else magnitudes[encoded.position]
        assert activity.active[at] == pytest.approx(magnitudes.numpy(), rel=1e-5, abs=1e-7)


def test_what_a_neuron_writes_leaves_the_output_projection(model, encoded):
    """By the module alone: the change of its output when one neuron's input is doubled."""
    activity = Activity.of(model, [encoded], ("ffn",))
    site = model.site(1, "ffn")
    norm = model.family.branch_norms(model.block(1))[1]
    if norm is not None:
        pytest.skip("a norm follows: what is written is known up to a factor")
    with torch.no_grad():
        one = torch.zeros(1, 1, site.module.weight.shape[0 if _transposed(site) else 1])
        for neuron in (0, 5):
            one.zero_()
            one[..., neuron] = float(activity.active[1, "ffn"][neuron])
            added = site.module(one) - site.module(torch.zeros_like(one))
            assert float(added.norm()) == pytest.approx(
                float(activity.written[1, "ffn"][neuron]), rel=1e-4
            )


def _transposed(site):
    return type(site.module).__name__ == "Conv1D"


def test_means_are_over_prompts_and_tokens(tiny):
    model = tiny("esm", "masked")
    prompts = [model.encode(nl.Prompt(s, mask=2)) for s in ("MKTAYI", "GGAVLKWW")]
    activity = Activity.of(model, prompts, ("ffn",), everywhere=True)
    each = [model.read(p, ("ffn",))[1, "ffn"][0].abs().mean(0).numpy() for p in prompts]
    assert activity.active[1, "ffn"] == pytest.approx(np.mean(each, axis=0), rel=1e-5)


def test_matched_sets_match_every_layer_and_component(model, encoded):
    activity = Activity.of(model, [encoded], ("query", "value", "ffn"))
    for seed in range(5):
        drawn = activity.matched(CHOSEN, seed)
        assert not drawn & CHOSEN
        assert {at: len(i) for at, i in drawn.by_place().items()} == {
            at: len(i) for at, i in CHOSEN.by_place().items()
        }
    assert activity.matched(CHOSEN, 3) == activity.matched(CHOSEN, 3)
    assert len({activity.matched(CHOSEN, seed) for seed in range(20)}) > 10


def test_the_most_active_are_matched_with_the_next_most_active():
    activity = of(np.geomspace(1, 1e-3, 500))
    strongest = NeuronSet((0, "ffn", i) for i in range(5))
    drawn = {n.index for seed in range(200) for n in activity.matched(strongest, seed)}
    assert min(drawn) == 5
    assert max(drawn) < 5 + NEIGHBOURS + 5
    middle = {
        n.index for seed in range(200) for n in activity.matched(NeuronSet([(0, "ffn", 250)]), seed)
    }
    assert middle <= set(range(247, 254)) - {250}
    assert len(middle) >= NEIGHBOURS


def test_the_level_is_the_geometric_mean_and_tells_how_near_a_control_comes():
    activity = of([100, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    assert activity.level(NeuronSet([(0, "ffn", 0), (0, "ffn", 1)])) == pytest.approx(20)
    assert activity.level(NeuronSet()) == 0
    alone = NeuronSet([(0, "ffn", 0)])  # none is as active
    assert activity.level(activity.matched(alone, 0)) <= 4


def test_both_activation_and_what_is_written_are_matched():
    """Two groups are as active; one of them writes a hundred times as much."""
    active = np.ones(40, np.float32)
    written = np.where(np.arange(40) < 20, 1.0, 100.0).astype(np.float32)
    activity = Activity({(0, "ffn"): active}, {(0, "ffn"): written})
    for seed in range(20):
        assert {n.index < 20 for n in activity.matched(NeuronSet([(0, "ffn", 3)]), seed)} == {True}
        assert {n.index < 20 for n in activity.matched(NeuronSet([(0, "ffn", 33)]), seed)} == {
            False
        }


def test_silent_neurons_are_alike():
    activity = of([1.0, *np.linspace(0, 1e-7, 29)])
    drawn = {
        n.index for seed in range(300) for n in activity.matched(NeuronSet([(0, "ffn", 9)]), seed)
    }
    assert 0 not in drawn
    assert len(drawn) == 28  # any of those as silent


def test_a_set_of_most_neurons_is_matched_with_itself_among_others():
    activity = of(np.geomspace(1, 10, 10))
    nearly_all = NeuronSet((0, "ffn", i) for i in range(8))
    assert len(activity.matched(nearly_all, 0)) == 8
    assert activity.matched(NeuronSet(), 0) == NeuronSet()


def test_what_was_not_read_is_said():
    with pytest.raises(nl.UserError, match="query neurons of layer 1 are was not read"):
        of([1.0, 2.0]).matched(NeuronSet([(1, "query", 0)]), 0)


def test_activity_per_residue_is_that_of_the_sites(residues_model, sentence):
    """Against what the projections are given, seen by plain hooks."""
    sequence = "MKTAYIAKQRQI"
    neurons = NeuronSet([(0, "ffn", 3), (0, "ffn", 5), (1, "ffn", 1)])
    seen = {}
    hooks = [
        residues_model.site(layer, "ffn").module.register_forward_pre_hook(
            lambda module, inputs, layer=layer: seen.update({layer: inputs[0].detach()})
        )
        for layer in (0, 1)
    ]
    values = per_residue(residues_model, sequence, neurons)
    for hook in hooks:
        hook.remove()
    expected = (seen[0][0, 1:-1, 3] + seen[0][0, 1:-1, 5] + seen[1][0, 1:-1, 1]) / 3
    assert values == pytest.approx(expected.numpy(), rel=1e-5, abs=1e-7)
    sentence(per_residue, residues_model, sequence, NeuronSet([]), says="no neuron")
