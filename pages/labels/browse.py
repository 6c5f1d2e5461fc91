"""The labels of a model: how good they are, a search by words and by meaning, a list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures import labels as figures
from neuronlab.figures import maps
from neuronlab.labels.label_files import export
from neuronlab.labels.label_set import LabelSet
from neuronlab.labels.search import search_words
from neuronlab.models import Model
from neuronlab.proteins import corpora
from neuronlab.runs import Result
from neuronlab.studies.neuron_labels import NeuronLabelsSpec
from neuronlab.widgets import exports, label_sets, neuron_card, neuron_maps
from neuronlab.widgets.guard import plain
from pages.labels import search
from pages.labels.card import card, control

_JUDGED = ("correlation", "control_correlation", "beaten")
_LISTED = 2_000
# What is searched for to begin with: the first that a label has. Antibodies' labels name chains.
_FIRSTS = ('"high helix in the known structure"', '"chain: kappa"')
_HINTS = ("kinase", "IGHV3", '"high residue"', "-mouse", "GO:0016787")


def browse(model: Model, labels: LabelSet, spec: NeuronLabelsSpec, result: Result) -> None:
    """The headline, the grid, the search, and one neuron."""
    if st.session_state.get("label_imported"):
        other = label_sets.imported(model.name)
        if other is not None:
            labels = other
            st.info("Shown are imported labels.", icon=":material/upload:")
    rows = labels.rows[labels.rows["label"] != ""]
    if rows.empty:
        st.info(
            "Nothing separates the proteins of these neurons: take more proteins, or such with "
            "annotations.",
            icon=":material/info:",
        )
        return
    _headline(labels, result)
    _search(model, labels, rows, spec, result)
    _about(labels, spec, result)
    _charts(rows)
    with st.container(horizontal=True):
        st.download_button(
            "These labels (ZIP)",
            lambda: export(labels),
            "labels.zip",
            "application/zip",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
            key="label_export",
        )
    exports.share(spec.key, study_python(spec), study_command(spec))


def overview(labels: LabelSet, spec: NeuronLabelsSpec, result: Result) -> None:
    """How many labels there are, what they name, and how good they are; there is at least one."""
    _headline(labels, result)
    _about(labels, spec, result)
    _charts(labels.rows[labels.rows["label"] != ""])


def _charts(rows: pd.DataFrame) -> None:
    """What labels name, and how good they are.

    Args:
        rows: of neurons that have a label.
    """
    left, right = st.columns([3, 2], gap="medium")
    with left:
        _concepts(rows)
    with right:
        st.markdown("**Do labels predict?** On proteins that nobody used, beside the control.")
        exports.chart(
            figures.correlations(rows),
            rows[["layer", "component", "neuron", *_JUDGED]],
            "correlations",
            "Histogram: held-out correlation of labels, and of other neurons' labels.",
        )


def _concepts(rows: pd.DataFrame) -> None:
    """Layers by what their labels name; a clicked cell narrows the list."""
    by: Literal["group", "concept"] = st.segmented_control(
        "Columns",
        ["group", "concept"],
        default="group",
        format_func={"group": "kinds of labels", "concept": "concepts"}.__getitem__,
        key="label_by",
        required=True,
    )
    st.markdown(
        "**What each layer's labels name**: share of its neurons. Click a cell to list them above."
    )
    cells = figures.concept_table(rows, by, 20)
    option = figures.concept_map(rows, by, 20)

    def pick(cell: pd.Series) -> None:
        st.session_state["label_cell"] = (by, int(cell["layer"]), str(cell["concept"]))
        st.session_state["label_query"] = ""  # all of the cell

    neuron_maps.clickable(
        maps.Grid(option, cells), f"concepts_{by}", 420, "Heatmap of layers by concepts.", pick
    )


def _headline(labels: LabelSet, result: Result) -> None:
    """How many labels there are, and how well they predict."""
    n = result.numbers
    rows = labels.rows[labels.rows["label"] != ""]
    if len(labels.rows) == n["neurons"]:
        chance = n["named"] - n["labelled"]
        st.markdown(
            f"**{n['labelled']:,} of {n['neurons']:,}** neurons have a label"
            + (f" ({chance:,} more would, but may be chance)" if chance else "")
            + f", **{n['distinct']:,}** different ones. Median held-out correlation "
            f"**{n['correlation']:.2f}**{control(n)}.{_wrong_way(rows)}"
        )
    else:
        st.markdown(f"**{len(rows):,}** imported labels.")


def _about(labels: LabelSet, spec: NeuronLabelsSpec, result: Result) -> None:
    """Who judges and who explains."""
    if len(labels.rows) == result.numbers["neurons"]:
        st.caption(plain(_relatives(result.numbers)))
    few = ""
    if spec.limit or spec.per_layer:
        few = " A sample, so that it is there at once: make labels of all of them above."
    st.caption(
        plain(f"Labels from {spec.source}; corpus {corpora.titles().get(spec.corpus, 'own')}.")
        + " Correlations are over whole proteins, not residue by residue as on the tab “Along the "
        f"chain”.{few}"
    )


def _wrong_way(rows: pd.DataFrame) -> str:
    """How many labels are refuted by the proteins that nobody used."""
    wrong = int((rows["correlation"] < 0).sum())
    return f" {wrong:,} labels predict the wrong way there." if wrong else ""


def _relatives(n: Mapping[str, Any]) -> str:
    """Whether who judges is like who explains."""
    words = (
        f"{n['related']:.0%} of the {n['judged']:,} proteins that judge have a relative among "
        "those that explain (half of their words of six residues in common)"
    )
    both = [n["related_correlation"], n["unrelated_correlation"]]
    if np.isfinite(both).all():
        words += f": median correlation {both[0]:.2f} with one, {both[1]:.2f} without"
    return f"{words}."


def _search(
    model: Model, labels: LabelSet, rows: pd.DataFrame, spec: NeuronLabelsSpec, result: Result
) -> None:
    """The labels that fit, as a list, beside the card of the chosen neuron."""
    every, rows = rows, _fitting(rows)
    if rows is None:
        return
    if rows.empty:
        st.info("No neuron has such a label: use other words.", icon=":material/search_off:")
        return
    left, right = neuron_card.columns()
    table = rows.head(_LISTED).reset_index(drop=True)
    with left:
        # What there is no room for is on the card, and in the files.
        columns = ["layer", "neuron", "label", "likeness", "correlation", "control_correlation"]
        columns = [c for c in columns if c in table]
        if len(spec.components) > 1:
            columns.insert(1, "component")
        st.markdown(search.heading(rows, _LISTED))
        neuron_maps.listed(
            table, "label_rows", "Neurons with their labels.", height=520, order=columns
        )
    with right:
        narrowed = bool(st.session_state["label_query"].strip())
        card(model, labels, search.chosen(table, every, narrowed=narrowed), spec, result)


def _fitting(rows: pd.DataFrame) -> pd.DataFrame | None:
    """The rows that a person asks for, best first; None where a model has to be fetched first."""
    one, two, three = st.columns([5, 4, 3], vertical_alignment="bottom")
    query, meant = search.ask(one, two, "label", rows, _FIRSTS, _HINTS)
    least = three.slider(
        "Correlation, at least", -1.0, 1.0, 0.0, 0.05, key="label_least", bind="query-params"
    )
    rows = _in_cell(rows)
    if not meant:
        rows = search_words(rows, query).sort_values("correlation", ascending=False)
    else:
        meaning = search.by_meaning(rows, query)
        if meaning is None:
            return None
        rows = meaning
    return rows[~(rows["correlation"] < least)]


def _in_cell(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of the cell that was clicked, with a button that leaves it; else all of them."""
    cell = st.session_state.get("label_cell")
    if cell is None:
        return rows
    by, layer, concept = cell
    if by in rows and st.button(
        f"Layer {layer}, {plain(concept)}: show all again",
        icon=":material/close:",
        key="label_all",
    ):
        st.session_state.pop("label_cell")
        st.rerun()
    rows = rows[rows["layer"] == layer]
    return rows if concept == "others" else rows[rows[by] == concept]
