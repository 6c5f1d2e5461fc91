"""Where the scores are: click a cell, a bin, a neuron; tick rows for the basket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.attribution import method
from neuronlab.figures import maps
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.figures.heatmaps import bin_of, by_layer, strip
from neuronlab.neurons import Neuron, NeuronScores, NeuronSet
from neuronlab.runs import Result
from neuronlab.widgets import exports, heatmaps, links, selection, state

_TOP = 200
# Of columns of text, in pixels: what a list beside a card has room for.
_WIDTHS = {"label": 205}
_NUMBERS = {
    "score": st.column_config.NumberColumn("score", format="%.5f"),
    "coefficient": st.column_config.NumberColumn("coefficient", format="%+.2f"),
    "likeness": st.column_config.NumberColumn(
        format="%.2f",
        help="Of label and search, in meaning: 1 is the same, 0 nothing alike.",
    ),
    "correlation": st.column_config.NumberColumn(format="%.2f", width=92),
    "control_correlation": st.column_config.NumberColumn(
        "control", format="%.2f", width=68, help="What labels of other neurons get."
    ),
}


def chosen() -> Neuron:
    """The neuron this session looks at, once one was chosen: see `start`."""
    neuron = links.neuron()
    assert neuron is not None
    return neuron


def choose(neuron: Neuron) -> None:
    """Look at a neuron that was clicked; the URL remembers it."""
    links.look_at(neuron)
    st.session_state["neuron_opened"] = True


def start(scores: NeuronScores, *, preview: bool = False) -> None:
    """Choose the best neuron for the target where none is, or where the chosen one was not scored.

    What a preview has chosen by itself does not stay.
    """
    neuron = links.neuron()
    if not preview and neuron == st.session_state.pop("neuron_of_preview", None):
        neuron = None
    if neuron is not None and _exists(scores, neuron) and not np.isnan(scores.score(neuron)):
        links.look_at(neuron)
        return
    at = scores.top(1).iloc[0]
    best = Neuron(int(at["layer"]), at["component"], int(at["neuron"]))
    if neuron is not None and links.asked():
        links.look_instead(best, _missing(scores, neuron))
    links.look_at(best)
    if preview:
        st.session_state["neuron_of_preview"] = chosen()


def _missing(scores: NeuronScores, neuron: Neuron) -> str:
    """That a neuron is none of the model, or none of those scored."""
    instead = "the best one is shown instead."
    if neuron.component not in scores.arrays or _exists(scores, neuron):
        return f"Neuron {neuron} was not scored: {instead}"
    layers, size = scores[neuron.component].shape
    return (
        f"This model has no neuron {neuron}: it has {layers} layers of {size:,} "
        f"{COMPONENT_NAMES[neuron.component]} neurons, counted from 0; {instead}"
    )


def _exists(scores: NeuronScores, neuron: Neuron) -> bool:
    layers, size = scores.arrays.get(neuron.component, np.empty((0, 0))).shape
    return neuron.layer < layers and neuron.index < size


def scored_by(scores: NeuronScores) -> str:
    """Which scores rank the neurons: the method's title, and whether they are specific."""
    title = method(scores.provenance["settings"]["method"]).title
    return f"{title}, specific" if scores.provenance.get("subtracted") else title


def both_views(result: Result) -> str:
    """How components compare at the last token and over all tokens; "" where that is the same.

    Components are not to be compared in one of the views alone.

    Args:
        result: of the study of attribution.
    """
    if "where" not in result.tables:
        return ""
    last = result.numbers["settings"]["positions"] == "predicted"
    table = result.tables["where"]
    earlier = table[table["component"].isin(["key", "value"])]
    shares = ""
    if len(earlier):
        names = " and ".join(COMPONENT_NAMES[c].lower() for c in earlier["component"])
        shares = (
            f"{names} neurons hold {earlier['predicted'].sum():.0%} of the absolute scores at the "
            f"last token and {earlier['all'].sum():.0%} over all tokens, and "
        )
    return (
        f"Scores are of {'the last token, where the answer is read' if last else 'all tokens'}; "
        "neurons are switched off at all tokens. Earlier tokens speak through their keys and "
        f"values: by gradient x activation, {shares}{result.numbers['top_everywhere']} of the ten "
        "best neurons are the same in both views."
    )


def draw(scores: NeuronScores) -> None:
    """Every component's layers, and the neurons of the chosen bin one by one."""
    st.markdown(
        "**Where it happens**: every layer's neurons, the strongest of each bin. At the edge: the "
        "layer's sums against and for. Click a cell, or use the arrow keys and Enter."
    )
    maps = by_layer(scores, chosen())
    heatmaps.draw(maps, "layers", _pick)
    start, stop = bin_of(scores, chosen())
    if stop - start > 1:
        heatmaps.draw(strip(scores, chosen()), "strip", _pick)


