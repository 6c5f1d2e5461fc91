"""Figures of labelled neurons: which concepts are where, and how far labels can be trusted."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from neuronlab.figures.charts import MARGIN, plain, visible
from neuronlab.figures.colours import COLOURS, DASHES, MARKS, NEUTRAL, SEQUENTIAL
from neuronlab.figures.maps import heatmap

OTHERS = "others"
SIZES = {
    "distinct_per_1000": "distinct per<br>1,000 neurons",
    "entropy": "entropy<br>(bits)",
    "spread": "spread over<br>the layers",
}
BINS = 40
_LEGEND = {"orientation": "h", "y": -0.25, "x": 0}


def concept_table(
    labels: pd.DataFrame, by: Literal["group", "concept"] = "group", most: int = 20
) -> pd.DataFrame:
    """How often each layer's labels name a concept; of all models and components in the table.

    Args:
        labels: columns layer, label ("" where there is none), and ``by`` ("" where the label names
            nothing known).
        by: single concepts, or groups of them.
        most: concepts that stand for themselves; the rest, and what names nothing known, are
            "others", last.

    Returns:
        Columns layer, concept, neurons, share (of the layer's labelled neurons; 0 without any):
        the most frequent concept first, then by layer; empty where nothing is labelled.
    """
    named = labels[labels["label"] != ""]
    counts = named.loc[named[by] != "", by].value_counts()
    # Where two are as frequent the alphabet decides, so that a figure is the same every time.
    frequent = sorted(counts.index, key=lambda concept: (-counts[concept], concept))[:most]
    concept = named[by].where(named[by].isin(frequent), OTHERS)
    order = [c for c in frequent if c != OTHERS]
    order += [OTHERS] if (concept == OTHERS).any() else []
    layers = sorted(labels["layer"].unique())
    cells = pd.MultiIndex.from_product([order, layers], names=["concept", "layer"])
    table = named.groupby([concept.rename("concept"), "layer"]).size().reindex(cells, fill_value=0)
    table = table.reset_index(name="neurons")
    labelled = table["layer"].map(named["layer"].value_counts())
    table["share"] = (table["neurons"] / labelled).fillna(0.0)
    return table[["layer", "concept", "neurons", "share"]]


def concept_map(
    labels: pd.DataFrame,
    by: Literal["group", "concept"] = "group",
    most: int = 20,
    coloured: Literal["share", "neurons"] = "share",
) -> dict[str, Any]:
    """Layers x concepts as an ECharts option; its cells are the rows of ``concept_table``.

    Colours end at the largest value of a concept that stands for itself: "others" may be more.

    Args:
        labels, by, most: of ``concept_table``.
        coloured: the column of it that colours show.
    """
    table = concept_table(labels, by, most)
    concepts, layers = list(dict.fromkeys(table["concept"])), list(dict.fromkeys(table["layer"]))
    option = heatmap(
        table["layer"].map(layers.index),
        table["concept"].map(concepts.index),
        table[coloured],
        [
            f"layer {c.layer}, {visible(c.concept)}: {c.neurons:,} neurons, {c.share:.1%}"
            for c in table.itertuples()
        ],
        [str(layer) for layer in layers],
        [visible(concept) for concept in concepts],
    )
    values = table.loc[table["concept"] != OTHERS, coloured]
    width = min(7 * max(map(len, concepts), default=0), 190)
    option["grid"] |= {"left": 20 + width, "bottom": 96}
    option["xAxis"] |= {"name": "layer", "nameLocation": "middle", "nameGap": 26}
    option["yAxis"] |= {
        "inverse": True,
        "axisLabel": {"interval": 0, "width": width, "overflow": "truncate"},
    }
    option["visualMap"] |= {
        "min": 0,
        "max": float(values.max()) if len(values) else 1.0,
        "precision": 2 if coloured == "share" else 0,
        "text": ["of the layer's labels" if coloured == "share" else "neurons", ""],
        "inRange": {"color": SEQUENTIAL},
    }
    return option


def correlations(
    labels: pd.DataFrame,
    *,
    judges: str = "proteins",
    control: str = "other neurons' labels, mean",
) -> go.Figure:
    """How well labels predict activations, against the labels of the layer's other neurons.

    Args:
        labels: columns correlation, control_correlation; nan where there is none.
        judges: what the correlations are told on.
        control: what the control is.
    """
    edges = np.linspace(-1, 1, BINS + 1)
    figure = go.Figure()
    for i, (column, name, colour) in enumerate(
        (
            ("correlation", "its own label", COLOURS[0]),
            ("control_correlation", control, NEUTRAL),
        )
    ):
        values = labels[column].dropna().to_numpy(float)
        if not len(values):
            continue
        _bars(figure, np.histogram(values, edges)[0], edges, name, colour, "/" if i else "", "d")
        middle = float(np.median(values))
        figure.add_vline(
            x=middle,
            line={"color": colour, "dash": "dot" if i else "solid", "width": 1.5},
            annotation_text=f"{name}: median {middle:.2f}",
            # One above the other: the two medians may be close.
            annotation_position="top",
            annotation_yshift=16 * i,
        )
    figure.update_layout(
        barmode="overlay",
        height=320,
        margin={**MARGIN, "t": 46},
        legend=_LEGEND,
        xaxis_title=f"correlation on held-out {judges}",
        yaxis_title="neurons",
    )
    return figure


def feature_histogram(
    everywhere: Float[np.ndarray, " protein"],
    top: Float[np.ndarray, " most"],
    bottom: Float[np.ndarray, " least"],
    title: str,
) -> go.Figure:
    """A feature over the corpus; above it the proteins that drive a neuron up and down.

    Args:
        everywhere, top, bottom: of the corpus, and of the most and least activating proteins; what
            is not finite is left out.
        title: of the feature, with its unit.
    """
    finite = [np.asarray(v, float)[np.isfinite(v)] for v in (everywhere, top, bottom)]
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.35, 0.65], vertical_spacing=0.04)
    for values, name, colour, mark in (
        (finite[2], "least activating", COLOURS[5], MARKS[1]),
        (finite[1], "most activating", COLOURS[0], MARKS[0]),
    ):
        figure.add_box(
            x=values,
            y=[name] * len(values),
            name=name,
            orientation="h",
            boxpoints="all",
            pointpos=0,
            jitter=0.6,
            line={"color": NEUTRAL, "width": 1},
            fillcolor="rgba(153,153,153,0.15)",
            marker={"color": colour, "symbol": mark, "size": 6, "opacity": 0.8},
            hoveron="points",
            hovertemplate="%{x:.4g}<extra>" + name + "</extra>",
            row=1,
            col=1,
        )
    if len(finite[0]):
        edges = _edges(finite[0])
        share = np.histogram(finite[0], edges)[0] / len(finite[0])
        _bars(figure, share, edges, "corpus", NEUTRAL, "", ".1%", row=2, col=1)
    figure.update_yaxes(type="category", row=1, col=1)
    figure.update_yaxes(tickformat=".0%", title="proteins of the corpus", row=2, col=1)
    figure.update_xaxes(title=plain(title), row=2, col=1)
    figure.update_layout(height=300, margin=MARGIN, showlegend=False)
    return figure


def sextiles(table: pd.DataFrame) -> go.Figure:
    """Shares of groups of labels from the first sixth of the layers to the last, a panel a model.

    Args:
        table: columns model, sextile, group, share.
    """
    models = list(dict.fromkeys(table["model"]))
    groups = list(dict.fromkeys(table["group"]))
    in_legend: set[str] = set()
    figure = make_subplots(
        1,
        max(len(models), 1),
        shared_yaxes=True,
        horizontal_spacing=0.03,
        subplot_titles=[plain(model) for model in models] or None,
    )
    for column, model in enumerate(models, start=1):
        for i, group in enumerate(groups):
            rows = table[(table["model"] == model) & (table["group"] == group)]
            if rows.empty:
                continue
            rows = rows.sort_values("sextile")
            name = plain(group) or OTHERS
            figure.add_scatter(
                x=rows["sextile"],
                y=rows["share"],
                name=name,
                legendgroup=group,
                showlegend=group not in in_legend,
                mode="lines+markers",
                line={"color": COLOURS[i % len(COLOURS)], "dash": DASHES[i % len(DASHES)]},
                # After seven the marks shift, so that no two lines are alike.
                marker={"symbol": MARKS[(i + i // 7) % 7], "size": 8},
                hovertemplate="%{x}: %{y:.1%}<extra>" + name + "</extra>",
                row=1,
                col=column,
            )
            in_legend.add(group)
    figure.update_xaxes(
        type="category", categoryorder="array", categoryarray=sorted(table["sextile"].unique())
    )
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    figure.update_yaxes(title="share of the labels", col=1)
    figure.update_annotations(font_size=13)
    figure.update_layout(height=340, margin=MARGIN, legend={**_LEGEND, "y": -0.15})
    return figure


def sizes(table: pd.DataFrame) -> go.Figure:
    """How specific the labels of models are, a panel each number that one of them has.

    Args:
        table: one row per model; columns model, distinct_per_1000, entropy, spread.
    """
    panels = {name: title for name, title in SIZES.items() if table[name].notna().any()}
    figure = make_subplots(
        1,
        max(len(panels), 1),
        shared_yaxes=True,
        horizontal_spacing=0.05,
        subplot_titles=list(panels.values()),
    )
    for column, (name, title) in enumerate(panels.items(), start=1):
        figure.add_bar(
            y=[plain(model) for model in table["model"]],
            x=table[name],
            orientation="h",
            marker_color=COLOURS[0],
            text=["" if np.isnan(value) else f"{value:.3g}" for value in table[name]],
            textposition="auto",
            hovertemplate="%{y}: %{x:.4g}<extra>" + title + "</extra>",
            showlegend=False,
            row=1,
            col=column,
        )
    figure.update_yaxes(type="category", autorange="reversed")
    figure.update_xaxes(rangemode="tozero")
    figure.update_annotations(font_size=13)
    figure.update_layout(height=100 + 36 * len(table), margin={**MARGIN, "t": 50})
    return figure


def _edges(values: np.ndarray) -> np.ndarray:
    """Of bins; whole numbers stay in the middle of theirs, so that none stands between two bars."""
    low, high = values.min(), values.max()
    if (values != np.rint(values)).any():
        return np.histogram_bin_edges(values, BINS)
    step = max(1.0, np.ceil((high - low) / BINS))
    return np.arange(low - 0.5, high + step, step)


def _bars(
    figure: go.Figure,
    heights: np.ndarray,
    edges: np.ndarray,
    name: str,
    colour: str,
    pattern: str,
    form: str,
    **place: int,
) -> None:
    """Bars of a histogram that is counted here: a page need not hold every neuron's value."""
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=heights,
        width=np.diff(edges),
        name=name,
        opacity=0.65,
        marker={"color": colour, "pattern": {"shape": pattern}, "line": {"width": 0}},
        customdata=np.stack([edges[:-1], edges[1:]], 1),
        hovertemplate="%{customdata[0]:.4~g} to %{customdata[1]:.4~g}: %{y:"
        + form
        + "}<extra>"
        + name
        + "</extra>",
        **place,
    )
