"""What steered chains fold into, laid over what they began as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from neuronlab.errors import UserError
from neuronlab.progress import Fraction, unheard
from neuronlab.proteins import folding
from neuronlab.proteins.folding import Folded

CONFIDENCES = ["confidence", "confidence_free"]
# Columns of the table, and letters of ``folding.STATES``.
_STATES = {"helix": "H", "strand": "E", "coil": "-"}
_COLUMNS = ["name", "sequence", *CONFIDENCES, "rmsd", *_STATES, "secondary"]


def fold_all(
    predictor: str,
    sequences: Sequence[str],
    light: str = "",
    device: str = "cpu",
    progress: Fraction = unheard,
) -> tuple[list[Folded | None], str]:
    """The structure of each sequence, None where it cannot be folded, and why the last cannot.

    Args:
        predictor, light, device: as ``folding.fold`` takes them.
        progress: called with a fraction before every sequence.
    """
    structures: list[Folded | None] = []
    reason = ""
    for sequence in sequences:
        progress(len(structures) / len(sequences))
        try:
            structures.append(folding.fold(predictor, sequence, light, device))
        except UserError as error:  # it is no such protein any more
            structures.append(None)
            reason = str(error)
    return structures, reason


def confidences(structure: Folded | None, places: Sequence[int]) -> list[float]:
    """The mean confidence, 0 to 100, over the first chain and over some of its residues.

    Args:
        structure: nan is the confidence of None.
        places: the residues, counted from 0.
    """
    if structure is None:
        return [np.nan, np.nan]
    chain = structure.confidence[: len(structure.chains[0][1])]
    return [float(chain.mean()), float(chain[list(places)].mean())]


def superposed(
    structures: Mapping[str, Folded], places: Sequence[int]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """A row for each structure, and its PDB file, laid over the first.

    Args:
        structures: by name; files are called "{name}.pdb".
        places: residues of the first chain whose confidence stands apart, counted from 0.

    Returns:
        A table of name, sequence, confidence, confidence_free, rmsd to the first (angstrom), helix,
        strand, coil (shares) and secondary; and the files.
    """
    rows, files = [], {}
    for name, structure in structures.items():
        placed, rmsd = folding.superposed(structure, next(iter(structures.values())))
        states = folding.fractions(placed.secondary)
        shares = [states[state] for state in _STATES.values()]
        confidence = confidences(structure, places)
        rows.append((name, structure.sequence, *confidence, rmsd, *shares, placed.secondary))
        files[f"{name}.pdb"] = placed.pdb
    return pd.DataFrame(rows, columns=_COLUMNS), files
