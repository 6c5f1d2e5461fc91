"""Figures of neuron sets in several languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import MARGIN
from neuronlab.figures.colours import FOR, NEUTRAL

# Okabe and Ito, with a dash each: colour is never the only carrier of meaning.
_COLOURS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00"]
_PATTERNS = ["", "/", "x", "-", "|", "+"]
_LEGEND = {"orientation": "h", "y": 1.14, "x": 0}


def exclusive(sets: Mapping[str, frozenset[int]]) -> pd.DataFrame:
    """How many members are in exactly these sets and no other: columns languages, count."""
    rows = []
    names = list(sets)
    for size in range(len(names), 0, -1):
        for chosen in combinations(names, size):
            inside = frozenset.intersection(*(sets[name] for name in chosen))
            outside = frozenset().union(*(sets[n] for n in names if n not in chosen))
            rows.append((" + ".join(chosen), len(inside - outside)))
    return pd.DataFrame(rows, columns=["languages", "count"])


def set_bars(table: pd.DataFrame, languages: int) -> go.Figure:
    """Bars of ``exclusive``; what all languages share stands out."""
    kept = table[(table["count"] > 0) | (table.index == 0)]
    everything = [name.count(" + ") + 1 == languages for name in kept["languages"]]
    figure = go.Figure(
        go.Bar(
            y=kept["languages"],
            x=kept["count"],
            orientation="h",
            marker_color=[FOR if whole else NEUTRAL for whole in everything],
            text=kept["count"],
            textposition="outside",
            cliponaxis=False,
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(height=90 + 26 * len(kept), margin=MARGIN, xaxis_title="neurons")
    return figure


def layer_counts(counts: pd.DataFrame) -> go.Figure:
    """Bars per layer: the mean number of neurons of each language, and of the intersection.

    Args:
        counts: one row per layer; one column per language, and "shared".
    """
    figure = go.Figure()
    for i, name in enumerate(counts):
        shared = name == "shared"
        figure.add_bar(
            x=counts.index,
            y=counts[name],
            name=name,
            marker_color=FOR if shared else _COLOURS[i % 6],
            marker_pattern_shape="" if shared else _PATTERNS[i % 6],
        )
    figure.update_layout(
        height=300,
        margin=MARGIN,
        legend=_LEGEND,
        xaxis_title="layer",
        yaxis_title="neurons a fact",
    )
    return figure


def thresholds(table: pd.DataFrame) -> go.Figure:
    """Lines against the threshold: what is shared, and what it has to be compared with."""
    figure = go.Figure()
    lines: Sequence[tuple[str, str, str, str]] = (
        ("shared", "the same fact", FOR, "solid"),
        ("same_relation", "another fact of the relation", "#E69F00", "dash"),
        ("other_relation", "a fact of another relation", "#009E73", "dashdot"),
        ("expected", "random sets", NEUTRAL, "dot"),
    )
    for column, name, colour, dash in lines:
        if table[column].notna().any():
            figure.add_scatter(
                x=table["tau"],
                y=table[column],
                name=name,
                mode="lines+markers",
                line={"color": colour, "dash": dash},
            )
    figure.update_layout(
        height=300,
        margin=MARGIN,
        legend=_LEGEND,
        xaxis_title="threshold (fraction of the highest score)",
        yaxis_title="neurons in common",
    )
    return figure
