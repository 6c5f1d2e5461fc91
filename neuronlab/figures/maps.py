"""Maps whose cells people click, as ECharts options; positions match ``Grid.cells``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from neuronlab.figures.colours import COMPONENT_NAMES, DIVERGING
from neuronlab.neurons import NeuronScores

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


def overview(scores: NeuronScores, chosen: tuple[int, str] | None = None) -> Grid:
    """Layers x components: the sum of all scores of a layer's component.

    Cells have the columns layer, component, total, strongest.
    """
    rows = []
    for x, component in enumerate(scores):
        for layer, values in enumerate(scores[component]):
            strongest = float(values[np.abs(values).argmax()])
            total = float(values.sum())
            rows.append((x, layer, layer, component, total, strongest))
    cells = pd.DataFrame(rows, columns=["x", "y", "layer", "component", "total", "strongest"])
    names = [COMPONENT_NAMES[c] for c in scores]
    layers = [str(layer) for layer in range(len(next(iter(scores.arrays.values()))))]
    labels = [
        f"layer {c.layer}, {COMPONENT_NAMES[c.component]}: sum {c.total:+.4f}, "
        f"strongest neuron {c.strongest:+.4f}"
        for c in cells.itertuples()
    ]
    option = heatmap(cells["x"], cells["y"], cells["total"], labels, names, layers)
    option["yAxis"]["name"] = "layer"
    mark(option, cells, (cells["layer"], cells["component"]), chosen)
    return Grid(option, cells)


def layer_grid(
    values: Float[np.ndarray, " neuron"], *, columns: int = 32, chosen: int | None = None
) -> Grid:
    """One layer's component as a grid of bins of neighbouring neurons, each its strongest score.

    Cells have the columns start, stop (exclusive), strongest (index), score. A bin is a single
    neuron where there are few enough.
    """
    size = -(-len(values) // MAX_CELLS)
    starts = np.arange(0, len(values), size)
    best = [int(s + np.abs(values[s : s + size]).argmax()) for s in starts]
    cells = pd.DataFrame(
        {
            "start": starts,
            "stop": np.minimum(starts + size, len(values)),
            "strongest": best,
            "score": values[best],
        }
    )
    place = np.arange(len(cells))
    labels = [
        f"neuron {c.start}: {c.score:+.5f}"
        if c.stop - c.start == 1
        else f"neurons {c.start} to {c.stop - 1}, strongest {c.strongest}: {c.score:+.5f}"
        for c in cells.itertuples()
    ]
    rows = [str(r * columns * size) for r in range(-(-len(cells) // columns))]
    option = heatmap(
        place % columns,
        place // columns,
        cells["score"],
        labels,
        [str(i) for i in range(columns)],
        rows,
    )
    option["xAxis"]["show"] = False
    option["yAxis"]["inverse"] = True
    option["yAxis"]["name"] = "from neuron"
    if chosen is not None:
        inside = (cells["start"] <= chosen) & (chosen < cells["stop"])
        for index in cells.index[inside]:
            option["series"][0]["data"][index]["itemStyle"] = MARKED
    return Grid(option, cells)


def neuron_strip(
    values: Float[np.ndarray, " neuron"], start: int, chosen: int | None = None
) -> Grid:
    """Single neurons side by side, the first with index ``start``. Cells: neuron, score."""
    cells = pd.DataFrame({"neuron": start + np.arange(len(values)), "score": values})
    labels = [f"neuron {c.neuron}: {c.score:+.5f}" for c in cells.itertuples()]
    names = [str(n) for n in cells["neuron"]]
    zeros = np.zeros(len(cells), int)
    option = heatmap(np.arange(len(cells)), zeros, cells["score"], labels, names, [""])
    option["grid"]["bottom"] = 28
    option["visualMap"]["show"] = False
    mark(option, cells, (cells["neuron"],), None if chosen is None else (chosen,))
    return Grid(option, cells)


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
    limit = float(np.abs(np.asarray(values, float)).max(initial=0)) or 1.0
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
            "precision": 4,
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
