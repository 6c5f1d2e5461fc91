"""Features of proteins, against the published formulas computed by hand and a second library."""

import math
import random
from collections import Counter

import numpy as np
import peptides
import pytest
from Bio.SeqUtils.ProtParam import ProteinAnalysis

from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.proteins.features import (
    FEATURES,
    PROPERTIES,
    features,
    per_residue,
    substitution_effects,
    table,
)
from neuronlab.proteins.labelled import LABELLED

MELITTIN = "GIGAVLKVLTTGLPALISWIKRKRQQ"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def random_sequences(count=30, longest=150):
    draw = random.Random(0)
    return ["".join(draw.choices(AMINO_ACIDS, k=draw.randint(2, longest))) for _ in range(count)]


SEQUENCES = [MELITTIN, UBIQUITIN, AMINO_ACIDS, "WW", *random_sequences()]


# --- Values --------------------------------------------------------------------------------------


def test_values_from_the_literature():
    # UniProt P0CG48: 8.6 kDa, pI 6.6 (ProtParam); melittin: 2847 Da, +5 at pH 7 with its free end.
    ubiquitin, melittin = features(UBIQUITIN), features(MELITTIN)
    assert ubiquitin["molecular_weight"] == pytest.approx(8564.8, abs=0.2)
    assert ubiquitin["isoelectric_point"] == pytest.approx(6.56, abs=0.02)
    assert ubiquitin["charge"] == pytest.approx(0, abs=0.5)
    assert melittin["molecular_weight"] == pytest.approx(2847.5, abs=0.2)
    assert 4.5 < melittin["charge"] < 5.5
    assert melittin["isoelectric_point"] > 11.5


