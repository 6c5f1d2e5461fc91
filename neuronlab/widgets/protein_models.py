"""Choose a protein model on a page that needs one."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from neuronlab.models import Model
from neuronlab.models.catalogue import available, use_of
from neuronlab.models.entries import Entry
from neuronlab.widgets import model_fetch, services, state
from neuronlab.widgets.guard import plain


def choose(kinds: Sequence[str], what: str, corpus: str = "") -> bool:
    """Whether the chosen model is a protein model of one of the kinds; else offers those there are.

    Args:
        what: the page needs, as in "no masked protein model".
        corpus: that its neurons are labelled with; any, if empty.
    """

    def suits(model: Model | Entry) -> bool:
        reads = not corpus or use_of(model.name).corpus == corpus
        return model.kind in kinds and model.alphabet == "protein" and reads

    if model_fetch.ready(state.model_name()):
        chosen = services.model(state.model_name(), state.device())
        if suits(chosen):
            return True
        st.info(f"{plain(chosen.title)} is no {what}: choose one.", icon=":material/info:")
    entries = [e for e in available() if suits(e)]
    with st.container(horizontal=True):
        for model in [e for e in entries if e.embedded or e.tuned]:
            st.button(
                model.title,
                key=f"use_{model.name}",
                on_click=st.session_state.update,
                args=({"model": model.name},),
            )
    hub = [e.title for e in entries if not e.embedded and not e.tuned]
    if hub:
        st.caption(plain(f"From the hub, by the list in the sidebar: {', '.join(hub)}."))
    return False
