"""Elements of our own in the browser, where no library has what keyboards and screen readers need.

Each is a script and a style beside this file; ``colours.js`` is what the scripts share. What is
shown arrives as data, and is only ever set as text.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from typing import Any

import streamlit as st


def element(name: str) -> Callable[..., Any]:
    """The element of ``name.js`` and ``name.css``, made once: where its module is imported."""
    folder = files(__name__)
    script = (folder / "colours.js").read_text("utf-8") + (folder / f"{name}.js").read_text("utf-8")
    style = (folder / f"{name}.css").read_text("utf-8")
    return st.components.v2.component(
        f"neuronlab_{name}", html=f'<div class="{name}"></div>', css=style, js=script
    )
