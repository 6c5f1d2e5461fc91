"""Quantitative features of protein sequences, each under the name of what it is.

Everything but the length and the secondary structure is computed on the 20 standard residues: all
other letters are left out first, and what is then undefined is nan.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Literal

import numpy as np
import pandas as pd
import peptides
from Bio.SeqUtils import IsoelectricPoint, ProtParamData, molecular_weight
from Bio.SeqUtils.ProtParam import ProteinAnalysis
from jaxtyping import Float
from peptides import tables
from scipy.special import entr

from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins import secondary
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.proteins.labelled import LabelledProtein
from neuronlab.proteins.secondary import HELIX, STRAND

PH = 7.0
WATER = 18.0153  # Da, as in Biopython
MOMENT_WINDOW, MOMENT_ANGLE = 11, 100.0  # residues; degrees from one residue of a helix to the next

# Which residues tend to which structure, as in Biopython's `secondary_structure_fraction`.
PROPENSITIES = {"helix": "EMALK", "turn": "NPGSD", "sheet": "VIYFWLT"}
AROMATIC = "FWY"
GROUPS = {"acidic": "DE", "basic": "HKR", "polar": "NQST", "aliphatic": "AILV", "small": "AGS"}


@dataclass(frozen=True)
class Feature:
    """One number that describes a protein.

    Attributes:
        title: in plain words.
        unit: "" for a pure number.
        what: how it is computed, and where that is from.
        compute: the number of a sequence; nan where it is undefined.
        scale: what each standard residue contributes, before summing or averaging; None where the
            feature is not made of contributions.
        of: what `compute` takes: the sequence, or DSSP's letters.
        state: of a predicted secondary structure, that whose share this is.
    """

    name: str
    title: str
    unit: str
    what: str
    compute: Callable[[str], float]
    scale: Mapping[str, float] | None = None
    of: Literal["sequence", "secondary"] = "sequence"
    state: secondary.State | None = None

    @property
    def of_residues(self) -> bool:
        """Whether it is made of what each residue contributes: see ``per_residue``."""
        return self.scale is not None or self.state is not None


def standard(sequence: str) -> str:
    """The sequence without all letters that are none of the 20 standard residues."""
    if set(sequence).issubset(AMINO_ACIDS):
        return sequence
    return "".join(letter for letter in sequence if letter in AMINO_ACIDS)


def features(sequence: str, secondary: str = "") -> dict[str, float]:
    """All ``FEATURES`` of a protein by name; nan where one is undefined or not known.

    Raises:
        ValueError: the secondary structure is given and not as long as the sequence.
    """
    if secondary and len(secondary) != len(sequence):
        raise ValueError(f"{len(secondary)} letters of DSSP for {len(sequence)} residues")
    given = {"sequence": sequence, "secondary": secondary}
    return {name: feature.compute(given[feature.of]) for name, feature in FEATURES.items()}


def table(proteins: Iterable[AnnotatedProtein | LabelledProtein]) -> pd.DataFrame:
    """The ``FEATURES`` of proteins: one row each, in their order, and one column a feature."""
    rows = [features(each.sequence, each.secondary) for each in proteins]
    return pd.DataFrame(rows, columns=list(FEATURES), dtype=float)


def per_residue(name: str, sequence: str) -> Float[np.ndarray, " residue"] | None:
    """What each residue contributes to a feature; nan for residues that are not standard.

    None where the feature has no such form, as the isoelectric point. The mean of the contributions
    is the feature; but of the mass and the charge the sum, and without the water and the charges of
    the two ends.

    Raises:
        KeyError: there is no feature of that name.
    """
    feature = {**FEATURES, **PROPERTIES}[name]
    if feature.state:
        (of,) = secondary.predicted([sequence])
        return of.probabilities[:, secondary.STATES.index(feature.state)]
    scale = feature.scale
    if scale is None:
        return None
    return np.array([scale.get(letter, math.nan) for letter in sequence], float)


def substitution_effects(
    sequence: str,
    compute: Callable[[str], float],
    positions: Sequence[int],
    letters: str = AMINO_ACIDS,
) -> Float[np.ndarray, "position letter"]:
    """How much a property changes when one residue is replaced: exact, each one computed anew.

    Args:
        sequence: the protein.
        compute: the property of a sequence, as ``PROPERTIES[name].compute``.
        positions: indices of residues, from 0.
        letters: what stands there instead, one after the other.

    Returns:
        The property with that residue there minus the property of the sequence as it is.

    Raises:
        IndexError: a position is outside the sequence.
    """
    before = compute(sequence)
    effects = np.zeros((len(positions), len(letters)))
    for row, place in enumerate(positions):
        if not 0 <= place < len(sequence):
            raise IndexError(f"position {place} of a sequence of {len(sequence)} residues")
        start, end = sequence[:place], sequence[place + 1 :]
        for column, letter in enumerate(letters):
            if letter != sequence[place]:
                effects[row, column] = compute(start + letter + end) - before
    return effects


# --- How each is computed ------------------------------------------------------------------------


def _of_standard(compute: Callable[[str], float], sequence: str, *, least: int = 1) -> float:
    residues = standard(sequence)
    return float(compute(residues)) if len(residues) >= least else math.nan


def _charge(sequence: str) -> float:
    return ProteinAnalysis(sequence).charge_at_pH(PH)


def _entropy(sequence: str) -> float:
    # In order, so that one composition has one entropy to the last digit.
    shares = np.array(sorted(Counter(sequence).values())) / len(sequence)
    return float(entr(shares).sum() / math.log(2)) + 0.0


def _longest_repeat(sequence: str) -> float:
    return max(sum(1 for _ in run) for _, run in groupby(sequence))


def _hydrophobic_moment(sequence: str) -> float:
    """As `peptides.Peptide.hydrophobic_moment`, which takes milliseconds: all windows at once."""
    window = min(MOMENT_WINDOW, len(sequence))
    scale = tables.HYDROPHOBICITY["Eisenberg"]
    turns = np.exp(1j * np.radians(MOMENT_ANGLE) * np.arange(window))
    values = np.array([scale[letter] for letter in sequence])
    return float(np.abs(np.convolve(values, turns[::-1], mode="valid")).max()) / window


def _share(letters: str, sequence: str) -> float:
    return sum(map(sequence.count, letters)) / len(sequence)


def _structure_share(letters: str, secondary: str) -> float:
    return _share(letters, secondary) if secondary else math.nan


def _coil_share(secondary: str) -> float:
    return 1 - _share(HELIX + STRAND, secondary) if secondary else math.nan


def _predicted_share(state: secondary.State, sequence: str) -> float:
    return float(secondary.shares([sequence], state)[0])


def _residue_charge(letter: str) -> float:
    if letter in (basic := IsoelectricPoint.positive_pKs):
        return 1 / (1 + 10 ** (PH - basic[letter]))
    if letter in (acidic := IsoelectricPoint.negative_pKs):
        return -1 / (1 + 10 ** (acidic[letter] - PH))
    return 0.0


def _member(letters: str) -> dict[str, float]:
    return {letter: float(letter in letters) for letter in AMINO_ACIDS}


# --- The features --------------------------------------------------------------------------------


def _sequence_feature(
    name: str,
    title: str,
    unit: str,
    what: str,
    compute: Callable[[str], float],
    scale: Mapping[str, float] | None = None,
    least: int = 1,
) -> Feature:
    return Feature(name, title, unit, what, partial(_of_standard, compute, least=least), scale)


def _fraction(name: str, title: str, what: str, letters: str) -> Feature:
    return _sequence_feature(name, title, "", what, partial(_share, letters), _member(letters))


def _structure(name: str, title: str, what: str, compute: Callable[[str], float]) -> Feature:
    return Feature(name, title, "", what, compute, of="secondary")


_ALIPHATIC = {"A": 100.0, "V": 290.0, "I": 390.0, "L": 390.0}
FEATURES: dict[str, Feature] = {
    each.name: each
    for each in (
        Feature(
            "length",
            "Length",
            "residues",
            "All residues, also those not standard.",
            lambda sequence: float(len(sequence)),
        ),
        _sequence_feature(
            "molecular_weight",
            "Molecular weight",
            "Da",
            "Average masses of the residues and one water (Biopython).",
            lambda sequence: ProteinAnalysis(sequence).molecular_weight(),
            {x: molecular_weight(x, seq_type="protein") - WATER for x in AMINO_ACIDS},
        ),
        _sequence_feature(
            "charge",
            "Net charge at pH 7",
            "e",
            "Henderson-Hasselbalch with the pK values of Bjellqvist, both ends charged "
            "(Biopython).",
            _charge,
            {letter: _residue_charge(letter) for letter in AMINO_ACIDS},
        ),
        _sequence_feature(
            "isoelectric_point",
            "Isoelectric point",
            "pH",
            "The pH without net charge, between 4.05 and 12, with the pK values of Bjellqvist "
            "(Biopython).",
            lambda sequence: ProteinAnalysis(sequence).isoelectric_point(),
        ),
        _sequence_feature(
            "gravy",
            "Hydropathy (GRAVY)",
            "",
            "Mean hydropathy of the residues, positive is hydrophobic (Kyte and Doolittle 1982; "
            "Biopython).",
            lambda sequence: ProteinAnalysis(sequence).gravy(),
            ProtParamData.kd,
        ),
        _sequence_feature(
            "instability_index",
            "Instability index",
            "",
            "Sum over pairs of neighbours, times 10 / length; above 40 counts as unstable "
            "(Guruprasad et al. 1990; Biopython).",
            lambda sequence: ProteinAnalysis(sequence).instability_index(),
            least=2,
        ),
        _sequence_feature(
            "aliphatic_index",
            "Aliphatic index",
            "",
            "Relative volume of the side chains of A, V, I and L (Ikai 1980; peptides).",
            lambda sequence: peptides.Peptide(sequence).aliphatic_index(),
            {letter: _ALIPHATIC.get(letter, 0.0) for letter in AMINO_ACIDS},
        ),
        _sequence_feature(
            "boman_index",
            "Boman index (binding potential)",
            "kcal/mol",
            "Mean solubility of the residues, positive tends to bind other proteins (Boman 2003; "
            "peptides).",
            lambda sequence: peptides.Peptide(sequence).boman(),
            {letter: -tables.BOMAN["Boman"].get(letter, 0.0) for letter in AMINO_ACIDS},
        ),
        _sequence_feature(
            "hydrophobic_moment",
            "Hydrophobic moment of a helix",
            "",
            "The largest one of all windows of 11 residues at 100 degrees, on Eisenberg's scale "
            "(Eisenberg et al. 1984).",
            _hydrophobic_moment,
        ),
        _fraction(
            "aromaticity",
            "Aromatic residues",
            "Fraction of F, W and Y (Lobry and Gautier 1994).",
            AROMATIC,
        ),
        *(
            _fraction(
                f"{name}_propensity",
                f"Residues that favour a {name} (a propensity, not the structure)",
                f"Fraction of {', '.join(letters)} (as in Biopython).",
                letters,
            )
            for name, letters in PROPENSITIES.items()
        ),
        _sequence_feature(
            "entropy",
            "Variety of residues (entropy)",
            "bits",
            "Shannon entropy of the composition, at most 4.32.",
            _entropy,
        ),
        _sequence_feature(
            "longest_repeat",
            "Longest run of one residue",
            "residues",
            "The largest number of equal residues in a row.",
            _longest_repeat,
        ),
        *(
            _fraction(
                f"fraction_{name}",
                f"{name.capitalize()} residues",
                f"Fraction of {', '.join(letters)}.",
                letters,
            )
            for name, letters in GROUPS.items()
        ),
        *(_fraction(f"fraction_{x}", f"Residue {x}", f"Fraction of {x}.", x) for x in AMINO_ACIDS),
        _structure(
            "dssp_helix",
            "Helix in the known structure",
            "Fraction of H, G and I in DSSP.",
            partial(_structure_share, HELIX),
        ),
        _structure(
            "dssp_strand",
            "Strand in the known structure",
            "Fraction of E and B in DSSP.",
            partial(_structure_share, STRAND),
        ),
        _structure(
            "dssp_coil",
            "Coil in the known structure",
            "Fraction of all that is neither helix nor strand in DSSP.",
            _coil_share,
        ),
    )
}

# What steering can aim at: it changes residues, so neither the structure nor the length. Entropy
# and repeats are no goals: they tell whether what it made is still a protein.
_NO_GOALS = ("length", "entropy", "longest_repeat")
PROPERTIES: dict[str, Feature] = {
    name: feature
    for name, feature in FEATURES.items()
    if feature.of == "sequence" and name not in _NO_GOALS
} | {
    f"predicted_{name}": Feature(
        f"predicted_{name}",
        f"{name.capitalize()}, predicted",
        "",
        f"Share of residues in a {name}, the mean of the probability that ESM-2 8M's last layer "
        "gives it.",
        partial(_predicted_share, state),
        state=state,
    )
    for name, state in zip(("helix", "strand", "coil"), secondary.STATES, strict=True)
}
