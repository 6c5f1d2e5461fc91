"""Predict a protein's structure from its sequence, superpose structures, and read their folds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from threading import Lock

import numpy as np
import pydssp
from Bio.Align import PairwiseAligner
from Bio.Data.PDBData import protein_letters_1to3, protein_letters_3to1
from Bio.PDB import PDBIO, PDBParser
from Bio.PDB.Structure import Structure as BioStructure
from Bio.PDB.StructureBuilder import StructureBuilder
from Bio.SVDSuperimposer import SVDSuperimposer
from jaxtyping import Bool, Float, Int

from neuronlab.errors import UserError
from neuronlab.models.residues import clean_sequence
from neuronlab.proteins.predictors import PREDICTORS, Atoms
from neuronlab.proteins.structures import Structure

BACKBONE = ("N", "CA", "C", "O")
STATES = "HE-"  # helix, strand, coil


@dataclass(frozen=True)
class Folded:
    """A predicted structure.

    Attributes:
        predictor: what predicted it.
        pdb: all atoms that the predictor gives, in PDB format; the B-factors are the confidence.
        sequence: of all chains, one after the other.
        chains: (chain id, sequence) of each.
        confidence: the predictor's own of each residue, 0 to 100. No proof that such a protein can
            exist: predictors are confident of many sequences that would never fold.
        secondary: H (helix), E (strand) or - (neither) of each residue, from the coordinates.
    """

    predictor: str
    pdb: str
    sequence: str
    chains: tuple[tuple[str, str], ...]
    confidence: Float[np.ndarray, " residue"]
    secondary: str


_lock = Lock()


def fold(predictor: str, sequence: str, light: str = "", device: str = "cpu") -> Folded:
    """Predict the structure of a protein.

    Args:
        predictor: a name of ``PREDICTORS``.
        sequence: the protein, or an antibody's heavy chain.
        light: an antibody's light chain, if there is one.
        device: "cpu", "cuda", "cuda:1", or "auto".

    Raises:
        UserError: no such predictor, it knows no such proteins or cannot run now, or the sequence
            is none.
    """
    from neuronlab.models.device import resolve_device

    if predictor not in PREDICTORS:
        raise UserError(f"There is no predictor '{predictor}': use one of {', '.join(PREDICTORS)}.")
    chosen = PREDICTORS[predictor]
    sequence, light = clean_sequence(sequence), clean_sequence(light) if light.strip() else ""
    if reason := chosen.fits(sequence, light) or chosen.available():
        raise UserError(reason)
    with _lock:
        atoms = chosen.predict(sequence, light, resolve_device(device))
    chains = tuple(zip(atoms.ids, filter(None, (sequence, light)), strict=False))
    pdb = pdb_text(chains, atoms)
    return Folded(
        predictor, pdb, sequence + light, chains, atoms.confidence, secondary_structure(pdb)
    )


def superposed(moving: Folded, fixed: Folded) -> tuple[Folded, float]:
    """The moving structure laid over the fixed one, and the RMSD of their CA atoms in angstrom.

    Least squares over the residues that both have (``matched``).

    Raises:
        UserError: they share fewer than three residues.
    """
    pairs = matched(moving, fixed)
    if len(pairs) < 3:
        raise UserError("The two structures share fewer than three residues: nothing to superpose.")
    superimposer = SVDSuperimposer()
    ours, theirs = (_backbone(structure.pdb)[0][:, 1] for structure in (moving, fixed))
    superimposer.set(theirs[pairs[:, 1]], ours[pairs[:, 0]])
    superimposer.run()
    rotation, translation = superimposer.get_rotran()

    structure = _parsed(moving.pdb)
    for atom in structure.get_atoms():
        # The parser keeps single precision; the text has three digits.
        atom.set_coord(np.round(atom.coord.astype(float), 3) @ rotation + translation)
    return replace(moving, pdb=_text(structure)), float(superimposer.get_rms())


def matched(one: Folded, other: Folded) -> Int[np.ndarray, "pair 2"]:
    """Which residue of one structure is which of the other, chain by chain, from 0.

    Chains of one length match place by place, others by a global alignment (BLOSUM62).
    """
    pairs, start, other_start = [], 0, 0
    for (_, ours), (_, theirs) in zip(one.chains, other.chains, strict=False):
        if len(ours) == len(theirs):
            places = np.tile(np.arange(len(ours))[:, None], 2)
        else:
            aligned = PairwiseAligner(scoring="blastp", mode="global").align(ours, theirs)[0]
            places = aligned.indices.T[(aligned.indices >= 0).all(0)]
        pairs.append(places + np.array([start, other_start]))
        start, other_start = start + len(ours), other_start + len(theirs)
    return np.concatenate(pairs)


def changed(one: Folded, other: Folded) -> Bool[np.ndarray, " residue"]:
    """Which residues of one structure the other does not have at the same place."""
    differ = np.ones(len(one.sequence), bool)
    for i, j in matched(one, other):
        differ[i] = one.sequence[i] != other.sequence[j]
    return differ


def secondary_structure(pdb: str) -> str:
    """H (helix), E (strand) or - (neither) of each residue of a PDB text, by pydssp.

    Hydrogen bonds after Kabsch and Sander (1983). Residues without all of N, CA, C and O get -.
    """
    return _states(*_backbone(pdb))


def chain_states(structure: Structure, chain: str) -> dict[int, str]:
    """The same of a chain of a structure file, by the numbers of its residues."""
    places: dict[int, dict[str, list[float]]] = {}
    names: dict[int, str] = {}
    for line in structure.text.splitlines():
        words = line.split()
        if words[:1] == ["ATOM"] and words[5] == chain:
            number = int(words[6])
            places.setdefault(number, {})[words[3]] = [float(x) for x in words[7:]]
            names[number] = words[4]
    nowhere = [np.nan] * 3
    backbone = [[place.get(atom, nowhere) for atom in BACKBONE] for place in places.values()]
    states = _states(np.array(backbone, float), list(names.values()), [chain] * len(names))
    return dict(zip(places, states, strict=True))


def _states(
    backbone: Float[np.ndarray, "residue 4 3"], names: Sequence[str], chains: Sequence[str]
) -> str:
    # Rows of nothing between two chains: no turn reaches across them, and no bond binds to them.
    gap = np.full((6, 4, 3), np.nan)
    rows, donors, kept, last = [gap], [np.ones(6)], [], None
    for place, (residue, name, chain) in enumerate(zip(backbone, names, chains, strict=True)):
        if chain != last and place:
            rows.append(gap)
            donors.append(np.ones(6))
        kept.append(sum(map(len, rows)))
        rows.append(residue[None])
        donors.append(np.array([float(name != "PRO")]))  # no hydrogen to give
        last = chain
    states = pydssp.assign(
        np.concatenate([*rows, gap]), donor_mask=np.concatenate([*donors, np.ones(6)])
    )
    return "".join(np.where(np.isfinite(backbone).all((1, 2)), states[kept], "-"))


def read(predictor: str, pdb: str) -> Folded:
    """A structure that ``fold`` predicted, from its PDB text."""
    (model,) = _parsed(pdb)
    chains = tuple(
        (chain.id, "".join(protein_letters_3to1[r.get_resname()] for r in chain)) for chain in model
    )
    confidence = np.array([residue["CA"].get_bfactor() for residue in model.get_residues()])
    sequence = "".join(letters for _, letters in chains)
    return Folded(predictor, pdb, sequence, chains, confidence, secondary_structure(pdb))


def fractions(secondary: str) -> dict[str, float]:
    """The share of residues in each state: H, E and -, 0 to 1; all 0 of no residues."""
    return {state: secondary.count(state) / max(len(secondary), 1) for state in STATES}


def pdb_text(chains: Sequence[tuple[str, str]], atoms: Atoms) -> str:
    """Chains in PDB format, residues counted from 1, the confidence as B-factors.

    Args:
        chains: (chain id, sequence) of each.
        atoms: of the residues of all chains, one after the other.
    """
    builder = StructureBuilder()
    builder.init_structure("")
    builder.init_model(0)
    builder.init_seg(" " * 4)
    rows = zip(atoms.names, atoms.positions, atoms.confidence, strict=True)
    for chain, sequence in chains:
        builder.init_chain(chain)
        for number, letter in enumerate(sequence, start=1):
            builder.init_residue(protein_letters_1to3[letter].upper(), " ", number, " ")
            names, positions, confidence = next(rows)
            for name, at in zip(names, positions, strict=True):
                if name:
                    padded = f" {name:<3}"
                    builder.init_atom(name, at, confidence, 1.0, " ", padded, element=name[0])
    return _text(builder.get_structure())


def _parsed(pdb: str) -> BioStructure:
    return PDBParser(QUIET=True).get_structure("", io.StringIO(pdb))


def _text(structure: BioStructure) -> str:
    writer, text = PDBIO(), io.StringIO()
    writer.set_structure(structure)
    writer.save(text)
    return text.getvalue()


def _backbone(pdb: str) -> tuple[Float[np.ndarray, "residue 4 3"], list[str], list[str]]:
    """N, CA, C and O of each residue (not a number where they lack), its name and its chain."""
    model = next(iter(_parsed(pdb)))
    residues = [r for r in model.get_residues() if r.id[0] == " "]
    nowhere = np.full(3, np.nan)
    places = [[r[a].coord if a in r else nowhere for a in BACKBONE] for r in residues]
    return (
        np.array(places, float).reshape(-1, 4, 3),
        [r.resname for r in residues],
        [r.get_parent().id for r in residues],
    )
