"""The page's address, to be given to others."""

from __future__ import annotations

import streamlit as st

from neuronlab.widgets.browser import element

_mount = element("address")
# Neurons of a basket that an address carries: browsers and proxies take a few thousand letters.
LONGEST = 200
# In Home's address, what was asked for and is no page: see `server.Addresses`.
MISSING = "missing"
_RUN = "this run, view and neuron, with what the proof changes"


def draw(name: str, opens: str | None = None) -> None:
    """A link that opens what the page shows, as it is when the link is read.

    Args:
        name: of the widget: unique on the page.
        opens: what it opens besides the basket, where that is no run.
    """
    _mount(key=f"address_{name}", data={})
    st.caption(f"It opens {opens or _RUN}, and the basket (up to {LONGEST} neurons).")
