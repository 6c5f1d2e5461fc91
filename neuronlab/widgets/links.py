"""Deep links: the address carries a run's key and the neuron looked at."""

from __future__ import annotations

import re

import streamlit as st

from neuronlab.errors import UserError
from neuronlab.neurons import Neuron
from neuronlab.studies import AttributionSpec
from neuronlab.widgets import prompt_form, services

_KEY = re.compile(r"[0-9a-f]{16}")


def follow() -> None:
    """Open what the address names, once: model, form, result and neuron.

    Raises:
        UserError: the link names a run that this server does not have, or no neuron.
    """
    key = st.query_params.get("run")
    if not key or key == st.session_state.get("shown"):
        return
    # Once: a link that cannot be opened must not be complained about for ever.
    del st.query_params["run"]
    neuron = st.query_params.get("neuron")
    spec = _spec(key)
    if spec["study"] == AttributionSpec.study:
        open_run(key, spec)
    if neuron:
        st.session_state["neuron"] = Neuron.parse(neuron)


def open_run(key: str, spec: dict) -> None:
    """Show a run on the attribution page: its model, its inputs, its result."""
    st.session_state["model"] = spec["model"]
    prompt_form.fill({name: spec.get(name) for name in AttributionSpec.model_fields})
    show(key)


def show(key: str) -> None:
    """Look at a run; the address follows."""
    if st.session_state.get("shown") != key:
        st.session_state.pop("neuron", None)
    st.session_state["shown"] = key
    st.query_params["run"] = key


def _spec(key: str) -> dict:
    if _KEY.fullmatch(key):
        run = services.queue().get(key)
        if run is not None:
            return {"study": run.study, **run.spec.model_dump()}
        if services.store().has(key):
            return services.result(key)[0]
    raise UserError(
        "The link names a run that this server does not have: run the prompt here, or ask for "
        "the exported result."
    )
