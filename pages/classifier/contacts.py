"""Which residues of a protein touch, read and chosen pair by pair."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float

from neuronlab.figures.protein import contact_data, contact_map
from neuronlab.figures.report import Part
from neuronlab.widgets import exports
from neuronlab.widgets.browser import element

_mount = element("contacts")
# Rows of the table: the likeliest contacts of residues that are not neighbours in the chain.
_PAIRS, _APART = 200, 4


def draw(
    contacts: Float[np.ndarray, "residue residue"],
    values: Float[np.ndarray, " residue"],
    sequence: str,
    name: str,
    *,
    linked: str = "",
    caption: Sequence[str] | None = None,
) -> None:
    """The map, with the residues' scores at its edges, its table and files.

    Args:
        contacts: probability that two residues are in contact, 0 to 1.
        values: one per residue.
        name: of the widget, and of the files: unique on the page.
        linked: the name that the figures of one protein share: see ``figures.tokens.strip``.
        caption: what is written above the picture: see ``exports.tables``.
    """
    i, j = np.triu_indices(len(sequence), _APART)
    strongest = np.argsort(-contacts[i, j])[:_PAIRS]
    pairs = pd.DataFrame(
        {
            "a": i[strongest] + 1,
            "b": j[strongest] + 1,
            "probability": contacts[i, j][strongest],
        }
    )
    key, alt = f"contacts_{name}", "Which residues are in contact, as predicted."
    _mount(key=key, data=contact_data(contacts, values, sequence, linked=linked))
    still = partial(contact_map, contacts, values, sequence)
    exports.reported(name, Part(alt, still, pairs))
    exports.tables(pairs, name, figure=key, alt=alt, caption=caption)
