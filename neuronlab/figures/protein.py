"""Values of a protein's residues: along the sequence and beside its contacts."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float

from neuronlab.figures.charts import BEHIND_INTERVALS, MARGIN, error_bars, plain, scale_end
from neuronlab.figures.colours import DIVERGING, DIVERGING_DARK, DIVERGING_LIT, NEUTRAL

# Of DSSP, letter by letter; "-" and " " are what some programs write for coil.
STATES = {
    "H": "α-helix",
    "G": "3₁₀-helix",
    "I": "π-helix",
    "P": "κ-helix",
    "E": "β-strand",
    "B": "β-bridge",
    "T": "turn",
    "S": "bend",
    "C": "coil",
    "-": "coil",
    " ": "coil",
}
WIDTH = 60
LETTERS = {"family": "monospace", "size": 12}


def value_scale(
    values: Float[np.ndarray, " residue"], *, dark: bool = False
) -> tuple[list[str], float, float]:
    """Colours at equal steps of the square root, and the values of the first and the last of them.

    With both signs the diverging scale, its middle at zero; with one sign that sign's half of it,
    from zero to the strongest value. Values that are not finite do not count, nor do a few far
    beyond the others: see ``charts.scale_end``. The square root shows weaker values beside the
    strongest; ``widgets/browser/colours.js`` has the same scale.

    Args:
        dark: on a dark ground.
    """
    end, finite = scale_end(values.tolist()), values[np.isfinite(values)]
    low, high = max(float(finite.min(initial=0)), -end), min(float(finite.max(initial=0)), end)
    colours = DIVERGING_LIT if dark else DIVERGING
    middle = len(colours) // 2
    if low < 0 < high:
        limit = max(-low, high)
        return colours, -limit, limit
    if low < 0:
        return colours[: middle + 1], low, 0.0
    return colours[middle:], 0.0, high or 1.0


def value_colours(
    values: Float[np.ndarray, " residue"],
    over: Float[np.ndarray, " value"] | None = None,
    *,
    dark: bool = False,
) -> list[str]:
    """The colour of each value, as ``#RRGGBB``; grey where not finite.

    Args:
        over: the values whose scale it is; by default these.
        dark: on a dark ground.
    """
    colours, low, high = value_scale(values if over is None else over, dark=dark)
    places = np.sign(values) * np.sqrt(np.abs(values) / max(-low, high))
    mixed = _mixed(places, colours, low, high)
    return [
        colour if np.isfinite(value) else NEUTRAL
        for value, colour in zip(values, mixed, strict=True)
    ]


def _mixed(places: np.ndarray, colours: Sequence[str], low: float, high: float) -> list[str]:
    """The colours at places between -1 and 1."""
    channels = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in colours])
    steps = np.linspace(np.sign(low), np.sign(high), len(colours))
    mixed = np.stack([np.interp(np.nan_to_num(places), steps, c) for c in channels.T], axis=1)
    return ["#{:02X}{:02X}{:02X}".format(*rgb) for rgb in np.rint(mixed).astype(int)]


def scale_bar(
    title: str,
    values: Float[np.ndarray, " value"],
    names: Sequence[str] = (),
    *,
    dark: bool = False,
) -> str:
    """The scale of values as HTML, for a legend, and which of them lie beyond it.

    Args:
        names: of what has the values, if they are to be told.
        dark: on a dark ground.
    """
    colours, low, high = value_scale(values, dark=dark)
    bar = f"background: linear-gradient(to right, {', '.join(colours)}); width: 6em"
    far = np.flatnonzero(np.isfinite(values) & (np.abs(values) > max(-low, high))).tolist()
    outliers = ", ".join(f"{names[i] if names else ''} {values[i]:+.3g}".strip() for i in far)
    beyond = f"; beyond the scale: {escape(outliers)}" if outliers else ""
    ends = [_end(value, signed=low < 0 < high) for value in (low, high)]
    return f'{escape(title)} {ends[0]} <i style="{bar}"></i> {ends[1]} (by square root){beyond}'


def _end(value: float, *, signed: bool) -> str:
    """An end of a scale, as ``widgets/browser/colours.js`` writes it."""
    size = f"{abs(value):.2g}" if abs(value) < 100 else f"{abs(value):.0f}"
    return f"{'−' if value < 0 else '+' if signed else ''}{size}"


def residue_track(
    sequence: str,
    values: Float[np.ndarray, " residue"],
    secondary: str = "",
    *,
    title: str = "score",
) -> go.Figure:
    """The sequence in rows of 60, each residue coloured by its value.

    Args:
        sequence: one letter per residue.
        values: one per residue.
        secondary: DSSP letters, one per residue, written below the residues; empty without.
        title: of the values.

    Raises:
        ValueError: not one value, or one DSSP letter, per residue.
    """
    _check(sequence, values)
    if secondary and len(secondary) != len(sequence):
        raise ValueError(f"{len(secondary)} DSSP letters for {len(sequence)} residues")
    rows, step = -(-len(sequence) // WIDTH), 2 if secondary else 1
    figure = go.Figure(_residue_cells(sequence, values, secondary, title))
    if secondary:
        row, column = np.divmod(np.arange(len(sequence)), WIDTH)
        figure.add_scatter(
            x=column,
            y=row * step + 0.85,
            text=[plain(s) for s in secondary],
            mode="text",
            textfont=LETTERS,
            hoverinfo="skip",
            showlegend=False,
        )
    figure.update_yaxes(
        range=[rows * step - 0.4, -0.6],
        tickvals=list(range(0, rows * step, step)),
        ticktext=[str(r * WIDTH + 1) for r in range(rows)],
        showgrid=False,
        zeroline=False,
    )
    figure.update_xaxes(
        range=[-0.6, WIDTH - 0.4],
        tickvals=list(range(9, WIDTH, 10)),
        ticktext=[str(c + 1) for c in range(9, WIDTH, 10)],
        side="top",
        showgrid=False,
        zeroline=False,
    )
    return figure.update_layout(height=60 + 30 * step * rows, margin=MARGIN)


def _residue_cells(sequence: str, values: np.ndarray, secondary: str, title: str) -> go.Heatmap:
    """A cell for each residue; with a secondary structure every second row is left to it."""
    rows, step = -(-len(sequence) // WIDTH), 2 if secondary else 1
    row, column = np.divmod(np.arange(len(sequence)), WIDTH)
    z = np.full((rows * step, WIDTH), np.nan)
    letters = np.full(z.shape, "", object)
    hover = np.full((*z.shape, 2), "", object)
    z[row * step, column] = values
    letters[row * step, column] = [plain(letter) for letter in sequence]
    hover[row * step, column, 0] = np.arange(1, len(sequence) + 1)
    hover[row * step, column, 1] = [f"<br>{plain(state_name(s))}" for s in secondary] or ""
    return go.Heatmap(
        z=z,
        text=letters,
        texttemplate="%{text}",
        textfont=LETTERS,
        customdata=hover,
        hovertemplate="residue %{customdata[0]} %{text}: %{z:.5f}%{customdata[1]}<extra></extra>",
        **_colouring(values),
        xgap=1,
        ygap=1,
        # A short bar has no room for more.
        colorbar={"thickness": 10, "title": {"text": title}, "nticks": 1 + rows * step},
        hoverongaps=False,
    )


def contact_map(
    contacts: Float[np.ndarray, "residue residue"],
    values: Float[np.ndarray, " residue"],
    sequence: str,
    *,
    title: str = "score",
) -> go.Figure:
    """Which residues touch, with the values of the residues along the top and the left.

    Args:
        contacts: probability that two residues are in contact, 0 to 1.
        values: one per residue.
        sequence: one letter per residue.
        title: of the values.

    Raises:
        ValueError: not one row and column of contacts, or one value, per residue.
    """
    percents = _percents(contacts, values, sequence)
    names = [f"{plain(letter)}{i}" for i, letter in enumerate(sequence, start=1)]
    cells = go.Heatmap(
        z=percents,
        x=names,
        y=names,
        zmin=0,
        zmax=100,
        hovertemplate="%{y} and %{x}: %{z} %<extra></extra>",
        colorbar={**_BAR, "title": {"text": "contact"}, "ticksuffix": " %", "y": 0.75},
    )
    figure = go.Figure([cells, *_edges(values, names, title)])
    return figure.update_layout(height=560, margin=MARGIN, **_AXES)


def contact_data(
    contacts: Float[np.ndarray, "residue residue"],
    values: Float[np.ndarray, " residue"],
    sequence: str,
    *,
    title: str = "score",
    linked: str = "",
) -> dict[str, Any]:
    """What ``widgets/browser/contacts.js`` draws: the same map, read and chosen pair by pair.

    Args:
        contacts, values, sequence, title: as of ``contact_map``.
        linked: the name that the figures of one protein share: see ``figures.tokens.strip``.

    Raises:
        ValueError: not one row and column of contacts, or one value, per residue.
    """
    return {
        "letters": sequence,
        "percents": base64.b64encode(_percents(contacts, values, sequence).tobytes()).decode(),
        "values": values.tolist(),
        "limit": scale_end(values.tolist()) or 1.0,
        "what": title,
        "linked": linked,
        "alt": f"Which of {len(sequence)} residues are in contact.",
        "light": DIVERGING,
        "dark": DIVERGING_DARK,
    }


def _percents(contacts: np.ndarray, values: np.ndarray, sequence: str) -> np.ndarray:
    """Whole percents in a byte each: a map of 1,000 residues stays near 1 MB in the page."""
    _check(sequence, values)
    if contacts.shape != (len(sequence), len(sequence)):
        raise ValueError(f"contacts of shape {contacts.shape} for {len(sequence)} residues")
    return np.rint(100 * np.clip(contacts, 0, 1)).astype(np.uint8)


# The residues' names stand between the map and the bars of its colours.
_BAR = {"thickness": 10, "len": 0.5, "xpad": 45}
_SQUARE = {"type": "category", "constrain": "domain", "nticks": 12}
_BARE = {"showticklabels": False, "fixedrange": True, "type": "category"}
_AXES = {
    "xaxis": {**_SQUARE, "domain": [0.05, 1], "constraintoward": "left"},
    "yaxis": {
        **_SQUARE,
        "domain": [0, 0.95],
        "constraintoward": "top",
        "side": "right",
        "autorange": "reversed",
        "scaleanchor": "x",
    },
    "xaxis2": {**_BARE, "domain": [0, 0.035]},
    "yaxis2": {**_BARE, "domain": [0.965, 1]},
}


def _edges(values: np.ndarray, names: list[str], title: str) -> tuple[go.Heatmap, go.Heatmap]:
    """The values of the residues along the top and along the left, on axes of their own."""
    look = {"colorbar": {**_BAR, "title": {"text": title}, "y": 0.25}, **_colouring(values)}
    top = go.Heatmap(
        z=values[None],
        x=names,
        y=[title],
        yaxis="y2",
        hovertemplate="%{x}: %{z:.5f}<extra></extra>",
        **look,
    )
    left = go.Heatmap(
        z=values[:, None],
        x=[title],
        y=names,
        xaxis="x2",
        showscale=False,
        hovertemplate="%{y}: %{z:.5f}<extra></extra>",
        **look,
    )
    return top, left


def state_bars(table: pd.DataFrame, *, title: str = "mean score") -> go.Figure:
    """A bar with its interval for each state of the secondary structure.

    Args:
        table: columns state (a DSSP letter or a word), mean, low, high.
        title: of the values.
    """
    figure = go.Figure(
        go.Bar(
            y=[plain(state_name(s)) for s in table["state"]],
            x=table["mean"],
            orientation="h",
            marker_color="#0072B2",
            marker_opacity=BEHIND_INTERVALS,
            error_x=error_bars(table["mean"], table["low"], table["high"]),
            customdata=table[["low", "high"]],
            hovertemplate="%{y}: %{x:.4f} (%{customdata[0]:.4f} to %{customdata[1]:.4f})"
            "<extra></extra>",
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_layout(height=90 + 30 * len(table), margin=MARGIN, xaxis_title=title)
    return figure


def state_name(state: str) -> str:
    """A DSSP letter with its meaning; anything else as it is."""
    return f"{state} {STATES[state]}" if state in STATES else state


def _colouring(values: Float[np.ndarray, " residue"]) -> dict[str, Any]:
    colours, low, high = value_scale(values)
    places = np.linspace(np.sign(low), np.sign(high), _STEPS)
    marks = (np.sign(places) * places**2 * max(-low, high) - low) / (high - low)
    shades = _mixed(places, colours, low, high)
    scale = [[float(at), shade] for at, shade in zip(marks, shades, strict=True)]
    return {"colorscale": scale, "zmin": low, "zmax": high}


# Of a scale that plotly takes for a linear one.
_STEPS = 65


def _check(residues: Sequence[Any], values: np.ndarray) -> None:
    if len(residues) != len(values):
        raise ValueError(f"{len(values)} values for {len(residues)} residues")
