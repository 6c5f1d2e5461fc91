"""The page's address, to be given to others."""

from __future__ import annotations

import streamlit as st

from neuronlab.widgets.browser import element

_mount = element("address")


def draw(name: str) -> None:
    """A link that opens what the page shows, as it is when the link is read.

    Args:
        name: of the widget: unique on the page.
    """
    _mount(key=f"address_{name}", data={})
    st.caption(
        "It opens this run, view and neuron, with the basket (up to 200 neurons) and with what the "
        "proof changes."
    )
