"""Which proteins every head is judged by, and which it may therefore not learn from."""

from __future__ import annotations

from collections.abc import Collection

from neuronlab.proteins.labelled import LABELLED, LabelledProtein, data_rows, split

SET = "pdb_enzyme"
RELATIVES = "pdb_relatives.tsv.gz"


def held_out(identity: float = 0.3) -> dict[str, list[LabelledProtein]]:
    """The "train", "validation" and "test" part of the chains of the PDB.

    The split is that of the study ``fine_tune``, so that no head has seen a protein that another is
    judged by.

    Args:
        identity: chains that are so identical to a held-out one are not in "train"; 0 keeps all.
    """
    proteins = LABELLED[SET].proteins
    sides = split(proteins)
    parts = {
        part: [proteins[i] for i in getattr(sides, part)]
        for part in ("train", "validation", "test")
    }
    if identity:
        others = {protein.name for part in ("validation", "test") for protein in parts[part]}
        parts["train"] = unrelated(parts["train"], others, identity)
    return parts


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
