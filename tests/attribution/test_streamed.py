"""Streamed scores against everything in memory, and residues against plain hooks."""

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.attribution import residue_scores
from neuronlab.attribution.residues import scores_at_residue
from neuronlab.attribution.streamed import SCORED, STATES, TOLERANCE, Streamed
from neuronlab.models import COMPONENTS
from neuronlab.neurons import NeuronSet
from neuronlab.runs import Result
from neuronlab.studies.bases.protein_scores import packed, unpacked

PROTEINS = (
    ("MKTAYIAKQR", 1, "CHHHHGGTTC"),
    ("GSLEDWAAK", 0, ""),
    ("LLVVMKCHYNQPT", 2, "CEEEEECCBSHHI"),
    ("MKTAYIAK", 1, "CCCCEEEE"),
)


@pytest.fixture(scope="module")
def model(tiny):
    return tiny("esm", "classifier")


def streamed(model, proteins, **settings):
    sums = Streamed()
    for sequence, target, secondary in proteins:
        sums.add(model, sequence, target, secondary=secondary, **settings)
    return sums


@pytest.fixture(scope="module")
def whole(model):
    return streamed(model, PROTEINS)


def activations(model, sequence):
    """Per component (layer, residue, neuron), without the special tokens at both ends."""
    seen = model.read(model.encode(nl.Prompt(sequence, target=0)))
    return {
        c: torch.stack([seen[layer, c][0, 1:-1] for layer in range(model.layers)]).double().numpy()
        for c in COMPONENTS
    }


def same(one, other):
    assert (one.proteins, one.residues, one.states) == (
        other.proteins,
        other.residues,
        other.states,
    )
    assert one.sums.keys() == other.sums.keys()
    for key in one.sums:
        assert one.sums[key] == pytest.approx(other.sums[key], rel=1e-10, abs=1e-12)


@pytest.mark.long
def test_the_activation_is_a_mean_of_means_over_residues(model, whole):
    scores = whole.scores("activation")
    assert set(scores) == set(COMPONENTS)
    for c in COMPONENTS:
        each = [np.abs(activations(model, s)[c]).mean(1) for s, _, _ in PROTEINS]
        assert scores[c] == pytest.approx(np.mean(each, 0), rel=1e-5, abs=1e-7)


@pytest.mark.long
@pytest.mark.parametrize("method", ["integrated_gradients", "gradient_x_activation"])
def test_the_scores_are_those_of_every_protein_in_memory(model, whole, method):
    options = {"baseline": "input", "tolerance": TOLERANCE}
    options = options if method == "integrated_gradients" else {}
    each = [
        nl.attribute(
            model,
            nl.Prompt(s, target=t),
            method=method,
            objective="logit",
            positions="all",
            components=COMPONENTS,
            **options,
        )
        for s, t, _ in PROTEINS
    ]
    scores = whole.scores(method)
    for c in COMPONENTS:
        expected = np.mean([np.abs(of_protein[c]) for of_protein in each], 0)
        assert scores[c] == pytest.approx(expected, rel=1e-5, abs=1e-7)
        assert expected.max() > 1e-3


@pytest.mark.long
def test_the_baseline_and_the_target_count(model):
    """One protein's zero baseline, and another class."""
    sequence, target, _ = PROTEINS[0]
    zero = streamed(model, PROTEINS[:1], methods=("integrated_gradients",), baseline="zero").scores(
        "integrated_gradients"
    )
    plain = nl.attribute(
        model,
        nl.Prompt(sequence, target=target),
        objective="logit",
        positions="all",
        baseline="zero",
        tolerance=TOLERANCE,
    )
    assert zero["key"] == pytest.approx(np.abs(plain["key"]), rel=1e-5, abs=1e-7)
    masked = streamed(model, PROTEINS[:1], methods=("integrated_gradients",))
    assert masked.scores("integrated_gradients")["key"] != pytest.approx(zero["key"], rel=0.1)
    other = streamed(model, [(sequence, 0, "")], methods=("integrated_gradients",), baseline="zero")
    assert other.scores("integrated_gradients")["key"] != pytest.approx(zero["key"], rel=0.1)


def test_only_the_methods_asked_for_are_there(model):
    sums = streamed(model, PROTEINS[:1], methods=("activation",))
    assert sums.scores("integrated_gradients") == {}
    assert set(sums.scores("activation")) == set(COMPONENTS)
    always = {"mean", "square", "token0", "token-1"}
    assert {what for what, _ in sums.sums} == {*always, "activation", *"CHGT"}


def test_the_means_are_over_all_residues(model, whole):
    assert whole.proteins == 4
    assert whole.residues == sum(len(s) for s, _, _ in PROTEINS)
    for c in COMPONENTS:
        everything = np.concatenate([activations(model, s)[c] for s, _, _ in PROTEINS], 1)
        assert whole.means()[c] == pytest.approx(everything.mean(1), rel=1e-4, abs=1e-6)


