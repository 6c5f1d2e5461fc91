"""Interventions against changed weights and hand-written hooks."""

import copy
from contextlib import ExitStack

import pytest
import torch

import neuronlab as nl
from neuronlab.models import COMPONENTS
from neuronlab.neurons import NeuronSet, applied

CHOSEN = {(0, "ffn"): [1, 5, 40], (1, "query"): [3], (1, "key"): [0, 15], (2, "value"): [9]}
SET = NeuronSet([(*at, i) for at, indices in CHOSEN.items() for i in indices])


def logits_of(model, encoded, oracle, changes):
    """Run transformers with one plain hook per place; ``changes[at]`` maps neurons to neurons."""
    with ExitStack() as stack, torch.no_grad():
        for (layer, component), function in changes.items():
            stack.enter_context(oracle.hooked(model.hf, layer, component, function))
        return oracle.logits(model.hf, encoded.input_ids, encoded.position)[0]


def affine_at(indices, a, b, where=slice(None)):
    def function(neurons):
        changed = neurons.clone()
        for i in indices:
            changed[:, where, i] = a * neurons[:, where, i] + b
        return changed

    return function


def close(prediction, logits):
    return torch.allclose(prediction.logits, logits, atol=2e-5)


def plain(model, prompt):
    return nl.predict(model, prompt).logits


def test_suppressing_ffn_neurons_is_zeroing_their_weights(model, asked, oracle):
    encoded = model.encode(asked(model))
    chosen = NeuronSet([(layer, "ffn", i) for layer in range(3) for i in (0, 7 + layer, 47)])
    hf = copy.deepcopy(model.hf)
    for layer, component, index in chosen:
        weight = oracle.site(hf, layer, component)[0].weight
        if model.hf.config.model_type == "gpt2":
            weight[index] = 0
        else:
            weight[:, index] = 0
    with torch.no_grad():
        expected = oracle.logits(hf, encoded.input_ids, encoded.position)[0]
    found = nl.predict(model, asked(model), intervention=nl.Suppress(chosen))
    assert close(found, expected)
    assert not torch.allclose(plain(model, asked(model)), expected, atol=1e-3)


def test_suppressing_a_projection_is_zeroing_its_weights(tiny, asked, oracle):
    for name, kind in (("llama", "causal"), ("qwen2", "causal"), ("esm", "masked")):
        model = tiny(name, kind)
        encoded = model.encode(asked(model))
        hf = copy.deepcopy(model.hf)
        for layer, component, index in SET:
            module = oracle.site(hf, layer, component)[0]
            if component == "ffn":
                module.weight[:, index] = 0
                continue
            module.weight[index] = 0
            if module.bias is not None:
                module.bias[index] = 0
        with torch.no_grad():
            expected = oracle.logits(hf, encoded.input_ids, encoded.position)[0]
        assert close(nl.predict(model, asked(model), intervention=nl.Suppress(SET)), expected)


@pytest.mark.parametrize("positions", ["all", "predicted"])
@pytest.mark.parametrize(
    ("make", "a", "b"),
    [
        (lambda s, p: nl.Suppress(s, p), 0.0, 0.0),
        (lambda s, p: nl.Amplify(s, p), 2.0, 0.0),
        (lambda s, p: nl.Amplify(s, p, factor=-3.5), -3.5, 0.0),
        (lambda s, p: nl.Affine(s, p, a=0.5, b=1.25), 0.5, 1.25),
        (lambda s, p: nl.Affine(s, p), 1.0, 0.0),
    ],
    ids=["suppress", "amplify", "amplify-by", "affine", "affine-default"],
)
def test_interventions_against_a_hook_written_by_hand(model, asked, oracle, make, a, b, positions):
    encoded = model.encode(asked(model))
    place = encoded.position
    where = slice(None) if positions == "all" else slice(place, place + 1)
    expected = logits_of(
        model,
        encoded,
        oracle,
        {at: affine_at(indices, a, b, where) for at, indices in CHOSEN.items()},
    )
    found = nl.predict(model, asked(model), intervention=make(SET, positions))
    assert close(found, expected)
    changed = not torch.allclose(plain(model, asked(model)), expected, atol=1e-4)
    assert changed == ((a, b) != (1.0, 0.0))


