"""Steer the generation of a protein through neurons (arXiv 2507.06458)."""

from functools import partial

import streamlit as st

from neuronlab.studies.steering import SteeringStudy
from neuronlab.widgets import protein_models, services, shown, state
from neuronlab.widgets.guard import guard
from pages.steering.form import form
from pages.steering.results import results

STUDY = "steering"


def main() -> None:
    if not protein_models.choose(("masked",), "masked protein model, which fills in residues"):
        return
    model = services.model(state.model_name(), state.device())
    with st.expander("Steer something", icon=":material/tune:"):
        spec = form(model)
        shown.run_button(spec)
    first = SteeringStudy().example(model)
    finished = shown.finished(STUDY, model.name, spec, first, partial(results, model))
    if finished is not None:
        with guard():
            results(model, *finished)


main()
