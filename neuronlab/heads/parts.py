"""Which proteins every head is judged by, and which it may therefore not learn from."""

from __future__ import annotations

from neuronlab.proteins.families import unrelated
from neuronlab.proteins.labelled import LABELLED, LabelledProtein, split

SET = "pdb_enzyme"


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
