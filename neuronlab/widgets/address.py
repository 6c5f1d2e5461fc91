"""The page's address, to be given to others."""

from __future__ import annotations

import streamlit as st

from neuronlab.widgets.browser import element

_mount = element("address")
# Neurons of a basket that an address carries: browsers and proxies take a few thousand letters.
LONGEST = 200


def draw(name: str) -> None:
    """A link that opens what the page shows, as it is when the link is read.

    Args:
        name: of the widget: unique on the page.
    """
    _mount(key=f"address_{name}", data={})
    st.caption(
        f"It opens this run, view and neuron, with the basket (up to {LONGEST} neurons) and with "
        "what the proof changes."
    )
