"""Figures of neuron sets in several languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import BEHIND_INTERVALS, MARGIN, error_bars
from neuronlab.figures.colours import COLOURS, FOR, NEUTRAL, NULL_NAMES, PATTERNS
from neuronlab.neurons.effect import percent

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
        counts: one row per layer, by its name; one column per language, and "shared".
    """
    figure = go.Figure()
    for i, name in enumerate(counts):
        shared = name == "shared"
        figure.add_bar(
            x=counts.index,
            y=counts[name],
            name=name,
            marker_color=FOR if shared else COLOURS[i % 6],
            marker_pattern_shape="" if shared else PATTERNS[i % 6],
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


def edit_matrix(table: pd.DataFrame) -> go.Figure:
    """Heatmap of edits by languages: relative change, with its 95 % interval written below.

    Args:
        table: columns edit, language, relative, relative_low, relative_high, random, as_active,
            before, after.
    """
    edits, languages = list(dict.fromkeys(table["edit"])), list(dict.fromkeys(table["language"]))
    cells = table.set_index(["edit", "language"])
    values = [[cells.loc[(e, k), "relative"] for k in languages] for e in edits]
    limit = min(max(abs(float(table["relative"].abs().max())), 0.01), 2.0)

    def text(edit: str, language: str) -> str:
        row = cells.loc[(edit, language)]
        low, high = row["relative_low"], row["relative_high"]
        interval = f"<br>{low:+.0%} to {high:+.0%}" if low < high else ""
        return f"<b>{row['relative']:+.0%}</b>{interval}"

    def details(edit: str, language: str) -> str:
        row = cells.loc[(edit, language)]
        nulls = "; ".join(f"{name} {row[null]:+.1%}" for null, name in NULL_NAMES.items())
        return f"{percent(row['before'])} → {percent(row['after'])}; {nulls}"

    figure = go.Figure(
        go.Heatmap(
            z=values,
            x=languages,
            y=edits,
            zmin=-limit,
            zmax=limit,
            autocolorscale=True,
            text=[[text(e, k) for k in languages] for e in edits],
            texttemplate="%{text}",
            customdata=[[details(e, k) for k in languages] for e in edits],
            hovertemplate="%{y}, measured in %{x}: %{z:+.1%}<br>%{customdata}<extra></extra>",
            showscale=False,  # every cell has its number
            textfont={"size": 12},
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(type="category", title="measured in", side="top")
    figure.update_layout(height=120 + 56 * len(edits), margin=MARGIN)
    return figure


def edit_bars(table: pd.DataFrame, words: Mapping[str, str]) -> go.Figure:
    """Bars per edit: relative change of the fact and of others, with intervals; random as marks.

    Args:
        table: columns edit, about, relative, relative_low, relative_high, random, as_active; of one
            language.
        words: what each kind of fact is called.
    """
    figure = go.Figure()
    for i, (about, name) in enumerate(words.items()):
        rows = table[table["about"] == about]
        figure.add_bar(
            y=rows["edit"],
            x=rows["relative"],
            name=name,
            orientation="h",
            marker_color=COLOURS[i],
            marker_pattern_shape=PATTERNS[i],
            marker_opacity=BEHIND_INTERVALS,
            error_x=error_bars(rows["relative"], rows["relative_low"], rows["relative_high"]),
            hovertemplate="%{y}: %{x:+.1%}<extra>" + name + "</extra>",
        )
    first = table[table["about"] == next(iter(words))]
    symbols = ("line-ns-open", "x-thin-open")
    for (null, name), symbol in zip(NULL_NAMES.items(), symbols, strict=True):
        figure.add_scatter(
            y=first["edit"],
            x=first[null],
            name=name,
            mode="markers",
            marker={"symbol": symbol, "size": 18, "color": NEUTRAL, "line": {"width": 3}},
            hovertemplate="%{y}: %{x:+.1%}<extra>" + name + "</extra>",
        )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(tickformat="+.0%", title="relative change")
    figure.update_layout(
        height=130 + 56 * len(first), margin=MARGIN, legend={**_LEGEND, "y": -0.25}, bargap=0.25
    )
    return figure
