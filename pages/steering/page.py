"""Steer the generation of a protein through neurons (arXiv 2507.06458)."""

from functools import partial

import streamlit as st

from neuronlab import examples
from neuronlab.studies.steering import SteeringSpec
from neuronlab.widgets import links, protein_models, services, shown, state
from neuronlab.widgets.guard import guard
from pages.steering.form import fill, form
from pages.steering.results import results

STUDY = "steering"


def main() -> None:
    if not protein_models.choose(("masked",), "masked protein model, which fills in residues"):
        return
    model = services.model(state.model_name(), state.device())
    with guard():
        _follow(model.name)
    with st.expander("Steer something", icon=":material/tune:"):
        spec = form(model)
        shown.run_button(spec)
    first = examples.first(STUDY, model)
    finished = shown.finished(STUDY, model.name, spec, first, partial(results, model))
    st.session_state["steering_asked"] = links.shown(STUDY)
    if finished is not None:
        with guard():
            results(model, *finished)


def _follow(model: str) -> None:
    """Fill the form from a run that a link or another page has opened."""
    key = links.shown(STUDY)
    if key is None or key == st.session_state.get("steering_asked"):
        return
    run = services.queue().get(key)
    spec = services.spec_of(services.result(key)[0]) if run is None else run.spec
    if isinstance(spec, SteeringSpec) and spec.model == model:
        fill(spec)


main()
