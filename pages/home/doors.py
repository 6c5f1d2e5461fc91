"""What lies behind the pages: a picture of each kind of model, from the stored examples."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import pandas as pd
import streamlit as st

from neuronlab import examples
from neuronlab.figures.heatmaps import by_layer
from neuronlab.figures.structures import structures_view
from neuronlab.models.catalogue import entry
from neuronlab.neurons import Neuron, NeuronScores
from neuronlab.proteins import folding
from neuronlab.proteins.features import PROPERTIES
from neuronlab.proteins.viewer import framed, viewer_url
from neuronlab.runs import Result, Spec
from neuronlab.steering.chains import STEERED
from neuronlab.studies.attribution import AttributionSpec, scores_of
from neuronlab.studies.steering import SteeringSpec
from neuronlab.widgets import bars, heatmaps, links, services
from neuronlab.widgets.guard import plain
from pages import HOME, PAGE_OF, Page

# Pixels: pictures of the two doors are as high.
_HEIGHT = 250
# Somebody's, before the answer is shown.
_GUESS = 0.4


def cards(pages: Iterable[Page]) -> None:
    """A card per page: its title, which leads there, and what it is for."""
    for page in pages:
        if page is not HOME and not page.section:
            with st.container(border=True):
                st.page_link(page.path, label=f"**{page.title}**", icon=page.symbol)
                st.caption(page.card)


def open_button(label: str, spec: Spec, *, type: Literal["primary", "secondary"]) -> None:
    """Leads to the page of an example."""
    page = PAGE_OF[spec.study]
    if st.button(label, icon=page.symbol, type=type):
        _open(spec)


def _open(spec: Spec, neuron: Neuron | None = None) -> None:
    links.leave()
    asked = {"run": spec.key} | ({} if neuron is None else {"neuron": str(neuron)})
    st.switch_page(PAGE_OF[spec.study].path, query_params=asked)


def guessed(result: Result) -> None:
    """What a lesson looks like: a guess, and beside it what was measured."""
    answer = result.numbers["target_label"].strip()
    st.caption(f"How sure is the model of “{plain(answer)}”?")
    measured = float(result.numbers["probability"])
    rows = [bars.Bar("a guess", _GUESS), bars.Bar("measured", measured, marked=True)]
    bars.draw(rows, "guessed", "A guess beside what was measured.")


def layers(spec: AttributionSpec, result: Result) -> None:
    """The FFN neurons that an answer rests on; a cell leads to its neuron."""
    answer = result.numbers["target_label"].strip()
    st.caption(f"Every FFN neuron, layer over layer: for “{answer}”, or against it. Click one.")
    scores = NeuronScores({"ffn": scores_of(result)["ffn"]})
    maps = by_layer(scores, tall=_HEIGHT / len(scores["ffn"]))

    def pick(cell: pd.Series) -> None:
        strongest = Neuron(int(cell["layer"]), cell["component"], int(cell["strongest"]))
        st.session_state["home_neuron"] = strongest

    heatmaps.draw(maps, "home", pick, files=False)
    if neuron := st.session_state.pop("home_neuron", None):
        _open(spec, neuron)


def steered() -> None:
    """A protein before and after steering, turning."""
    page = PAGE_OF[SteeringSpec.study]
    spec = examples.first(SteeringSpec.study, entry(page.models[0]))
    result = services.finished(spec.key) if isinstance(spec, SteeringSpec) else None
    if result is None or not isinstance(spec, SteeringSpec):
        return
    names = [name for name in ("start", STEERED) if f"{name}.pdb" in result.files]
    if len(names) < 2:
        return
    goal = spec.goals[0]
    way = "more" if goal.direction == "up" else "less"
    title = PROPERTIES[goal.property].title
    st.caption(
        f"An antibody, and the one that {spec.count} neurons made for {way} "
        f"{title[0].lower()}{title[1:]}: changed residues in colour."
    )
    html = structures_view(
        [folding.read(spec.predictor, result.files[f"{name}.pdb"]) for name in names],
        names,
        viewer_url(),
        colour="changed",
        dark=st.context.theme.type == "dark",
        turning=True,
    )
    st.iframe(framed(html, "A protein before and after steering, turning"), height=_HEIGHT + 90)
    open_button("Open this steering", spec, type="secondary")
