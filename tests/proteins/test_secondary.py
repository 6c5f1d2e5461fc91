"""Predicted secondary structure: of rows in a batch as of each alone, and its slopes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from neuronlab.errors import UserError
from neuronlab.figures.secondary import STATE_NAMES
from neuronlab.heads.parts import held_out
from neuronlab.heads.secondary import SAMPLE, judged, states, truth
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins import secondary
from neuronlab.proteins.secondary import STATES, predicted, shares, substitution_gains, three_states

SEQUENCES = ["MKTAYIAKQRQISFVKSHFSRQ", "GAVLKVLTTG", "MKTAYIAKQRQISFVKSHFSRQ", "WW"]


@pytest.fixture
def tiny_head(tiny, monkeypatch):
    """The prediction by a tiny model and a network that nobody has trained."""
    model = tiny("esm", "masked")
    torch.manual_seed(1)
    head = secondary.network(model.hf.config.hidden_size)
    with torch.no_grad():
        head[-1].weight *= 20  # so that residues differ
    monkeypatch.setattr(secondary, "shared", lambda name, device: model)
    monkeypatch.setattr(secondary, "_head", lambda device: head)
    secondary._remembered.cache_clear()
    yield model, head
    secondary._remembered.cache_clear()


def alone(model, head, sequence):
    """By the transformers model itself, one protein at a time."""
    ids = torch.tensor([model.tokenizer(sequence)["input_ids"]])
    with torch.no_grad():
        hidden = model.hf.esm(ids).last_hidden_state[0, 1:-1]
        return head(hidden).softmax(-1).numpy()


@pytest.mark.parametrize("budget", [1, 60, 4096])
def test_a_batch_gives_what_each_protein_gives_alone(tiny_head, monkeypatch, budget):
    monkeypatch.setattr(secondary, "_TOKENS_PER_BATCH", budget)
    heard = []
    for sequence, of in zip(SEQUENCES, predicted(SEQUENCES, progress=heard.append), strict=True):
        expected = alone(*tiny_head, sequence)
        assert of.probabilities == pytest.approx(expected, abs=1e-5)
        assert of.states == "".join(STATES[i] for i in expected.argmax(1))
        assert of.reliability == pytest.approx(expected.max(1), abs=1e-5)
    assert heard == sorted(heard)
    assert heard[-1] == 1


def test_shares_are_means_over_residues(tiny_head):
    for k, state in enumerate(STATES):
        expected = [alone(*tiny_head, s)[:, k].mean() for s in SEQUENCES]
        assert shares(SEQUENCES, state) == pytest.approx(expected, abs=1e-5)
    stretch = [alone(*tiny_head, SEQUENCES[0])[3:9, 0].mean()]
    assert shares(SEQUENCES[:1], "H", (3, 9)) == pytest.approx(stretch, abs=1e-5)
    assert np.ptp(shares(SEQUENCES, "H")) > 1e-3


@pytest.mark.parametrize(
    ("state", "stretch", "words"),
    [
        ("helix", None, r"no state 'helix': ask for H \(helix\), E \(strand\) or -"),
        ("", None, "no state ''"),
        ("H", (5, 11), "of 10 residues has no stretch from 5 to 11"),
        ("H", (-3, 2), "no stretch"),
        ("H", (4, 4), "no stretch"),
    ],
)
def test_a_state_or_stretch_that_is_not_there_is_refused(tiny_head, state, stretch, words):
    with pytest.raises(UserError, match=words):
        shares(SEQUENCES[:2], state, stretch)
    with pytest.raises(UserError, match=words):
        substitution_gains(SEQUENCES[1], state, stretch)


@pytest.mark.parametrize("stretch", [None, (2, 6)])
def test_gains_are_slopes_along_the_way_to_another_residue(tiny_head, stretch):
    model, _ = tiny_head
    sequence, place, step = SEQUENCES[1], 4, 1e-3
    gains = substitution_gains(sequence, "E", stretch)
    assert gains.shape == (len(sequence), 20)
    for i, letter in enumerate(sequence):
        assert gains[i, AMINO_ACIDS.index(letter)] == pytest.approx(0, abs=1e-7)
    weight = model.hf.get_input_embeddings().weight
    token = model.tokenizer.convert_tokens_to_ids
    for letter in "ADW":
        way = weight[token(letter)] - weight[token(sequence[place])]

        def shifted(by, way=way):
            def move(module, inputs, output):
                output = output.clone()
                output[0, place + 1] += by * way
                return output

            hook = model.hf.get_input_embeddings().register_forward_hook(move)
            secondary._remembered.cache_clear()
            try:
                return shares([sequence], "E", stretch)[0]
            finally:
                hook.remove()

        slope = (shifted(step) - shifted(-step)) / (2 * step)
        expected = gains[place, AMINO_ACIDS.index(letter)]
        assert slope == pytest.approx(expected, abs=2e-4 * max(1, abs(expected)) + 1e-5)


def test_dssp_has_three_states():
    assert three_states("HGIEBTSC") == "HHHEE---"


CARD = secondary.card()


def test_its_accuracy_on_a_sample_is_that_of_its_card(esm2):
    sample = sorted(held_out()["test"], key=lambda protein: len(protein.sequence))[:SAMPLE]
    of = predicted([protein.sequence for protein in sample])
    letters = "".join(three_states(protein.secondary) for protein in sample)
    q3 = np.mean([a == b for a, b in zip("".join(o.states for o in of), letters, strict=True)])
    assert q3 == pytest.approx(CARD["sample"]["q3"], abs=0.01)
    assert CARD["test"]["q3"] > CARD["always the most frequent"] + 0.3
    assert CARD["test"]["calibration_error"] < 0.03


@pytest.mark.parametrize("document", ["guide.md", "results.md"])
def test_documents_have_its_confusion_table(document):
    text = (Path(__file__).parents[2] / "docs" / document).read_text("utf-8")
    for name, row in zip(STATE_NAMES, CARD["test"]["confusion"], strict=True):
        assert f"| {name} | {' | '.join(f'{count:,}' for count in row)} |" in text


@pytest.mark.slow
def test_its_metrics_are_those_of_its_card(esm2):
    test = held_out()["test"]
    again = judged(secondary._head("cpu"), states(esm2, test), truth(test))
    assert again["q3"] == pytest.approx(CARD["test"]["q3"], abs=0.01)
    assert np.array(again["confusion"]) == pytest.approx(
        np.array(CARD["test"]["confusion"]), rel=0.05, abs=50
    )
