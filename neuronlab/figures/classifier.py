"""Figures of protein classifiers: data, tuning, submodels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from neuronlab.attribution import METHODS
from neuronlab.figures.charts import BEHIND_INTERVALS, MARGIN, error_bars, plain
from neuronlab.figures.colours import (
    AGAINST,
    COLOURS,
    COMPONENT_COLOURS,
    COMPONENT_NAMES,
    DASHES,
    FOR,
    MARKS,
    NEUTRAL,
    PATTERNS,
    Line,
    line_of,
)

METRICS = {"accuracy": "Accuracy", "f1": "F1", "auc": "AUC"}
_LEGEND = {"orientation": "h", "y": -0.25, "x": 0}


def length_histogram(lengths: Mapping[str, Sequence[int]]) -> go.Figure:
    """How long the proteins of each class are."""
    figure = go.Figure()
    for i, (label, residues) in enumerate(lengths.items()):
        figure.add_histogram(
            x=list(residues),
            name=plain(label),
            xbins={"size": 25},
            opacity=0.7,
            marker_color=COLOURS[i % len(COLOURS)],
            marker_pattern_shape=PATTERNS[i % 4],
        )
    figure.update_layout(
        barmode="overlay",
        height=280,
        margin=MARGIN,
        legend={**_LEGEND, "y": -0.35},
        xaxis_title="residues",
        yaxis_title="proteins",
    )
    return figure


def metric_bars(table: pd.DataFrame, metric: str) -> go.Figure:
    """Bars of one metric with intervals; what is not a baseline stands out.

    Args:
        table: columns name, baseline (bool), and the metric with ``_low`` and ``_high``.
    """
    figure = go.Figure(
        go.Bar(
            y=[plain(name) for name in table["name"]],
            x=table[metric],
            orientation="h",
            marker_color=[NEUTRAL if b else FOR for b in table["baseline"]],
            marker_opacity=BEHIND_INTERVALS,
            error_x=error_bars(table[metric], table[f"{metric}_low"], table[f"{metric}_high"]),
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[0, 1.02], title=METRICS[metric])
    figure.update_layout(height=110 + 34 * len(table), margin=MARGIN)
    return figure


def tuning_curve(curve: pd.DataFrame) -> go.Figure:
    """Loss of every step, and loss and AUC of the validation part.

    Args:
        curve: columns step, loss, validation_loss, validation_auc (empty where nobody looked).
    """
    looks = curve.dropna(subset=["validation_auc"])
    figure = go.Figure()
    figure.add_scatter(
        x=curve["step"],
        y=curve["loss"].rolling(5, min_periods=1).mean(),
        name="training loss (mean of 5)",
        line={"color": NEUTRAL},
    )
    for column, name, colour, axis in (
        ("validation_loss", "validation loss", AGAINST, "y"),
        ("validation_auc", "validation AUC", FOR, "y2"),
    ):
        figure.add_scatter(
            x=looks["step"],
            y=looks[column],
            name=name,
            yaxis=axis,
            mode="lines+markers",
            line={"color": colour, "dash": "dash" if axis == "y" else "solid"},
        )
    figure.update_layout(
        height=320,
        margin=MARGIN,
        legend=_LEGEND,
        xaxis_title="step",
        yaxis_title="loss",
        yaxis2={"title": "AUC", "overlaying": "y", "side": "right", "showgrid": False},
    )
    return figure


def kept_lines(
    table: pd.DataFrame,
    metric: str,
    titles: Mapping[str, str],
    lines: Mapping[str, float],
    controls: Mapping[str, str],
) -> go.Figure:
    """A metric against the kept fraction; random neurons beside what is chosen, with bands.

    Args:
        table: columns line, seed, fraction and the metric; one ablation.
        titles: of the lines, in the order they are drawn.
        lines: horizontal lines: the full model, the floor, the majority.
        controls: the lines of random neurons, and which line each is the control of; "" for all.
    """
    figure = go.Figure()
    places = {line: i for i, line in enumerate(titles)}
    for line, title in titles.items():
        rows = table[table["line"] == line]
        if rows.empty:
            continue
        means = rows.groupby("fraction")[metric].agg(["mean", "min", "max"]).sort_index()
        beside = controls.get(line)
        style = _line(beside or line, places[beside or line])
        colour = NEUTRAL if beside == "" else style.colour
        mark = style.mark + ("-open" if line in controls else "")
        dash = style.dash if beside is None else "dot" if beside else "longdashdot"
        if rows["seed"].nunique() > 1:
            _band(figure, means, colour, title)
        figure.add_scatter(
            x=means.index,
            y=means["mean"],
            name=title,
            legendgroup=title,
            mode="lines+markers",
            line={"color": colour, "dash": dash},
            marker={"symbol": mark, "size": 8},
            hovertemplate=f"{title}: %{{x:.0%}} kept, %{{y:.3f}}<extra></extra>",
        )
    _levels(figure, lines)
    ticks = sorted(table["fraction"].unique())
    figure.update_xaxes(
        type="log",
        tickvals=ticks,
        ticktext=[f"{100 * t:g}%" for t in ticks],
        title="neurons kept",
    )
    figure.update_layout(height=440, margin=MARGIN, legend=_LEGEND, yaxis_title=METRICS[metric])
    return figure


def _line(name: str, place: int) -> Line:
    """That of a method, or of what else has a place among the lines."""
    if name in METHODS:
        return line_of(name)
    i = place % len(COLOURS)
    return Line(COLOURS[i], DASHES[i], MARKS[i])


def _band(figure: go.Figure, means: pd.DataFrame, colour: str, title: str) -> None:
    """From the least to the most of several random selections."""
    figure.add_scatter(
        x=[*means.index, *means.index[::-1]],
        y=[*means["max"], *means["min"][::-1]],
        fill="toself",
        fillcolor=colour,
        opacity=0.15,
        line={"width": 0},
        showlegend=False,
        hoverinfo="skip",
        legendgroup=title,
    )


def _levels(figure: go.Figure, lines: Mapping[str, float]) -> None:
    """Horizontal lines with their names; what is not finite is left out."""
    for number, (name, value) in enumerate(lines.items()):
        if np.isfinite(value):
            figure.add_hline(
                y=value,
                line={"color": NEUTRAL, "dash": DASHES[number], "width": 1},
                annotation_text=name,
                annotation_position=("top left", "bottom left", "bottom right")[number % 3],
            )


def share_bars(table: pd.DataFrame, titles: Mapping[tuple[str, str], str]) -> go.Figure:
    """Stacked bars: each component's share of what is kept; lines where equal shares would be.

    Args:
        table: columns method, selection, component, share (summed over layers); one fraction.
    """
    figure = go.Figure()
    components = list(dict.fromkeys(table["component"]))
    for component in components:
        shares = table[table["component"] == component]
        shares = shares.groupby(["method", "selection"], sort=False)["share"].mean()
        names = [key for key in titles if key in shares.index]
        figure.add_bar(
            y=[titles[key] for key in names],
            x=[shares[key] for key in names],
            name=COMPONENT_NAMES[component],
            orientation="h",
            marker_color=COMPONENT_COLOURS[component],
            text=[f"{shares[key]:.0%}" for key in names],
            hovertemplate="%{y}: %{x:.1%}<extra>" + COMPONENT_NAMES[component] + "</extra>",
        )
    for k in range(1, len(components)):
        figure.add_vline(x=k / len(components), line={"color": "#FFFFFF", "dash": "dot"})
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(tickformat=".0%", range=[0, 1])
    figure.update_layout(
        barmode="stack", height=130 + 30 * len(titles), margin=MARGIN, legend=_LEGEND
    )
    return figure


def only_bars(table: pd.DataFrame, metric: str, full: float) -> go.Figure:
    """One component's neurons off at equal budget: its best, and the range of random ones.

    Args:
        table: columns component, choice, and the metric with ``_low`` and ``_high``; one budget.
        full: the metric of the full model.
    """
    figure = go.Figure()
    for choice, chosen in table.groupby("choice", sort=False):
        random = choice == "random"
        means = chosen.groupby("component", sort=False)[metric].agg(["mean", "min", "max"])
        low, high = means["min"], means["max"]
        if not random:
            ends = chosen.set_index("component")
            low, high = ends[f"{metric}_low"], ends[f"{metric}_high"]
        figure.add_bar(
            x=[COMPONENT_NAMES[c] for c in means.index],
            y=means["mean"],
            name="random neurons" if random else f"best by {choice.replace('_', ' ')}",
            marker_color=NEUTRAL if random else [COMPONENT_COLOURS[c] for c in means.index],
            marker_pattern_shape="/" if random else "",
            marker_opacity=BEHIND_INTERVALS,
            error_y=error_bars(means["mean"], low, high),
            hovertemplate="%{x}: %{y:.3f}<extra></extra>",
        )
    figure.add_hline(y=full, line={"color": NEUTRAL}, annotation_text="full model")
    figure.update_layout(height=320, margin=MARGIN, legend=_LEGEND, yaxis_title=METRICS[metric])
    return figure


def single_lines(table: pd.DataFrame) -> go.Figure:
    """Neurons off one at a time (summed up) against off together.

    Args:
        table: columns rank, alone, together, sum.
    """
    figure = go.Figure()
    figure.add_bar(x=table["rank"], y=table["alone"], name="this one alone", marker_color=NEUTRAL)
    for i, (column, name) in enumerate(
        (("together", "the first r together"), ("sum", "sum of the first r alone"))
    ):
        figure.add_scatter(
            x=table["rank"],
            y=table[column],
            name=name,
            mode="lines+markers",
            line={"color": COLOURS[i], "dash": DASHES[i]},
            marker={"symbol": MARKS[i]},
        )
    figure.update_layout(
        height=340,
        margin=MARGIN,
        legend=_LEGEND,
        xaxis_title="rank r of the neuron",
        yaxis_title="change of the label's log-probability",
    )
    return figure


def score_scatter(x: np.ndarray, y: np.ndarray, titles: tuple[str, str], colour: str) -> go.Figure:
    """Scores of two methods, a point per neuron, on logarithmic axes."""
    figure = go.Figure(
        go.Scattergl(
            x=x.ravel(),
            y=y.ravel(),
            mode="markers",
            marker={"size": 4, "opacity": 0.5, "color": colour},
            hovertemplate="%{x:.3g}, %{y:.3g}<extra></extra>",
        )
    )
    figure.update_xaxes(type="log", title=titles[0])
    figure.update_yaxes(type="log", title=titles[1])
    figure.update_layout(height=340, margin=MARGIN)
    return figure
