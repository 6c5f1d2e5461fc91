"""An encoder alone, as ProtT5 and Ankh are: its neurons are read and labelled, nothing is asked."""

import numpy as np
import pytest
import torch
from tiny_models import RESIDUES, protein_encoder

import neuronlab as nl
from neuronlab.labels.exemplars import pooled
from neuronlab.neurons import NeuronSet
from neuronlab.neurons.activity import per_residue

SEQUENCES = ["MKTAYIAKQR", "GSLEDWAAKMKTAYIAKQ", "LLV"]


@pytest.fixture(params=["▁", ""], ids=["words", "letters"])
def hf_and_tokenizer(request):
    return *protein_encoder(request.param), request.param


@pytest.fixture
def encoder(hf_and_tokenizer):
    return nl.load(*hf_and_tokenizer[:2])


def test_it_is_a_protein_model_without_a_head(encoder):
    assert (encoder.kind, encoder.alphabet, encoder.layers) == ("encoder", "protein", 2)
    assert encoder.stacks == {"encoder": range(2)}
    assert set(encoder.residues) == set(RESIDUES)
    assert "cross_query" not in encoder.sizes


def test_it_is_loaded_from_a_folder(hf_and_tokenizer, encoder, tmp_path):
    hf, pieces, _ = hf_and_tokenizer
    hf.save_pretrained(tmp_path)
    pieces.save_pretrained(tmp_path)
    loaded = nl.load(str(tmp_path), device="cpu")
    assert (loaded.kind, loaded.alphabet, loaded.sizes) == ("encoder", "protein", encoder.sizes)


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_activations_of_proteins_are_those_of_the_modelling_code(
    hf_and_tokenizer, encoder, pooling
):
    hf, pieces, start = hf_and_tokenizer
    found = pooled(encoder, SEQUENCES, ("ffn", "value"), pooling)
    for number, sequence in enumerate(SEQUENCES):
        ids = torch.tensor([[*(pieces.vocab[f"{start}{r}"] for r in sequence), 1]])
        for layer, block in enumerate(hf.encoder.block):
            seen = {}
            feed, attention = block.layer[1].DenseReluDense, block.layer[0].SelfAttention
            handles = [
                feed.wo.register_forward_pre_hook(lambda m, args, s=seen: s.update(ffn=args[0])),
                attention.v.register_forward_hook(lambda m, a, out, s=seen: s.update(value=out)),
            ]
            with torch.no_grad():
                hf(input_ids=ids)
            for handle in handles:
                handle.remove()
            for component, values in seen.items():
                of_residues = values[0, :-1]
                expected = of_residues.mean(0) if pooling == "mean" else of_residues.max(0)[0]
                torch.testing.assert_close(
                    found[component][number, layer], expected, atol=1e-5, rtol=1e-4
                )


def test_neurons_along_a_protein(encoder):
    neurons = NeuronSet([(1, "value", 3)])
    along = per_residue(encoder, SEQUENCES[0], neurons)
    assert along.shape == (len(SEQUENCES[0]),)
    mean = pooled(encoder, SEQUENCES[:1], ("value",), "mean")["value"][0, 1, 3]
    assert along.mean() == pytest.approx(float(mean), abs=1e-5)
    assert np.ptp(along) > 0


def test_nothing_is_asked_of_it(encoder, sentence):
    prompt = nl.Prompt(SEQUENCES[0])
    sentence(nl.predict, encoder, prompt, says="predicts nothing")
    sentence(nl.attribute, encoder, prompt, says="predicts nothing")
