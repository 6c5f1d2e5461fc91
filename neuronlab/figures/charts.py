"""Figures that are looked at, not clicked: plotly."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.io as pio

from neuronlab.figures.colours import (
    AGAINST,
    COLOURS,
    COMPONENT_COLOURS,
    COMPONENT_NAMES,
    DIVERGING,
    FOR,
    NEUTRAL,
    PATTERNS,
    SEQUENTIAL,
)
from neuronlab.neurons import NeuronScores
from neuronlab.neurons.effect import percent

MARGIN = {"l": 8, "r": 8, "t": 30, "b": 8}
# Of ticks that are shares, however small.
SHARE = ".3~p"
# In more columns of a matrix, numbers would run into each other.
_WRITTEN = 12


def standalone(figure: go.Figure) -> go.Figure:
    """A copy with colours of its own, for files: in the app they are the theme's.

    In their place the template that Streamlit gives every figure holds marks, near black.
    """
    template = go.layout.Template(pio.templates["plotly_white"])
    template.data.heatmap = None
    template.layout.colorway = COLOURS
    template.layout.colorscale = {
        "sequential": _scale(SEQUENTIAL),
        "sequentialminus": _scale(SEQUENTIAL[::-1]),
        "diverging": _scale(DIVERGING),
    }
    alone = go.Figure(figure).update_layout(template=template)
    # Where it is not told so, plotly takes scales of its own before those of a template.
    return alone.update_traces({"autocolorscale": True}, _unscaled)


def _unscaled(trace: Any) -> bool:
    return trace.type == "heatmap" and trace.colorscale is None


def _scale(colours: Sequence[str]) -> list[list[float | str]]:
    return [[i / (len(colours) - 1), colour] for i, colour in enumerate(colours)]


def stacked_layers(
    table: pd.DataFrame, roles: Mapping[str, str], layers: int, title: str = "neurons"
) -> go.Figure:
    """How many neurons of each layer have which role: a bar a layer, a part a role.

    Args:
        table: columns layer and role; a row a neuron.
        roles: what each role is called.
        layers: of the model; those without a neuron are there, too.
        title: what is counted.
    """
    figure = go.Figure()
    for number, (role, name) in enumerate(roles.items()):
        counts = table.loc[table["role"] == role, "layer"].value_counts()
        counts = counts.reindex(range(layers), fill_value=0)
        figure.add_bar(
            x=counts.index,
            y=counts,
            name=plain(name),
            marker={"color": COLOURS[number], "pattern_shape": PATTERNS[number]},
            hovertemplate="layer %{x}: %{y:,}<extra>%{fullData.name}</extra>",
        )
    return figure.update_layout(
        barmode="stack",
        height=300,
        margin=MARGIN,
        legend={"orientation": "h", "y": 1.12, "x": 0},
        xaxis_title="layer",
        yaxis_title=title,
    )


# So many spaces side by side are counted at a glance.
_COUNTABLE = 3
# Spaces that no letter stands on both sides of.
_BLANK = re.compile(r"(?<![^\n\r\t]) +| +(?![^\n\r\t])")
_SIGNS = {"\n": "↵", "\t": "⇥"}
# They join letters of Persian and of Indic scripts, and people of emoji.
_JOINERS = "\u200c\u200d"


def visible(token: str) -> str:
    """A token whose blanks are seen and told apart: ␣, ␣×16, ↵, ⇥, and others by their code."""
    shown = _BLANK.sub(lambda spaces: _spaces(len(spaces[0])), token)
    joined = _JOINERS if shown.strip(_JOINERS) else ""
    return "".join(
        letter if letter.isprintable() or letter in joined else _sign(letter) for letter in shown
    )


def _spaces(count: int) -> str:
    return "␣" * count if count <= _COUNTABLE else f"␣×{count}"


def _sign(letter: str) -> str:
    return _SIGNS.get(letter) or letter.encode("unicode_escape").decode()


def predictions(before: pd.DataFrame, target: int, after: pd.DataFrame | None = None) -> go.Figure:
    """Bars of the top choices, the target's name in bold; a second set under an intervention.

    Args:
        before, after: columns token, index, probability, over the same or other tokens.
    """
    figure = go.Figure()
    tables = {"as it is": before} if after is None else {"as it is": before, "changed": after}
    order = pd.concat(tables.values()).drop_duplicates("index")
    for (name, table), colour in zip(tables.items(), (NEUTRAL, FOR), strict=False):
        texts = [plain(t) for t in table["token"]]
        figure.add_bar(
            y=table["index"].astype(str),
            x=table["probability"],
            name=name,
            orientation="h",
            marker_color=colour,
            text=[percent(p) for p in table["probability"]],
            textposition="outside",
            cliponaxis=False,
            customdata=texts,
            hovertemplate="%{customdata}: %{x:.4~p}<extra>" + name + "</extra>",
        )
    ticks = [
        f"<b>{plain(t)} ◀</b>" if i == target else plain(t)
        for t, i in zip(order["token"], order["index"], strict=True)
    ]
    figure.update_yaxes(
        autorange="reversed",
        type="category",
        tickvals=order["index"].astype(str),
        ticktext=ticks,
        ticklabelstandoff=6,
    )
    highest = max(float(t["probability"].max()) for t in tables.values())
    figure.update_xaxes(tickformat=SHARE, range=[0, min(1.0, highest) * 1.18], fixedrange=True)
    figure.update_layout(
        height=60 + 24 * len(order) * (1 if after is None else 1.2),
        margin=MARGIN,
        bargap=0.25,
        showlegend=after is not None,
        # Above the bars however few they are: a share of the height would be among them.
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0},
    )
    return figure


def layer_profile(scores: NeuronScores) -> go.Figure:
    """Positive and negative mass per layer, stacked by component."""
    figure = go.Figure()
    for component in scores:
        values = scores[component]
        for part in (np.clip(values, 0, None).sum(1), np.clip(values, None, 0).sum(1)):
            figure.add_bar(
                x=np.arange(len(values)),
                y=part,
                customdata=scores.layer_names,
                name=COMPONENT_NAMES[component],
                legendgroup=component,
                showlegend=bool((np.nan_to_num(part) >= 0).all()),
                marker_color=COMPONENT_COLOURS[component],
                hovertemplate="layer %{customdata}: %{y:.4f}<extra>"
                + COMPONENT_NAMES[component]
                + "</extra>",
            )
    if "stacks" in scores.provenance:
        names = scores.layer_names
        figure.update_xaxes(tickvals=[*range(len(names))], ticktext=names)
    figure.update_layout(
        barmode="relative",
        height=280,
        margin=MARGIN,
        legend={"orientation": "h", "y": 1.12, "x": 0},
        xaxis_title="layer",
        yaxis_title="sum of scores",
    )
    return figure


# From so many times the next on, values set no scale: of each 20 one, and at most three in all.
_FAR, _EVERY, _FEW = 3.0, 20, 3


def scale_end(values: Sequence[float]) -> float:
    """Where a scale of colours or bars ends: the largest absolute value that sets one.

    A few values that are more than three times as large as all others would pale these, and set no
    scale: up to one in 20 of the values, and at most three. Those beyond are told beside the scale.

    Args:
        values: those that are not finite do not count.
    """
    sizes = sorted((abs(value) for value in values if np.isfinite(value)), reverse=True)
    for few in range(min(len(sizes) // _EVERY, _FEW), 0, -1):
        if sizes[few - 1] > _FAR * sizes[few] > 0:
            return float(sizes[few])
    return float(sizes[0]) if sizes else 0.0


def scale_of_tokens(values: Sequence[float]) -> float:
    """Where the scale of a text's tokens ends: the first sets none, where there are others.

    A decoder's first token is where attention goes that has nothing better to go to: what is
    measured at it is often many times as large as elsewhere, whatever the token is.
    """
    return scale_end(values[1:] or values)


def token_bars(texts: list[str], values: list[float], title: str) -> go.Figure:
    """One signed bar per token; of those beyond the others' scale the number is written."""
    colours = [FOR if v >= 0 else AGAINST for v in values]
    places = list(range(len(texts)))
    figure = go.Figure(
        go.Bar(
            x=places,
            y=values,
            marker_color=colours,
            customdata=[plain(t) for t in texts],
            hovertemplate="%{customdata} (%{x}): %{y:.4f}<extra></extra>",
        )
    )
    if len(texts) <= 40:
        figure.update_xaxes(tickvals=places, ticktext=[plain(t) for t in texts])
    figure.update_layout(height=220, margin=MARGIN, yaxis_title=title)
    limit = 1.1 * scale_of_tokens(values)
    beyond = [at for at, value in enumerate(values) if abs(value) > limit > 0]
    ends = [max(-limit, min(1.1 * value, limit)) for value in values]
    if beyond:
        figure.update_yaxes(range=[min(0.0, *ends), max(0.0, *ends)])
    for at in beyond:
        figure.add_annotation(
            x=at,
            y=ends[at],
            text=f"{values[at]:+.3g}",
            showarrow=False,
            xanchor="left" if at < len(values) / 2 else "right",
            xshift=14 if at < len(values) / 2 else -14,
        )
    return figure


