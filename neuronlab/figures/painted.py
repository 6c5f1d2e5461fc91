"""A structure in 3D, painted by values of its residues or by their secondary structure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import py3Dmol
from jaxtyping import Float

from neuronlab.figures.colours import GROUND, NEUTRAL
from neuronlab.figures.linked import CHOOSE, TELL, TELL_NONE, Place, link
from neuronlab.figures.protein import scale_bar, state_name, value_colours
from neuronlab.figures.structures import STYLE, TRACK
from neuronlab.figures.views import page_of
from neuronlab.proteins.secondary import three_states


class Paint(NamedTuple):
    """The colours of a protein's residues.

    Attributes:
        colours: of each residue, as ``#RRGGBB``.
        texts: what a pointer on each residue reads.
        legend: what the colours mean, as HTML.
    """

    colours: list[str]
    texts: list[str]
    legend: str


def by_value(
    values: Float[np.ndarray, " residue"],
    title: str,
    over: Float[np.ndarray, " value"] | None = None,
    *,
    letters: str = "",
    dark: bool = False,
) -> Paint:
    """Residues by a value each, those that are not finite in grey.

    Args:
        title: of the values.
        over: the values whose scale it is, so that several proteins share one; by default these.
        letters: of the residues, which name those beyond a scale of their own.
        dark: on a dark ground.
    """
    names = [f"{letter}{i}" for i, letter in enumerate(letters, start=1)] if over is None else []
    over = values if over is None else over
    texts = [f"{value:.5g}" for value in values]
    colours = value_colours(values, over, dark=dark)
    return Paint(colours, texts, scale_bar(title, over, names, dark=dark))


def by_state(states: str) -> Paint:
    """Residues by DSSP's letters: helix, strand, or neither."""
    colours = {kind: colour for kind, _, _, colour in TRACK}
    legend = "".join(f'<i style="background: {colour}"></i>{name}' for _, name, _, colour in TRACK)
    shades = [colours[kind] for kind in three_states(states)]
    return Paint(shades, [state_name(s) for s in states], legend)


def structure_view(
    structure_text: str,
    chain: str,
    residues: Sequence[tuple[int, str] | None],
    paint: Paint,
    js_url: str,
    *,
    dark: bool = False,
) -> str:
    """A page with the structure in 3D: the chain painted, other chains thin and grey; a legend.

    It is as large as its frame.

    Args:
        structure_text: the structure in mmCIF, each number of a chain one residue's.
        chain: id of the chain that is painted.
        residues: (number in the text, name to show) of each residue; None where it is not seen.
        paint: of the residues.
        js_url: where the browser finds 3Dmol.js.
        dark: on a dark ground.

    Raises:
        ValueError: not one colour per residue.
    """
    if len(residues) != len(paint.colours):
        raise ValueError(f"{len(paint.colours)} colours for {len(residues)} residues")
    colours, places = {}, {}
    for place, residue in enumerate(residues):
        if residue is not None:
            number, name = residue
            colours[number] = paint.colours[place]
            text = f"{name}: {paint.texts[place]}"
            places[place + 1] = [Place(0, 0, chain, number, text)]
    ground, ink = GROUND[dark]
    view = py3Dmol.view(width="100%", height="100%", js=js_url)
    start = view.startjs
    view.setBackgroundColor(ground)
    view.addModel(structure_text, "cif")
    others = {"color": "#777777" if dark else "#CCCCCC", "style": "trace", "thickness": 0.15}
    view.setStyle({}, {"cartoon": others})
    shades = {"color": NEUTRAL, "colorscheme": {"prop": "resi", "map": colours}}
    view.setStyle({"chain": chain}, {"cartoon": shades})
    link(view, places, ink)
    view.setHoverable({"chain": chain}, True, TELL, TELL_NONE)
    view.setClickable({"chain": chain}, True, CHOOSE)
    view.zoomTo({"chain": chain})
    style = STYLE.format(ground=ground, ink=ink, columns=1)
    html = page_of(view, start, "structure")
    return f'<style>{style}</style>\n{html}\n<div class="legend">{paint.legend}</div>'
