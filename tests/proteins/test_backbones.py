"""Backbones that come with the app: their geometry, their states, and whose they are."""

import io
from itertools import pairwise

import numpy as np
import pytest
from Bio.PDB import PDBParser

from neuronlab.errors import UserError
from neuronlab.proteins import backbones
from neuronlab.proteins.features import HELIX, STRAND
from neuronlab.proteins.folding import chain_states, secondary_structure
from neuronlab.proteins.labelled import LABELLED
from neuronlab.proteins.structures import read_structure

CHAINS = LABELLED["pdb_enzyme"].proteins
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
# Chains of all lengths, drawn once.
SOME = [CHAINS[i] for i in np.random.default_rng(0).choice(len(CHAINS), 40, replace=False)]
LYSOZYME = (
    "KVFGRCELAAAMKRHGLDNYRGYSLGNWVCAAKFESNFNTQATNRNTDGSTDYGILQINSRWWCNDGRTPGSRNLCNIPCSALLSSDIT"
)


def three(states):
    return ["H" if s in HELIX else "E" if s in STRAND else "-" for s in states]


def mutated(sequence, share, seed=0):
    """With that share of the residues replaced by others, at random places."""
    draw = np.random.default_rng(seed)
    letters = list(sequence)
    for place in draw.choice(len(letters), round(share * len(letters)), replace=False):
        letters[place] = draw.choice([each for each in LETTERS if each != letters[place]])
    return "".join(letters)


@pytest.mark.parametrize("protein", SOME, ids=lambda p: p.name)
def test_bonds_have_the_lengths_of_bonds(protein):
    chain = backbones.backbone(protein.name)
    assert chain.sequence == protein.sequence
    assert chain.secondary == protein.secondary
    n, ca, c, o = chain.coordinates.transpose(1, 0, 2)
    for one, other, length in ((n, ca, 1.46), (ca, c, 1.52), (c, o, 1.23)):
        assert np.median(np.linalg.norm(one - other, axis=1)) == pytest.approx(length, abs=0.05)
    # The next residue is bound to this one: where the chain has no gap.
    assert np.median(np.linalg.norm(c[:-1] - n[1:], axis=1)) == pytest.approx(1.33, abs=0.05)
    np.testing.assert_allclose(ca.mean(0), 0, atol=0.05)


def test_decoded_coordinates_give_the_stored_states():
    """Hydrogen bonds of the decoded atoms against DSSP on the whole entries."""
    same = [
        one == other
        for protein in SOME
        for one, other in zip(
            secondary_structure(backbones.backbone(protein.name).text),
            three(protein.secondary),
            strict=True,
        )
    ]
    assert np.mean(same) > 0.9


def test_the_states_of_a_files_chain_are_those_of_its_text():
    """In mmCIF, with another chain beside it; a residue without its O has no state."""
    one, other = (backbones.backbone(name) for name in ("1WY3_A", "3W7Y_B"))
    text = one.text.removesuffix("END   \n") + other.text
    structure = read_structure("x.pdb", text.encode())
    for chain in (one, other):
        states = chain_states(structure, chain.chain)
        assert list(states) == [r.number for r in structure.chains[chain.chain].residues]
        assert "".join(states.values()) == secondary_structure(chain.text)
    lines = [line for line in one.text.splitlines() if line[12:26] != " O   TRP A  23"]
    assert len(lines) == len(one.text.splitlines()) - 1
    states = chain_states(read_structure("x.pdb", "\n".join(lines).encode()), "A")
    assert (secondary_structure(one.text)[22], states[23]) == ("H", "-")


def test_the_text_is_a_structure_file():
    chain = backbones.backbone("1A6M_A")
    (residues,) = PDBParser(QUIET=True).get_structure("", io.StringIO(chain.text))[0]
    assert residues.id == "A"
    places = np.array([[r[a].coord for a in ("N", "CA", "C", "O")] for r in residues])
    np.testing.assert_allclose(places, chain.coordinates, atol=6e-4)
    read = read_structure("1A6M.pdb", chain.text.encode())
    assert read.chains["A"].sequence == chain.sequence
    assert [each.name for each in read.chains["A"].residues[:3]] == ["1", "2", "3"]


