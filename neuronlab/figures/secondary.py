"""Predicted secondary structure and contacts of proteins, before and after a change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float, Integer
from plotly.subplots import make_subplots

from neuronlab.figures.charts import MARGIN, plain
from neuronlab.figures.colours import COLOURS, NEUTRAL
from neuronlab.proteins.secondary import Secondary

STATE_NAMES = ("helix", "strand", "neither")
_LINES = ((NEUTRAL, "solid"), (COLOURS[0], "dash"), (COLOURS[5], "solid"))


def secondary_table(
    sequences: Sequence[str], predictions: Sequence[Secondary], names: Sequence[str]
) -> pd.DataFrame:
    """A row for each residue: protein, residue (from 1), letter, and the probability of a state."""
    parts = [
        pd.DataFrame({"protein": name, "residue": range(1, len(sequence) + 1)}).assign(
            letter=list(sequence), **dict(zip(STATE_NAMES, prediction.probabilities.T, strict=True))
        )
        for sequence, prediction, name in zip(sequences, predictions, names, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)


def secondary_lines(table: pd.DataFrame) -> go.Figure:
    """How likely a helix and a strand is along the sequence: a line for each of up to 3 proteins.

    Args:
        table: as ``secondary_table`` gives it.

    Raises:
        ValueError: not one to three proteins.
    """
    names = list(table["protein"].unique())
    if not 1 <= len(names) <= len(_LINES):
        raise ValueError(f"{len(names)} proteins, not one to three")
    figure = make_subplots(rows=2, shared_xaxes=True, vertical_spacing=0.08)
    for row, state in enumerate(STATE_NAMES[:2], start=1):
        for name, (colour, dash) in zip(names, _LINES, strict=False):
            of_one = table[table["protein"] == name]
            figure.add_scatter(
                x=of_one["residue"],
                y=of_one[state],
                row=row,
                col=1,
                name=plain(name),
                legendgroup=name,
                showlegend=row == 1,
                mode="lines",
                line={"color": colour, "dash": dash, "width": 2},
                customdata=of_one["letter"].map(plain),
                hovertemplate=f"%{{customdata}}%{{x}}: {state} %{{y:.0%}}"
                f"<extra>{plain(name)}</extra>",
            )
        figure.update_yaxes(title=state, range=[0, 1], tickformat=".0%", row=row, col=1)
    figure.update_xaxes(title="residue", row=2, col=1)
    legend = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    return figure.update_layout(height=320, margin=MARGIN, legend=legend)


def contact_changes(
    before: Float[np.ndarray, "residue residue"],
    after: Float[np.ndarray, "residue residue"],
    names: tuple[str, str],
) -> tuple[go.Figure, go.Figure]:
    """Predicted contacts of two proteins of one length, and what the second has more.

    Two figures, so that they can stand side by side or below one another. The first map is the
    first protein below its diagonal, and the second above it.
    """
    both = np.rint(100 * (np.tril(before, -1) + np.triu(after, 1))).astype(np.uint8)
    change = np.rint(100 * (after - before)).astype(np.int8)
    below, above = map(plain, names)
    return (
        _residue_pairs(both, f"below: {below}, above: {above}", zmin=0, zmax=100),
        _residue_pairs(change, f"{above} less {below}", zmin=-100, zmax=100, autocolorscale=True),
    )


def _residue_pairs(
    percents: Integer[np.ndarray, "residue residue"], title: str, **scale: Any
) -> go.Figure:
    """A square map of whole percents."""
    residues = np.arange(1, len(percents) + 1)
    figure = go.Figure(
        go.Heatmap(
            z=percents,
            x=residues,
            y=residues,
            hovertemplate="%{y} and %{x}: %{z} %<extra></extra>",
            colorbar={"thickness": 10, "ticksuffix": " %", "len": 0.9},
            **scale,
        )
    )
    figure.update_yaxes(autorange="reversed", scaleanchor="x", constrain="domain")
    figure.update_xaxes(constrain="domain", title="residue")
    return figure.update_layout(height=420, margin={**MARGIN, "t": 40}, title=title)