def agreement(first: NeuronScores, second: NeuronScores, names: tuple[str, str]) -> go.Figure:
    """Scatter of two runs' scores over the neurons that are strongest in either."""
    figure = go.Figure()
    for component in first:
        if component not in second.arrays:
            continue
        a, b = first[component].ravel(), second[component].ravel()
        if a.shape != b.shape:
            continue
        # Thousands of points near zero say nothing and slow the page down.
        strongest = np.argsort(-np.maximum(np.abs(a), np.abs(b)))[:500]
        layer, index = np.unravel_index(strongest, first[component].shape)
        figure.add_scattergl(
            x=a[strongest],
            y=b[strongest],
            mode="markers",
            name=COMPONENT_NAMES[component],
            marker={"color": COMPONENT_COLOURS[component], "size": 6, "opacity": 0.7},
            customdata=np.stack([layer, index], 1),
            hovertemplate="layer %{customdata[0]} neuron %{customdata[1]}<br>"
            "%{x:.4f} / %{y:.4f}<extra>" + COMPONENT_NAMES[component] + "</extra>",
        )
    figure.update_layout(
        height=420,
        margin=MARGIN,
        xaxis_title=plain(names[0]),
        yaxis_title=plain(names[1]),
        legend={"orientation": "h", "y": 1.08, "x": 0},
    )
    return figure


