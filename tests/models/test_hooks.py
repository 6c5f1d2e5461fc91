"""Nothing a run puts on a model stays there, however the run ends."""

import pytest
import torch

import neuronlab as nl
from neuronlab.neurons import NeuronSet


class Stop(Exception):
    """What a cancelled run raises."""


def state(model, asked, hooks_of):
    """What must not change: hooks, the attention implementation, the logits to the last bit."""
    ids = model.encode(asked(model)).input_ids
    with torch.no_grad():
        logits = model.hf(input_ids=ids).logits
    return hooks_of(model), model.hf.config._attn_implementation, logits


@pytest.fixture
def unchanged(asked, hooks_of):
    """Call the result with the model at the end of the test."""
    states = {}

    def check(model):
        if model not in states:
            states[model] = state(model, asked, hooks_of)
            return
        hooks, attention, logits = state(model, asked, hooks_of)
        assert hooks == states[model][0]
        assert attention == states[model][1] == "sdpa"
        assert torch.equal(logits, states[model][2])

    return check


def stopping_at(call):
    """A progress function that raises at its n-th call, and counts."""
    calls = []

    def progress(fraction, message):
        calls.append(fraction)
        if len(calls) == call:
            raise Stop

    return progress


@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_activation", "activation"])
@pytest.mark.parametrize("positions", ["predicted", "all"])
def test_attribution_leaves_no_trace(model, asked, unchanged, method, positions):
    unchanged(model)
    nl.attribute(model, asked(model), method=method, positions=positions)
    unchanged(model)


def test_captum_and_interventions_leave_no_trace(model, asked, unchanged):
    unchanged(model)
    nl.attribute(model, asked(model), engine="captum", steps=3)
    chosen = NeuronSet([(0, "ffn", 1), (1, "query", 2)])
    for intervention in (nl.Suppress(chosen), nl.KeepOnly(chosen), nl.Amplify(chosen)):
        nl.predict(model, asked(model), intervention=intervention)
    unchanged(model)


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "gpt2"])
@pytest.mark.parametrize("call", [1, 2, 4, 7])
@pytest.mark.parametrize("engine", ["fast", "captum"])
def test_a_cancelled_run_leaves_no_trace(
    tiny, asked, unchanged, monkeypatch, name, call, engine, is_free
):
    # One row per pass: there are as many points to stop at as possible.
    monkeypatch.setattr(
        "neuronlab.attribution.integrated_gradients.memory_of_pass", lambda device: 1.0
    )
    model = tiny(name)
    unchanged(model)
    with pytest.raises(Stop):
        nl.attribute(model, asked(model), engine=engine, progress=stopping_at(call), steps=3)
    unchanged(model)
    assert is_free(model)


def test_an_exception_inside_an_edit_leaves_no_trace(model, asked, unchanged):
    unchanged(model)
    ids = model.encode(asked(model)).input_ids

    def fail(neurons):
        raise Stop

    for component in ("query", "ffn"):
        edits = {(0, component): torch.clone, (2, component): fail}
        with pytest.raises(Stop), model.edit(edits):
            model.hf(input_ids=ids)
    unchanged(model)


def test_an_exception_inside_the_shared_prefix_leaves_no_trace(tiny, asked, unchanged):
    """The attention implementation is swapped for that long: it must come back."""
    model = tiny("llama")
    unchanged(model)

    def fail(neurons):
        # The edit also sees the clean pass over the prefix; fail where rows share it.
        if neurons.shape[0] > 1:
            raise Stop
        return neurons

    with pytest.raises(Stop), model.edit({(2, "ffn"): fail}):
        nl.attribute(model, asked(model))
    unchanged(model)


def test_a_refused_set_leaves_no_trace(tiny, asked, unchanged):
    model = tiny("gpt2")
    unchanged(model)
    sets = [nl.Suppress(NeuronSet([(0, "ffn", 1)])), nl.Suppress(NeuronSet([(9, "ffn", 1)]))]
    with pytest.raises(nl.UserError):
        nl.predict_many(model, asked(model), sets)
    unchanged(model)


def test_reading_hands_out_the_very_tensor_and_writes_nothing(tiny, asked):
    """An edit that returns what it was given leaves the module's own tensor in place."""
    model = tiny("llama")
    ids = model.encode(asked(model)).input_ids
    given, passed = [], []
    module = model.site(1, "query").module

    def keep(neurons):
        given.append(neurons)
        return neurons

    with torch.no_grad(), model.edit({(1, "query"): keep}):
        handle = module.register_forward_hook(lambda m, args, output: passed.append(output))
        model.hf(input_ids=ids)
        handle.remove()
    assert given[0] is passed[0]


def test_parameters_stay_frozen_and_gradients_do_not_pile_up(tiny, asked):
    model = tiny("llama")
    nl.attribute(model, asked(model))
    assert not any(p.requires_grad for p in model.hf.parameters())
    assert all(p.grad is None for p in model.hf.parameters())
    assert not model.hf.training
