"""Interventions against changed weights and hand-written hooks."""

import copy
from contextlib import ExitStack

import pytest
import torch
from transformers.pytorch_utils import Conv1D

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
        module = oracle.site(hf, layer, component)[0]
        weight = module.weight.T if isinstance(module, Conv1D) else module.weight
        weight[:, index] = 0
    with torch.no_grad():
        expected = oracle.logits(hf, encoded.input_ids, encoded.position)[0]
    prediction = nl.predict(model, asked(model), intervention=nl.Suppress(chosen))
    assert close(prediction, expected)
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
    prediction = nl.predict(model, asked(model), intervention=make(SET, positions))
    assert close(prediction, expected)
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
    prediction = nl.predict(model, asked(model), intervention=nl.KeepOnly(everything(model)))
    assert torch.allclose(prediction.logits, plain(model, asked(model)), atol=1e-6)


def test_keeping_nothing_is_everything_zeroed(model, asked, oracle):
    encoded = model.encode(asked(model))
    places = [(layer, c) for layer in range(model.layers) for c in COMPONENTS]
    expected = logits_of(model, encoded, oracle, dict.fromkeys(places, torch.zeros_like))
    prediction = nl.predict(model, asked(model), intervention=nl.KeepOnly(NeuronSet()))
    assert close(prediction, expected)
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
    prediction = nl.predict(model, asked(model), intervention=intervention)
    assert close(prediction, logits_of(model, encoded, oracle, changes))


@pytest.mark.parametrize("positions", ["all", "predicted"])
def test_keep_only_with_means(model, asked, oracle, positions):
    encoded = model.encode(asked(model))
    generator = torch.Generator().manual_seed(1)
    places = [(layer, c) for layer in range(model.layers) for c in COMPONENTS]
    means = {at: torch.randn(model.sizes[at[1]], generator=generator) for at in places}
    at_place = keep_only(SET, means)
    tokens = slice(None)
    if positions == "predicted":
        tokens = slice(encoded.position, encoded.position + 1)

    def only_here(function):
        def changed(neurons):
            result = neurons.clone()
            result[:, tokens] = function(neurons[:, tokens])
            return result

        return changed

    changes = {at: only_here(at_place(at, model.sizes[at[1]])) for at in places}
    prediction = nl.predict(
        model, asked(model), intervention=nl.KeepOnly(SET, positions, means=means)
    )
    assert close(prediction, logits_of(model, encoded, oracle, changes))


@pytest.mark.parametrize("positions", ["all", "predicted", (0, 2)])
def test_single_tokens_have_means_of_their_own(model, asked, oracle, positions):
    encoded = model.encode(asked(model))
    length = encoded.input_ids.shape[1]
    generator = torch.Generator().manual_seed(1)
    components = ("key", "value", "ffn")
    places = [(layer, c) for layer in range(model.layers) for c in components]
    means, first, last = (
        {at: torch.randn(model.sizes[at[1]], generator=generator) for at in places}
        for _ in range(3)
    )
    tokens = {"all": range(length), "predicted": [encoded.position]}.get(positions, positions)

    def at_place(at):
        inside = torch.tensor([(*at, i) in SET for i in range(model.sizes[at[1]])])

        def changed(neurons):
            result = neurons.clone()
            for token in tokens:
                mean = {0: first, length - 1: last}.get(token, means)[at]
                result[:, token] = torch.where(inside, neurons[:, token], mean)
            return result

        return changed

    expected = logits_of(model, encoded, oracle, {at: at_place(at) for at in places})
    keep = nl.KeepOnly(SET, positions, components, means, {0: first, -1: last})
    assert close(nl.predict(model, asked(model), intervention=keep), expected)
    # Beside others in a batch, and alone without means elsewhere.
    batch = nl.predict_many(model, asked(model), [None, keep, nl.Suppress(SET)])
    assert close(batch[1], expected)
    assert torch.allclose(batch[0].logits, plain(model, asked(model)), atol=1e-5)
    zero = {at: torch.zeros_like(means[at]) for at in places[::-1]}
    one, other = (
        nl.predict(
            model,
            asked(model),
            intervention=nl.KeepOnly(SET, positions, components, there, {0: first, -1: last}),
        )
        for there in (None, zero)
    )
    assert torch.equal(one.logits, other.logits)


@pytest.mark.parametrize("positions", ["all", "predicted"])
def test_means_over_a_prompt_leave_its_special_ends_alone(model, asked, positions):
    """Against means and special tokens that are written out."""
    prompt = asked(model)
    encoded = model.encode(prompt)
    ids = encoded.input_ids[0].tolist()
    special = [model.token(i) in ("<cls>", "<eos>", "[CLS]", "[SEP]", "<s>", "</s>") for i in ids]
    ends = [t for t in (0, len(ids) - 1) if special[t]]
    assert len(ends) == (0 if model.family.causal else 2)
    seen = model.read(encoded, ("ffn", "key"))
    inner = [t for t in range(len(ids)) if t not in ends]
    expected = nl.KeepOnly(
        SET,
        positions,
        ("ffn", "key"),
        {at: values[0, inner].mean(0) for at, values in seen.items()},
        {t: {at: values[0, t] for at, values in seen.items()} for t in ends},
    )
    keep = nl.KeepOnly.at_means(SET, model, prompt, positions=positions, components=("ffn", "key"))
    one, other = nl.predict_many(model, prompt, [keep, expected])
    assert torch.allclose(one.logits, other.logits, atol=1e-6)


