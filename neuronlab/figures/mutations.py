"""Every substitution of a protein: maps whose cells people click."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from neuronlab.figures.charts import MARGIN
from neuronlab.figures.colours import FOR
from neuronlab.figures.maps import MARKED, Grid, heatmap
from neuronlab.models.residues import AMINO_ACIDS

# Side by side in so many columns, one below the other on a phone; more rows are hard to follow.
COLUMNS = 3
ROWS = 50
# Percentile of the substitutions at which colours end: a few extremes would pale all the rest.
_ENDS = 98
_ROW, _FRAME = 15, 84


def mutation_blocks(
    sequence: str, log_odds: Float[np.ndarray, "residue 20"]
) -> list[tuple[Grid, int]]:
    """The map in blocks of at most 50 residues, each with its height in pixels.

    Residues go down and what stands in their place goes across, on one scale of colours that is
    centred at zero and ends at ``scale_limit``; its key is below the first block. The wild type's
    cell has its letter and a border. Cells have the columns position (from 1), wild_type, mutant,
    log_odds.

    Raises:
        ValueError: not one row per residue.
    """
    if log_odds.shape != (len(sequence), len(AMINO_ACIDS)):
        raise ValueError(f"a map of shape {log_odds.shape} for {len(sequence)} residues")
    count = math.ceil(len(sequence) / ROWS)
    count = max(count, min(COLUMNS, math.ceil(len(sequence) / 20)))
    size = math.ceil(len(sequence) / count)
    limit = scale_limit(sequence, log_odds)
    return [
        _block(sequence[start : start + size], log_odds[start : start + size], start, limit)
        for start in range(0, len(sequence), size)
    ]


def scale_limit(sequence: str, log_odds: Float[np.ndarray, "residue 20"]) -> float:
    """Where the colours of a map end: at the size that 2 % of its substitutions exceed."""
    wild = np.array(list(sequence))[:, None] == np.array(list(AMINO_ACIDS))
    return float(np.percentile(np.abs(log_odds[~wild]), _ENDS)) or 1.0


def measured_scatter(table: pd.DataFrame, effect: str) -> go.Figure:
    """What was measured of each mutation, over the model's log-odds.

    Args:
        table: columns position, wild_type, mutant, effect, log_odds.
        effect: title of what was measured.
    """
    names = [f"{r.wild_type}{r.position}{r.mutant}" for r in table.itertuples()]
    figure = go.Figure(
        go.Scattergl(
            x=table["log_odds"],
            y=table["effect"],
            mode="markers",
            marker={"size": 6, "opacity": 0.6, "color": FOR},
            customdata=names,
            hovertemplate="%{customdata}: %{x:+.2f}, measured %{y:+.2f}<extra></extra>",
        )
    )
    figure.update_xaxes(title="log-odds of the mutant")
    figure.update_yaxes(title=effect)
    return figure.update_layout(height=360, margin=MARGIN)


def _block(residues: str, log_odds: np.ndarray, start: int, limit: float) -> tuple[Grid, int]:
    across = len(AMINO_ACIDS)
    names = [f"{residue}{start + i}" for i, residue in enumerate(residues, start=1)]
    cells = pd.DataFrame(
        {
            "position": np.repeat(np.arange(start + 1, start + len(residues) + 1), across),
            "wild_type": np.repeat(list(residues), across),
            "mutant": list(AMINO_ACIDS) * len(residues),
            "log_odds": log_odds.ravel(),
            "x": np.tile(np.arange(across), len(residues)),
            "y": np.repeat(np.arange(len(residues)), across),
        }
    )
    # The wild types last: what is drawn after a cell covers its border.
    last = cells["wild_type"] == cells["mutant"]
    cells = pd.concat([cells[~last], cells[last]], ignore_index=True)
    labels = [
        f"{c.wild_type}{c.position}, wild type"
        if c.wild_type == c.mutant
        else f"{c.wild_type}{c.position}{c.mutant}: {c.log_odds:+.2f}"
        for c in cells.itertuples()
    ]
    option = heatmap(cells["x"], cells["y"], cells["log_odds"], labels, list(AMINO_ACIDS), names)
    for item, residue in zip(option["series"][0]["data"], cells["mutant"], strict=True):
        if item["name"].endswith("wild type"):
            item["itemStyle"] = MARKED | {"borderWidth": 1, "shadowBlur": 0}
            item["label"] = {"show": True, "formatter": residue, "fontSize": 9}
    small = {"interval": 0, "fontSize": 9}
    option["xAxis"] |= {"position": "top", "axisLabel": small}
    option["yAxis"] |= {"inverse": True, "axisLabel": small}
    option["grid"] |= {"left": 40, "right": 4, "bottom": _FRAME - 26}
    option["visualMap"] |= {
        "show": start == 0,
        "calculable": False,  # it would hide cells of its own block alone
        "min": -limit,
        "max": limit,
        "itemHeight": 90,  # so that its ends have room beside it
        "text": [f"mutant +{limit:.1f}", f"−{limit:.1f} wild type"],
    }
    return Grid(option, cells), _ROW * len(residues) + _FRAME
