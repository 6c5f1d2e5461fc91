"""Figures of a steered protein: what moved, beside its controls, and what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap

import pandas as pd
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from neuronlab.figures.charts import MARGIN, error_bars, plain
from neuronlab.figures.colours import COLOURS, CONTROL_NAMES, MARKS, NEUTRAL
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM
from neuronlab.proteins.features import FEATURES

# Colour, dash and mark of each condition, in the order they are drawn.
CONDITIONS = {
    "unsteered": (COLOURS[0], "dash", MARKS[1]),
    "steered": (COLOURS[5], "solid", MARKS[0]),
    RANDOM: (NEUTRAL, "dot", MARKS[2]),
    AS_ACTIVE: (COLOURS[2], "dashdot", MARKS[3]),
}
NAMES = {"unsteered": "unsteered", "steered": "steered", **CONTROL_NAMES}
# What is compared: chains of one set are no independent draws of a set.
UNITS = {"unsteered": "chain", "steered": "chain", RANDOM: "set", AS_ACTIVE: "set"}
COSTS = {
    "identity": "identity to the start",
    "entropy": "entropy of the free residues (bits)",
    "longest_repeat": "longest repeat (residues)",
    "perplexity": "pseudo-perplexity",
    "confidence": "confidence of the chain",
    "confidence_free": "confidence of the free residues",
}
# The most hydrophobic first: what moves hydropathy is seen as rows, not as scattered letters.
LETTERS = sorted(AMINO_ACIDS, key=lambda letter: -(FEATURES["gravy"].scale or {})[letter])
_LEGEND = {"orientation": "h", "y": -0.25, "x": 0}


def trajectories(table: pd.DataFrame, name: str, title: str, start: float) -> go.Figure:
    """A property along the chains: their mean, and one standard deviation to either side.

    Of unsteered and steered it is that between chains; of random sets that between the sets' means.

    Args:
        table: columns condition, set, chain, step, and ``name``.
        name: of the property's column.
        title: of the property.
        start: its value where all chains begin.
    """
    figure = go.Figure()
    for condition, rows in _conditions(table):
        colour, dash, _ = CONDITIONS[condition]
        units = rows.groupby([UNITS[condition], "step"])[name].mean()
        steps = units.groupby("step").agg(["mean", "std"])
        low, high = steps["mean"] - steps["std"], steps["mean"] + steps["std"]
        if steps["std"].notna().all():
            figure.add_scatter(
                x=[*steps.index, *steps.index[::-1]],
                y=[*high, *low[::-1]],
                fill="toself",
                fillcolor=_faint(colour),
                line={"width": 0},
                mode="lines",
                showlegend=False,
                hoverinfo="skip",
                legendgroup=condition,
            )
        figure.add_scatter(
            x=steps.index,
            y=steps["mean"],
            name=f"{NAMES[condition]}, {_units(rows, condition)}",
            legendgroup=condition,
            mode="lines",
            line={"color": colour, "dash": dash},
            customdata=steps["std"],
            hovertemplate="step %{x}: %{y:.3f} ± %{customdata:.3f}<extra>"
            + NAMES[condition]
            + "</extra>",
        )
    _start_line(figure, start)
    figure.update_layout(
        height=360, margin=MARGIN, legend=_LEGEND, xaxis_title="step", yaxis_title=plain(title)
    )
    return figure


def finals(table: pd.DataFrame, name: str, title: str, start: float) -> go.Figure:
    """What every chain, or every random set in the mean of its chains, reached: points over boxes.

    What is compared are the means, which are dashed.

    Args:
        table: columns condition, set, chain, and ``name``.
        name: of the property's column.
        title: of the property.
        start: its value where all chains begin.
    """
    figure = go.Figure()
    for condition, rows in _conditions(table):
        colour, _, mark = CONDITIONS[condition]
        unit = UNITS[condition]
        reached = rows.groupby(unit)[name].mean()
        lines = [*wrap(NAMES[condition], 11), _units(rows, condition)]
        figure.add_box(
            x=["<br>".join(lines)] * len(reached),
            y=reached,
            name=NAMES[condition],
            boxpoints="all",
            boxmean=True,
            pointpos=0,
            jitter=0.5,
            line={"color": colour},
            fillcolor=_faint(colour),
            marker={"color": colour, "symbol": mark, "size": 7, "opacity": 0.8},
            hoveron="points",
            customdata=reached.index,
            hovertemplate=unit + " %{customdata}: %{y:.3f}<extra>" + NAMES[condition] + "</extra>",
        )
    _start_line(figure, start)
    figure.update_layout(height=360, margin=MARGIN, showlegend=False, yaxis_title=plain(title))
    return figure


def costs(table: pd.DataFrame) -> go.Figure:
    """What it cost, a row each: means over chains, with one standard deviation to either side.

    Args:
        table: columns condition, chain, and those of ``COSTS``; what is unknown for all chains
            gets no panel, and what is unknown for some is left out.
    """
    shown = [cost for cost in COSTS if cost in table and table[cost].notna().any()]
    figure = make_subplots(
        max(len(shown), 1),
        1,
        subplot_titles=[COSTS[cost] for cost in shown] or None,
        vertical_spacing=0.5 / max(len(shown), 1),  # of a row: its axis, and the next one's title
    )
    for number, cost in enumerate(shown, start=1):
        for place, (condition, rows) in enumerate(_conditions(table)):
            colour, _, mark = CONDITIONS[condition]
            values = pd.Series([rows[cost].mean()])
            spread = rows[cost].std()
            figure.add_scatter(
                x=values,
                y=[place],
                error_x=error_bars(values, values - spread, values + spread),
                name=NAMES[condition],
                legendgroup=condition,
                showlegend=number == 1,
                mode="markers",
                marker={"color": colour, "symbol": mark, "size": 10},
                customdata=[spread],
                hovertemplate="%{x:.3g} ± %{customdata:.2g}<extra>" + NAMES[condition] + "</extra>",
                row=number,
                col=1,
            )
    # The legend names the conditions once for all panels.
    figure.update_yaxes(showticklabels=False, zeroline=False, range=[len(CONDITIONS) - 0.4, -0.6])
    figure.update_xaxes(rangemode="tozero")
    if "identity" in shown:
        figure.update_xaxes(tickformat=".0%", row=shown.index("identity") + 1)
    figure.update_annotations(font_size=13, x=0, xanchor="left")
    figure.update_layout(
        height=80 + 110 * len(shown), margin={**MARGIN, "t": 30}, legend={**_LEGEND, "y": -0.08}
    )
    return figure


def doses(table: pd.DataFrame, name: str, title: str) -> go.Figure:
    """A property for every a and b of a h + b, as a heatmap with its numbers; means over chains.

    Args:
        table: columns a, b, chain, entropy, and ``name``; pairs that are missing stay empty.
        name: of the property's column.
        title: of the property.
    """
    means = table.groupby(["a", "b"]).agg(
        value=(name, "mean"), entropy=("entropy", "mean"), chains=("chain", "nunique")
    )
    values = means["value"].unstack("b")
    details = [
        [
            f"{means.entropy[a, b]:.2f} bits, {means.chains[a, b]} chains"
            if (a, b) in means.index
            else ""
            for b in values.columns
        ]
        for a in values.index
    ]
    figure = go.Figure(
        go.Heatmap(
            z=values.to_numpy(),
            x=[f"{b:g}" for b in values.columns],
            y=[f"{a:g}" for a in values.index],
            # Values of both signs are coloured around zero.
            zmid=0 if values.min(axis=None) < 0 < values.max(axis=None) else None,
            texttemplate="%{z:.3~g}",
            customdata=details,
            hovertemplate="a = %{y}, b = %{x}: %{z:.4g}<br>"
            "entropy of the free residues: %{customdata}<extra></extra>",
            hoverongaps=False,
            colorbar={"thickness": 10, "title": {"text": plain(title)}},
        )
    )
    figure.update_xaxes(type="category", title="b", showgrid=False)
    figure.update_yaxes(type="category", title="a", showgrid=False)
    figure.update_layout(height=110 + 44 * len(values), margin=MARGIN)
    return figure


def residue_changes(start: str, sequences: Sequence[str], free: Sequence[int]) -> go.Figure:
    """Which residues stand at each free place at the end; the start's own are named in the map.

    Args:
        start: where the chains began.
        sequences: where they ended, each as long.
        free: the residues that could change, counted from 0.

    Raises:
        ValueError: there is no sequence, or one is not as long as the start.
    """
    if not sequences or any(len(sequence) != len(start) for sequence in sequences):
        raise ValueError(f"not one or more sequences of {len(start)} residues")
    ends = pd.DataFrame(
        [[sequence[place] for place in free] for sequence in sequences], columns=list(free)
    )
    # Any other letter, as X at the start, has a row of its own.
    others = sorted({*ends.to_numpy().ravel(), *(start[p] for p in free)}.difference(LETTERS))
    letters = [*LETTERS, *others]
    shares = ends.apply(lambda column: column.value_counts(normalize=True)).reindex(letters)
    names = [f"{plain(start[place])}{place + 1}" for place in free]
    figure = go.Figure(
        go.Heatmap(
            z=shares.fillna(0).to_numpy(),
            x=names,
            y=[plain(letter) for letter in letters],
            zmin=0,
            zmax=1,
            xgap=1,
            ygap=1,
            text=[[plain(a) if start[place] == a else "" for place in free] for a in letters],
            texttemplate="%{text}",
            hovertemplate="%{x}: %{y} in %{z:.0%} of the chains<extra></extra>",
            colorbar={"thickness": 10, "title": {"text": "chains"}, "tickformat": ".0%"},
        )
    )
    figure.update_xaxes(
        type="category", title="free residue (named in the map: at the start)", showgrid=False
    )
    figure.update_yaxes(type="category", autorange="reversed", dtick=1, showgrid=False)
    figure.update_layout(height=110 + 19 * len(letters), margin=MARGIN)
    return figure


def _conditions(table: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    parts = [(name, table[table["condition"] == name]) for name in CONDITIONS]
    return [(name, rows) for name, rows in parts if len(rows)]


def _units(rows: pd.DataFrame, condition: str) -> str:
    number = rows[UNITS[condition]].nunique()
    return f"{number} {UNITS[condition]}{'s' if number > 1 else ''}"


def _start_line(figure: go.Figure, start: float) -> None:
    figure.add_hline(
        y=start,
        line={"color": NEUTRAL, "dash": "dot", "width": 1},
        annotation_text="start",
        annotation_position="top right",
    )


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.18)"
