"""Elements of our own in the browser, where no library has what keyboards and screen readers need.

Each is a script and a style beside this file; ``colours`` and ``residues`` are what they share.
What is shown arrives as data, and is only ever set as text.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import streamlit as st


def element(name: str) -> Callable[..., Any]:
    """The element of ``name.js`` and ``name.css``, made once: where its module is imported."""
    return st.components.v2.component(
        f"neuronlab_{name}",
        html=f'<div class="{name}"></div>',
        css=_together("colours.css", f"{name}.css"),
        js=_together("colours.js", "residues.js", f"{name}.js"),
    )


def _together(*names: str) -> str:
    return "\n".join((files(__name__) / name).read_text("utf-8") for name in names)
