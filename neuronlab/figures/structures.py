"""Predicted structures beside or over one another, and their helices and strands."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from html import escape
from typing import Any, Literal, NamedTuple

import numpy as np
import plotly.graph_objects as go
import py3Dmol
from jaxtyping import Float

from neuronlab.figures.charts import MARGIN, plain
from neuronlab.figures.colours import GROUND, NEUTRAL
from neuronlab.figures.linked import TELL, TELL_NONE, Place, link
from neuronlab.figures.protein import scale_bar, value_colours
from neuronlab.figures.views import page_of
from neuronlab.proteins.folding import Folded, changed, matched

Colouring = Literal["confidence", "changed", "attribution"]

MOST = 3
# Least confidence, colour and name of each step, as AlphaFold's database has made them common.
CONFIDENCE = (
    (90, "#0053D6", "very high"),
    (70, "#65CBF3", "high"),
    (50, "#FFDB13", "low"),
    (0, "#FF7D45", "very low"),
)
CHANGED = "#D55E00"
# Of what has not changed, by chain: the first two of an antibody are told apart.
CHAINS = (NEUTRAL, "#7FA8C4", "#B9A36B")
# How structures over one another are drawn: colour already says something else.
RIBBONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("flat ribbon", {}),
    ("tube", {"style": "trace", "thickness": 0.4}),
    ("thin line", {"style": "trace", "thickness": 0.12}),
)
SUBSTITUTIONS = 3  # named below a structure; the rest is counted
_LEAST = 140  # CSS pixels that one of several structures needs beside the others
# Height and colour of a helix, a strand and neither along the sequence.
TRACK = (
    ("H", "helix", 0.8, "#CC79A7"),
    ("E", "strand", 0.45, "#0072B2"),
    ("-", "coil", 0.08, NEUTRAL),
)


def structures_view(
    structures: Sequence[Folded],
    labels: Sequence[str],
    js_url: str,
    *,
    colour: Colouring = "confidence",
    values: Sequence[Float[np.ndarray, " residue"]] = (),
    overlaid: bool = False,
    dark: bool = False,
    turning: bool = False,
) -> str:
    """A page with one to three structures in 3D, as large as its frame; the cameras move together.

    Args:
        structures: superposed on the first (``superposed``).
        labels: one per structure.
        js_url: where the browser finds 3Dmol.js.
        colour: by the predictor's confidence; by what differs from the first structure's sequence
            (sticks, too); or by ``values``, on one scale for all.
        values: one array per structure, one value per residue.
        overlaid: in one panel, told apart by the form of the ribbon.
        dark: on a dark ground.
        turning: for the first seconds; not where a person wants things to stand still.

    Raises:
        ValueError: not one to three structures, or not a label (and values) for each.
    """
    _check(structures, labels)
    ground, ink = GROUND[dark]
    columns = 1 if overlaid else len(structures)
    view = py3Dmol.view("", "100%", "100%", js=js_url, viewergrid=(1, columns), linked=True)
    start = view.startjs
    looks = _looks(structures, colour, values, dark=dark)
    for i, (structure, look) in enumerate(zip(structures, looks, strict=True)):
        at = (0, 0 if overlaid else i)
        if at[1] == i:
            view.setBackgroundColor(ground, viewer=at)
        _draw(view, at, structure, look, RIBBONS[i if overlaid else 0][1])
    link(view, _places(structures, looks, overlaid=overlaid), ink)
    if turning:
        view.startjs += _TURN
    html = page_of(view, start, "structures")
    heads = _heads(structures, labels, colour, overlaid)
    style = STYLE.format(ground=ground, ink=ink, columns=len(structures))
    switch = ""
    if columns > 1:
        style += _narrow(columns)
        switch = _switch(labels)
    legend = _legend(structures[0], colour, values, dark=dark)
    return (
        f'<style>{style}</style>\n{switch}<div class="heads">{heads}</div>\n{html}\n'
        f'<div class="legend">{legend}</div>'
    )


# What the page does once its views are there, however long they take: see `page_of`.
# Whom motion is too much may say so at any time.
_TURN = (
    "const still = matchMedia('(prefers-reduced-motion: reduce)');\n"
    "const stand = () => viewers.forEach((viewer) => viewer.spin(false));\n"
    "if (!still.matches) {\n"
    "viewers.forEach((viewer) => viewer.spin('y', 0.6));\n"
    "still.addEventListener('change', stand);\n"
    "setTimeout(stand, 15000); }\n"
)
# The views have what the words above and below them leave of the page.
STYLE = (
    "body {{ margin: 0; background: {ground}; color: {ink}; font: 14px sans-serif; "
    "display: flex; flex-direction: column; height: 100vh; }} "
    "body > div[id] {{ flex: 1; min-height: 0; }} "
    ".heads {{ display: grid; grid-template-columns: repeat({columns}, 1fr); }} "
    ".heads div {{ padding: 4px 8px; }} .legend {{ padding: 4px 8px; }} "
    ".legend i {{ display: inline-block; width: 1em; height: 1em; margin: 0 4px 0 12px; "
    "vertical-align: -2px; }}"
)


def secondary_track(structures: Sequence[Folded], labels: Sequence[str]) -> go.Figure:
    """Helices, strands and coil along the sequences, a row for each structure; height tells, too.

    Raises:
        ValueError: not one to three structures, or not a label for each.
    """
    _check(structures, labels)
    figure = go.Figure()
    for state, name, tall, colour in TRACK:
        at = [
            (i, place)
            for i, structure in enumerate(structures)
            for place, letter in enumerate(structure.secondary)
            if letter == state
        ]
        figure.add_bar(
            x=[place + 1 for _, place in at],
            y=[tall] * len(at),
            base=[i - tall / 2 for i, _ in at],
            width=1,
            marker={"color": colour, "line": {"width": 0}},
            name=name,
            customdata=[[plain(labels[i]), structures[i].sequence[place]] for i, place in at],
            hovertemplate="%{customdata[0]}: %{customdata[1]}%{x} " + name + "<extra></extra>",
        )
    begin = 0
    for _, sequence in structures[0].chains[:-1]:
        begin += len(sequence)
        figure.add_vline(x=begin + 0.5, line={"dash": "dot", "color": NEUTRAL})
    figure.update_yaxes(
        tickvals=list(range(len(structures))),
        ticktext=[plain(label) for label in labels],
        range=[len(structures) - 0.4, -0.6],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(title="residue", showgrid=False)
    figure.update_layout(
        height=130 + 45 * len(structures),
        margin=MARGIN,
        barmode="overlay",
        bargap=0,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"},
    )
    return figure


class _Look(NamedTuple):
    """Of each residue: its colour, what a pointer on it reads, and whether it has a stick."""

    colours: list[str]
    texts: list[str]
    sticks: Sequence[bool]


def _looks(
    structures: Sequence[Folded], colour: Colouring, values: Sequence[np.ndarray], *, dark: bool
) -> list[_Look]:
    if colour == "attribution":
        if [len(of_one) for of_one in values] != [len(s.sequence) for s in structures]:
            raise ValueError("not one value per residue of each structure")
        flat = value_colours(np.concatenate(values), dark=dark)
        cuts = np.cumsum([0, *map(len, values)])
        return [
            _Look(flat[begin:end], [f"{value:.5g}" for value in of_one], ())
            for begin, end, of_one in zip(cuts[:-1], cuts[1:], values, strict=True)
        ]
    if colour == "changed":
        return [_changes(structure, structures[0]) for structure in structures]
    return [
        _Look(
            [next(c for least, c, _ in CONFIDENCE if value >= least) for value in s.confidence],
            [f"confidence {value:.0f}" for value in s.confidence],
            (),
        )
        for s in structures
    ]


def _changes(structure: Folded, first: Folded) -> _Look:
    hits = changed(structure, first)
    shades = [shade for shade, (_, sequence) in _shades(structure) for _ in sequence]
    return _Look(
        [CHANGED if hit else shade for hit, shade in zip(hits, shades, strict=True)],
        ["changed" if hit else "" for hit in hits],
        hits.tolist(),
    )


def _shades(structure: Folded) -> list[tuple[str, tuple[str, str]]]:
    """A shade for each chain, with the chain."""
    return list(zip(itertools.cycle(CHAINS), structure.chains, strict=False))


def _draw(
    view: py3Dmol.view, at: tuple[int, int], structure: Folded, look: _Look, ribbon: dict[str, Any]
) -> None:
    """A structure in its panel, chain by chain."""
    view.addModel(structure.pdb, "pdb", viewer=at)
    begin = 0
    for chain, sequence in structure.chains:
        part = slice(begin, begin + len(sequence))
        numbers = range(1, len(sequence) + 1)
        chosen = {"model": -1, "chain": chain}
        scheme = {"prop": "resi", "map": dict(zip(numbers, look.colours[part], strict=True))}
        view.setStyle(chosen, {"cartoon": {**ribbon, "colorscheme": scheme}}, viewer=at)
        sticks = [n for n, hit in zip(numbers, look.sticks[part], strict=False) if hit]
        if sticks:
            stick = {"stick": {"color": CHANGED, "radius": 0.2}}
            view.addStyle({**chosen, "resi": sticks}, stick, viewer=at)
        view.setHoverable(chosen, True, TELL, TELL_NONE, viewer=at)
        begin += len(sequence)
    view.zoomTo(viewer=at)


def _places(
    structures: Sequence[Folded], looks: Sequence[_Look], *, overlaid: bool
) -> dict[int, list[Place]]:
    """Where each residue is in every structure; chain after chain they are numbered on."""
    places: dict[int, list[Place]] = {}
    for i, (structure, look) in enumerate(zip(structures, looks, strict=True)):
        panel, model = (0, i) if overlaid else (i, 0)
        numbers = itertools.count(1)
        for chain, sequence in structure.chains:
            for number in range(1, len(sequence) + 1):
                residue = next(numbers)
                words = look.texts[residue - 1]
                text = f"{chain}{number}{': ' if words else ''}{words}"
                places.setdefault(residue, []).append(Place(panel, model, chain, number, text))
    return places


def _heads(
    structures: Sequence[Folded], labels: Sequence[str], colour: Colouring, overlaid: bool
) -> str:
    """What stands above the panels: each structure's label, ribbon and caption."""
    heads = ""
    for structure, label, (ribbon, _) in zip(structures, labels, RIBBONS, strict=False):
        form = f" ({ribbon})" if overlaid and len(structures) > 1 else ""
        caption = escape(_caption(structure, structures[0], colour))
        heads += f"<div><b>{escape(label)}</b>{form}: {caption}</div>"
    return heads


