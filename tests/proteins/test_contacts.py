"""Contacts: by the checkpoint's own contact head on plain attention maps."""

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.proteins.contacts import predicted_contacts

SEQUENCE = "MKTAYIAKQRLEDSG"


@pytest.fixture
def model(tiny):
    return tiny("esm", "classifier")


def plain(model, sequence):
    """Average product correction and logistic regression, written out."""
    ids = model.encode(nl.Prompt(sequence, target=0)).input_ids
    usual = model.hf.config._attn_implementation
    model.hf.set_attn_implementation("eager")
    with torch.no_grad():
        maps = model.hf.esm(ids, output_attentions=True).attentions
    model.hf.set_attn_implementation(usual)
    a = torch.cat(maps, 1)[0, :, 1:-1, 1:-1].double()
    a = a + a.transpose(1, 2)
    a = a - a.sum(1, keepdim=True) * a.sum(2, keepdim=True) / a.sum((1, 2), keepdim=True)
    head = model.hf.esm.contact_head.regression
    weights, bias = head.weight[0].double(), head.bias.double()
    return torch.sigmoid(torch.einsum("h,hij->ij", weights, a) + bias).detach().numpy()


def test_they_are_those_of_the_contact_head(model):
    found = predicted_contacts(model, SEQUENCE)
    assert found.shape == (15, 15)
    assert found.dtype == np.float32
    assert found == pytest.approx(found.T, abs=1e-6)
    assert found.min() >= 0
    assert found.max() <= 1
    assert np.ptp(found) > 0.01
    assert found == pytest.approx(plain(model, SEQUENCE), abs=1e-5)


def test_other_models_have_none(tiny):
    assert predicted_contacts(tiny("bert", "classifier"), SEQUENCE) is None
    assert predicted_contacts(tiny("llama"), SEQUENCE) is None


def test_a_masked_language_model_has_contacts_too(tiny):
    found = predicted_contacts(tiny("esm", "masked"), SEQUENCE)
    assert found.shape == (15, 15)


def test_a_head_that_the_files_lack_is_none(model, tmp_path):
    weights = {k: v for k, v in model.hf.state_dict().items() if "contact_head" not in k}
    model.hf.save_pretrained(tmp_path, state_dict=weights)
    model.tokenizer.save_pretrained(tmp_path)
    assert predicted_contacts(nl.load(str(tmp_path), device="cpu"), SEQUENCE) is None


def test_the_model_is_as_before(model, hooks_of):
    prompt = nl.Prompt(SEQUENCE, target=1)
    usual, hooks = model.hf.config._attn_implementation, hooks_of(model)
    assert usual == "sdpa"
    logits = nl.predict(model, prompt).logits
    predicted_contacts(model, SEQUENCE)
    assert model.hf.config._attn_implementation == usual
    assert hooks_of(model) == hooks
    assert torch.equal(nl.predict(model, prompt).logits, logits)


def test_the_model_is_as_before_after_a_failure(model, monkeypatch):
    seen = []

    def fail(*arguments):
        seen.append(model.hf.config._attn_implementation)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(model.hf.esm, "predict_contacts", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        predicted_contacts(model, SEQUENCE)
    assert seen == ["eager"]
    assert model.hf.config._attn_implementation == "sdpa"
    monkeypatch.undo()
    assert predicted_contacts(model, SEQUENCE).shape == (15, 15)


@pytest.mark.parametrize("sequence", ["", "MK1", "M" * 80])
def test_what_does_not_fit_is_one_sentence(model, sentence, sequence):
    sentence(predicted_contacts, model, sequence)
