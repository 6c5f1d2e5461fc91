"""Training a head over residues: what is asked, what learns, and what comes back from the file."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from neuronlab.heads import masked
from neuronlab.heads.parts import held_out
from neuronlab.models.convert import DATA


@pytest.fixture
def trunk(tiny):
    return tiny("esm", "classifier")


def test_what_is_asked_is_masked_replaced_or_kept(trunk):
    masking = masked.Masking(trunk, seed=3)
    sequence = "ACDEFGHIKLMNPQRSTVWY" * 1000
    ids = np.array([[0, *masking.residues[np.arange(len(sequence)) % 20], 2]])
    read, truth = masking(ids)
    asked = truth >= 0
    assert asked.mean() == pytest.approx(0.15, abs=0.01)
    assert (truth[asked] == ids[asked]).all()
    assert (read[~asked] == ids[~asked]).all()
    assert (read[asked] == masking.mask).mean() == pytest.approx(0.8, abs=0.03)
    # A twentieth of those replaced are what they were.
    assert (read[asked] == ids[asked]).mean() == pytest.approx(0.105, abs=0.03)
    assert not asked[0, [0, -1]].any()


def test_windows_are_whole_batches_of_one_length():
    draw = np.random.default_rng(0)
    tokens = [list(range(n)) for n in draw.integers(10, 400, 300)]
    batches = masked.windows(tokens, draw)
    assert sum(map(len, batches)) == len(tokens)
    assert all(batch.size <= masked.TOKENS for batch in batches)
    assert max(batch.shape[1] for batch in batches) == masked.LONGEST + 2
    for batch in batches:
        assert (np.diff(batch, axis=1) == 1).all()


def test_adapters_norms_and_head_learn_and_nothing_else(trunk):
    hf = masked.untrained(trunk, seed=0)
    learning = {name for name, p in hf.named_parameters() if p.requires_grad}
    assert all(
        n.startswith("lm_head.")
        or "LayerNorm" in n
        or "norm_after" in n
        or n.endswith((".up", ".down"))
        for n in learning
    )
    assert "lm_head.decoder.weight" not in learning
    assert not [n for n in learning if "embeddings" in n or "contact" in n]
    assert hf.lm_head.decoder.weight is hf.esm.embeddings.word_embeddings.weight


def test_training_makes_residues_likelier(trunk, monkeypatch):
    monkeypatch.setattr(masked, "TOKENS", 200)
    monkeypatch.setattr(masked, "LOOKS", 2)
    sequences = ["MKTAYIAKQRQISFVKSHFSRQ"] * 120
    before = {k: v.clone() for k, v in trunk.hf.state_dict().items()}
    tokens = [trunk.residue_ids(sequence) for sequence in sequences]
    _, curve = masked.trained(trunk, tokens, sequences[:5])
    looks = [row["perplexity at masks"] for row in curve if "masks" in row]
    assert len(looks) == 2
    assert looks[1] < looks[0]
    assert all(torch.equal(before[k], v) for k, v in trunk.hf.state_dict().items())


def test_perplexity_is_that_of_the_model_alone(tiny):
    model = tiny("esm", "masked")
    sequences = ["MKTAYIAKQRQISFVKSHFSRQ" * 2, "GAVLKVLTTG" * 4]
    numbers = masked.judged(model.hf, model, sequences, seed=1)
    masking = masked.Masking(model, 1)
    losses = []
    for sequence in sequences:
        ids = np.array(model.tokenizer(sequence)["input_ids"])[None]
        read, truth = masking(ids)
        with torch.no_grad():
            p = model.hf(torch.from_numpy(read)).logits.log_softmax(-1)[0]
        losses += [-p[i, t].item() for i, t in enumerate(truth[0]) if t >= 0]
    assert numbers["perplexity at all"] == pytest.approx(np.exp(np.mean(losses)), rel=1e-5)
    assert numbers["all"] == len(losses)


CARD = json.loads((DATA / "esm2-8m.json").read_text("utf-8"))


def test_the_model_that_comes_with_the_project_does_as_well_as_its_card_says(esm2):
    test = sorted((p.sequence for p in held_out()["test"]), key=len)
    sample = masked.judged(esm2.hf, esm2, test[: masked.SAMPLE])
    assert sample == pytest.approx(CARD["sample"], abs=0.01)
    stored = load_file(DATA / "esm2-8m.safetensors")
    assert all(tensor.dtype == torch.float16 for tensor in stored.values())


@pytest.mark.slow
def test_its_metrics_are_those_of_its_card(esm2):
    test = [protein.sequence for protein in held_out()["test"][: masked.EVALUATED]]
    assert masked.judged(esm2.hf, esm2, test) == pytest.approx(CARD["test"], rel=0.01)
