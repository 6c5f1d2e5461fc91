"""Figures on kinds of knowledge: what the neurons of two prompts share."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import BEHIND_INTERVALS, MARGIN, error_bars
from neuronlab.figures.colours import COLOURS, NEUTRAL


def overlap_bars(table: pd.DataFrame, words: dict[str, str]) -> go.Figure:
    """Bars of the Jaccard index per kind of pair and k, with intervals, and chance.

    Args:
        table: columns pair, k, jaccard, jaccard_low, jaccard_high, chance.
        words: what a pair is called.
    """
    figure = go.Figure()
    for i, (k, rows) in enumerate(table.groupby("k", sort=True)):
        figure.add_bar(
            y=[words[p] for p in rows["pair"]],
            x=rows["jaccard"],
            name=f"best {k}",
            orientation="h",
            marker_color=[*COLOURS, NEUTRAL][i],
            marker_pattern_shape="" if i == 0 else "/",
            marker_opacity=BEHIND_INTERVALS,
            error_x=error_bars(rows["jaccard"], rows["jaccard_low"], rows["jaccard_high"]),
            customdata=rows["chance"],
            hovertemplate="%{y}: %{x:.3f} (chance %{customdata:.4f})<extra></extra>",
        )
    figure.update_yaxes(autorange="reversed")
    figure.update_layout(
        height=150 + 60 * table["pair"].nunique(),
        margin=MARGIN,
        xaxis_title="Jaccard index",
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
    )
    return figure