def test_every_name_has_the_value_of_its_formula():
    """By name, never by position: in the paper's own table the names were shifted."""
    # AVILK: hydropathy 1.8, 4.2, 4.5, 3.8, -3.9; solubilities 1.81, 4.04, 4.92, 4.92, -5.55.
    found = features("AVILK")
    assert found["length"] == 5
    assert found["gravy"] == pytest.approx((1.8 + 4.2 + 4.5 + 3.8 - 3.9) / 5)
    assert found["boman_index"] == pytest.approx(-(1.81 + 4.04 + 4.92 + 4.92 - 5.55) / 5)
    assert found["aliphatic_index"] == pytest.approx(20 + 2.9 * 20 + 3.9 * (20 + 20))
    # Eisenberg's 0.62, 1.08, 1.38, 1.06, -1.50 around a helix.
    scale = [0.62, 1.08, 1.38, 1.06, -1.50]
    x = sum(value * math.cos(math.radians(100 * i)) for i, value in enumerate(scale))
    y = sum(value * math.sin(math.radians(100 * i)) for i, value in enumerate(scale))
    assert found["hydrophobic_moment"] == pytest.approx(math.hypot(x, y) / 5)
    # One K and two ends: +1 of K, +1 and -1 of the ends, each nearly whole at pH 7.
    assert found["charge"] == pytest.approx(1, abs=0.3)
    # Average masses of A, V, I, L and K as free amino acids, less four waters.
    mass = 89.093 + 117.146 + 131.173 + 131.173 + 146.188 - 4 * 18.015
    assert found["molecular_weight"] == pytest.approx(mass, abs=0.01)
    # Guruprasad's table: AV 1, VI 1, IL 20.26, LK -7.49.
    assert found["instability_index"] == pytest.approx(10 / 5 * (1 + 1 + 20.26 - 7.49))
    assert found["aromaticity"] == 0
    assert found["helix_propensity"] == pytest.approx(3 / 5)
    assert found["turn_propensity"] == 0
    assert found["sheet_propensity"] == pytest.approx(3 / 5)
    assert found["fraction_basic"] == found["fraction_K"] == pytest.approx(1 / 5)
    assert found["entropy"] == pytest.approx(math.log2(5))
    assert f"{features('KKKK')['entropy']:.1f}" == "0.0"  # not minus zero


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_as_the_libraries_have_it(sequence):
    found, protein, peptide = (
        features(sequence),
        ProteinAnalysis(sequence),
        peptides.Peptide(sequence),
    )
    helix, turn, sheet = protein.secondary_structure_fraction()
    expected = {
        "length": len(peptide),
        "molecular_weight": protein.molecular_weight(),
        "isoelectric_point": protein.isoelectric_point(),
        "charge": protein.charge_at_pH(7),
        "gravy": peptide.hydrophobicity("KyteDoolittle"),
        "aromaticity": protein.aromaticity(),
        "helix_propensity": helix,
        "turn_propensity": turn,
        "sheet_propensity": sheet,
        "boman_index": peptide.boman(),
        "aliphatic_index": peptide.aliphatic_index(),
        "hydrophobic_moment": peptide.hydrophobic_moment(window=11, angle=100),
        "entropy": peptide.entropy(),
        "longest_repeat": peptide.longest_run(),
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    # The two libraries round the table of pairs differently.
    assert found["instability_index"] == pytest.approx(peptide.instability_index(), abs=0.05)
    counts = Counter(sequence)
    for letter in AMINO_ACIDS:
        assert found[f"fraction_{letter}"] == pytest.approx(counts[letter] / len(sequence))
    assert sum(found[f"fraction_{letter}"] for letter in AMINO_ACIDS) == pytest.approx(1)
    assert found["fraction_acidic"] == pytest.approx(found["fraction_D"] + found["fraction_E"])


def test_secondary_structure_where_it_is_known():
    found = features("A" * 12, "HGIEEBTSC-P ")
    assert [found[name] for name in ("dssp_helix", "dssp_strand", "dssp_coil")] == [
        pytest.approx(share) for share in (3 / 12, 3 / 12, 6 / 12)
    ]
    unknown = features("AAA")
    assert all(math.isnan(unknown[name]) for name in ("dssp_helix", "dssp_strand", "dssp_coil"))
    with pytest.raises(ValueError, match="2 letters of DSSP for 3 residues"):
        features("AAA", "HH")


def test_myoglobin_is_mostly_helix():
    (myoglobin,) = [each for each in LABELLED["pdb_enzyme"].proteins if each.name == "1A6M_A"]
    found = features(myoglobin.sequence, myoglobin.secondary)
    assert found["dssp_helix"] > 0.7
    assert found["dssp_strand"] == 0


# --- Residues that are not standard --------------------------------------------------------------


@pytest.mark.parametrize("strange", "XBZUOJ*-")
def test_other_letters_are_left_out_everywhere(strange):
    plain, mixed = features("MKTAYIAKQR"), features(f"{strange}MKT{strange}AYIAKQR{strange}")
    assert mixed.pop("length") == plain.pop("length") + 3
    assert mixed == pytest.approx(plain, nan_ok=True)


@pytest.mark.parametrize("sequence", ["", "X", "XX-"])
def test_nothing_is_nan_but_the_length(sequence):
    found = features(sequence)
    assert found.pop("length") == len(sequence)
    assert all(map(math.isnan, found.values()))


def test_one_residue_has_no_neighbour():
    found = features("K")
    undefined = {name for name, value in found.items() if math.isnan(value)}
    assert undefined == {"instability_index", "dssp_helix", "dssp_strand", "dssp_coil"}


# --- Registry and table --------------------------------------------------------------------------


def test_every_feature_says_what_it_is():
    for name, feature in FEATURES.items():
        assert feature.name == name
        assert feature.title
        assert feature.what.endswith(".")
    assert len({feature.title for feature in FEATURES.values()}) == len(FEATURES)
    for name in ("helix", "turn", "sheet"):
        assert "not the structure" in FEATURES[f"{name}_propensity"].title


@pytest.mark.long
def test_table_has_one_row_a_protein():
    proteins = LABELLED["pdb_enzyme"].proteins[:500]
    found = table(proteins)
    assert list(found.columns) == list(FEATURES)
    assert len(found) == 500
    assert set(found.dtypes) == {np.dtype(float)}
    assert not found.isna().to_numpy().any()
    last = proteins[-1]
    assert found.iloc[-1].to_dict() == features(last.sequence, last.secondary)


def test_an_empty_table_has_its_columns():
    assert list(table([]).columns) == list(FEATURES)
    unknown = table([AnnotatedProtein("a", "MK")])
    assert unknown["dssp_helix"].isna().all()


def test_properties_depend_on_the_residues_alone():
    assert {"gravy", "charge", "isoelectric_point", "instability_index"} <= PROPERTIES.keys()
    assert not {"length", "dssp_helix", "entropy"} & PROPERTIES.keys()
    predicted = {name for name, each in PROPERTIES.items() if each.state}
    assert predicted == {"predicted_helix", "predicted_strand", "predicted_coil"}
    for name in PROPERTIES.keys() - predicted:
        each = PROPERTIES[name]
        assert each is FEATURES[name]
        assert each.compute(UBIQUITIN) == features(UBIQUITIN)[name]


# --- Residue by residue --------------------------------------------------------------------------

MEANS = [n for n, f in FEATURES.items() if f.scale and n not in ("molecular_weight", "charge")]


@pytest.mark.parametrize("name", MEANS)
def test_contributions_average_to_the_feature(name):
    for sequence in SEQUENCES:
        found = per_residue(name, sequence)
        assert found.shape == (len(sequence),)
        assert found.mean() == pytest.approx(features(sequence)[name])


@pytest.mark.parametrize("sequence", SEQUENCES)
def test_masses_and_charges_add_up(sequence):
    mass = per_residue("molecular_weight", sequence).sum()
    assert mass + 18.015 == pytest.approx(features(sequence)["molecular_weight"], abs=0.01)
    # What is left are the ends: -1 of the last; of the first, with a pK of 6.8 to 8.4, +.4 to +1.
    ends = features(sequence)["charge"] - per_residue("charge", sequence).sum()
    assert -0.7 < ends < 0.1


def test_charges_of_residues():
    found = dict(zip("KRDEHAG", per_residue("charge", "KRDEHAG"), strict=True))
    assert found["K"] > 0.99
    assert found["R"] > 0.99
    assert found["D"] < -0.99
    assert found["E"] < -0.99
    assert 0 < found["H"] < 0.5
    assert found["A"] == found["G"] == 0


def test_what_is_not_made_of_residues_has_no_contributions():
    for name in ("isoelectric_point", "instability_index", "hydrophobic_moment", "entropy"):
        assert per_residue(name, UBIQUITIN) is None
    assert per_residue("dssp_helix", UBIQUITIN) is None


def test_contributions_of_other_letters_are_nan():
    found = per_residue("gravy", "AXI")
    np.testing.assert_array_equal(found, [1.8, np.nan, 4.5])


# --- Substitutions -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in PROPERTIES if name in FEATURES])
def test_substitutions_are_as_if_written_out(name):
    compute = PROPERTIES[name].compute
    positions = [25, 0, 7]
    found = substitution_effects(MELITTIN, compute, positions)
    assert found.shape == (3, 20)
    for row, place in enumerate(positions):
        for column, letter in enumerate(AMINO_ACIDS):
            changed = list(MELITTIN)
            changed[place] = letter
            expected = compute("".join(changed)) - compute(MELITTIN)
            assert found[row, column] == pytest.approx(expected)
        assert found[row, AMINO_ACIDS.index(MELITTIN[place])] == 0


def test_a_substitution_of_an_additive_property():
    (row,) = substitution_effects(MELITTIN, PROPERTIES["gravy"].compute, [6], "KI")
    np.testing.assert_allclose(row, [0, (4.5 + 3.9) / len(MELITTIN)])


@pytest.mark.parametrize("place", [-1, len(MELITTIN)])
def test_a_position_outside_is_refused(place):
    with pytest.raises(IndexError, match="residues"):
        substitution_effects(MELITTIN, PROPERTIES["gravy"].compute, [place])