def test_means_of_tokens_that_are_not_there_are_refused(tiny, asked, sentence):
    model = tiny("esm", "classifier")
    means = {(layer, "ffn"): torch.zeros(48) for layer in range(3)}
    for token in (99, -99):
        keep = nl.KeepOnly(SET, components=("ffn",), token_means={token: means})
        sentence(nl.predict, model, asked(model), intervention=keep, says=str(token))
    keep = nl.KeepOnly(SET, components=("ffn",), token_means={0: {}})
    sentence(nl.predict, model, asked(model), intervention=keep, says="means of layer 0")


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
    for prediction, intervention in zip(batch, many(), strict=True):
        alone = nl.predict(model, asked(model), intervention=intervention)
        assert torch.allclose(prediction.logits, alone.logits, atol=2e-5)


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
    predictions = nl.predict_many(model, prompt, [nl.Suppress(everything(model, ["ffn"])), None])
    assert [p.target for p in predictions] == [first, first]
    assert predictions[1].rank == 1
    assert torch.allclose(predictions[1].logits, plain(model, prompt), atol=1e-6)
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
    prediction = nl.predict(model, asked(model))
    probabilities = logits.double().softmax(-1)
    assert prediction.probability == pytest.approx(float(probabilities[encoded.target]), rel=1e-4)
    logarithm = float(logits.double().log_softmax(-1)[encoded.target])
    assert prediction.log_probability == pytest.approx(logarithm, abs=1e-4)
    order = probabilities.argsort(descending=True).tolist()
    assert prediction.rank == order.index(encoded.target) + 1
    top = prediction.top(3)
    assert list(top["index"]) == order[:3]
    assert list(top["rank"]) == [1, 2, 3]
    assert top["probability"].is_monotonic_decreasing
    assert list(top["token"]) == [model.label(i) for i in order[:3]]
    assert prediction.label == model.label(encoded.target)
    assert float(prediction.probabilities.sum()) == pytest.approx(1.0, abs=1e-5)
    assert len(prediction.top(10_000)) == len(logits)


# --- Chosen tokens, and units of the residual stream ---------------------------------------------


def logits_under(model, encoded, interventions):
    """Of all tokens where there are such, one row per intervention."""
    with torch.no_grad(), applied(model, encoded, interventions):
        return model.hf(input_ids=encoded.input_ids.expand(len(interventions), -1)).logits


@pytest.mark.parametrize("where", [(0,), (1, 3), (4, 2, 2, 0)])
def test_chosen_tokens_alone_change(model, asked, oracle, where):
    encoded = model.encode(asked(model))
    change = nl.Affine(NeuronSet([(0, "ffn", 3), (1, "value", 2)]), where, a=-0.5, b=4.0)
    before = oracle.neurons(model.hf, encoded.input_ids, 0, "ffn")[0]
    with applied(model, encoded, [change]):
        after = oracle.neurons(model.hf, encoded.input_ids, 0, "ffn")[0]
    expected = before.clone()
    for token in set(where):
        expected[token, 3] = -0.5 * before[token, 3] + 4.0
    assert torch.equal(after, expected)
    changes = {
        (0, "ffn"): affine_at([3], -0.5, 4.0, list(set(where))),
        (1, "value"): affine_at([2], -0.5, 4.0, list(set(where))),
    }
    prediction = nl.predict(model, asked(model), intervention=change)
    assert close(prediction, logits_of(model, encoded, oracle, changes))


def test_all_tokens_chosen_are_everywhere_and_none_is_nowhere(model, asked):
    encoded = model.encode(asked(model))
    everywhere = tuple(range(encoded.input_ids.shape[1]))
    one = nl.predict(model, asked(model), intervention=nl.Affine(SET, everywhere, a=2.0, b=1.0))
    whole = nl.predict(model, asked(model), intervention=nl.Affine(SET, a=2.0, b=1.0))
    assert close(one, whole.logits)
    there = nl.predict(model, asked(model), intervention=nl.Suppress(SET, (encoded.position,)))
    alone = nl.predict(model, asked(model), intervention=nl.Suppress(SET, "predicted"))
    assert torch.equal(there.logits, alone.logits)
    nowhere = nl.predict(model, asked(model), intervention=nl.Suppress(SET, ()))
    assert torch.equal(nowhere.logits, plain(model, asked(model)))


