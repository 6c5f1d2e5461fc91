"""A target compared with a foil: the difference of the two log-probabilities, on every family."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.attribution import METHODS
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.models import COMPONENTS
from neuronlab.models.stream import read_stream
from neuronlab.neurons import NeuronSet, effect
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM
from neuronlab.statistics import seeds

DIFFERENTIATING = [name for name, method in METHODS.items() if method.differentiates]
LINEAR = ("log_probability_increase", "log_probability")


def contrasted(model, asked):
    """The question of the other tests, against some other choice of the model."""
    prompt = asked(model)
    target = model.encode(prompt).target
    choices = len(model.labels) if model.kind == "classifier" else model.vocabulary
    foil = (target + 1) % choices
    return replace(prompt, foil=foil), target, foil


def difference(oracle, hf, encoded, target, foil):
    """Of the two logits, as the transformers model gives them."""
    with torch.no_grad():
        logits = oracle.logits(hf, encoded.input_ids, encoded.position)[0]
    return float(logits[target] - logits[foil])


def test_log_odds_are_the_difference_of_the_models_own_logits(model, asked, oracle):
    prompt, target, foil = contrasted(model, asked)
    expected = difference(oracle, model.hf, model.encode(prompt), target, foil)
    assert nl.predict(model, prompt).log_odds == pytest.approx(expected, abs=1e-4)


def test_log_odds_of_classes_that_do_not_exclude_each_other(tiny):
    """Each class has a sigmoid of its own: the logits' difference is another number."""
    model = tiny("esm", "classifier", problem_type="multi_label_classification")
    prediction = nl.predict(model, nl.Prompt("MKTAYIAKQR", target="yes", foil="maybe"))
    logs = prediction.logits.double().sigmoid().log()
    assert prediction.log_odds == pytest.approx(float(logs[1] - logs[2]), abs=1e-5)
    assert abs(prediction.log_odds - float(prediction.logits[1] - prediction.logits[2])) > 0.01


@pytest.mark.parametrize("positions", ["predicted", "all"])
def test_integrated_gradients_against_brute_force(model, asked, twin, oracle, positions):
    """The path is the same whatever is explained: scores of two logits, each by full passes."""
    prompt, target, foil = contrasted(model, asked)
    encoded, exact = model.encode(prompt), twin(model, torch.float64).hf
    scores = nl.attribute(model, prompt, positions=positions, tolerance=2e-4)
    assert scores.provenance["foil"] == foil
    for at in ((0, "ffn"), (1, "key"), (2, "value"), (1, "query")):
        of_target, of_foil = (
            oracle.integrated_gradients(
                exact, encoded, *at, target=choice, objective="logit", everywhere=positions == "all"
            )
            for choice in (target, foil)
        )
        expected = (of_target - of_foil).sum(0)
        integrated = torch.from_numpy(scores[at[1]][at[0]]).double()
        scale = float(expected.abs().max())
        assert scale > 1e-5, at
        assert float((integrated - expected).abs().max()) <= 0.02 * scale + 1e-5, at


def test_scores_of_a_layer_sum_to_what_it_contributes_to_the_difference(model, asked, oracle):
    prompt, target, foil = contrasted(model, asked)
    encoded = model.encode(prompt)
    scores = nl.attribute(model, prompt, positions="all", tolerance=1e-3)
    whole = difference(oracle, model.hf, encoded, target, foil)
    for layer in range(model.layers):
        for component in COMPONENTS:
            with oracle.hooked(model.hf, layer, component, torch.zeros_like):
                without = difference(oracle, model.hf, encoded, target, foil)
            values = scores[component][layer]
            assert float(values.sum()) == pytest.approx(
                whole - without, abs=3e-3 * float(abs(values).sum()) + 1e-4
            )


@pytest.mark.parametrize("method", DIFFERENTIATING)
@pytest.mark.parametrize("pair", [("llama", "causal"), ("bert", "masked"), ("esm", "classifier")])
def test_every_objective_becomes_the_difference(tiny, asked, pair, method):
    """Gradients are linear in what is explained, on the same nodes to rounding."""
    model = tiny(*pair)
    prompt, _, foil = contrasted(model, asked)
    for variant in METHODS[method].variants:
        settings = {"method": method, "variant": variant, "positions": "all"}
        if METHODS[method].integrates and variant == "sound":
            settings["tolerance"] = 1e-4
        by_one, of_target, of_foil = (
            nl.attribute(model, asked_, objective="logit", **settings)
            for asked_ in (
                prompt,
                replace(prompt, foil=None),
                replace(prompt, target=foil, foil=None),
            )
        )
        for component in COMPONENTS:
            apart = of_target[component] - of_foil[component]
            assert by_one[component] == pytest.approx(apart, abs=2e-3 * float(abs(apart).max()))
        assert by_one.provenance["settings"]["objective"] == "log_probability"


