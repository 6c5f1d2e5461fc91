"""Measured effects of mutations, and how a map is held against them."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins.measured import GB1, MEASURED, agreement, measured


@pytest.mark.parametrize("known", MEASURED, ids=lambda known: known.file)
def test_every_measured_mutation_is_one_of_the_protein(known):
    table = known.effects
    assert len(table) == 810
    assert not table.duplicated(["position", "mutant"]).any()
    for row in table.itertuples():
        assert known.sequence[row.position - 1] == row.wild_type != row.mutant
        assert row.mutant in AMINO_ACIDS
    assert np.isfinite(table["effect"]).all()


def test_higher_is_more_stable():
    """Prolines break the fold, and the buried tryptophan and alanine 26 hold it together."""
    table = MEASURED[0].effects
    by_mutant = table.groupby("mutant")["effect"].mean()
    assert by_mutant.idxmin() == "P"
    by_position = table.groupby("position")["effect"].mean()
    assert by_position[26] < by_position.quantile(0.1)


def test_only_the_protein_itself_is_measured():
    assert measured(GB1) is MEASURED[0]
    assert measured(GB1[:-1]) is None


def test_agreement_against_scipy():
    draw = np.random.default_rng(0)
    table = MEASURED[0].effects
    log_odds = draw.normal(size=(len(GB1), 20)).astype(np.float32)
    random = agreement(MEASURED[0], log_odds)
    ours = [log_odds[r.position - 1, AMINO_ACIDS.index(r.mutant)] for r in table.itertuples()]
    assert random.model == pytest.approx(spearmanr(ours, table["effect"]).statistic)
    assert random.low < random.model < random.high
    assert random.low < 0 < random.high
    expected = spearmanr(random.table["blosum62"], table["effect"]).statistic
    assert random.blosum62 == pytest.approx(expected)
    for row in table.itertuples():
        log_odds[row.position - 1, AMINO_ACIDS.index(row.mutant)] = row.effect
    perfect = agreement(MEASURED[0], log_odds)
    assert perfect.model == pytest.approx(1)
