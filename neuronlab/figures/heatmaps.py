"""Scores of neurons as heatmaps side by side, whose cells are read and chosen.

The data is what ``widgets/browser/heatmaps.js`` draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from neuronlab.figures.colours import COMPONENT_NAMES, DIVERGING, DIVERGING_DARK
from neuronlab.models import Component
from neuronlab.neurons import Neuron, NeuronScores

# Columns of all panels together: narrower cells are hard to hit.
_ACROSS = 96
# Neurons in a row of a strip.
_ROW = 32
# The most that a row takes, in pixels: a layer, and single neurons.
_TALL, _TALL_SINGLE = 22, 26
# The most rows whose names stand beside a figure for files.
_NAMED = 20
_COLUMNS = ["panel", "row", "column", "layer", "component", "start", "stop", "strongest", "score"]


@dataclass(frozen=True)
class Heatmaps:
    """Panels on one scale, and what their cells stand for.

    Attributes:
        data: of the panels, for the browser.
        cells: one row per cell, with its place (panel, row, column) and its layer, component, start
            and stop (exclusive) of the neurons in it, the strongest of these, and its score.
    """

    data: dict[str, Any]
    cells: pd.DataFrame

    @property
    def words(self) -> str:
        """What the panels show, in a sentence."""
        panels = self.data["panels"]
        if panels[0]["rising"]:
            names = ", ".join(panel["title"] for panel in panels)
            return f"Scores of every layer's neurons, the strongest of each bin: {names}."
        return f"Scores of {panels[0]['places'][0]}, {panels[0]['note']}."

    def cell(self, place: Mapping[str, int]) -> pd.Series | None:
        """The cell at a place; the strongest of the row where the column is -1; None is none."""
        cells = self.cells
        cells = cells[(cells["panel"] == place["panel"]) & (cells["row"] == place["row"])]
        if place["column"] >= 0:
            cells = cells[cells["column"] == place["column"]]
        return None if cells.empty else cells.loc[cells["score"].abs().idxmax()]


def by_layer(
    scores: NeuronScores, chosen: Neuron | None = None, *, tall: float = _TALL
) -> Heatmaps:
    """A panel per component: layers x bins of neighbouring neurons, each its strongest score.

    A bin is a single neuron where there are few enough. At the edge of each row are the layer's
    sums of positive and of negative scores.

    Args:
        chosen: the neuron whose bin is marked.
        tall: the most that a row takes, in pixels.
    """
    panels, tables, place = [], [], None
    for at, component in enumerate(scores):
        panel, cells = _layers(scores, component)
        panels.append(panel | {"tall": tall})
        tables.append(cells.assign(panel=at, component=component))
        if chosen is not None and chosen.component == component:
            column = chosen.index // panel["size"]
            rows = _rows(scores[component])
            place = {"panel": at, "row": rows.index(chosen.layer), "column": column}
    sums = [abs(value) for panel in panels for pair in panel["sums"] for value in pair]
    data = _data(panels, _limit(scores), place) | {"sum_limit": max(sums, default=0) or 1.0}
    return Heatmaps(data, pd.concat(tables, ignore_index=True)[_COLUMNS])


def _layers(scores: NeuronScores, component: Component) -> tuple[dict[str, Any], pd.DataFrame]:
    """A component's panel, of layers that have it; and its cells without panel and component."""
    layers_with, size = _rows(scores[component]), _size(scores, component)
    values = scores[component][layers_with]
    layers, width = values.shape
    names = [scores.layer_names[layer] for layer in layers_with]
    columns = -(-width // size)
    bins = np.pad(values, ((0, 0), (0, columns * size - width))).reshape(layers, columns, size)
    strongest = np.abs(bins).argmax(-1) + size * np.arange(columns)
    best = np.take_along_axis(values, strongest, 1)
    sums = np.stack([values.clip(max=0).sum(1), values.clip(min=0).sum(1)], 1)
    name = COMPONENT_NAMES[component]
    panel = {
        "title": name,
        "note": f"{width:,} in bins of {size}" if size > 1 else f"{width:,} a layer",
        "rows": layers,
        "columns": columns,
        "rising": True,
        "names": names,
        "axes": {"row": "layer", "column": "neuron", "first": "0", "last": f"{width - 1:,}"},
        "places": [f"layer {each}, {name}" for each in names],
        "starts": [0] * layers,
        "size": size,
        "stop": width,
        "strongest": strongest.ravel().tolist(),
        "values": _short(best),
        "sums": [_short(pair) for pair in sums],
    }
    row, column = np.divmod(np.arange(best.size), columns)
    cells = pd.DataFrame(
        {
            "row": row,
            "column": column,
            "layer": np.array(layers_with)[row],
            "start": size * column,
            "stop": np.minimum(size * (column + 1), width),
            "strongest": strongest.ravel(),
            "score": best.ravel(),
        }
    )
    return panel, cells


def _rows(values: Float[np.ndarray, "layer neuron"]) -> list[int]:
    """The layers that have such neurons."""
    return np.flatnonzero(~np.isnan(values).all(1)).tolist()


def _size(scores: NeuronScores, component: Component) -> int:
    """How many neurons are in a bin."""
    return -(-scores[component].shape[1] // max(_ACROSS // len(scores.arrays), 1))


def bin_of(scores: NeuronScores, neuron: Neuron) -> tuple[int, int]:
    """Start and stop (exclusive) of the bin that ``by_layer`` has a neuron in."""
    size = _size(scores, neuron.component)
    start = neuron.index // size * size
    return start, min(start + size, scores[neuron.component].shape[1])


def strip(scores: NeuronScores, chosen: Neuron) -> Heatmaps:
    """The neurons of the chosen one's bin, one by one, on the scale of the whole."""
    layer, component = chosen.layer, chosen.component
    start, stop = bin_of(scores, chosen)
    values = scores[component][layer, start:stop]
    rows, columns = -(-len(values) // _ROW), min(len(values), _ROW)
    row, column = np.divmod(np.arange(len(values)), columns)
    neurons = np.arange(start, stop)
    name, layer_name = COMPONENT_NAMES[component], scores.layer_names[layer]
    panel = {
        "title": f"Layer {layer_name}, {name}",
        "note": f"neurons {start} to {stop - 1}, one by one",
        "rows": rows,
        "columns": columns,
        "rising": False,
        "tall": _TALL_SINGLE,
        "names": [str(start + _ROW * at) for at in range(rows)],
        "axes": {"row": "neuron", "column": "", "first": "+0", "last": f"+{columns - 1}"},
        "places": [f"layer {layer_name}, {name}"] * rows,
        "starts": [start + _ROW * at for at in range(rows)],
        "size": 1,
        "stop": stop,
        "strongest": neurons.tolist(),
        "values": _short(values),
        "sums": None,
    }
    at = chosen.index - start
    place = {"panel": 0, "row": at // columns, "column": at % columns}
    cells = pd.DataFrame(
        {
            "panel": 0,
            "row": row,
            "column": column,
            "layer": layer,
            "component": component,
            "start": neurons,
            "stop": neurons + 1,
            "strongest": neurons,
            "score": values,
        }
    )
    return Heatmaps(_data([panel], _limit(scores), place), cells)


def still(maps: Heatmaps) -> go.Figure:
    """The panels as a figure of plotly, which no click chooses from: for files."""
    panels = maps.data["panels"]
    figure = make_subplots(
        cols=len(panels),
        subplot_titles=[panel["title"] for panel in panels],
        horizontal_spacing=0.04,
    )
    limit = maps.data["limit"]
    for at, panel in enumerate(panels):
        cells = maps.cells[maps.cells["panel"] == at]
        grid = cells.assign(words=[_words(panel, cell) for cell in cells.itertuples()]).pivot(
            index="row", columns="column"
        )
        axes, every = panel["axes"], -(-panel["rows"] // _NAMED)
        figure.add_heatmap(
            z=grid["score"].to_numpy(),
            x=panel["size"] * grid["score"].columns,
            y=grid["score"].index,
            zmin=-limit,
            zmax=limit,
            showscale=maps.data["legend"] and panel is panels[-1],
            text=grid["words"].to_numpy(),
            hovertemplate="%{text}: %{z:.4g}<extra></extra>",
            row=1,
            col=at + 1,
        )
        across = axes["column"] or f"{axes['row']}, counted from the row's first"
        figure.update_xaxes(title=across, col=at + 1)
        figure.update_yaxes(
            tickvals=list(range(0, panel["rows"], every)),
            ticktext=panel["names"][::every],
            autorange=None if panel["rising"] else "reversed",
            col=at + 1,
        )
    figure.update_yaxes(title=panels[0]["axes"]["row"], col=1)
    most = max(panel["rows"] for panel in panels)
    margin = {"t": 50, "b": 50}
    return figure.update_layout(height=min(130 + 26 * most, 420), margin=margin)


def _words(panel: dict[str, Any], cell: Any) -> str:
    """Which neurons a cell is of."""
    place = panel["places"][cell.row]
    if panel["size"] == 1:
        return f"{place}, neuron {cell.strongest}"
    return f"{place}, neurons {cell.start} to {cell.stop - 1}, strongest {cell.strongest}"


def _data(
    panels: list[dict[str, Any]], limit: float, chosen: dict[str, int] | None
) -> dict[str, Any]:
    return {
        "panels": panels,
        "limit": limit,
        "sum_limit": 1.0,
        "chosen": chosen,
        "legend": len(panels) > 1 or panels[0]["rising"],  # a strip has that of its map
        "light": DIVERGING,
        "dark": DIVERGING_DARK,
    }


def _limit(scores: NeuronScores) -> float:
    arrays: Mapping[Component, np.ndarray] = scores.arrays
    largest = (float(np.nanmax(np.abs(each), initial=0)) for each in arrays.values())
    return max(largest, default=0) or 1.0


def _short(values: Float[np.ndarray, ...]) -> list[float]:
    """Four digits are more than a colour or a hint shows."""
    return [float(f"{value:.4g}") for value in values.ravel().tolist()]
