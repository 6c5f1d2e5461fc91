"""Heatmaps whose cells a click, or the arrow keys and Enter, choose."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pandas as pd
import streamlit as st

from neuronlab.figures.heatmaps import Heatmaps, still
from neuronlab.figures.report import Part
from neuronlab.widgets import exports
from neuronlab.widgets.browser import element

_mount = element("heatmaps")


def draw(
    maps: Heatmaps, name: str, pick: Callable[[pd.Series], None], *, files: bool = True
) -> None:
    """Panels side by side; the chosen cell is passed to ``pick``; table and files below.

    Args:
        name: of the widgets, and of the files: unique on the page.
        files: without them, whoever draws several maps gives one table of all.
    """
    key = f"map_{name}"

    def picked() -> None:
        place = st.session_state[key].picked
        cell = None if place is None else maps.cell(place)  # it may be of a map that is gone
        if cell is not None:
            pick(cell)

    _mount(key=key, data=maps.data, on_picked_change=picked)
    if files:
        table = maps.cells.drop(columns=["panel", "row", "column"])
        exports.reported(name, Part(maps.words, partial(still, maps), table))
        exports.tables(table, name, figure=key, alt=maps.words)
