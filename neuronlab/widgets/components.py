"""Of which components neurons are chosen."""

from __future__ import annotations

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.models import COMPONENTS, Component


def pills(label: str, key: str, place: DeltaGenerator | None = None) -> tuple[Component, ...]:
    """Those of one neuron each, FFN at first; none where a person has taken all away."""
    return tuple(
        (st if place is None else place).pills(
            label,
            [*COMPONENTS, "residual"],
            selection_mode="multi",
            default=["ffn"],
            format_func=COMPONENT_NAMES.__getitem__,
            key=key,
        )
    )