# Opacity of bars: what stands in front of them is seen, on a light page and on a dark one.
BEHIND_INTERVALS = 0.55


def error_bars(values: pd.Series, low: pd.Series, high: pd.Series) -> dict[str, Any]:
    """Error bars of a trace, from low to high."""
    return {
        "type": "data",
        "symmetric": False,
        "array": high - values,
        "arrayminus": values - low,
        "color": NEUTRAL,
    }


def plain(text: str) -> str:
    """Plotly reads a little HTML in labels; a token is shown as it is."""
    return visible(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def wrapped(title: str) -> str:
    """The title of an axis on as many lines as it takes on a phone, beside the names of rows."""
    return "<br>".join(textwrap.wrap(title, 34))


def matrix(
    values: pd.DataFrame, title: str, *, signed: bool = False, percent: bool = False
) -> go.Figure:
    """A small table as a heatmap, with its numbers written in it where its cells are wide enough.

    Args:
        values: rows and columns are named by the index and the columns.
        signed: diverge around zero.
    """
    z = values.to_numpy(float)
    limit = float(np.abs(np.nan_to_num(z)).max()) or 1.0
    form = ".0%" if percent else ".2f"
    written = z.size <= 64 and z.shape[1] <= _WRITTEN
    figure = go.Figure(
        go.Heatmap(
            z=z,
            x=[plain(str(c)) for c in values.columns],
            y=[plain(str(i)) for i in values.index],
            zmin=-limit if signed else 0,
            zmax=limit,
            autocolorscale=signed or None,  # else the app's theme takes that of what has no sign
            texttemplate=f"%{{z:{form}}}" if written else None,
            hovertemplate=f"%{{y}}, %{{x}}: %{{z:{form}}}<extra></extra>",
            colorbar={
                "thickness": 10,
                "title": {"text": title},
                "tickformat": form,
                "nticks": len(values) + 2,
            },
        )
    )
    figure.update_yaxes(autorange="reversed", type="category")
    figure.update_xaxes(type="category")
    figure.update_layout(height=90 + 34 * len(values), margin=MARGIN)
    return figure
