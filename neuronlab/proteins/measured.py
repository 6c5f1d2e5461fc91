"""Measured effects of mutations, to hold a model's map against."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from Bio.Align import substitution_matrices
from jaxtyping import Float32

from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins.labelled import data_rows
from neuronlab.statistics import expanded, rank_correlation, resampled

# Protein G of Streptococcus, domain B1, as the measured variants have it.
GB1 = "MTYKLILNGKTLKGETTTEAVDAATAEKVFKQYANDNGVDGEWTYDDATKTFTVTE"


@dataclass(frozen=True)
class MeasuredSet:
    """Single mutations of a protein and what each does.

    Attributes:
        what: what was measured, with its source.
        effect: the axis of a figure: higher is better for the protein.
    """

    title: str
    what: str
    effect: str
    sequence: str
    file: str

    @property
    def effects(self) -> pd.DataFrame:
        """Columns position (from 1), wild_type, mutant, effect."""
        return _effects(self.file)


@cache
def _effects(file: str) -> pd.DataFrame:
    rows = [
        (int(row["position"]), row["wild_type"], row["mutant"], -float(row["ddg"]))
        for row in data_rows(file)
    ]
    return pd.DataFrame(rows, columns=["position", "wild_type", "mutant", "effect"])


MEASURED = (
    MeasuredSet(
        title="Protein G, domain B1",
        what="Stability of 810 single mutants (Nisthal et al. 2019, PNAS 116, 16367)",
        effect="stability, −ΔΔG (kcal/mol)",
        sequence=GB1,
        file="gb1_stability.tsv.gz",
    ),
)


def measured(sequence: str) -> MeasuredSet | None:
    """The set that was measured on exactly this protein, if there is one."""
    return next((each for each in MEASURED if each.sequence == sequence), None)


@dataclass(frozen=True)
class Agreement:
    """How a map orders measured mutations.

    Attributes:
        table: columns position, wild_type, mutant, effect, log_odds, blosum62.
        model, blosum62: Spearman's correlation with the effects of the model's log-odds, and of
            what any alignment knows: the substitution matrix (Henikoff, Henikoff 1992).
        low, high: 95 % interval of ``model``, positions drawn with replacement.
    """

    table: pd.DataFrame
    model: float
    low: float
    high: float
    blosum62: float


def agreement(measurements: MeasuredSet, log_odds: Float32[np.ndarray, "residue 20"]) -> Agreement:
    """Hold a map of the set's own protein against what was measured."""
    table = measurements.effects.copy()
    column = [AMINO_ACIDS.index(mutant) for mutant in table["mutant"]]
    table["log_odds"] = log_odds[table["position"] - 1, column]
    matrix = substitution_matrices.load("BLOSUM62")
    pairs = zip(table["wild_type"], table["mutant"], strict=True)
    table["blosum62"] = [float(matrix[wild][mutant]) for wild, mutant in pairs]
    effects = table["effect"].to_numpy()
    by_model = table["log_odds"].to_numpy(float)
    positions, place = np.unique(table["position"], return_inverse=True)
    drawn = resampled(len(positions), 0)[:, place]
    whole = float(rank_correlation(by_model, effects)[0])
    low, high = expanded(rank_correlation(by_model, effects, drawn)[:, None], len(positions))
    matrix_r = float(rank_correlation(table["blosum62"].to_numpy(), effects)[0])
    return Agreement(table, whole, float(low[0]), float(high[0]), matrix_r)