def test_the_predicted_position_alone_changes(model, asked, oracle):
    encoded = model.encode(asked(model))
    intervention = nl.Affine(NeuronSet([(0, "ffn", 3)]), "predicted", a=0.0, b=4.0)
    before = oracle.neurons(model.hf, encoded.input_ids, 0, "ffn")[0]
    with applied(model, encoded, [intervention]):
        after = oracle.neurons(model.hf, encoded.input_ids, 0, "ffn")[0]
    assert after[encoded.position, 3] == 4.0
    expected = before.clone()
    expected[encoded.position, 3] = 4.0
    assert torch.equal(after, expected)


def test_a_causal_past_does_not_see_a_change_at_the_end(tiny, asked):
    for name in ("llama", "gpt2", "gpt_neox"):
        model = tiny(name)
        encoded = model.encode(asked(model))
        with torch.no_grad():
            before = model.hf(input_ids=encoded.input_ids).logits
            with applied(model, encoded, [nl.Amplify(SET, "predicted", factor=5.0)]):
                after = model.hf(input_ids=encoded.input_ids).logits
        assert torch.equal(before[:, :-1], after[:, :-1])
        assert not torch.allclose(before[:, -1], after[:, -1], atol=1e-3)


def everything(model, components=COMPONENTS):
    return NeuronSet(
        [
            (layer, c, i)
            for layer in range(model.layers)
            for c in components
            for i in range(model.sizes[c])
        ]
    )


def test_keeping_everything_is_the_unchanged_model(model, asked):
    found = nl.predict(model, asked(model), intervention=nl.KeepOnly(everything(model)))
    assert torch.allclose(found.logits, plain(model, asked(model)), atol=1e-6)


def test_keeping_nothing_is_everything_zeroed(model, asked, oracle):
    encoded = model.encode(asked(model))
    places = [(layer, c) for layer in range(model.layers) for c in COMPONENTS]
    expected = logits_of(model, encoded, oracle, dict.fromkeys(places, torch.zeros_like))
    found = nl.predict(model, asked(model), intervention=nl.KeepOnly(NeuronSet()))
    assert close(found, expected)
    suppressed = nl.predict(model, asked(model), intervention=nl.Suppress(everything(model)))
    assert close(suppressed, expected)


def keep_only(kept, means=None):
    """A hand-written hook per place: kept neurons stay, the others become 0 or their mean."""

    def at_place(at, size):
        inside = torch.tensor([(*at, i) in kept for i in range(size)])
        other = torch.zeros(size) if means is None else means[at]
        return lambda neurons: torch.where(inside, neurons, other.expand_as(neurons))

    return at_place


def test_keep_only_empties_the_chosen_components_alone(model, asked, oracle):
    encoded = model.encode(asked(model))
    components = ("key", "value")
    places = [(layer, c) for layer in range(model.layers) for c in components]
    at_place = keep_only(SET)
    changes = {at: at_place(at, model.sizes[at[1]]) for at in places}
    intervention = nl.KeepOnly(SET, components=components)
    found = nl.predict(model, asked(model), intervention=intervention)
    assert close(found, logits_of(model, encoded, oracle, changes))


@pytest.mark.parametrize("positions", ["all", "predicted"])
def test_keep_only_with_means(model, asked, oracle, positions):
    encoded = model.encode(asked(model))
    generator = torch.Generator().manual_seed(1)
    places = [(layer, c) for layer in range(model.layers) for c in COMPONENTS]
    means = {at: torch.randn(model.sizes[at[1]], generator=generator) for at in places}
    at_place = keep_only(SET, means)
    here = slice(None)
    if positions == "predicted":
        here = slice(encoded.position, encoded.position + 1)

    def only_here(function):
        def changed(neurons):
            result = neurons.clone()
            result[:, here] = function(neurons[:, here])
            return result

        return changed

    changes = {at: only_here(at_place(at, model.sizes[at[1]])) for at in places}
    found = nl.predict(model, asked(model), intervention=nl.KeepOnly(SET, positions, means=means))
    assert close(found, logits_of(model, encoded, oracle, changes))


