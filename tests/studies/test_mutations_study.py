"""The study of every mutation on tiny models."""

import numpy as np
from contexts import context_with, run, watched

from neuronlab.proteins.mutations import mutation_map, mutation_table
from neuronlab.studies import STUDIES
from neuronlab.studies.mutations import MutationsSpec

PROTEIN = "MKTAYIAKQRWDEFGHLNPSVC"


def test_the_result_is_the_packages_map(residues_model, tmp_path):
    spec = MutationsSpec(model=residues_model.name, text=PROTEIN.lower())
    result = run(residues_model, spec, tmp_path)
    expected = mutation_map(residues_model, PROTEIN)
    assert np.array_equal(result.arrays["log_odds"], expected)
    assert result.tables["mutations"].equals(mutation_table(PROTEIN, expected))
    assert result.numbers["sequence"] == PROTEIN
    wrong = [max(row) > 0 for row in expected]
    assert result.numbers["preferred"] == sum(wrong) > 0


def test_a_single_pass_is_shown_while_residues_are_hidden(residues_model, tmp_path):
    spec = MutationsSpec(model=residues_model.name, text=PROTEIN)
    result, (preview,) = watched(residues_model, spec, tmp_path)
    seen = mutation_map(residues_model, PROTEIN, hidden=False)
    assert np.array_equal(preview.result.arrays["log_odds"], seen)
    assert not np.allclose(seen, result.arrays["log_odds"])
    assert "nothing hidden" in preview.words


def test_it_suits_models_that_fill_in_residues(tiny, residues_model):
    study = STUDIES["mutations"]
    spec = study.example(residues_model)
    assert spec.model == residues_model.name
    assert study.cost(spec.model_copy(update={"text": PROTEIN}), context_with(residues_model))
    for pair in (("esm", "classifier"), ("bert", "masked"), ("llama", "causal")):
        assert study.example(tiny(*pair)) is None
