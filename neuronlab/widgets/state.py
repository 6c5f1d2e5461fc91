"""What one browser session has chosen: model, device, baskets, and what it looks at."""

from __future__ import annotations

import streamlit as st

from neuronlab.examples import DEFAULT_MODEL
from neuronlab.models import devices
from neuronlab.neurons import Neuron, NeuronSet


def start() -> None:
    """Set what a new session begins with."""
    st.session_state.setdefault("model", DEFAULT_MODEL)
    st.session_state.setdefault("device", devices()[0])
    st.session_state.setdefault("baskets", {})


def model_name() -> str:
    """The chosen model: a catalogue name, a hub id or a folder."""
    return (st.session_state["model"] or DEFAULT_MODEL).strip()


def device() -> str:
    """The chosen device."""
    return st.session_state["device"]


def basket(model: str | None = None) -> NeuronSet:
    """The neurons collected on a model; each model has its own basket."""
    return st.session_state["baskets"].get(model or model_name(), NeuronSet(name="basket"))


def set_basket(neurons: NeuronSet, model: str | None = None) -> None:
    """Replace the basket of a model."""
    named = NeuronSet(neurons, "basket")
    st.session_state["baskets"] = {**st.session_state["baskets"], model or model_name(): named}


def add_to_basket(neurons: NeuronSet | list[Neuron], model: str | None = None) -> None:
    """Add neurons to the basket of a model."""
    set_basket(basket(model) | NeuronSet(neurons), model)


def form_key(name: str) -> str:
    """The key of a widget of the form of prompts.

    Widgets start afresh when the form is filled from an example or a link, and for each model:
    one model's settings are not another's.
    """
    return f"{name}_{st.session_state['form_version']}_{model_name()}"