def test_every_chain_of_the_set_has_its_backbone():
    for file, (table, arrays) in enumerate(backbones._FILES):
        rows = backbones._rows(table)
        lengths = backbones._arrays(arrays)["length"].tolist()
        assert lengths == [len(row["sequence"]) for row in rows], file
        assert all(len(row["sequence"]) == len(row["dssp8"]) for row in rows)
    with pytest.raises(UserError, match="No backbone '9XYZ_A' comes with the app"):
        backbones.backbone("9XYZ_A")


def test_proteins_people_know_are_those():
    """By what their sequences are known to begin with, or hold."""
    known = backbones.gallery()
    assert len(known) >= 12
    begins = {
        "Lysozyme": "KVFGRCELAAAM",
        "Ubiquitin": "MQIFVKTLTGKT",
        "Myoglobin": "VLSEGEWQLVLH",
        "Haemoglobin, α": "VLSPADKTNVKA",
        "Insulin, A": "GIVEQCCTSICSLYQLENYCN",
        "Insulin, B": "FVNQHLCGSHLVEALYLVCGERGFFYTPKT",
        "Trypsin": "IVGGYTCGANTVPYQ",
        "Ribonuclease A": "KETAAAKFERQHMD",
        "Papain": "IPEYVDWRQKGAVT",
        "Crambin": "TTCCPSIVARSNFN",
        "H-Ras": "MTEYKLVVVGAGGVGKS",
        "Rhodopsin": "MNGTEGPNFYVPFSNKTGVV",
        "Superoxide dismutase": "ATKAVCVLKGDGPVQG",
    }
    for title, begin in begins.items():
        (name,) = [name for name, called in known.items() if called.startswith(title)]
        chain = backbones.backbone(name)
        assert chain.sequence.startswith(begin), title
        assert chain.title.startswith(title)
        assert chain.what.endswith(".")
    # In both files: the same atoms, but for the rounding.
    assert backbones._index().names["1A6M_A"] == (0, list(known).index("1A6M_A"))


def test_a_chain_is_found_by_its_sequence():
    for protein in SOME[:8]:
        found = backbones.find(protein.sequence)
        assert (found.match.identity, found.match.covered) == (1, 1)
        assert found.backbone.sequence == protein.sequence
        assert found.secondary == protein.secondary
        assert [r.name for r in found.match.residues] == [
            str(i) for i in range(1, len(protein.sequence) + 1)
        ]


def test_tags_gaps_and_mutations_keep_each_residue_at_its_place():
    chain = backbones.backbone("2VB1_A")
    assert chain.sequence.startswith(LYSOZYME)
    # Six more in front, residues 41 to 44 left out, one replaced.
    sequence = "MHHHHH" + LYSOZYME[:40] + LYSOZYME[44:60] + "Y" + LYSOZYME[61:]
    found = backbones.find(sequence)
    assert found.backbone.name == "2VB1_A"
    assert found.match.residues[:6] == (None,) * 6
    seen = [r for r in found.match.residues if r is not None]
    assert all(a.number < b.number for a, b in pairwise(seen))
    for place, residue in enumerate(found.match.residues):
        if residue is not None:
            assert residue.name == str(place + 1)
            assert residue.number == (place - 5 if place < 46 else place - 1)
    assert found.match.identity == pytest.approx(82 / 83, abs=0.02)
    assert found.secondary.startswith(" " * 6 + chain.secondary[:40])


@pytest.mark.parametrize("protein", SOME[:8], ids=lambda p: p.name)
def test_ninety_percent_is_the_border(protein):
    near = backbones.find(mutated(protein.sequence, 0.07))
    assert near is not None
    assert near.backbone.sequence == protein.sequence
    assert near.match.identity >= 0.9
    assert backbones.find(mutated(protein.sequence, 0.14)) is None


@pytest.mark.parametrize(
    "sequence",
    [
        "",
        "MKT",
        LYSOZYME[:19],
        "".join(np.random.default_rng(0).permutation(list(LYSOZYME))),
        LYSOZYME[::-1],
        LYSOZYME + "GS" * len(LYSOZYME),  # more than half of it is not there
        "A" * 60,
        "X" * 60,
        "GSGSG" * 30,
        "é" * 30,
    ],
)
def test_what_is_no_chain_has_no_backbone(sequence):
    assert backbones.find(sequence) is None
