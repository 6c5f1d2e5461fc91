"""The steered proteins in 3D, and where the neurons are active in them."""

from __future__ import annotations

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator as Column

from neuronlab.figures.colours import NEUTRAL
from neuronlab.figures.painted import Paint
from neuronlab.figures.structures import CHANGED, Colouring, secondary_track, structures_view
from neuronlab.models import Model
from neuronlab.neurons import NeuronSet
from neuronlab.neurons.activity import per_residue
from neuronlab.proteins import folding
from neuronlab.proteins.backbones import find
from neuronlab.proteins.predictors import PREDICTORS
from neuronlab.proteins.viewer import framed, viewer_url
from neuronlab.runs import Result
from neuronlab.studies.steering import SteeringSpec
from neuronlab.widgets import exports, structure
from neuronlab.widgets.guard import plain

# What the figures of the page share: see `figures.tokens.strip`.
LINKED = "steered"
# Pixels of the view: what it says above and below the structures included.
_HIGH = 300
# On a phone they take turns, one as wide as the page.
_ON_A_PHONE = """<style>@media (max-width: 640px) {
  .st-key-steered_in_space :is(.stElementContainer, iframe) { height: 440px; flex-basis: auto; }
}</style>"""
COLOURS: dict[Colouring, str] = {
    "confidence": "confidence",
    "changed": "changed residues",
    "attribution": "activity of the neurons",
}


def structures(spec: SteeringSpec, result: Result) -> None:
    """How sure predictions are, with their helices and strands; or why there are none."""
    if not result.files:
        if spec.predictor:
            st.info(plain(result.numbers["no_structures"]), icon=":material/info:")
        return
    st.header("Structures")
    folded = _folded(spec, result)
    table = result.tables["structures"]
    chain = "the heavy chain" if spec.light else "the chain"
    st.caption(
        f"Predicted by {plain(PREDICTORS[spec.predictor].title)}; unsteered and steered "
        "are the chains whose value is the median, superposed on the start. "
        + "; ".join(
            f"{row['name']}: confidence {row['confidence']:.0f} over {chain} and "
            f"{row['confidence_free']:.0f} over the free residues, CA RMSD to the start "
            f"{row['rmsd']:.2f} Å"
            for _, row in table.iterrows()
        )
        + "."
    )
    exports.chart(
        secondary_track(list(folded.values()), list(folded)),
        table,
        "secondary",
        "Helices and strands of the predicted structures along the sequence.",
        linked=LINKED,
    )
    files(result, list(folded))


def _folded(spec: SteeringSpec, result: Result) -> dict[str, folding.Folded]:
    """The predicted structures by name; what could not be folded is not there."""
    return {
        name: _read(spec.predictor, result.files[f"{name}.pdb"])
        for name in result.tables["structures"]["name"]
    }


def on_the_starts_backbone(spec: SteeringSpec, steered: str) -> None:
    """What steering has changed, marked where the backbone of the start is known."""
    fit = find(spec.begin)
    if fit is None:
        st.caption(
            "No structure that comes with the app is of the start: start from a protein people "
            "know, or choose under “More”, “Structures”, what predicts one: FlashABB of "
            "antibodies, ESMFold of any protein where the hub is in reach."
        )
        return
    changes = [
        f"{old}{place}{new}" if old != new else ""
        for place, (old, new) in enumerate(zip(spec.begin, steered, strict=True), start=1)
    ]
    count = sum(map(bool, changes))
    paint = Paint(
        [CHANGED if change else NEUTRAL for change in changes],
        [change or "as at the start" for change in changes],
        f'<i style="background: {CHANGED}"></i>changed<i style="background: {NEUTRAL}"></i>as at '
        "the start",
    )
    of = fit.backbone
    words = f"PDB {of.pdb} chain {of.chain}{f', {of.title}' if of.title else ''}"
    alt = f"3D view of {words}; {count} residues that steering changed are marked."
    html = structure.in_space(of.structure, fit.match, paint, alt, LINKED)
    st.caption(
        plain(
            f"The start's backbone ({words}), with the {count} residues marked that the steered "
            "chain of median value has changed. The structure of the new sequence is not predicted "
            "here."
        )
    )
    st.download_button(
        "View (HTML)",
        html,
        "changes.html",
        "text/html",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
    )


def in_space(model: Model, spec: SteeringSpec, result: Result, view: Column) -> None:
    """Start, unsteered and steered in 3D, coloured as chosen.

    Args:
        view: where they are drawn; how, is asked here.
    """
    folded = _folded(spec, result)
    with st.container(horizontal=True, vertical_alignment="center"):
        colour = st.segmented_control(
            "Coloured by",
            list(COLOURS),
            default="changed",
            format_func=COLOURS.__getitem__,
            key="steer_colour",
            bind="query-params",
            label_visibility="collapsed",
            wrap=True,
            required=True,
        )
        overlaid = st.toggle("Over one another", key="steer_overlaid", bind="query-params")
        save = st.container(width="content")
    values = []
    if colour == "attribution":
        chosen = chosen_neurons(result)
        values = [
            _activity(model, model.name, s.chains[0][1], chosen, len(s.sequence))
            for s in folded.values()
        ]
    html = structures_view(
        list(folded.values()),
        list(folded),
        viewer_url(),
        colour=colour,
        values=values,
        overlaid=overlaid,
        dark=st.context.theme.type == "dark",
    )
    camera = f"{folded['start'].sequence} {overlaid}"
    with view.container(key="steered_in_space"):
        st.html(_ON_A_PHONE)
        st.iframe(framed(html, camera=camera, linked=LINKED), height=_HIGH)
    save.download_button(
        "View (HTML)",
        html,
        "structures.html",
        "text/html",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        help="Drag to turn, scroll to zoom.",
    )


def files(result: Result, names: list[str]) -> None:
    """The structures to take along."""
    with st.container(horizontal=True):
        for name in names:
            st.download_button(
                f"{name} (PDB)",
                result.files[f"{name}.pdb"],
                f"{name}.pdb",
                "chemical/x-pdb",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )


@st.cache_data(max_entries=12, show_spinner=False)
def _read(predictor: str, pdb: str) -> folding.Folded:
    return folding.read(predictor, pdb)


@st.cache_data(max_entries=12, show_spinner=False)
def _activity(_model: Model, name: str, sequence: str, chosen: tuple, length: int) -> np.ndarray:
    """Mean activation of the neurons at each residue of the heavy chain; none at the light one."""
    activity = np.full(length, np.nan)
    activity[: len(sequence)] = per_residue(_model, sequence, NeuronSet(chosen))
    return activity


def chosen_neurons(result: Result) -> tuple:
    table = result.tables["neurons"]
    return tuple((int(r.layer), r.component, int(r.neuron)) for r in table.itertuples(index=False))