def _pick(cell: pd.Series) -> None:
    choose(Neuron(int(cell["layer"]), cell["component"], int(cell["strongest"])))


def clickable(
    grid: maps.Grid,
    name: str,
    height: int,
    alt: str,
    pick: Callable[[pd.Series], None],
    *,
    files: bool = True,
) -> None:
    """A map whose clicked cell is passed to ``pick``; table and files below it.

    Args:
        files: without them, whoever draws several maps gives one table of all.
    """

    def selected() -> None:
        groups = st.session_state[f"map_{name}"].selection.selected
        indices = [i for group in groups for i in group["data_indices"]]
        # A selection outlives the map it was made on: an old index may point nowhere.
        if indices and indices[0] < len(grid.cells):
            pick(grid.cells.iloc[indices[0]])

    st.echarts_chart(grid.option, height=height, key=f"map_{name}", on_select=selected, alt=alt)
    if not files:
        return
    exports.tables(
        grid.cells.drop(columns=["x", "y"], errors="ignore"),
        name,
        exports.map_files(grid.option),
        figure=f"map_{name}",
        alt=alt,
    )


def ranked(scores: NeuronScores) -> None:
    """The strongest neurons; ticked rows go to the basket, the clicked one to the card."""
    st.markdown(
        f"**Ranked neurons**, by {scored_by(scores)}. Click one for its card, tick rows for the "
        "basket."
    )
    order = st.segmented_control(
        "Order",
        ["for the target", "against it", "by magnitude"],
        default="for the target",
        key="ranked_order",
        label_visibility="collapsed",
        required=True,
    )
    if order == "against it":
        table = replace(scores, arrays={c: -scores[c] for c in scores}).top(_TOP)
        table["score"] = -table["score"]
    else:
        table = scores.top(_TOP, magnitude=order == "by magnitude")
    listed(table, "ranked", "The neurons of highest score.")


def listed(
    table: pd.DataFrame,
    name: str,
    alt: str,
    *,
    height: int = 340,
    order: Sequence[str] | None = None,
    widths: Mapping[str, int] = _WIDTHS,
) -> None:
    """A table of neurons, best first; ticked rows go to the basket, the clicked one to the card.

    Args:
        table: columns layer, component, neuron, score, and any others; ``layer_name``, where it
            is one of them, is shown in place of the layer's number.
        name: of the widgets: unique on the page.
        order: columns to show, if not all.
        widths: of columns of text, in pixels.
    """
    neurons = [
        Neuron(int(r.layer), r.component, int(r.neuron)) for r in table.itertuples(index=False)
    ]

    def selected() -> None:
        row = selection.clicked(st.session_state[name].selection, len(neurons))
        if row is not None:
            choose(neurons[row])

    shown = table
    if "layer_name" in table:
        shown = table.drop(columns="layer").rename(columns={"layer_name": "layer"})
    event = st.dataframe(
        shown,
        hide_index=True,
        height=height,
        on_select=selected,
        selection_mode=selection.MODES,
        key=name,
        column_order=order,
        placeholder=exports.NOTHING,
        column_config={
            **({} if "layer_name" in table else {"layer": st.column_config.Column(width=52)}),
            "component": st.column_config.TextColumn("component", width="small"),
            "neuron": st.column_config.Column(width=64),
            **{column: st.column_config.Column(width=width) for column, width in widths.items()},
            **_NUMBERS,
        },
        alt=alt,
    )
    picked = NeuronSet([neurons[row] for row in selection.ticked(event.selection, len(neurons))])
    with st.container(horizontal=True):
        add_button(f"Add {len(picked)} selected", picked, f"add_selected_{name}")
        add_button("Add the first 10", NeuronSet(neurons[:10]), f"add_first_{name}")
        exports.tables(table, f"{name}_neurons", corner=False)


def row_of(table: pd.DataFrame, neuron: Neuron) -> pd.Series | None:
    """The row of a neuron in a table with the columns layer, component, neuron; None without."""
    rows = table[
        (table["layer"] == neuron.layer)
        & (table["component"] == neuron.component)
        & (table["neuron"] == neuron.index)
    ]
    return rows.iloc[0] if len(rows) else None


def add_button(label: str, neurons: NeuronSet, key: str) -> None:
    """Puts neurons into the basket."""
    if st.button(label, key=key, disabled=not len(neurons), icon=":material/add:"):
        state.add_to_basket(neurons)
        # The sidebar, drawn before, shows the basket too.
        st.rerun(scope="app")
