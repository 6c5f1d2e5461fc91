"""Figures of methods compared over facts."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import MARGIN, error_bars
from neuronlab.figures.colours import COLOURS, MARKS, NEUTRAL

METRICS = {
    "probability": "probability of the right answer",
    "mrr": "mean reciprocal rank",
    "log_probability": "log-probability of the right answer",
}
# One more of each, since methods are many.
_COLOURS = [*COLOURS, NEUTRAL]
_MARKS = [*MARKS, "hexagon"]


def after_zeroing(
    table: pd.DataFrame, titles: dict[str, str], metric: str, original: float, random: float
) -> go.Figure:
    """Bars: what is left after each method's neurons are zeroed, with 95 % intervals.

    Args:
        table: columns method, and the metric with its ``_low`` and ``_high``; one row per method.
        titles: of the methods.
        original, random: with nothing zeroed, and with random neurons zeroed.
    """
    table = table.sort_values(metric, ascending=False)
    figure = go.Figure(
        go.Bar(
            y=[titles[m] for m in table["method"]],
            x=table[metric],
            orientation="h",
            marker_color="#0072B2",
            error_x=error_bars(table[metric], table[f"{metric}_low"], table[f"{metric}_high"]),
            hovertemplate="%{y}: %{x:.4f}<extra></extra>",
        )
    )
    for value, name, dash, place in (
        (original, "nothing zeroed", "solid", "top right"),
        (random, "random neurons", "dot", "bottom right"),
    ):
        figure.add_vline(
            x=value,
            line={"dash": dash, "color": NEUTRAL},
            annotation_text=name,
            annotation_position=place,
        )
    figure.update_layout(
        height=110 + 30 * len(table), margin=MARGIN, xaxis_title=METRICS[metric], showlegend=False
    )
    return figure


def by_count(summary: pd.DataFrame, titles: dict[str, str], metric: str, pooled: str) -> go.Figure:
    """Lines: what is left against how many neurons are zeroed.

    Args:
        summary: columns method, k, control, and the metric; rows of the methods themselves, of
            ``pooled``, and of "original" (drawn at k = 0 of each line).
        pooled: name of the controls of all methods together.
    """
    original = float(summary.loc[summary["method"] == "original", metric].iloc[0])
    figure = go.Figure()
    lines = summary[(summary["method"] == pooled) | ~summary["control"]]
    lines = lines[lines["method"] != "original"]
    for i, (name, own) in enumerate(lines.groupby("method", sort=False)):
        random = name == pooled
        figure.add_scatter(
            x=[0, *own["k"]],
            y=[original, *own[metric]],
            name="Random neurons" if random else titles[name],
            mode="lines+markers",
            line={
                "color": NEUTRAL if random else _COLOURS[i % 8],
                "dash": "dot" if random or i > 7 else "solid",
            },
            marker={"symbol": _MARKS[i % 8], "size": 7},
        )
    figure.update_layout(
        height=420, margin=MARGIN, xaxis_title="FFN neurons zeroed", yaxis_title=METRICS[metric]
    )
    return figure


def overlap_bars(table: pd.DataFrame, words: dict[str, str]) -> go.Figure:
    """Bars of the Jaccard index per kind of pair and k, with intervals, and chance.

    Args:
        table: columns pair, k, jaccard, jaccard_low, jaccard_high, chance.
        words: what a pair is called.
    """
    figure = go.Figure()
    for i, (k, own) in enumerate(table.groupby("k", sort=True)):
        figure.add_bar(
            y=[words[p] for p in own["pair"]],
            x=own["jaccard"],
            name=f"best {k}",
            orientation="h",
            marker_color=_COLOURS[i],
            marker_pattern_shape="" if i == 0 else "/",
            error_x=error_bars(own["jaccard"], own["jaccard_low"], own["jaccard_high"]),
            customdata=own["chance"],
            hovertemplate="%{y}: %{x:.3f} (chance %{customdata:.4f})<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(
        height=120 + 60 * table["pair"].nunique(),
        margin=MARGIN,
        xaxis_title="Jaccard index",
        legend={"orientation": "h", "y": 1.1, "x": 0},
    )
    return figure
