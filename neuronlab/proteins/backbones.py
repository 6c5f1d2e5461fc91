"""Backbones that come with the app: 3,000 chains of the PDB and a few proteins people know.

N, CA, C and O of each residue: enough for a cartoon, not for side chains.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float, Int
from numpy.lib.stride_tricks import sliding_window_view

from neuronlab.errors import UserError
from neuronlab.proteins.families import WORD
from neuronlab.proteins.folding import pdb_text
from neuronlab.proteins.labelled import DATA, data_rows
from neuronlab.proteins.matching import Match, align
from neuronlab.proteins.predictors import Atoms
from neuronlab.proteins.structures import Residue, Structure, read_structure

# Of a table and its coordinates, in the same order; of one chain the first counts.
_FILES = (
    ("known_proteins.tsv.gz", "known_backbones.npz"),
    ("pdb_enzyme_dssp.tsv.gz", "pdb_backbones.npz"),
)
# Shorter sequences are like many chains by chance, or fold otherwise on their own.
MIN_LENGTH = 20
# How many chains are aligned: those that share the most words.
_ALIGNED = 5


@dataclass(frozen=True, eq=False)
class Backbone:
    """The backbone of a chain.

    Attributes:
        pdb: id of its entry in the Protein Data Bank.
        chain: id of the chain there.
        secondary: one letter of DSSP's eight per residue, "C" for none of the others.
        coordinates: of N, CA, C and O in angstrom, from the middle of the CA atoms. Rounded to
            .02 Å; the chain's own numbers and the rest of the entry are not kept.
        title: what people call the protein, "" for most.
        what: a sentence on what it does, "" for most.
    """

    pdb: str
    chain: str
    sequence: str
    secondary: str
    coordinates: Float[np.ndarray, "residue 4 3"]
    title: str = ""
    what: str = ""

    @property
    def name(self) -> str:
        """As the sets of proteins name it, such as 1A6M_A."""
        return f"{self.pdb}_{self.chain}"

    @cached_property
    def text(self) -> str:
        """In PDB format; residues are counted from 1."""
        count = len(self.sequence)
        names = [("N", "CA", "C", "O")] * count
        atoms = Atoms(names, self.coordinates, np.zeros(count), self.chain)
        return (
            f"REMARK   1 BACKBONE OF PDB ENTRY {self.pdb}, CHAIN {self.chain}, RESIDUES FROM 1\n"
            + pdb_text([(self.chain, self.sequence)], atoms)
        )

    @cached_property
    def structure(self) -> Structure:
        """As files of structures are read."""
        return read_structure(f"{self.name}.pdb", self.text.encode())


@dataclass(frozen=True, eq=False)
class Fit:
    """The backbone of a sequence.

    Attributes:
        match: where each residue of the sequence is in the backbone; the residues' names are
            their places in the sequence, counted from 1.
    """

    backbone: Backbone
    match: Match

    @property
    def secondary(self) -> str:
        """The stored DSSP letter of each residue of the sequence, " " where it is not seen."""
        states = self.backbone.secondary
        return "".join(" " if r is None else states[r.number - 1] for r in self.match.residues)


@lru_cache(maxsize=64)
def backbone(name: str) -> Backbone:
    """The backbone of a chain.

    Args:
        name: PDB id and chain, such as "1A6M_A".

    Raises:
        UserError: it is none of those that come with the app.
    """
    if name not in _index().names:
        raise UserError(
            f"No backbone '{name}' comes with the app: give PDB id and chain of one that does, "
            "such as 1A6M_A, or find one by its sequence."
        )
    file, at = _index().names[name]
    table, arrays = _FILES[file]
    row, part = _rows(table)[at], _arrays(arrays)
    end = int(part["end"][at])
    begin = end - len(row["sequence"])
    unit = float(part["unit"])
    alpha = part["ca_step"][begin:end].astype(int).cumsum(0) * unit
    others = alpha[:, None] + part["n_c_o_from_ca"][begin:end] * unit
    return Backbone(
        row["pdb"],
        row["chain"],
        row["sequence"],
        row["dssp8"],
        np.stack([others[:, 0], alpha, others[:, 1], others[:, 2]], axis=1),
        row.get("name", ""),
        row.get("what", ""),
    )


@lru_cache(maxsize=1)
def gallery() -> dict[str, str]:
    """The chains of proteins people know: what they are called, by their names."""
    return {f"{row['pdb']}_{row['chain']}": row["name"] for row in _rows(_FILES[0][0])}


@lru_cache(maxsize=128)
def find(sequence: str) -> Fit | None:
    """The backbone of a protein; None where none is the protein's own.

    A chain of the same sequence, or the one that is most identical among those that share the most
    words of six residues with it: at least 90 % of the letters agree, and at least half of the
    sequence is there (``matching.MIN_IDENTITY``, ``MIN_COVERED``).
    """
    if len(sequence) < MIN_LENGTH:
        return None
    index = _index()
    exact = index.sequences.get(sequence)
    names = [exact] if exact else index.nearest(sequence)
    matches = {}
    for name in names:
        chain, read = next(iter(backbone(name).structure.chains.items()))
        matches[name] = align(chain, read, sequence)
    accepted = [name for name in names if matches[name].accepted]
    if not accepted:
        return None
    best = max(accepted, key=lambda name: matches[name].identity * matches[name].covered)
    match = matches[best]
    residues = tuple(
        None if residue is None else Residue(residue.number, str(place))
        for place, residue in enumerate(match.residues, start=1)
    )
    return Fit(backbone(best), Match(match.chain, residues, match.identity, match.covered))


class _Index:
    """The chains by name, by sequence and by their words.

    Attributes:
        names: number of the file and of the row of each.
        sequences: name of the chain that has it.
    """

    def __init__(self) -> None:
        self.names: dict[str, tuple[int, int]] = {}
        self.sequences: dict[str, str] = {}
        for file, (table, _) in enumerate(_FILES):
            for at, row in enumerate(_rows(table)):
                name = f"{row['pdb']}_{row['chain']}"
                self.names.setdefault(name, (file, at))
                self.sequences.setdefault(row["sequence"], name)
        self._chains = list(self.sequences.values())
        words = [_words(sequence) for sequence in self.sequences]
        chain = np.repeat(np.arange(len(words)), [*map(len, words)])
        every = np.concatenate(words)
        order = np.argsort(every, kind="stable")
        self._words, self._of = every[order], chain[order]

    def nearest(self, sequence: str) -> list[str]:
        """The chains that share the most words with a sequence, the nearest first."""
        words = _words(sequence)
        begins, ends = (np.searchsorted(self._words, words, side) for side in ("left", "right"))
        having = [self._of[begin:end] for begin, end in zip(begins, ends, strict=True)]
        shared = np.bincount(np.concatenate(having), minlength=len(self._chains))
        first = np.argsort(-shared, kind="stable")[:_ALIGNED]
        return [self._chains[i] for i in first if shared[i]]


_index = lru_cache(maxsize=1)(_Index)


def _words(sequence: str) -> Int[np.ndarray, " word"]:
    """The different words of six letters, each as a number."""
    letters = np.frombuffer(sequence.encode("ascii", "replace"), np.uint8).astype(np.int32) % 32
    return np.unique(sliding_window_view(letters, WORD) @ 32 ** np.arange(WORD, dtype=np.int32))


@lru_cache(maxsize=2)
def _rows(table: str) -> Sequence[dict[str, str]]:
    return list(data_rows(table))


@lru_cache(maxsize=2)
def _arrays(file: str) -> dict[str, np.ndarray]:
    """The coordinates of all chains, unpacked once: 9 MB."""
    with np.load(DATA / file) as arrays:
        return {**arrays, "end": arrays["length"].astype(int).cumsum()}