@pytest.mark.long
def test_special_tokens_have_means_of_their_own(model, whole):
    token_means = whole.token_means()
    assert set(token_means) == {0, -1}
    for token, means in token_means.items():
        for c in COMPONENTS:
            each = []
            for sequence, _, _ in PROTEINS:
                seen = model.read(model.encode(nl.Prompt(sequence, target=0)))
                each.append([seen[layer, c][0, token].numpy() for layer in range(model.layers)])
            assert means[c] == pytest.approx(np.mean(each, 0), rel=1e-4, abs=1e-6)
            assert not np.allclose(means[c], whole.means()[c], atol=1e-2)


def test_the_responses_are_z_scores_of_the_states(model, whole):
    letters = "".join(secondary or "?" * len(s) for s, _, secondary in PROTEINS)
    responses = whole.responses()
    assert set(responses) == set("CHGTEBSI")
    assert whole.states == {state: letters.count(state) for state in STATES}
    for c in COMPONENTS:
        a = np.concatenate([activations(model, s)[c] for s, _, _ in PROTEINS], 1)
        mean, spread = a.mean(1), a.std(1)
        for state in responses:
            in_state = np.array([letter == state for letter in letters])
            z = (a[:, in_state].mean(1) - mean) / spread
            assert responses[state][c] == pytest.approx(z, rel=1e-3, abs=1e-4)
            assert np.abs(z).max() > 0.5


def test_a_neuron_that_never_changes_responds_to_nothing():
    ones = np.ones((1, 2))
    sums = {("mean", c): 4 * ones for c in COMPONENTS} | {("H", c): 2 * ones for c in COMPONENTS}
    sums |= {("square", c): np.array([[4.0, 8.0]]) for c in COMPONENTS}
    states = dict.fromkeys(STATES, 0) | {"H": 1}
    responses = Streamed(sums, proteins=1, residues=4, states=states).responses()
    assert responses["H"]["key"].tolist() == [[0.0, 1.0]]  # mean 1, spreads 0 and 1
    assert set(responses) == {"H"}


@pytest.mark.long
def test_parts_add_up_to_the_whole_in_any_order(model, whole):
    parts = [streamed(model, [protein]) for protein in PROTEINS]
    same(Streamed.together(parts), whole)
    same(Streamed.together(parts[::-1]), whole)
    same(parts[0] + (parts[1] + parts[2]) + parts[3], whole)
    same(parts[2] + Streamed(), parts[2])
    same(streamed(model, PROTEINS[::-1]), whole)


def test_adding_changes_neither_part(model):
    one, other = (streamed(model, [p], methods=("activation",)) for p in PROTEINS[:2])
    before = {key: sums.copy() for key, sums in one.sums.items()}
    total = one + other
    total.add(model, "MK", 0, methods=("activation",))
    assert one.sums.keys() == before.keys()
    assert all((one.sums[key] == before[key]).all() for key in before)
    assert (one.proteins, total.proteins) == (1, 3)
    assert one.states["H"] == 4


def test_memory_does_not_grow_with_the_number_of_proteins(model):
    few = streamed(model, PROTEINS, methods=("activation",))
    many = streamed(model, PROTEINS * 3, methods=("activation",))
    assert {k: v.shape for k, v in few.sums.items()} == {k: v.shape for k, v in many.sums.items()}
    for c in COMPONENTS:
        assert many.scores("activation")[c] == pytest.approx(few.scores("activation")[c])
    assert many.residues == 3 * few.residues


def test_they_survive_being_stored(whole, tmp_path):
    packed(whole).save(tmp_path / "shard")
    again = unpacked(Result.load(tmp_path / "shard"))
    assert again.sums.keys() == whole.sums.keys()
    assert all((again.sums[key] == whole.sums[key]).all() for key in whole.sums)
    same(again, whole)
    for state, response in again.responses().items():
        assert response["key"] == pytest.approx(whole.responses()[state]["key"])


def test_what_does_not_fit_is_one_sentence_and_adds_nothing(model, sentence):
    sums = Streamed()
    sentence(sums.add, model, "MK7", 0)
    sentence(sums.add, model, "MKT", 5)
    sentence(sums.add, model, "M" * 80, 0)
    assert (sums.proteins, sums.residues, sums.sums) == (0, 0, {})


# --- Residues ------------------------------------------------------------------------------------

SEQUENCE = "MKTAYIAKQRLE"
NEURONS = NeuronSet([(0, "query", 3), (0, "query", 4), (1, "ffn", 47), (2, "value", 0)])


