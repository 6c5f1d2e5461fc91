"""Figures of scorers that tell true from false."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import MARGIN, error_bars
from neuronlab.figures.colours import NEUTRAL

# Of each measure: what it is called, and what takes no knowledge.
MEASURES = {
    "f1": ("F1", "always true", 2 / 3),
    "accuracy": ("right choices", "guessing", 1 / 2),
}
# Okabe and Ito, with a dash each: colour is never the only carrier of meaning. Neurons have the
# colour of their random sets.
_COLOURS = ["#CC79A7"] * 3 + ["#0072B2"] * 3 + ["#009E73", "#D55E00", "#000000"]
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
