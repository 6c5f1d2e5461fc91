"""Which proteins are relatives, and so must stay on one side of a split.

Relatives share at least half of their words of six residues, counted in the shorter of the two: a
quick stand-in for an alignment (Edgar 2004, doi:10.1093/nar/gkh180). Antibody germline genes that
share just half of them are identical in 87 % of their residues (5th to 95th percentile of such
pairs: 82 to 90 %), so that the next family may still be a cousin.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import connected_components

from neuronlab.errors import UserError
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.proteins.labelled import LabelledProtein, data_rows

Split = Literal["families", "alleles", "species"]
WORD = 6
ALIKE = 0.5
SPECIES = ("species: ", "organism: ")
# Of chains of the PDB, found by MMseqs2.
RELATIVES = "pdb_relatives.tsv.gz"
# Residues of a corpus: more take gigabytes of memory.
MOST = 40_000_000
# Proteins that are compared with all others at once.
_ROWS = 256
# Others whose words are in memory at once.
_OTHERS = 20_000

Array = np.ndarray


def groups(proteins: Sequence[AnnotatedProtein], split: Split) -> Int[Array, " protein"]:
    """The number of each protein's group: what may not be on two sides of a split.

    Args:
        split: "families", as ``families`` finds them; "alleles" of one gene, in IMGT's way of
            writing names ("IGHV1-2*01"), and proteins of one name; or "species", as annotations
            "species: …" or "organism: …" tell them. Species that share a protein are one group.

    Raises:
        UserError: the species of some proteins are not told, or families are sought among more
            than ``MOST`` residues.
    """
    if split == "families":
        return families(tuple(p.sequence for p in proteins))
    if split == "alleles":
        return _sharing([[p.name.split("*")[0]] for p in proteins])
    species = [[w for w in p.annotations if w.startswith(SPECIES)] for p in proteins]
    untold = sum(not of for of in species)
    if untold:
        raise UserError(
            f"The species of {untold:,} of the corpus's {len(proteins):,} proteins are not told: "
            "hold out families instead, or annotate them with 'species: …'."
        )
    return _sharing(species)


@lru_cache(maxsize=2)  # every portion of a corpus asks again
def families(sequences: tuple[str, ...]) -> Int[Array, " protein"]:
    """The number of each protein's family: single linkage of relatives.

    No protein has a relative in another family; two of one family may be linked by others only.

    Raises:
        UserError: more than ``MOST`` residues.
    """
    if sum(map(len, sequences)) > MOST:
        raise UserError(
            f"Families are found in corpora of at most {MOST / 1e6:.0f} million residues: take "
            "fewer proteins, or hold out alleles or species instead."
        )
    every = _words(sequences)
    family = np.arange(len(sequences))
    for row, column, share in _shares(every, every):
        alike = share >= ALIKE
        ends = (family[row[alike]], family[column[alike]])
        links = coo_matrix((np.ones(alike.sum(), bool), ends), shape=(len(sequences),) * 2)
        family = connected_components(links, directed=False)[1][family]
    return family


def nearest(sequences: Sequence[str], others: Bool[Array, " protein"]) -> Float[Array, " protein"]:
    """The largest share of words that a protein has in common with one of the others.

    Args:
        others: which proteins these are; their own values are nan.
    """
    places, other_places = np.flatnonzero(~others), np.flatnonzero(others)
    largest = np.where(others, np.nan, 0.0)
    for start in range(0, len(other_places), _OTHERS):
        some = [*places, *other_places[start : start + _OTHERS]]
        words = _words([sequences[i] for i in some])
        for row, _, share in _shares(words[: len(places)], words[len(places) :]):
            np.maximum.at(largest, places[row], share)
    return largest


def unrelated(
    proteins: Collection[LabelledProtein], others: Collection[str], identity: float
) -> list[LabelledProtein]:
    """Those chains of the PDB of which no part is so identical to one of the others.

    Args:
        others: names of chains.
        identity: of an alignment of any length that MMseqs2 finds, 0.3 to 1.
    """
    related = {
        one
        for row in data_rows(RELATIVES)
        for one, other in ((row["one"], row["other"]), (row["other"], row["one"]))
        if other in others and float(row["identity"]) >= identity
    }
    return [protein for protein in proteins if protein.name not in related]


def _words(sequences: Sequence[str]) -> csr_matrix:
    """Which words each protein has; one that is shorter than a word is a word itself."""
    padded = [sequence.ljust(WORD) for sequence in sequences]
    text = np.frombuffer("".join(padded).encode("latin-1", "replace"), np.uint8)
    letters, code = np.unique(text, return_inverse=True)
    lengths = np.array([*map(len, padded)], int)
    starts = np.repeat(lengths.cumsum() - lengths, lengths - WORD + 1)
    counts = lengths - WORD + 1
    # The first letter of every word: so many in a row from where its protein begins.
    first = starts + np.arange(len(starts)) - np.repeat(counts.cumsum() - counts, counts)
    word = np.zeros(len(first), np.int64)
    for place in range(WORD):
        word = word * len(letters) + code[first + place]
    different, column = np.unique(word, return_inverse=True)
    row = np.repeat(np.arange(len(sequences)), counts)
    shape = (len(sequences), len(different))
    words = csr_matrix((np.ones(len(row), np.int32), (row, column)), shape)
    words.data[:] = 1  # a word that comes twice is one word
    return words


def _shares(some: csr_matrix, every: csr_matrix) -> Iterator[tuple[Array, Array, Array]]:
    """Numbers of pairs that have words in common, and the share of the shorter one's words."""
    size, sizes, having = some.getnnz(axis=1), every.getnnz(axis=1), every.T.tocsr()
    for start in range(0, some.shape[0], _ROWS):
        common = (some[start : start + _ROWS] @ having).tocoo()
        row = start + common.row
        yield row, common.col, common.data / np.minimum(size[row], sizes[common.col])


def _sharing(marks: Sequence[Collection[str]]) -> Int[Array, " protein"]:
    """Groups of proteins that are linked by marks they share."""
    different = sorted({mark for of in marks for mark in of})
    place = {mark: len(marks) + i for i, mark in enumerate(different)}
    ends = np.array([(i, place[mark]) for i, of in enumerate(marks) for mark in of], int)
    ends = ends.reshape(-1, 2).T
    links = coo_matrix((np.ones(ends.shape[1], bool), tuple(ends)), (len(marks) + len(place),) * 2)
    return connected_components(links, directed=False)[1][: len(marks)]
