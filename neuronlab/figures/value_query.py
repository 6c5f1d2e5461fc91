"""Figures of writing and waking neurons: layers, heads, the path, and the flow between neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import MARGIN, stacked_layers, visible
from neuronlab.figures.colours import (
    AGAINST,
    COMPONENT_COLOURS,
    COMPONENT_NAMES,
    DIVERGING,
    FOR,
    NEUTRAL,
)
from neuronlab.figures.maps import Grid, graph, heatmap, mark

_LEGEND = {"orientation": "h", "y": 1.12, "x": 0}
# How results name the roles, after the paper, and how people read them.
ROLES = {"query only": "waking only", "both": "both", "value only": "writing only"}
# The columns of the flow, left to right, and what a node there is called.
_STAGES = ("query", "attention", "ffn", "target")


def layer_bars(table: pd.DataFrame, value: str, title: str) -> go.Figure:
    """Bars per layer, attention beside FFN.

    Args:
        table: columns layer, part ("attention", "ffn"), and ``value``.
    """
    figure = go.Figure()
    for part, rows in table.groupby("part", sort=False):
        figure.add_bar(
            x=rows["layer"],
            y=rows[value],
            name=COMPONENT_NAMES[part],
            marker_color=COMPONENT_COLOURS[part],
            marker_pattern_shape="" if part == "ffn" else "/",
            hovertemplate="layer %{x}: %{y:+.4f}<extra>" + COMPONENT_NAMES[part] + "</extra>",
        )
    figure.update_layout(
        height=280, margin=MARGIN, legend=_LEGEND, xaxis_title="layer", yaxis_title=title
    )
    return figure


def path(table: pd.DataFrame) -> go.Figure:
    """Log-probability and probability of the target along the residual stream."""
    figure = go.Figure()
    places = list(range(len(table)))
    for name, axis, colour, dash in (
        ("log_probability", "y", FOR, "solid"),
        ("probability", "y2", AGAINST, "dot"),
    ):
        figure.add_scatter(
            x=places,
            y=table[name],
            yaxis=axis,
            name=name.replace("_", "-"),
            line={"color": colour, "dash": dash},
            customdata=table["state"],
            hovertemplate="after %{customdata}: %{y:.4f}<extra></extra>",
        )
    figure.update_layout(
        height=280,
        margin=MARGIN,
        legend=_LEGEND,
        xaxis_title="state (two per layer)",
        yaxis_title="log-probability",
        yaxis2={
            "title": "probability",
            "overlaying": "y",
            "side": "right",
            "showgrid": False,
            "rangemode": "tozero",
        },
    )
    return figure


def histogram(table: pd.DataFrame) -> go.Figure:
    """In which layers the best hundred FFN neurons are, by log-probability and by probability."""
    figure = go.Figure()
    for name, colour, shape in (
        ("log_probability_increase", FOR, ""),
        ("probability_increase", AGAINST, "/"),
    ):
        figure.add_bar(
            x=table["layer"],
            y=table[name],
            name=name.replace("_", " ").replace("log ", "log-"),
            marker_color=colour,
            marker_pattern_shape=shape,
        )
    figure.update_layout(
        height=260,
        margin=MARGIN,
        legend=_LEGEND,
        xaxis_title="layer",
        yaxis_title="of the best 100",
    )
    return figure


def roles(table: pd.DataFrame, layers: int) -> go.Figure:
    """Waking only, writing only and both, per layer."""
    return stacked_layers(table, ROLES, layers, "FFN neurons")


def head_grid(heads: pd.DataFrame, chosen: tuple[int, int] | None = None) -> Grid:
    """Layers x heads: the increase of each head. Cells: layer, head, increase."""
    cells = heads.reset_index(drop=True)
    labels = [f"layer {r.layer}, head {r.head}: {r.increase:+.4f}" for r in cells.itertuples()]
    option = heatmap(
        cells["head"],
        cells["layer"],
        cells["increase"],
        labels,
        [str(h) for h in range(cells["head"].max() + 1)],
        [str(layer) for layer in range(cells["layer"].max() + 1)],
    )
    option["yAxis"]["name"] = "layer"
    option["xAxis"]["name"] = "head"
    option["xAxis"]["nameLocation"] = "middle"
    option["xAxis"]["nameGap"] = 22
    mark(option, cells, (cells["layer"], cells["head"]), chosen)
    return Grid(option, cells)


def flow(nodes: pd.DataFrame, links: pd.DataFrame, target: str) -> Grid:
    """Waking FFN -> writing attention -> writing FFN -> target, as a graph whose nodes are clicked.

    Args:
        nodes: columns stage, layer, neuron, component, head.
        links: columns source, source_layer, source_neuron, target, target_layer, target_neuron,
            weight (share of the target's score, in log-probability).

    Cells are the nodes, in the order the chart numbers them.
    """
    nodes = nodes.assign(column=[_STAGES.index(s) for s in nodes["stage"]])
    nodes = nodes.sort_values(["column", "layer", "neuron"]).reset_index(drop=True)
    number = {(r.stage, r.layer, r.neuron): i for i, r in enumerate(nodes.itertuples())}
    edges = [
        (
            number[r.source, r.source_layer, r.source_neuron],
            number[r.target, r.target_layer, r.target_neuron],
            r.weight,
        )
        for r in links.itertuples()
    ]
    outgoing = np.zeros(len(nodes))
    for source, _, weight in edges:
        outgoing[source] += weight
    places = nodes.groupby("column").cumcount() + 0.5
    heights = 520 * places / nodes.groupby("column")["column"].transform("size")
    drawn = [
        _node(i, row, heights[i], outgoing[i], target) for i, row in enumerate(nodes.itertuples())
    ]
    largest = max((abs(weight) for *_, weight in edges), default=1.0)
    lines = [_line(*edge, largest) for edge in edges if abs(edge[2]) > 0.01 * largest]
    option = graph(drawn, lines, sides=(90, 110), ends=16)
    return Grid(option, nodes.drop(columns="column"))


def _node(number: int, row: Any, height: float, outgoing: float, target: str) -> dict[str, Any]:
    """A neuron in its stage's column, with what it sends on."""
    colours = {"target": NEUTRAL, "query": COMPONENT_COLOURS["query"]}
    return {
        "id": str(number),
        "name": _node_name(row, target),
        "x": 240 * row.column,
        "y": float(height),
        "symbol": "roundRect" if row.stage == "attention" else "circle",
        "symbolSize": 30 if row.stage == "target" else 14,
        "value": round(float(outgoing), 5),
        "itemStyle": {"color": colours.get(row.stage) or COMPONENT_COLOURS[row.component]},
        "label": {
            "show": True,
            "position": "left" if row.column == 0 else "right",
            "formatter": "{b}",
        },
    }


def _line(source: int, end: int, weight: float, largest: float) -> dict[str, Any]:
    """From neuron to neuron, as wide as the share that it carries."""
    return {
        "source": str(source),
        "target": str(end),
        "value": round(float(weight), 5),
        "lineStyle": {
            "width": 0.3 + 9 * abs(weight) / largest,
            # The middle tones of the scale: seen on white and on black.
            "color": DIVERGING[3 if weight > 0 else 1],
            "type": "solid" if weight > 0 else "dashed",
            "opacity": 0.7,
            "curveness": 0.08,
        },
    }


def _node_name(row: Any, target: str) -> str:
    if row.stage == "target":
        return visible(target)
    head = f" h{row.head}" if row.stage == "attention" else ""
    return f"L{row.layer}{head} #{row.neuron}"
