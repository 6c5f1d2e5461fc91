"""The sidebar, the same on every page: model, device, basket, running jobs."""

from __future__ import annotations

import streamlit as st

from neuronlab.models import devices, folders, gguf_files, origin, weights
from neuronlab.models.catalogue import available, entry
from neuronlab.widgets import basket, runs, state
from neuronlab.widgets.guard import plain


def draw() -> None:
    """Everything in the sidebar."""
    with st.sidebar:
        st.selectbox(
            "Model",
            [model.name for model in available()],
            key="model",
            format_func=_name,
            accept_new_options=True,
            help="A model of the list, or type a hub id or the path of a folder or GGUF file.",
        )
        st.caption(_about(state.model_name()))
        st.selectbox("Device", devices(), key="device", help="Where the model runs.")
        basket.summary()
        runs.summary()


def _name(name: str) -> str:
    model = entry(name)
    if model is None:
        return name
    if model.embedded and not weights.installed(name):
        return f"{model.title} (not fetched)"
    return model.title if model.embedded or model.tuned else f"{model.title} (hub)"


def _where(name: str) -> str:
    if folders.named(name) is not None:
        return "a folder of this machine"
    if gguf_files.named(name) is not None:
        return "a GGUF file of this machine"
    return "from the model hub"


def _about(name: str) -> str:
    model = entry(name)
    if model is None:
        return plain(f"{folders.shown(name)}: {_where(name)}. {origin.note(name)}".rstrip())
    if model.tuned:
        return plain(f"{model.what} {model.parameters / 1e6:,.0f} M parameters; {model.source}.")
    installed = "from the hub" if not model.embedded else "not fetched yet"
    if model.embedded and weights.installed(name):
        installed = "installed"
    size = f"{model.parameters / 1e6:,.0f} M parameters, {model.download_bytes / 1e6:,.0f} MB"
    return plain(f"{model.what} {size}. {model.licence}; {installed}.")
