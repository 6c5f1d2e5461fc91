"""Figures of methods compared over facts."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import BEHIND_INTERVALS, MARGIN, error_bars, wrapped
from neuronlab.figures.colours import COLOURS, CONTROL_NAMES, MARKS, NEUTRAL, Line, line_of
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM, Control

METRICS = {
    "probability": "probability of the right answer",
    "mrr": "mean reciprocal rank",
    "log_probability": "log-probability of the right answer",
}
_CONTROL_LINES: dict[str, Line] = {
    RANDOM: Line(NEUTRAL, "dot", "circle-open"),
    AS_ACTIVE: Line(NEUTRAL, "dash", "square-open"),
}
_ABOUT = {"fact": "the fact itself", "other relation": "other facts", "plain": "plain prompts"}


def after_zeroing(
    table: pd.DataFrame,
    titles: dict[str, str],
    metric: str,
    original: float,
    controls: Mapping[Control, float],
) -> go.Figure:
    """Bars: what is left after each method's neurons are zeroed, with 95 % intervals.

    Args:
        table: columns method, and the metric with its ``_low`` and ``_high``; one row per method.
        titles: of the methods.
        original: with nothing zeroed.
        controls: with random neurons zeroed, by kind (``neurons.effect.CONTROLS``).
    """
    table = table.sort_values(metric, ascending=False)
    figure = go.Figure(
        go.Bar(
            y=[titles[m] for m in table["method"]],
            x=table[metric],
            orientation="h",
            marker_color="#0072B2",
            marker_opacity=BEHIND_INTERVALS,
            error_x=error_bars(table[metric], table[f"{metric}_low"], table[f"{metric}_high"]),
            hovertemplate="%{y}: %{x:.4f}<extra></extra>",
            showlegend=False,
        )
    )
    lines = [("nothing zeroed", "solid", original)]
    lines += [(CONTROL_NAMES[c], _CONTROL_LINES[c].dash, value) for c, value in controls.items()]
    names = [titles[m] for m in table["method"]]
    for name, dash, value in lines:
        figure.add_scatter(
            x=[value, value],
            y=[names[0], names[-1]],
            mode="lines",
            name=name,
            line={"dash": dash, "color": NEUTRAL},
            hovertemplate=f"{name}: {value:.4f}<extra></extra>",
        )
    figure.update_layout(
        height=150 + 30 * len(table),
        margin=MARGIN,
        xaxis_title=METRICS[metric],
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure


def by_count(summary: pd.DataFrame, titles: dict[str, str], metric: str, pooled: str) -> go.Figure:
    """Lines: what is left against how many neurons are zeroed.

    Args:
        summary: columns method, k, control, and the metric; rows of the methods themselves
            (control ""), of ``pooled``, and of "original" (drawn at k = 0 of each line).
        pooled: name of the controls of all methods together.
    """
    original = float(summary.loc[summary["method"] == "original", metric].iloc[0])
    figure = go.Figure()
    lines = summary[(summary["method"] == pooled) | (summary["control"] == "")]
    lines = lines[lines["method"] != "original"]
    for (method, control), line in lines.groupby(["method", "control"], sort=False):
        if control:
            name, style = CONTROL_NAMES[control], _CONTROL_LINES[control]
        else:
            name, style = titles[method], line_of(method)
        figure.add_scatter(
            x=[0, *line["k"]],
            y=[original, *line[metric]],
            name=name,
            mode="lines+markers",
            line={"color": style.colour, "dash": style.dash},
            marker={"symbol": style.mark, "size": 8},
        )
    figure.update_layout(
        height=520,
        margin=MARGIN,
        xaxis_title="FFN neurons zeroed",
        yaxis_title=METRICS[metric],
        legend={"orientation": "h", "y": -0.25},
    )
    return figure


def specificity(table: pd.DataFrame, titles: dict[str, str]) -> go.Figure:
    """Dots: what is left of the fact, of other facts and of plain prompts, with 95 % intervals.

    Args:
        table: columns method, about, left (a share), low, high.
        titles: of the methods, in the order in which they are drawn from the top.
    """
    figure = go.Figure()
    for i, (about, words) in enumerate(_ABOUT.items()):
        rows = table[table["about"] == about].set_index("method").reindex(list(titles))
        figure.add_scatter(
            y=list(titles.values()),
            x=rows["left"],
            name=words,
            mode="markers",
            marker={"color": COLOURS[i], "symbol": MARKS[i], "size": 10},
            error_x=error_bars(rows["left"], rows["low"], rows["high"]),
            hovertemplate=f"%{{y}}, {words}: %{{x:.1%}}<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(
        height=150 + 30 * len(titles),
        margin=MARGIN,
        xaxis_title=wrapped("share of the probability that is left"),
        xaxis_tickformat=".0%",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure
