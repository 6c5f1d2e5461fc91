"""Steer the generation of a protein through neurons (arXiv 2507.06458)."""

from functools import partial
from typing import cast

import streamlit as st

from neuronlab import examples
from neuronlab.studies.steering import SteeringSpec
from neuronlab.widgets import links, protein_models, services, shown, state
from neuronlab.widgets.guard import guard
from pages.steering.form import fill, form
from pages.steering.results import preview, results

STUDY = "steering"
# In the session, the run whose question the form was filled with.
_ASKED = "steering_asked"


def main() -> None:
    if not protein_models.choose(("masked",), "masked protein model, which fills in residues"):
        return
    model = services.model(state.model_name(), state.device())
    first = examples.first(STUDY, model)
    assert isinstance(first, SteeringSpec)  # the model is of the kind that was chosen
    with guard():
        _follow(first)
    with st.expander("Steer something", icon=":material/tune:"):
        spec = form(model, first)
        shown.run_button(spec)
    finished = shown.finished(STUDY, model.name, spec, first, partial(preview, model))
    key = links.shown(STUDY)
    if key is not None and links.model_of(key) == model.name:
        st.session_state[_ASKED] = key
    if finished is not None:
        with guard():
            results(model, *finished)


def _follow(first: SteeringSpec) -> None:
    """Fill the form from a run that a link or another page has opened, else from the example.

    Args:
        first: the example of the model.
    """
    key = links.shown(STUDY)
    fields = None if key is None else links.asked_of(key)
    spec = first
    if fields is not None and fields.get("model") == first.model:
        spec = cast(SteeringSpec, services.spec_of(fields))
    # Of widgets that are not drawn, as on another page, most values are forgotten.
    fill(spec, keep=spec.key == st.session_state.get(_ASKED))
    st.session_state[_ASKED] = spec.key


main()
