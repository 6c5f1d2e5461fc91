"""Sets switched off or amplified in growing batches equal the plain intervention, one at a time."""

import pytest
import torch

import neuronlab as nl
from neuronlab.attribution import rescaling
from neuronlab.attribution.rescaling import rescaled
from neuronlab.models import COMPONENTS


def some_sets(model):
    size = model.sizes["ffn"]
    return [
        nl.NeuronSet(),
        nl.NeuronSet([(2, "ffn", 3)]),
        nl.NeuronSet([(0, "ffn", 5), (2, "ffn", 1)]),
        nl.NeuronSet([(1, "ffn", i) for i in range(size)]),
        nl.NeuronSet([(0, c, 2) for c in COMPONENTS]),
        nl.NeuronSet([(1, "value", 0), (1, "ffn", 7), (0, "query", 3)]),
        nl.NeuronSet(),
    ]


def plainly(model, encoded, sets, factor=0.0):
    changes = (nl.Amplify(one, "predicted", factor=factor) for one in sets)
    return [nl.predict(model, encoded, intervention=change).probability for change in changes]


@pytest.mark.parametrize(("step", "factor"), [(None, 0.0), (2, 0.0), (None, 2.0)])
def test_it_equals_one_plain_intervention_after_another(model, asked, monkeypatch, step, factor):
    encoded = model.encode(asked(model))
    if step:
        monkeypatch.setattr(rescaling, "LOGITS", 0)  # a batch of one set
    sets = some_sets(model)
    probabilities = rescaled(model, encoded, sets, factor)
    assert probabilities.tolist() == pytest.approx(plainly(model, encoded, sets, factor), abs=2e-6)


def test_the_order_of_the_sets_does_not_matter(language, asked):
    encoded = language.encode(asked(language))
    sets = some_sets(language)
    probabilities = rescaled(language, encoded, sets)
    again = rescaled(language, encoded, sets[::-1])
    assert torch.allclose(probabilities, again.flip(0), atol=1e-6)


def test_a_prompt_of_one_token(tiny):
    model = tiny("llama")
    encoded = model.encode(nl.Prompt("the", target="France"))
    sets = some_sets(model)
    probabilities = rescaled(model, encoded, sets)
    assert probabilities.tolist() == pytest.approx(plainly(model, encoded, sets), abs=2e-6)


def test_nothing_stays_and_it_can_be_cancelled(tiny, asked, hooks_of):
    model = tiny("llama")
    before = hooks_of(model)
    encoded = model.encode(asked(model))
    rescaled(model, encoded, some_sets(model))

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        rescaled(model, encoded, some_sets(model), check=stop)
    assert hooks_of(model) == before
    assert model.hf.config._attn_implementation == "sdpa"