def gradient_x_activation(model, oracle, places):
    """Per place (token, neuron) by plain hooks, towards the logit of class 1."""
    encoded = model.encode(nl.Prompt(SEQUENCE, target=1))
    scores = {}
    for layer, component in places:
        clean = oracle.neurons(model.hf, encoded.input_ids, layer, component).requires_grad_()
        with oracle.hooked(model.hf, layer, component, lambda _, leaf=clean: leaf):
            value = model.hf(input_ids=encoded.input_ids).logits[0, 1]
        gradient = torch.autograd.grad(value, clean)[0]
        scores[layer, component] = (clean * gradient)[0].detach()
    return scores


def test_residues_against_plain_hooks(model, oracle):
    places = [(layer, c) for layer in range(3) for c in COMPONENTS]
    expected = gradient_x_activation(model, oracle, places)
    every, probability, error = residue_scores(model, SEQUENCE, 1, method="gradient_x_activation")
    assert every.shape == (12,)
    total = sum(scores[1:-1].double().sum(1) for scores in expected.values())
    assert every == pytest.approx(total.numpy(), rel=1e-4, abs=1e-5)
    assert probability == pytest.approx(nl.predict(model, nl.Prompt(SEQUENCE, 1)).probability)
    scores = residue_scores(model, SEQUENCE, 1, NEURONS, method="gradient_x_activation").scores
    total = sum(expected[n.layer, n.component][1:-1, n.index] for n in NEURONS)
    assert scores == pytest.approx(total.numpy(), rel=1e-4, abs=1e-6)
    assert np.abs(scores).max() > 1e-3
    assert error is None


@pytest.mark.parametrize("residue", [0, 7, 11])
def test_the_neurons_at_a_residue_against_plain_hooks(model, oracle, residue):
    places = [(layer, c) for layer in range(3) for c in COMPONENTS]
    expected = gradient_x_activation(model, oracle, places)
    top = scores_at_residue(model, SEQUENCE, 1, residue).top(5)
    every = torch.cat([scores[1 + residue] for scores in expected.values()])
    assert top["score"].tolist() == pytest.approx(every.topk(5).values.tolist(), rel=1e-4)
    for row in top.itertuples():
        there = expected[row.layer, row.component][1 + residue, row.neuron]
        assert row.score == pytest.approx(float(there), rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("method", SCORED[1:])
def test_the_scores_of_a_set_are_those_of_its_neurons(model, method):
    options = {"baseline": "input", "tolerance": TOLERANCE}
    options = options if method == "integrated_gradients" else {}
    scores = nl.attribute(
        model,
        nl.Prompt(SEQUENCE, target=1),
        method=method,
        objective="logit",
        positions="all",
        components=COMPONENTS,
        **options,
    )
    best = scores.select(top=30)
    kept = scores.tokens.set_index(["layer", "component", "neuron"])
    best = NeuronSet([n for n in best if tuple(n) in kept.index])
    assert len(best) > 20
    columns = [str(i + 1) for i in range(len(SEQUENCE))]
    expected = kept.loc[[tuple(n) for n in best], columns].sum().to_numpy()
    of_residues = residue_scores(model, SEQUENCE, 1, best, method=method).scores
    assert of_residues == pytest.approx(expected, rel=2e-3, abs=1e-4)
    everything, _, error = residue_scores(model, SEQUENCE, 1, method=method)
    assert (error is None) == (scores.quality.empty)
    if error is not None:
        of_every_place = sum(np.nansum(np.abs(scores[c])) for c in COMPONENTS)
        # Of a neuron the scores of tokens may cancel: what is here has them all.
        assert 0 < error <= scores.quality["error"].sum() / of_every_place
    totals = scores.token_totals[list(COMPONENTS)].sum(axis=1).to_numpy()[1:-1]
    assert everything == pytest.approx(totals, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("method", SCORED[1:])
def test_all_neurons_are_the_sum_of_the_components(model, method):
    every = residue_scores(model, SEQUENCE, 1, method=method).scores
    each = [residue_scores(model, SEQUENCE, 1, method=method, components=[c]) for c in COMPONENTS]
    assert every == pytest.approx(sum(one.scores for one in each), rel=1e-3, abs=1e-4)
    whole = NeuronSet((layer, "ffn", i) for layer in range(3) for i in range(model.sizes["ffn"]))
    scores = residue_scores(model, SEQUENCE, 1, whole, method=method).scores
    assert scores == pytest.approx(each[COMPONENTS.index("ffn")][0], rel=1e-3, abs=1e-4)


def test_no_neurons_score_nothing(model):
    scores, probability, _ = residue_scores(model, SEQUENCE, 1, NeuronSet())
    assert scores.tolist() == [0.0] * 12
    assert 0 < probability < 1


def test_a_sequence_that_does_not_fit_is_one_sentence(model, sentence):
    sentence(residue_scores, model, "MK-T", 0)
    sentence(residue_scores, model, "M" * 80, 0)
    sentence(residue_scores, model, "MKT", 3, says="class")
