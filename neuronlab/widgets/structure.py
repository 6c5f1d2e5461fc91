"""A protein's structure in 3D, painted by what a page knows of its residues."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from io import BytesIO
from typing import NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.errors import UserError
from neuronlab.figures.painted import Paint, by_state, by_value, structure_view
from neuronlab.models import Model
from neuronlab.models.catalogue import use_of
from neuronlab.proteins.backbones import Backbone, backbone, find, gallery
from neuronlab.proteins.folding import chain_states
from neuronlab.proteins.matching import Match, match
from neuronlab.proteins.structures import MAX_BYTES, Structure, read_structure
from neuronlab.proteins.viewer import framed, viewer_url
from neuronlab.widgets import exports
from neuronlab.widgets.guard import complain, guard, plain

KNOWN = "A protein people know"
_STATES = "secondary"
# Of proteins people know, a model of short peptides is asked about these alone.
_PEPTIDE = 50


class Colour(NamedTuple):
    """Something to paint residues by.

    Attributes:
        title: of the values.
        values: gives one per residue, when this is chosen.
        over: the values whose scale it is, where it spans several proteins.
    """

    title: str
    values: Callable[[], np.ndarray]
    over: np.ndarray | None = None


class _Shown(NamedTuple):
    """What is drawn: where it comes from, and where the residues are in it."""

    structure: Structure
    match: Match
    words: str
    secondary: str
    pdb: str


def draw(
    sequence: str,
    colours: Mapping[str, Colour],
    name: str,
    *,
    secondary: str = "",
    linked: str = "",
) -> None:
    """The structure of a protein: one that comes with the app, or one that a person gives.

    Args:
        colours: what its residues can be painted by, the first to begin with; all have their
            secondary structure, too.
        name: of the files, and of the widgets: unique on the page.
        secondary: DSSP letters, one per residue, where the page knows them.
        linked: the name that the figures of one protein share: see ``figures.tokens.strip``.
    """
    view = st.container()
    fit = find(sequence)
    with st.container(horizontal=True):
        actions = st.container(horizontal=True, width="content")
        if fit is None:
            uploaded = _upload(sequence, name)
        else:
            with st.popover("Another structure", icon=":material/upload:", type="tertiary"):
                uploaded = _upload(sequence, name)
    if uploaded is not None:
        shown = uploaded._replace(secondary=secondary or uploaded.secondary)
    elif fit is not None:
        of = fit.backbone
        seen = fit.match
        same = "100%" if seen.identity == 1 else f"{seen.identity:.1%}"
        words = f"PDB {of.pdb} chain {of.chain}"
        words += f", {of.title}" if of.title else ""
        words += f": {same} identical over {seen.covered:.0%} of the sequence, backbone only."
        shown = _Shown(of.structure, seen, words, fit.secondary, of.text)
    else:
        view.caption(
            "No structure that comes with the app is of this protein, or of one at least 90 % "
            "identical: upload one."
        )
        return
    with view, guard():
        _view(sequence, shown, colours, name, actions, linked)


def in_space(structure: Structure, fit: Match, paint: Paint, alt: str, linked: str = "") -> str:
    """Draw a painted chain in 3D; its page, to take along.

    Args:
        fit: where the painted residues are in the structure.
        alt: what it shows, for those who do not see it.
        linked: see ``draw``.
    """
    html = structure_view(
        structure.text,
        fit.chain,
        fit.residues,
        paint,
        viewer_url(),
        dark=st.context.theme.type == "dark",
    )
    camera = f"{fit.chain} {hash(structure.text)}"
    st.iframe(framed(html, alt, camera, linked), height=415)
    return html


def _view(
    sequence: str,
    shown: _Shown,
    colours: Mapping[str, Colour],
    name: str,
    actions: st.delta_generator.DeltaGenerator,
    linked: str,
) -> None:
    titles = {key: colour.title for key, colour in colours.items()}
    if shown.secondary:
        titles[_STATES] = "secondary structure"
    chosen = st.segmented_control(
        "Coloured by",
        list(titles),
        default=next(iter(titles)),
        format_func=titles.__getitem__,
        key=f"{name}_colour_{'_'.join(titles)}",
        wrap=True,
        bind="query-params",
        required=True,
    )
    table = pd.DataFrame({"residue": range(1, len(sequence) + 1), "letter": list(sequence)})
    if shown.secondary:
        table["DSSP"] = list(shown.secondary)
    if chosen == _STATES:
        paint = by_state(shown.secondary)
    else:
        colour, dark = colours[chosen], st.context.theme.type == "dark"
        values = colour.values()
        table[colour.title] = values
        paint = by_value(values, colour.title, colour.over, letters=sequence, dark=dark)
    alt = f"3D view of {shown.words} Coloured by {titles[chosen]}; the table has the values."
    html = in_space(shown.structure, shown.match, paint, alt, linked)
    st.caption(plain(f"{shown.words} Drag to turn, scroll to zoom."))
    files = {"View (HTML)": ("html", lambda: html, "text/html")}
    if shown.pdb:
        files["PDB"] = ("pdb", lambda: shown.pdb, "chemical/x-pdb")
    with actions:
        exports.tables(table, f"{name}_structure", files, corner=False)


def _upload(sequence: str, name: str) -> _Shown | None:
    """A structure that a person gives; None with a message where there is none yet."""
    file = st.file_uploader(
        "PDB or mmCIF file of this protein",
        type=["pdb", "ent", "cif", "mmcif"],
        max_upload_size=MAX_BYTES // 1_000_000,
        key=f"{name}_structure",
    )
    if file is None:
        return None
    try:
        structure = _structure(file.file_id, file.name, file)
        fit = match(structure, sequence)
    except UserError as error:
        complain(str(error))
        return None
    states = chain_states(structure, fit.chain)
    secondary = "".join(" " if r is None else states.get(r.number, " ") for r in fit.residues)
    words = (
        f"{file.name}, chain {fit.chain}: {fit.covered:.0%} of the sequence is seen, "
        f"{fit.identity:.0%} of it identical."
    )
    return _Shown(structure, fit, words, secondary, "")


@st.cache_data(max_entries=4, show_spinner="Reading")
def _structure(file_id: str, name: str, _file: BytesIO) -> Structure:
    return read_structure(name, _file.getvalue())


def choose_known(names: Mapping[str, str], key: str, first: str = "") -> Backbone:
    """One of the proteins people know, with a line on what it does.

    Args:
        names: what they are called, by name.
        first: the one that is chosen at first.
    """
    st.session_state.setdefault(key, first if first in names else next(iter(names)))
    chosen = backbone(
        st.selectbox(
            KNOWN,
            list(names),
            format_func=names.__getitem__,
            key=key,
            persist_state="session",
        )
    )
    st.caption(plain(chosen.what))
    return chosen


def pick_known(model: Model, use: Callable[[str], None]) -> None:
    """A field that fills a form with one of the proteins people know; none for antibodies' models.

    Args:
        use: puts its sequence into the form, before that is drawn.
    """
    names = gallery_for(model)
    key = f"known_{model.name}"

    def chosen() -> None:
        if st.session_state[key]:
            use(backbone(st.session_state[key]).sequence)

    if names:
        st.selectbox(
            KNOWN,
            list(names),
            index=None,
            placeholder=KNOWN,
            format_func=names.__getitem__,
            key=key,
            on_change=chosen,
            label_visibility="collapsed",
        )


def gallery_for(model: Model) -> dict[str, str]:
    """What proteins people know are called, by name: those that a model is of use on."""
    only = use_of(model.name).only
    if only == "antibodies":
        return {}
    if only == "short peptides":
        return {n: title for n, title in gallery().items() if len(backbone(n).sequence) <= _PEPTIDE}
    return gallery()
