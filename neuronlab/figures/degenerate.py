"""Figures of neurons that stand in for each other, and of what tells true from false."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import BEHIND_INTERVALS, MARGIN, SHARE, error_bars
from neuronlab.figures.colours import (
    COLOURS,
    COMPONENT_COLOURS,
    DIVERGING,
    FOR,
    NEUTRAL,
    NULL_NAMES,
)
from neuronlab.figures.maps import Grid, graph
from neuronlab.neurons.effect import percent


def pair_graph(
    pairs: pd.DataFrame,
    chosen: tuple[int, int] | None = None,
    layer_names: Sequence[str] = (),
) -> Grid:
    """Neurons on a circle, a line for each pair, thicker the stronger its synergy.

    Args:
        pairs: columns layer_a, neuron_a, layer_b, neuron_b, synergy.
        chosen: (layer, neuron) that is marked.
        layer_names: how layers are called, where that is not their number.

    Cells are the neurons, in the order the chart numbers them: columns layer, neuron, pairs.
    """
    ends = pd.concat(
        [
            pairs[[f"layer_{side}", f"neuron_{side}"]].set_axis(["layer", "neuron"], axis=1)
            for side in "ab"
        ]
    )
    cells = ends.value_counts().reset_index(name="pairs").sort_values(["layer", "neuron"])
    cells = cells.reset_index(drop=True)
    number = {(r.layer, r.neuron): str(i) for i, r in enumerate(cells.itertuples())}
    angles = np.linspace(0, 2 * np.pi, len(cells), endpoint=False)
    nodes = [
        _node(
            number[row.layer, row.neuron],
            _called(row.layer, row.neuron, layer_names),
            int(row.pairs),
            angle,
            (row.layer, row.neuron) == chosen,
        )
        for row, angle in zip(cells.itertuples(), angles, strict=True)
    ]
    links = [
        {
            "source": number[r.layer_a, r.neuron_a],
            "target": number[r.layer_b, r.neuron_b],
            "value": round(float(r.synergy), 4),
            "lineStyle": {
                "width": float(np.clip(0.7 + 12 * (1 - r.synergy), 0.5, 7)),
                "color": DIVERGING[3] if r.synergy < 1 else NEUTRAL,
                "type": "solid" if r.synergy < 1 else "dashed",
                "opacity": 0.75,
            },
        }
        for r in pairs.itertuples()
    ]
    return Grid(graph(nodes, links, sides=(90, 90), ends=20), cells)


def _called(layer: int, neuron: int, layer_names: Sequence[str]) -> str:
    """Short, for a figure: L3 #45, or decoder 1 #45."""
    name = layer_names[layer] if layer_names else str(layer)
    return f"{'L' if name.isdigit() else ''}{name} #{neuron}"


def _node(number: str, name: str, pairs: int, angle: float, marked: bool) -> dict[str, Any]:
    """A neuron on the circle, its label outside."""
    return {
        "id": number,
        "name": name,
        "x": round(float(240 * np.cos(angle)), 3),
        "y": round(float(200 * np.sin(angle)), 3),
        "value": pairs,
        "symbol": "diamond" if marked else "circle",
        "symbolSize": 20 if marked else 13,
        "itemStyle": {"color": COMPONENT_COLOURS["ffn"]},
        "label": {
            "show": True,
            "position": "right" if np.cos(angle) >= 0 else "left",
            "formatter": "{b}",
        },
    }


def pair_counts(random: pd.DataFrame, kept: int) -> go.Figure:
    """How many pairs every random candidate set gives, and where the candidates are, with a line.

    Args:
        random: columns null, pairs: one row per set.
        kept: how many pairs the candidates give.
    """
    figure = go.Figure()
    for null, counts in random.groupby("null", sort=False)["pairs"]:
        figure.add_box(
            x=counts,
            name=NULL_NAMES[null],
            orientation="h",
            boxpoints="all",
            jitter=0.6,
            pointpos=0,
            fillcolor="rgba(0,0,0,0)",
            line={"width": 1, "color": NEUTRAL},
            marker={"size": 6, "color": COMPONENT_COLOURS["ffn"]},
            hovertemplate="%{x} pairs<extra>" + NULL_NAMES[null] + "</extra>",
        )
    figure.add_scatter(
        x=[kept],
        y=["the candidates"],
        mode="markers",
        marker={"symbol": "diamond", "size": 11, "color": FOR},
        hovertemplate="%{x} pairs<extra>the candidates</extra>",
    )
    figure.add_vline(x=kept, line={"color": FOR, "width": 2})
    figure.update_xaxes(title="degenerate pairs", rangemode="tozero")
    figure.update_layout(height=200, margin=MARGIN, showlegend=False)
    return figure


