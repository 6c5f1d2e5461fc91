"""A page opens on a model that suits it, whatever was looked at before."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import streamlit as st

from neuronlab.models import weights
from neuronlab.models.catalogue import available, entry, title_of
from neuronlab.models.entries import Entry
from neuronlab.widgets import state
from neuronlab.widgets.guard import plain


def choose(page: str, kinds: Collection[str], alphabet: str, models: Sequence[str]) -> str:
    """Where a page is entered with a model that does not suit it, take another; says so, or "".

    The model chosen last that suits it, else the first of ``models`` that is on this machine, else
    any. Whoever then chooses another on the page itself keeps it. Of a model that the catalogue
    does not list nothing is known: it stays.
    """
    chosen, recent = state.model_name(), st.session_state.setdefault("recent_models", [])
    entered = st.session_state.get("page") != page
    st.session_state["page"] = page

    def suits(model: Entry | None) -> bool:
        if model is None:
            return True
        return (not kinds or model.kind in kinds) and alphabet in ("", model.alphabet)

    if entered and not suits(entry(chosen)):
        names = [*recent, *models, *(model.name for model in available())]
        suiting = [name for name in names if suits(entry(name)) and _on_this_machine(entry(name))]
        if suiting:
            st.session_state["model"] = suiting[0]
            st.session_state["instead"] = page, chosen, suiting[0]
    current = state.model_name()
    st.session_state["recent_models"] = [current, *(name for name in recent if name != current)]
    on, former, instead = st.session_state.get("instead", ("", "", ""))
    if (on, instead) != (page, current):
        return ""
    return plain(f"{title_of(former)} does not suit this page, which opens on {title_of(current)}.")


def _on_this_machine(model: Entry | None) -> bool:
    return model is None or bool(model.tuned) or (model.embedded and weights.installed(model.name))