def many():
    return [
        None,
        nl.Suppress(SET),
        nl.Amplify(SET, "predicted"),
        None,
        nl.Affine(NeuronSet([(2, "ffn", 2)]), a=2.0, b=-1.0),
        nl.KeepOnly(SET, components=("ffn",)),
        nl.KeepOnly(NeuronSet(), "predicted", components=("query",)),
        nl.Suppress(NeuronSet()),
        nl.Suppress(NeuronSet([(1, "key", 1)]), "predicted"),
    ]


@pytest.mark.parametrize("tokens", [4096, 30, 1])
def test_a_batch_equals_one_at_a_time(model, asked, monkeypatch, tokens):
    """Also when the rows do not fit one batch, and the batches mix kinds and positions."""
    monkeypatch.setattr("neuronlab.neurons.predictions._TOKENS_PER_BATCH", tokens)
    batch = nl.predict_many(model, asked(model), many())
    assert len(batch) == len(many())
    for found, intervention in zip(batch, many(), strict=True):
        alone = nl.predict(model, asked(model), intervention=intervention)
        assert torch.allclose(found.logits, alone.logits, atol=2e-5)


def test_rows_without_intervention_stay_as_they_are(model, asked):
    batch = nl.predict_many(model, asked(model), many())
    unchanged = plain(model, asked(model))
    for row in (0, 3, 7):  # None, None, and an empty set
        assert torch.allclose(batch[row].logits, unchanged, atol=1e-6)
    for row in (1, 2, 4, 5, 6, 8):
        assert not torch.allclose(batch[row].logits, unchanged, atol=1e-4)


def test_without_a_target_all_rows_ask_for_the_first_choice_of_the_unchanged_model(tiny):
    model = tiny("llama")
    prompt = nl.Prompt("the capital of France is")
    first = int(plain(model, prompt).argmax())
    found = nl.predict_many(model, prompt, [nl.Suppress(everything(model, ["ffn"])), None])
    assert [p.target for p in found] == [first, first]
    assert found[1].rank == 1
    assert torch.allclose(found[1].logits, plain(model, prompt), atol=1e-6)
    assert nl.predict_many(model, prompt, []) == []


@pytest.mark.parametrize(
    "neuron", [(3, "ffn", 0), (0, "ffn", 48), (0, "key", 16), (2, "query", 99)]
)
def test_a_set_of_another_model_is_refused(tiny, asked, sentence, neuron):
    model = tiny("llama")
    for make in (nl.Suppress, nl.Amplify, nl.Affine, nl.KeepOnly):
        text = sentence(nl.predict, model, asked(model), intervention=make(NeuronSet([neuron])))
        assert "another model" in text


def test_a_prediction_is_the_softmax_of_transformers(model, asked, oracle):
    encoded = model.encode(asked(model))
    with torch.no_grad():
        logits = oracle.logits(model.hf, encoded.input_ids, encoded.position)[0]
    found = nl.predict(model, asked(model))
    probabilities = logits.double().softmax(-1)
    assert found.probability == pytest.approx(float(probabilities[encoded.target]), rel=1e-4)
    logarithm = float(logits.double().log_softmax(-1)[encoded.target])
    assert found.log_probability == pytest.approx(logarithm, abs=1e-4)
    order = probabilities.argsort(descending=True).tolist()
    assert found.rank == order.index(encoded.target) + 1
    top = found.top(3)
    assert list(top["index"]) == order[:3]
    assert list(top["rank"]) == [1, 2, 3]
    assert top["probability"].is_monotonic_decreasing
    assert list(top["token"]) == [model.label(i) for i in order[:3]]
    assert found.label == model.label(encoded.target)
    assert float(found.probabilities.sum()) == pytest.approx(1.0, abs=1e-5)
    assert len(found.top(10_000)) == len(logits)
