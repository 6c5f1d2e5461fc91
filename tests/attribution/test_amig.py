"""AMIG (arXiv 2308.13198) against its formulas, by plain hooks and one full pass per node."""

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.attribution.amig import STEPS, mean_baseline

# What says nothing, by the architecture: tokens of the tiny tokenizers.
BLANK = {"bert": "[MASK]", "roberta": "<mask>", "esm": "<mask>"}
FAMILIES = [("llama", "causal"), ("gpt2", "causal"), ("gemma3_text", "causal"), ("bert", "masked")]


def replaced(model, encoded):
    """The prompt with each of its tokens in turn replaced, special tokens and the mask as well."""
    name = BLANK.get(model.hf.config.model_type, "<|end|>")
    blank = model.tokenizer.convert_tokens_to_ids(name)
    for i in range(encoded.input_ids.shape[1]):
        ids = encoded.input_ids.clone()
        ids[0, i] = blank
        yield ids


def mean_of(oracle, model, encoded, layer):
    rows = [oracle.neurons(model.hf, ids, layer, "ffn") for ids in replaced(model, encoded)]
    return torch.stack(rows).mean(0)[:, encoded.position]


def gradients(oracle, model, encoded, layer, start, alphas):
    """Clean neurons at the predicted position and the gradient at each point of the path."""
    ids, position = encoded.input_ids, encoded.position
    clean = oracle.neurons(model.hf, ids, layer, "ffn")[:, position]
    path = start + torch.as_tensor(alphas)[:, None].to(clean) * (clean - start)
    path.requires_grad_()

    def put(neurons):
        changed = neurons.clone()
        changed[:, position] = path
        return changed

    with oracle.hooked(model.hf, layer, "ffn", put):
        logits = oracle.logits(model.hf, ids.expand(len(path), -1), position)
    value = oracle.explained(logits, encoded.target, "probability").sum()
    return clean[0], torch.autograd.grad(value, path)[0]


@pytest.mark.parametrize(("name", "kind"), FAMILIES)
def test_the_baseline_is_the_mean_over_replaced_tokens(tiny, asked, oracle, name, kind):
    model = tiny(name, kind)
    encoded = model.encode(asked(model))
    baseline = mean_baseline(model, encoded, ("ffn",))
    for layer in range(model.layers):
        expected = mean_of(oracle, model, encoded, layer)
        assert torch.allclose(baseline[layer, "ffn"][:, encoded.position], expected, atol=1e-5)


@pytest.mark.parametrize(("name", "kind"), FAMILIES)
def test_the_sound_form_is_complete(tiny, asked, oracle, twin, name, kind):
    model = tiny(name, kind)
    prompt = asked(model)
    encoded = model.encode(prompt)
    scores = nl.attribute(model, prompt, method="amig", components=("ffn",), tolerance=1e-4)
    exact = twin(model, torch.float64)
    for layer in range(model.layers):
        start = mean_of(oracle, exact, encoded, layer)
        points, weights = np.polynomial.legendre.leggauss(64)
        clean, slopes = gradients(oracle, exact, encoded, layer, start, (points + 1) / 2)
        integral = (torch.tensor(weights / 2)[:, None] * slopes).sum(0)
        expected = ((clean - start[0]) * integral).numpy()
        assert scores["ffn"][layer] == pytest.approx(expected, abs=2e-3 * abs(expected).max())
    # Scores of a layer add up to what the layer makes of the difference to the baseline.
    quality = scores.quality
    assert (quality["gap"] <= 1e-3 * quality["expected"].abs() + 1e-5).all()


@pytest.mark.parametrize(("name", "kind"), FAMILIES)
def test_the_authors_form_is_the_left_sum_times_the_activation(
    tiny, asked, oracle, twin, name, kind
):
    model = tiny(name, kind)
    prompt = asked(model)
    encoded = model.encode(prompt)
    scores = nl.attribute(model, prompt, method="amig", variant="authors", components=("ffn",))
    exact = twin(model, torch.float64)
    for layer in range(model.layers):
        start = mean_of(oracle, exact, encoded, layer)
        alphas = np.arange(STEPS) / STEPS
        clean, slopes = gradients(oracle, exact, encoded, layer, start, alphas)
        expected = (clean * slopes.mean(0)).numpy()
        assert scores["ffn"][layer] == pytest.approx(expected, abs=1e-5, rel=1e-3)


@pytest.mark.long
def test_small_portions_give_the_same(tiny, asked, monkeypatch):
    from neuronlab.attribution import amig

    model = tiny("llama")
    whole = nl.attribute(model, asked(model), method="amig", variant="authors")
    monkeypatch.setattr(amig, "memory_of_pass", lambda device: 1.0)
    monkeypatch.setattr(amig, "_TOKENS", 1)
    parts = nl.attribute(model, asked(model), method="amig", variant="authors")
    for component in whole:
        assert parts[component] == pytest.approx(whole[component], abs=1e-6)


def test_sound_amig_is_integrated_gradients_from_the_mean(tiny, asked):
    model = tiny("gpt2")
    same = {"components": ("ffn", "value"), "tolerance": 1e-3}
    amig = nl.attribute(model, asked(model), method="amig", **same)
    integrated = nl.attribute(model, asked(model), baseline="mean", **same)
    for component in amig:
        assert amig[component] == pytest.approx(integrated[component], abs=1e-7)


def test_what_is_not_possible(tiny, asked, sentence):
    model = tiny("llama")
    prompt = asked(model)
    sentence(nl.attribute, model, prompt, method="amig", baseline="zero", says=["has no", "mean"])
    sentence(nl.attribute, model, prompt, variant="authors", says="variant")


def test_no_hook_stays(tiny, asked, hooks_of):
    model = tiny("bert", "masked")
    before = hooks_of(model)
    nl.attribute(model, asked(model), method="amig", variant="authors")
    assert hooks_of(model) == before
