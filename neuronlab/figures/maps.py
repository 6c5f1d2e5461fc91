"""Maps whose cells people click, as ECharts options; positions match ``Grid.cells``."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from neuronlab.figures.colours import DIVERGING

# A map with more cells than this is slow to draw and hard to hit with a mouse.
MAX_CELLS = 512


@dataclass(frozen=True)
class Grid:
    """A heatmap and what its cells stand for, in the order the chart numbers them.

    Attributes:
        option: the ECharts option.
        cells: one row per cell.
    """

    option: dict[str, Any]
    cells: pd.DataFrame


def graph(
    nodes: list[dict[str, Any]], links: list[dict[str, Any]], *, sides: tuple[int, int], ends: int
) -> dict[str, Any]:
    """The option of a graph whose nodes stand where they say, and are clicked.

    Args:
        nodes, links: as ECharts writes them; nodes have x and y.
        sides: room for labels on the left and on the right, in pixels.
        ends: room above and below, in pixels.
    """
    return {
        "animation": False,
        "tooltip": {"formatter": "{b}: {c}"},
        "series": [
            {
                "type": "graph",
                "layout": "none",
                "preserveAspect": "contain",
                "left": sides[0],
                "right": sides[1],
                "top": ends,
                "bottom": ends,
                "data": nodes,
                "links": links,
                "selectedMode": "single",
                "cursor": "pointer",
                "emphasis": {"focus": "adjacency"},
            }
        ],
    }


MARKED = {"borderColor": "#000000", "borderWidth": 2.5, "shadowBlur": 4, "shadowColor": "#FFFFFF"}


def mark(
    option: dict[str, Any],
    cells: pd.DataFrame,
    columns: Sequence[pd.Series],
    chosen: tuple[Any, ...] | None,
) -> None:
    """Draw a border around the chosen cell: colour alone carries no meaning."""
    if chosen is None:
        return
    same = np.all([column == value for column, value in zip(columns, chosen, strict=True)], axis=0)
    for index in np.flatnonzero(same):
        option["series"][0]["data"][index]["itemStyle"] = MARKED


def heatmap(
    x: pd.Series | np.ndarray,
    y: pd.Series | np.ndarray,
    values: pd.Series,
    labels: list[str],
    x_names: list[str],
    y_names: list[str],
) -> dict[str, Any]:
    """The option of a clickable heatmap around zero; cells in the order given."""
    largest = float(np.abs(np.asarray(values, float)).max(initial=0)) or 1.0
    # The ends of the scale are read: three digits, rounded up, so that no value is beyond.
    places = min(max(0, 2 - math.floor(math.log10(largest))), 20)
    limit = math.ceil(largest * 10**places) / 10**places
    data = [
        {"value": [int(a), int(b), round(float(v), 7)], "name": label}
        for a, b, v, label in zip(x, y, values, labels, strict=True)
    ]
    return {
        "animation": False,
        "tooltip": {"formatter": "{b}"},
        # Exactly these margins: else the grid shrinks by what it thinks its labels need.
        "grid": {"left": 48, "right": 12, "top": 26, "bottom": 78, "outerBoundsMode": "none"},
        "xAxis": {"type": "category", "data": x_names, "splitArea": {"show": True}},
        "yAxis": {"type": "category", "data": y_names, "nameLocation": "end"},
        "visualMap": {
            "min": -limit,
            "max": limit,
            "calculable": True,
            "orient": "horizontal",
            "left": "center",
            "bottom": 0,
            "itemHeight": 120,
            "itemWidth": 12,
            "precision": places,
            "text": ["for", "against"],
            "inRange": {"color": DIVERGING},
        },
        "series": [
            {
                "type": "heatmap",
                "data": data,
                "selectedMode": "single",
                "cursor": "pointer",
                "emphasis": {"itemStyle": {"borderColor": "#000000", "borderWidth": 1.5}},
            }
        ],
    }
