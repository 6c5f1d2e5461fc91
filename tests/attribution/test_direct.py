"""The eight methods of arXiv 2312.12141 against their formulas, neuron by neuron."""

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.attribution import direct
from neuronlab.attribution.best_first import CERTIFIED
from neuronlab.models.stream import read_stream

SEARCHED = (
    "log_probability_increase",
    "log_probability",
    "probability_increase",
    "rank",
    "coefficient_rank",
)
COUNTED = ("norm", "coefficient", "coefficient_norm")


def by_formula(language, encoded, method, component):
    """(layer, neuron), each neuron on its own; attention neurons summed over positions."""
    stream = read_stream(language, encoded)
    readout, states, target = stream.readout, stream.states(), encoded.target
    rows = []
    for layer, block in enumerate(language.blocks):
        in_ffn = component == "ffn"
        m = stream.ffn[layer] if in_ffn else stream.attention[layer].sum(0)
        raw = language.family.ffn_vectors(block) if in_ffn else None
        raw = language.family.attention_vectors(block) if raw is None else raw
        mapped = stream.ffn_vectors(layer) if in_ffn else stream.attention_vectors(layer)
        x = states[2 * layer + in_ffn]
        row = []
        for coefficient, vector, direction in zip(m, raw, mapped, strict=True):
            part = (coefficient * direction)[None]
            before = readout.logits(x[None])[0].double()
            after = before + readout.change(part)[0].double()
            alone = readout.change(part)[0].double()
            sign = -1 if coefficient < 0 else 1
            turned = readout.change(sign * direction[None])[0]
            rank = int((turned > turned[target]).sum()) + 1
            row.append(
                float(
                    {
                        "log_probability_increase": after.log_softmax(-1)[target]
                        - before.log_softmax(-1)[target],
                        "log_probability": alone.log_softmax(-1)[target],
                        "probability_increase": after.softmax(-1)[target]
                        - before.softmax(-1)[target],
                        "norm": vector.norm(),
                        "coefficient": coefficient.abs(),
                        "rank": 1 / rank,
                        "coefficient_norm": coefficient.abs() * vector.norm(),
                        "coefficient_rank": coefficient.abs() / rank,
                    }[method]
                )
            )
        rows.append(row)
    return np.array(rows)


@pytest.mark.parametrize("method", COUNTED)
def test_methods_that_score_every_neuron(language, asked, method):
    prompt = asked(language)
    scores = nl.attribute(language, prompt, method=method, components=("ffn", "attention"))
    assert scores.certified is None
    for component in ("ffn", "attention"):
        expected = by_formula(language, language.encode(prompt), method, component)
        array = scores[component]
        assert array == pytest.approx(expected, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("method", ["rank", "coefficient_rank"])
@pytest.mark.parametrize("tokens", [2, 5])
def test_a_small_sample_of_tokens_proves_the_same(tiny, asked, method, tokens, monkeypatch):
    model = tiny("llama")
    scores = nl.attribute(model, asked(model), method=method)
    monkeypatch.setattr(direct, "SAMPLES", (tokens, 2 * tokens))
    few = nl.attribute(model, asked(model), method=method)
    count = scores.certified
    assert few.top(count)["score"].tolist() == pytest.approx(scores.top(count)["score"].tolist())
    assert (few["ffn"] >= scores["ffn"] - 1e-6).all()


@pytest.mark.parametrize("method", SEARCHED)
def test_methods_that_prove_their_top(language, asked, method):
    prompt = asked(language)
    scores = nl.attribute(language, prompt, method=method, components=("ffn", "attention"))
    expected = {
        component: by_formula(language, language.encode(prompt), method, component)
        for component in ("ffn", "attention")
    }
    everyone = np.sort(np.concatenate([e.ravel() for e in expected.values()]))[::-1]
    assert scores.certified == min(CERTIFIED, len(everyone))
    top = scores.top(scores.certified)
    assert top["score"].to_numpy() == pytest.approx(everyone[: len(top)], abs=2e-5)
    for row in top.itertuples():
        reference = expected[row.component][row.layer, row.neuron]
        assert row.score == pytest.approx(reference, abs=2e-5)
    for component, exact in expected.items():  # the others have bounds
        assert (scores[component] >= exact - 2e-5).all()


def test_ffn_alone_is_the_default(tiny, asked):
    model = tiny("llama")
    assert nl.attribute(model, asked(model), method="norm").components == ("ffn",)


def test_what_is_not_possible(tiny, asked, sentence):
    model = tiny("llama")
    prompt = asked(model)
    sentence(
        nl.attribute,
        model,
        prompt,
        method="rank",
        components=("query",),
        says=["'query'", "Rank", "ffn, attention"],
    )
    sentence(
        nl.attribute, model, prompt, method="norm", positions="all", says="predicted position only"
    )
    classifier = tiny("bert", "classifier")
    sentence(nl.attribute, classifier, asked(classifier), method="norm", says="predicts tokens")


def test_certified_goes_through_a_file(tiny, asked, tmp_path):
    model = tiny("gpt2")
    scores = nl.attribute(model, asked(model), method="log_probability_increase")
    scores.save(tmp_path / "scores.parquet")
    assert nl.NeuronScores.load(tmp_path / "scores.parquet").certified == scores.certified


def test_cancelling_leaves_the_model_as_it_was(tiny, asked):
    model = tiny("llama")

    def stop(fraction, message):
        if fraction > 0.1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        nl.attribute(model, asked(model), method="rank", progress=stop)
    assert model.hf.config._attn_implementation == "sdpa"
    assert all(not m._forward_pre_hooks for m in model.hf.modules())


def test_the_capital_of_france(smollm):
    """The methods that look at the target find neurons the prediction rests on."""
    prompt = nl.Prompt("The capital of France is", target=" Paris")
    scores = nl.attribute(smollm, prompt, method="log_probability_increase")
    chosen = scores.select(top=10)
    after = nl.predict(smollm, prompt, intervention=nl.Suppress(chosen)).probability
    random = nl.Suppress(chosen.matched_random(smollm.sizes, 0))
    assert after < 0.1 < nl.predict(smollm, prompt, intervention=random).probability


def test_attention_neurons_can_be_switched_off(language, asked):
    """Suppressing every attention neuron of a layer leaves only the projection's bias."""
    prompt = asked(language)
    every = nl.NeuronSet([(1, "attention", i) for i in range(language.sizes["attention"])])
    logits = nl.predict(language, prompt, intervention=nl.Suppress(every)).logits
    output = language.family.attention_output(language.block(1))

    def empty(module, args):
        return (torch.zeros_like(args[0]), *args[1:])

    handle = output.register_forward_pre_hook(empty)
    expected = nl.predict(language, prompt).logits
    handle.remove()
    assert torch.allclose(logits, expected, atol=1e-5)
    assert not torch.allclose(logits, nl.predict(language, prompt).logits, atol=1e-3)
