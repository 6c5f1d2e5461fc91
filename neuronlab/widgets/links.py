"""Deep links: the address carries a run's key and the neuron looked at."""

from __future__ import annotations

import re

import streamlit as st

from neuronlab.errors import UserError
from neuronlab.neurons import Neuron
from neuronlab.widgets import prompt_form, services
from neuronlab.widgets.guard import complain

_KEY = re.compile(r"[0-9a-f]{16}")


def follow() -> None:
    """Open what the address names: model, form, result and neuron; or say why it cannot be."""
    key = st.query_params.get("run")
    if key and key not in _shown().values():
        try:
            _open(key, st.query_params.get("neuron"))
        except UserError as error:
            # The page goes on with something else, and so does the address.
            del st.query_params["run"]
            st.session_state["link_problem"] = str(error)
    problem = st.session_state.get("link_problem")
    if problem:
        complain(problem)
        st.button("Dismiss", key="dismiss", on_click=st.session_state.pop, args=("link_problem",))


def leave() -> None:
    """The next address is followed even if it names a run that is shown."""
    _shown().clear()


def shown(study: str) -> str | None:
    """The run that the study's page looks at."""
    return _shown().get(study)


def _shown() -> dict[str, str]:
    return st.session_state.setdefault("shown", {})


def _open(key: str, neuron: str | None) -> None:
    spec = _spec(key)
    chosen = Neuron.parse(neuron) if neuron else None
    if "model" in spec:  # some studies are of several
        st.session_state["model"] = spec["model"]
    if "text" in spec:
        prompt_form.fill(spec)
    show(key, spec["study"])
    st.session_state["view"] = spec["study"]
    if chosen:
        st.session_state["neuron"] = chosen
        st.session_state["neuron_opened"] = True


def show(key: str, study: str) -> None:
    """Look at a run; the address follows."""
    if shown(study) != key:
        st.session_state.pop("neuron", None)
    _shown()[study] = key
    st.query_params["run"] = key


def _spec(key: str) -> dict:
    if _KEY.fullmatch(key):
        run = services.queue().get(key)
        if run is not None:
            return {"study": run.study, **run.spec.model_dump()}
        if services.store().has(key):
            spec = services.result(key)[0]
            if "study" not in spec:
                raise UserError("The result that the link names is damaged: run the prompt again.")
            return spec
    raise UserError(
        "The link names a run that this server does not have: run the prompt here, or ask for "
        "the exported result."
    )
