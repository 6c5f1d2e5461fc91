"""The map of mutations against one hidden residue at a time."""

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins import hidden
from neuronlab.proteins.mutations import mutation_map, mutation_table

PROTEIN = "MKTAYIAKQRWDEFGHLNPSVC"


@pytest.mark.parametrize("tokens", [1, 60, 10_000])
def test_every_cell_is_the_log_odds_of_one_prompt(residues_model, monkeypatch, tokens):
    monkeypatch.setattr(hidden, "TOKENS", tokens)
    scores = mutation_map(residues_model, PROTEIN)
    assert scores.shape == (len(PROTEIN), 20)
    assert scores.dtype == np.float32
    for place, wild in enumerate(PROTEIN):
        for column, mutant in enumerate(AMINO_ACIDS):
            if mutant == wild:
                assert scores[place, column] == 0
                continue
            prompt = nl.Prompt(PROTEIN, mask=place, target=mutant, foil=wild)
            expected = nl.predict(residues_model, prompt).log_odds
            assert scores[place, column] == pytest.approx(expected, abs=1e-4)


@torch.no_grad()
def test_with_nothing_hidden_it_is_one_pass_of_the_model(residues_model):
    hf, ids = residues_model.hf, residues_model.residue_ids(PROTEIN)
    logits = hf(input_ids=torch.tensor([ids])).logits[0, residues_model.residues_at]
    scores = mutation_map(residues_model, PROTEIN, hidden=False)
    for place, wild in enumerate(PROTEIN):
        before = residues_model.residue_tokens[wild]
        for column, mutant in enumerate(AMINO_ACIDS):
            expected = logits[place, residues_model.residue_tokens[mutant]] - logits[place, before]
            assert scores[place, column] == pytest.approx(float(expected), abs=1e-4)


def test_a_sequence_as_people_paste_it(residues_model):
    pasted = "  mktay\niakqr "
    expected = mutation_map(residues_model, "MKTAYIAKQR")
    assert np.array_equal(mutation_map(residues_model, pasted), expected)


def test_it_says_how_far_it_is_and_stops_when_told(residues_model, monkeypatch):
    monkeypatch.setattr(hidden, "TOKENS", 50)
    heard = []
    mutation_map(residues_model, PROTEIN, progress=lambda *report: heard.append(report))
    fractions = [fraction for fraction, _ in heard]
    assert fractions == sorted(fractions)
    assert fractions[0] == 0
    assert len(heard) == 11  # two rows of 24 tokens at a time
    assert heard[1] == (2 / len(PROTEIN), f"residue 3 of {len(PROTEIN)}")

    class Stopped(Exception):
        pass

    def stop(fraction, message):
        if fraction > 0.3:
            raise Stopped

    with pytest.raises(Stopped):
        mutation_map(residues_model, PROTEIN, progress=stop)


def test_what_has_no_map(tiny, sentence, residues_model):
    sentence(mutation_map, tiny("esm", "classifier"), PROTEIN, says=["masked protein model"])
    sentence(mutation_map, tiny("bert", "masked"), PROTEIN, says=["masked protein model"])
    sentence(mutation_map, residues_model, "", says=["empty"])
    sentence(mutation_map, residues_model, "MKXT", says=["Character 3", "X"])
    sentence(mutation_map, residues_model, "MKTAYIAKQR" * 7, says=["72 tokens"])


def test_the_table_has_every_substitution_the_most_preferred_first(residues_model):
    scores = mutation_map(residues_model, PROTEIN)
    table = mutation_table(PROTEIN, scores)
    assert len(table) == 19 * len(PROTEIN)
    assert table["log_odds"].is_monotonic_decreasing
    assert (table["wild_type"] != table["mutant"]).all()
    for row in table.head(30).itertuples():
        assert PROTEIN[row.position - 1] == row.wild_type
        assert scores[row.position - 1, AMINO_ACIDS.index(row.mutant)] == np.float32(row.log_odds)


@pytest.mark.fetched
@pytest.mark.slow
def test_what_the_model_of_antibodies_says_of_trastuzumab(antiberty):
    """The cysteines of the disulfide bridge stand fast."""
    from neuronlab.proteins.sequences import TRASTUZUMAB_VH

    scores = mutation_map(antiberty, TRASTUZUMAB_VH[:100])
    bridge = [21, 95]
    assert [TRASTUZUMAB_VH[i] for i in bridge] == ["C", "C"]
    others = np.delete(scores.mean(1), bridge)
    assert (scores.mean(1)[bridge] < np.median(others)).all()
    assert (scores[bridge] <= 0).all()