def test_rows_with_other_tokens_are_as_alone(model, asked):
    encoded = model.encode(asked(model))
    rows = [
        nl.Affine(SET, (1,), a=3.0, b=1.0),
        None,
        nl.Affine(SET, a=3.0, b=1.0),
        nl.Suppress(NeuronSet([(0, "ffn", 1)]), (0, 2)),
        nl.KeepOnly(SET, (3,), components=("ffn",)),
        nl.Affine(SET, "predicted", b=2.0),
    ]
    together = logits_under(model, encoded, rows)
    for row, change in enumerate(rows):
        alone = logits_under(model, encoded, [change])[0]
        torch.testing.assert_close(together[row], alone, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("where", [(99,), (0, 50), (-1,)])
def test_tokens_that_are_not_there_are_refused(model, asked, sentence, hooks_of, where):
    hooks = hooks_of(model)
    text = sentence(nl.predict, model, asked(model), intervention=nl.Suppress(SET, where))
    assert "token" in text
    assert hooks_of(model) == hooks
    assert torch.equal(plain(model, asked(model)), plain(model, asked(model)))


@pytest.mark.parametrize("where", ["all", (1, 2)])
def test_residual_units_change_where_they_are(model, asked, where):
    """At what a block puts out, before anything later reads it."""
    encoded = model.encode(asked(model))
    change = nl.Affine(NeuronSet([(0, "residual", 4), (0, "residual", 31)]), where, a=0.5, b=2.0)
    hidden = {}

    def read(at):
        def function(neurons):
            hidden[at] = neurons.clone()
            return neurons

        return function

    places = {(layer, "residual"): read(layer) for layer in range(2)}
    with torch.no_grad(), model.edit(places):
        model.hf(input_ids=encoded.input_ids)
    before = dict(hidden)
    # Hooks run in the order in which they were set: the change, then the reading.
    with torch.no_grad(), applied(model, encoded, [change]), model.edit(places):
        model.hf(input_ids=encoded.input_ids)
    expected = before[0].clone()
    tokens = slice(None) if where == "all" else list(where)
    for unit in (4, 31):
        expected[:, tokens, unit] = 0.5 * before[0][:, tokens, unit] + 2.0
    assert torch.equal(hidden[0], expected)
    assert not torch.allclose(hidden[1], before[1], atol=1e-3)
    with torch.no_grad():
        model.hf(input_ids=encoded.input_ids)
    assert torch.equal(hidden[0], expected)  # nothing is read any more
    changed = nl.predict(model, asked(model), intervention=change)
    assert not torch.allclose(changed.logits, plain(model, asked(model)), atol=1e-4)


def test_an_emptied_last_layer_leaves_the_head_with_nothing(model, asked):
    """Without units of the last layer's residual stream, every prompt is the same."""
    last = model.layers - 1
    units = range(model.sizes["residual"])
    off = nl.Suppress(NeuronSet([(last, "residual", i) for i in units]))
    other = asked(model)
    words = other.text[::-1] if model.alphabet == "protein" else "quick " + other.text
    second = nl.Prompt(words, other.target, other.mask)
    first = nl.predict(model, asked(model), intervention=off).logits
    assert torch.equal(first, nl.predict(model, second, intervention=off).logits)
    assert not torch.equal(plain(model, asked(model)), plain(model, second))


# --- Heads and types that are not the usual ones -------------------------------------------------


def test_classes_that_hold_independently_have_a_sigmoid_each(tiny, twin, asked, oracle):
    model = twin(tiny("bert", "classifier"))
    model.hf.config.problem_type = "multi_label_classification"
    encoded = model.encode(asked(model, 1))
    with torch.no_grad():
        logits = model.hf(input_ids=encoded.input_ids).logits[0]
    prediction = nl.predict(model, asked(model, 1))
    assert torch.allclose(prediction.probabilities, logits.sigmoid(), atol=1e-6)
    assert prediction.log_probability == pytest.approx(float(logits.sigmoid()[1].log()), abs=1e-5)
    scores = nl.attribute(model, asked(model, 1), components=("ffn",), tolerance=1e-3)
    # A layer's scores sum to what zeroing it changes: of the sigmoid, not of a softmax.
    last = nl.KeepOnly(NeuronSet([]), "predicted", components=("ffn",))
    row = scores.quality.set_index("layer").loc[model.layers - 1]
    assert row["expected"] == pytest.approx(row["total"], abs=1e-3)
    for layer in range(model.layers - 1):
        last = NeuronSet([(layer, "ffn", i) for i in range(model.sizes["ffn"])])
        without = nl.predict(model, asked(model, 1), intervention=nl.Suppress(last, "predicted"))
        expected = prediction.probability - without.probability
        total = scores.quality.set_index("layer").loc[layer, "expected"]
        assert total == pytest.approx(expected, abs=1e-4)


def test_numbers_that_overflow_are_told(tiny, twin, asked, sentence):
    model = twin(tiny("gpt2"), torch.float16)
    huge = nl.Amplify(NeuronSet([(0, "ffn", i) for i in range(48)]), factor=60_000.0)
    sentence(nl.predict, model, asked(model), intervention=huge, says=["overflows", "float16"])
    assert 0 < nl.predict(model, asked(model)).probability < 1