def _switch(labels: Sequence[str]) -> str:
    """What chooses the one structure that a narrow page shows: the last to begin with."""
    options = "".join(
        f'<label><input type="radio" name="panel" id="panel{i}"'
        f"{' checked' if i == len(labels) - 1 else ''}> {escape(label)}</label>"
        for i, label in enumerate(labels)
    )
    return f'<div class="switch" role="radiogroup" aria-label="Structure">{options}</div>\n'


def _narrow(columns: int) -> str:
    """The style of a page too narrow for all: the views span so many pages, and one is seen."""
    style = (
        f"@media (max-width: {_LEAST * columns}px) {{ body {{ overflow-x: hidden; }} "
        ".switch { display: flex; gap: 1em; padding: 4px 8px; } "
        f"body > div[id] {{ width: {columns}00% !important; }} "
        ".heads { display: block; } .heads div { display: none; } "
    )
    for i in range(columns):
        chosen = f"body:has(#panel{i}:checked)"
        style += (
            f"{chosen} > div[id] {{ margin-left: -{i}00%; }} "
            f"{chosen} .heads div:nth-child({i + 1}) {{ display: block; }} "
        )
    return f".switch {{ display: none; }} {style}}}"


def _caption(structure: Folded, first: Folded, colour: Colouring) -> str:
    if colour == "confidence":
        over = ", all chains" if len(structure.chains) > 1 else ""
        return f"mean confidence {structure.confidence.mean():.0f} of 100{over}"
    hits = np.flatnonzero(changed(structure, first))
    if colour == "attribution" or structure is first:
        return f"{len(structure.sequence)} residues"
    if not len(hits):
        return "no residue changed"
    old = {i: first.sequence[j] for i, j in matched(structure, first)}
    places = [
        f"{f'{chain}:' if len(structure.chains) > 1 else ''}{old.get(i, '')}{number}{letter}"
        for i, (chain, number, letter) in enumerate(
            (chain, number, letter)
            for chain, sequence in structure.chains
            for number, letter in enumerate(sequence, start=1)
        )
    ]
    names = [places[i] for i in hits[:SUBSTITUTIONS]]
    more = len(hits) - len(names)
    return f"{len(hits)} changed: {', '.join(names)}{f' and {more} more' if more else ''}"


def _legend(first: Folded, colour: Colouring, values: Sequence[np.ndarray], *, dark: bool) -> str:
    if colour == "attribution":
        return scale_bar("attribution", np.concatenate(values), dark=dark)
    if colour == "changed":
        steps = [(CHANGED, "changed (with sticks)")]
        for shade, (chain, _) in _shades(first):
            of = f", chain {escape(chain)}" if len(first.chains) > 1 else ""
            steps.append((shade, f"as in the first{of}"))
    else:
        steps = [(shade, f"{name} (from {least})") for least, shade, name in CONFIDENCE]
    return f"{colour}: " + "".join(
        f'<i style="background: {shade}"></i>{name}' for shade, name in steps
    )


def _check(structures: Sequence[Folded], labels: Sequence[str]) -> None:
    if not 1 <= len(structures) <= MOST or len(labels) != len(structures):
        raise ValueError(f"{len(structures)} structures and {len(labels)} labels: 1 to {MOST}")