def pair_bars(p0: float, pair: pd.Series, layer_names: Sequence[str] = ()) -> go.Figure:
    """What is left of the target: with all, without either, without both; and the product.

    Args:
        layer_names: how layers are called, where that is not their number.
    """
    first, second = (
        _called(int(pair[f"layer_{side}"]), int(pair[f"neuron_{side}"]), layer_names)
        for side in "ab"
    )
    rows = [
        ("nothing off", p0, NEUTRAL),
        (f"without {first}", pair["p_a"], NEUTRAL),
        (f"without {second}", pair["p_b"], NEUTRAL),
        ("if they were independent", pair["product"], DIVERGING[3]),
        ("without both", pair["p_ab"], FOR),
    ]
    figure = go.Figure(
        go.Bar(
            y=[name for name, *_ in rows],
            x=[value for _, value, _ in rows],
            orientation="h",
            marker_color=[colour for *_, colour in rows],
            text=[percent(value) for _, value, _ in rows],
            textposition="outside",
            cliponaxis=False,
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(tickformat=SHARE, range=[0, 1.2 * max(value for _, value, _ in rows)])
    figure.update_layout(height=240, margin=MARGIN, showlegend=False)
    return figure


# Of each measure: what it is called, and what takes no knowledge.
MEASURES = {
    "f1": ("F1", "always true", 2 / 3),
    "accuracy": ("right choices", "guessing", 1 / 2),
}
# With a dash each: colour is never the only carrier of meaning. Neurons have the colour of their
# random sets.
_COLOURS = [COLOURS[3]] * 3 + [COLOURS[0]] * 3 + [COLOURS[2], COLOURS[5], COLOURS[6]]
_DASHES = ["solid", "dot", "dashdot"] * 2 + ["dash", "longdash", "dot"]
_LEGEND = {"orientation": "h", "y": -0.3, "x": 0}


def bars(table: pd.DataFrame, titles: Mapping[str, str], measure: str) -> go.Figure:
    """Bars of a measure with intervals, and a line at what takes no knowledge.

    Args:
        table: columns scorer, and the measure with its ``_low`` and ``_high``.
        titles: of the scorers.
        measure: of ``MEASURES``.
    """
    words, line, place = MEASURES[measure]
    figure = go.Figure(
        go.Bar(
            y=[titles[name] for name in table["scorer"]],
            x=table[measure],
            orientation="h",
            marker_color=[_style(titles, name)[0] for name in table["scorer"]],
            marker_opacity=BEHIND_INTERVALS,
            error_x=error_bars(table[measure], table[f"{measure}_low"], table[f"{measure}_high"]),
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    )
    figure.add_vline(
        x=place,
        line={"dash": "dot", "color": NEUTRAL},
        annotation_text=line,
        annotation_position="top",
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[0, 1.02], title=words)
    figure.update_layout(height=380, margin=MARGIN)
    return figure


def roc(curves: pd.DataFrame, titles: Mapping[str, str]) -> go.Figure:
    """True against false positive rate; the diagonal is chance.

    Args:
        curves: columns scorer, column, false_positive_rate, true_positive_rate.
    """
    figure = _lines(curves, titles, "false_positive_rate", "true_positive_rate")
    figure.add_scatter(
        x=[0, 1], y=[0, 1], mode="lines", line={"color": NEUTRAL, "width": 1}, showlegend=False
    )
    figure.update_xaxes(title="false ones called true", range=[-0.02, 1.02])
    figure.update_yaxes(title="true ones called true", range=[-0.02, 1.02])
    return figure


def precision_recall(curves: pd.DataFrame, titles: Mapping[str, str]) -> go.Figure:
    """Precision against recall; half of the candidates are true.

    Args:
        curves: columns scorer, column, true_positive_rate, precision.
    """
    figure = _lines(
        curves[curves["true_positive_rate"] > 0], titles, "true_positive_rate", "precision"
    )
    figure.add_hline(y=0.5, line={"color": NEUTRAL, "width": 1})
    figure.update_xaxes(title="recall", range=[-0.02, 1.02])
    figure.update_yaxes(title="precision", range=[-0.02, 1.02])
    return figure


def _lines(curves: pd.DataFrame, titles: Mapping[str, str], x: str, y: str) -> go.Figure:
    """A curve for each scorer; of several random sets their mean, in a band that holds them all."""
    figure = go.Figure()
    grid = np.linspace(0, 1, 101)
    for scorer, title in titles.items():
        colour, dash = _style(titles, scorer)
        of_one = curves[curves["scorer"] == scorer]
        columns = [curve for _, curve in of_one.groupby("column", sort=False)]
        if not columns:
            continue
        line = columns[0][[x, y]].to_numpy()
        shared = {"name": title, "legendgroup": scorer, "line": {"color": colour, "dash": dash}}
        if len(columns) > 1:
            # Where a curve rises at one place, its end counts.
            ends = [curve.groupby(x)[y].max() for curve in columns]
            each = np.array([np.interp(grid, end.index, end) for end in ends])
            line = np.column_stack([grid, each.mean(0)])
            figure.add_scatter(
                x=[*grid, *grid[::-1]],
                y=[*each.max(0), *each.min(0)[::-1]],
                fill="toself",
                opacity=0.25,
                mode="none",
                hoverinfo="skip",
                showlegend=False,
                **shared,
            )
        figure.add_scatter(
            x=line[:, 0],
            y=line[:, 1],
            # What is one decision for all candidates is a point, not a curve.
            mode="lines" if len(line) > 2 else "lines+markers",
            hovertemplate=f"%{{x:.2f}}, %{{y:.2f}}<extra>{title}</extra>",
            **shared,
        )
    figure.update_layout(height=400, margin=MARGIN, legend=_LEGEND)
    return figure


def _style(titles: Mapping[str, str], scorer: str) -> tuple[str, str]:
    number = list(titles).index(scorer) % len(_COLOURS)
    return _COLOURS[number], _DASHES[number]
