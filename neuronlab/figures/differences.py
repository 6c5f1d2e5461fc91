"""Differences with their intervals: whatever holds zero is not clear."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from neuronlab.figures.charts import MARGIN, error_bars, plain, wrapped
from neuronlab.figures.colours import FOR, NEUTRAL


def differences(table: pd.DataFrame, title: str, form: str = "+.2f") -> go.Figure:
    """A mark with an interval per row, and a line at zero; clear differences are filled.

    Args:
        table: columns name, difference, low, high; ends are nan where there is no interval.
        title: of the difference.
        form: of its numbers, as Python and Plotly write it.
    """
    clear = (table["low"] > 0) | (table["high"] < 0)
    words = [
        f"{low:{form}} to {high:{form}}" if low <= high else "no interval"
        for low, high in zip(table["low"], table["high"], strict=True)
    ]
    figure = go.Figure(
        go.Scatter(
            y=[plain(name) for name in table["name"]],
            x=table["difference"],
            mode="markers",
            marker={
                "size": 11,
                "color": [FOR if one else NEUTRAL for one in clear],
                "symbol": ["circle" if one else "circle-open" for one in clear],
            },
            error_x=error_bars(table["difference"], table["low"], table["high"]),
            customdata=words,
            hovertemplate=f"%{{y}}: %{{x:{form}}} (%{{customdata}})<extra></extra>",
        )
    )
    figure.add_vline(x=0, line={"color": NEUTRAL, "width": 1})
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(title=wrapped(title), tickformat=form)
    figure.update_layout(height=90 + 34 * len(table), margin=MARGIN, showlegend=False)
    return figure
