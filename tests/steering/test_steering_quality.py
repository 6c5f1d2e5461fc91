"""What steering cost, by counting and by a loop of single predictions."""

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.proteins import hidden
from neuronlab.steering.quality import (
    conservation,
    identity,
    longest_repeat,
    pseudo_perplexity,
)

DRAW = np.random.default_rng(3)
SEQUENCES = ["".join(DRAW.choice([*"ACDEFGHIKLMNPQRSTVWY"], 21)) for _ in range(4)]


def test_identity():
    assert identity("MKTA", "MKTA") == 1
    assert identity("MKTA", "AMKT") == 0
    assert identity("MKTA", "MKAA") == 0.75
    with pytest.raises(ValueError, match="zip"):
        identity("MKT", "MKTA")


@pytest.mark.parametrize(
    ("residues", "expected"),
    [("A", 1), ("ACAC", 1), ("AAC", 2), ("CAA", 2), ("ACCCA", 3), ("AACAAAC", 3), ("KKKK", 4)],
)
def test_longest_repeat(residues, expected):
    assert longest_repeat(residues, range(len(residues))) == expected


def test_a_repeat_of_the_free_region_ends_where_the_region_does():
    sequence = "AAKKKAAACCAA"
    assert longest_repeat(sequence, (0, 1, 5, 6)) == 2  # not the four A next to each other
    assert longest_repeat(sequence, (3, 4, 5, 6, 8)) == 2
    assert longest_repeat(sequence, (3,)) == 1
    assert longest_repeat(sequence, (4, 3, 2)) == 3


@pytest.mark.long
@pytest.mark.parametrize("places", [tuple(range(21)), (0, 20), (7,)])
def test_pseudo_perplexity_is_that_of_a_plain_loop(residues_model, places):
    """One prompt per hidden residue, with nothing of steering."""
    perplexities = pseudo_perplexity(residues_model, SEQUENCES, places)
    for sequence, perplexity in zip(SEQUENCES, perplexities, strict=True):
        logs = [
            nl.predict(residues_model, nl.Prompt(sequence, sequence[i], mask=i)).log_probability
            for i in places
        ]
        assert perplexity == pytest.approx(np.exp(-np.mean(logs)), rel=1e-4)


@pytest.mark.long
def test_pseudo_perplexity_does_not_depend_on_batches(residues_model, monkeypatch):
    whole = pseudo_perplexity(residues_model, SEQUENCES, range(21))
    for room in (1, 100):
        monkeypatch.setattr(hidden, "TOKENS", room)
        parts = pseudo_perplexity(residues_model, SEQUENCES, range(21))
        assert parts == pytest.approx(whole, rel=1e-5)


@pytest.mark.long
def test_conservation_is_that_of_a_plain_loop(residues_model):
    sequence = SEQUENCES[0]
    probabilities, bits = conservation(residues_model, sequence)
    letters = residues_model.tokenizer.convert_tokens_to_ids([*"ACDEFGHIKLMNPQRSTVWY"])
    for place, letter in enumerate(sequence):
        said = nl.predict(residues_model, nl.Prompt(sequence, letter, mask=place))
        assert probabilities[place] == pytest.approx(said.probability, rel=1e-4)
        among = said.probabilities.double().numpy()[letters]
        among /= among.sum()
        entropy = -(among * np.log2(among)).sum()
        assert bits[place] == pytest.approx(np.log2(20) - entropy, rel=1e-3, abs=1e-6)
    assert (bits >= 0).all()
    assert (bits <= np.log2(20) + 1e-9).all()


def test_no_knowledge_is_the_number_of_choices(residues_model, monkeypatch):
    monkeypatch.setattr(
        residues_model, "logits", lambda hidden: torch.zeros(len(hidden), residues_model.vocabulary)
    )
    perplexities = pseudo_perplexity(residues_model, SEQUENCES[:1], range(5))
    assert perplexities == pytest.approx([residues_model.vocabulary])
    assert conservation(residues_model, SEQUENCES[0])[1] == pytest.approx(0.0, abs=1e-9)


def test_progress_hooks_and_other_models(residues_model, hooks_of, tiny, sentence):
    heard, hooks = [], hooks_of(residues_model)
    pseudo_perplexity(residues_model, SEQUENCES, (1, 2), heard.append)
    assert heard == [0.25, 0.5, 0.75, 1.0]

    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pseudo_perplexity(residues_model, SEQUENCES, (1,), stop)
    assert hooks_of(residues_model) == hooks
    sentence(conservation, tiny("bert", "masked"), SEQUENCES[0], says="masked protein")
    sentence(pseudo_perplexity, tiny("bert", "masked"), SEQUENCES, (1,), says="masked protein")
