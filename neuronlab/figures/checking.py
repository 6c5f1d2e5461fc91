"""Figures of scorers that tell true from false."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import MARGIN, error_bars
from neuronlab.figures.colours import NEUTRAL

ALWAYS_TRUE = 2 / 3
# Okabe and Ito, with a dash each: colour is never the only carrier of meaning.
_COLOURS = ["#CC79A7", "#0072B2", NEUTRAL, "#009E73", "#E69F00", "#D55E00", "#000000"]
_DASHES = ["solid", "dash", "dot", "solid", "dashdot", "longdash", "dot"]
_LEGEND = {"orientation": "h", "y": -0.3, "x": 0}


def f1_bars(table: pd.DataFrame, titles: Mapping[str, str]) -> go.Figure:
    """Bars of F1 with intervals, and a line where always answering true is.

    Args:
        table: columns scorer, f1, f1_low, f1_high.
        titles: of the scorers.
    """
    figure = go.Figure(
        go.Bar(
            y=[titles[name] for name in table["scorer"]],
            x=table["f1"],
            orientation="h",
            marker_color=[_style(titles, name)[0] for name in table["scorer"]],
            error_x=error_bars(table["f1"], table["f1_low"], table["f1_high"]),
            hovertemplate="%{y}: %{x:.3f}<extra></extra>",
        )
    )
    figure.add_vline(
        x=ALWAYS_TRUE,
        line={"dash": "dot", "color": NEUTRAL},
        annotation_text="always true",
        annotation_position="top",
    )
    figure.update_yaxes(autorange="reversed")
    figure.update_xaxes(range=[0, 1.02], title="F1")
    figure.update_layout(height=340, margin=MARGIN)
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
    figure = go.Figure()
    for scorer, title in titles.items():
        colour, dash = _style(titles, scorer)
        own = curves[curves["scorer"] == scorer].groupby("column", sort=False)
        for number, (_, curve) in enumerate(own):
            figure.add_scatter(
                x=curve[x],
                y=curve[y],
                name=title,
                legendgroup=scorer,
                showlegend=number == 0,
                # What is one decision for all candidates is a point, not a curve.
                mode="lines" if len(curve) > 2 else "lines+markers",
                line={"color": colour, "dash": dash, "width": 1 if len(own) > 1 else 2},
                hovertemplate=f"%{{x:.2f}}, %{{y:.2f}}<extra>{title}</extra>",
            )
    figure.update_layout(height=400, margin=MARGIN, legend=_LEGEND)
    return figure


def _style(titles: Mapping[str, str], scorer: str) -> tuple[str, str]:
    number = list(titles).index(scorer) % len(_COLOURS)
    return _COLOURS[number], _DASHES[number]