@pytest.mark.parametrize("pair", [("llama", "causal"), ("esm", "masked")], ids="-".join)
def test_captum_agrees(tiny, asked, pair):
    model = tiny(*pair)
    prompt, *_ = contrasted(model, asked)
    ours = nl.attribute(model, prompt, components=("ffn",), tolerance=1e-3)
    captum = nl.attribute(model, prompt, components=("ffn",), engine="captum", steps=200)
    assert ours["ffn"] == pytest.approx(captum["ffn"], abs=0.02 * float(abs(captum["ffn"]).max()))


@pytest.mark.parametrize("method", LINEAR)
def test_the_increase_of_a_difference_is_exact_for_every_neuron(language, asked, method):
    prompt, target, foil = contrasted(language, asked)
    stream = read_stream(language, language.encode(prompt))
    scores = nl.attribute(language, prompt, method=method, components=("ffn", "attention"))
    assert scores.certified is None
    for layer in range(language.layers):
        for component, coefficients, vectors in (
            ("ffn", stream.ffn[layer], stream.ffn_vectors(layer)),
            ("attention", stream.attention[layer].sum(0), stream.attention_vectors(layer)),
        ):
            change = stream.readout.change(coefficients[:, None] * vectors).double()
            # Both log-probabilities before and after, from a state where they differ much.
            before = stream.readout.logits(stream.states()[2 * layer][None]).double()
            after = (before + change).log_softmax(-1) - before.log_softmax(-1)
            expected = (after[:, target] - after[:, foil]).numpy()
            assert scores[component][layer] == pytest.approx(expected, rel=1e-3, abs=2e-5)


def test_the_path_of_a_difference_has_no_bound_to_close(tiny, asked):
    """What a search would rescore is what the bound said already."""
    model = tiny("llama")
    prompt, target, foil = contrasted(model, asked)
    scorer = LogProbabilityIncrease(read_stream(model, model.encode(prompt)), target, foil=foil)
    bounds = scorer.bounds(scorer.ffn_neurons)
    back = LogProbabilityIncrease(scorer.stream, foil, foil=target).bounds(scorer.ffn_neurons)
    assert torch.allclose(bounds, -back, atol=1e-5)


@pytest.mark.parametrize("method", [name for name, each in METHODS.items() if not each.contrasts])
def test_a_method_that_cannot_compare_says_so(tiny, asked, sentence, method):
    prompt, *_ = contrasted(tiny("llama"), asked)
    says = [METHODS[method].title, "foil"]
    sentence(nl.attribute, tiny("llama"), prompt, method=method, says=says)


def test_target_and_foil_differ(tiny, asked, sentence):
    model = tiny("llama")
    prompt = asked(model)
    sentence(model.encode, replace(prompt, foil=prompt.target), says=["the same", "foil"])
    sentence(model.encode, replace(prompt, foil="nothing-such"), says=["nothing-such"])
    first = nl.predict(model, replace(prompt, target=None)).target
    sentence(nl.predict, model, replace(prompt, target=None, foil=first), says=["the same"])
    sentence(lambda: nl.predict(model, prompt).log_odds, says=["foil"])
    classifier = tiny("esm", "classifier")
    same = nl.Prompt("MKTAYIAKQR", target="yes", foil=1)
    sentence(classifier.encode, same, says=["the same", "'yes'"])


def test_a_foil_of_several_tokens_says_so(smollm):
    encoded = smollm.encode(
        nl.Prompt("The capital of France is", target=" Paris", foil=" Ouagadougou")
    )
    assert "Ouagadougou" in encoded.note
    assert encoded.whole  # the target is one token


def test_suppressing_is_judged_by_the_difference(model, asked):
    prompt, target, foil = contrasted(model, asked)
    chosen = NeuronSet([(0, "ffn", 3), (1, "query", 2), (2, "value", 5)])
    proof = effect(model, prompt, chosen, nl.Suppress)
    after = nl.predict(model, prompt, intervention=nl.Suppress(chosen))
    before = nl.predict(model, prompt)
    assert proof.judged == pytest.approx((before.log_odds, after.log_odds), abs=1e-4)
    assert proof.foil == model.label(foil)
    assert {target, foil} <= set(proof.choices["index"])
    random = [
        nl.predict(
            model, prompt, intervention=nl.Suppress(chosen.matched_random(model.sizes, seed))
        ).log_odds
        for seed in seeds(0, 20)
    ]
    assert proof.controls[RANDOM] == pytest.approx(random, abs=1e-4)
    as_far = np.sum(np.abs(np.array(random) - proof.judged[0]) >= abs(np.diff(proof.judged)[0]))
    assert proof.p(RANDOM) == pytest.approx((as_far + 1) / 21)
    assert proof.stronger in (RANDOM, AS_ACTIVE)
