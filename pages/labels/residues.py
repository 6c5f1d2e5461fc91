"""The view of labels along the chain: which secondary structure each neuron follows."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures import labels as figures
from neuronlab.figures import maps
from neuronlab.labels.proteins import JUDGED
from neuronlab.labels.residues import CONCEPTS
from neuronlab.models import Model
from neuronlab.neurons import Neuron
from neuronlab.runs import Result
from neuronlab.studies.residue_labels import FEW, FOLLOWS, ResidueLabelsSpec, small
from neuronlab.widgets import (
    components,
    exports,
    neuron_card,
    neuron_maps,
    services,
    shown,
    state,
)
from neuronlab.widgets.guard import complain
from pages.labels import search
from pages.labels.card import painted, title

STUDY = "residue_labels"
_ALL = "all"
_LISTED = 2_000
# How many chains a card paints: those that judge are in random order.
_PAINTED = 6


def draw() -> None:
    """Form, run and results."""
    model = services.model(state.model_name(), state.device())
    first = small(model.name, model.revision)
    shown.study(STUDY, model, form(model, first), partial(results, model), first=first)


def form(model: Model, first: ResidueLabelsSpec) -> ResidueLabelsSpec | None:
    """Which neurons, on how many chains."""
    left, right = st.columns(2)
    chosen = components.pills("Neurons", "residue_components", left)
    limit = right.number_input(
        "Chains of the PDB (0: all 3,000)", 0, 3_000, first.limit, key="residue_limit"
    )
    if not chosen:
        complain("Choose at least one component.")
        return None
    fields = {"components": chosen, "limit": max(limit, 20) if limit else None}
    return ResidueLabelsSpec(model=model.name, revision=model.revision, **fields)


def results(model: Model, spec: ResidueLabelsSpec, result: Result) -> None:
    """How many neurons follow which concept, a list of them, and one neuron."""
    n, table = result.numbers, result.tables["labels"]
    least = st.slider(
        "Correlation, at least", 0.0, 0.6, FOLLOWS, 0.05, key="residue_least", bind="query-params"
    )
    follow = table["correlation"] >= least
    exports.finding(
        "headline",
        "What was found",
        f"**{follow.sum():,} of {n['neurons']:,}** neurons follow their label with a correlation "
        f"of at least {least:.2f} on {n['judged']:,} chains that had no part in it; of labels made "
        f"from shifted states **{(table['control_correlation'] >= least).sum():,}** do, and the "
        f"best of them has {n['control_most']:.2f}.",
    )
    few = (
        " A sample, so that it is there at once: run it on all chains above."
        if spec.limit == FEW
        else ""
    )
    st.caption(
        "Correlations are residue by residue, not over whole proteins as on the tab “Labels”: "
        f"“explained” on the {n['explained']:,} chains that labels are made from, “judged” on the "
        f"{n['judged']:,} others. Shifted states are each chain's own, moved along it by a random "
        f"number of residues.{few}"
    )
    if follow.any():
        left, right = st.columns(2, gap="medium")
        with left:
            _map(table, follow)
        with right:
            _best(result.tables["concepts"])
        _list(model, table[follow], table, result)
    else:
        st.info("No neuron does: move the slider down.", icon=":material/info:")
    exports.share(spec.key, study_python(spec), study_command(spec))


def _best(concepts: pd.DataFrame) -> None:
    """A neuron of each concept, in few columns."""
    st.markdown("**The neuron that follows each concept most**, with its correlations.")
    neurons = [str(Neuron(r.layer, r.component, r.neuron)) for r in concepts.itertuples()]
    shown_rows = concepts.assign(neuron=neurons).round(3)
    exports.listed(shown_rows[["concept", "neuron", "explained", "judged", "shifted"]])
    exports.tables(concepts, "residue_concepts")


def _map(table: pd.DataFrame, follow: pd.Series) -> None:
    """Layers by concepts; a clicked cell narrows the list below."""
    st.markdown("**How many neurons of each layer follow what.** Click a cell.")
    labelled = table.assign(label=table["label"].where(follow, ""))
    cells = figures.concept_table(labelled, "concept")
    option = figures.concept_map(labelled, "concept", coloured="neurons")

    def pick(cell: pd.Series) -> None:
        st.session_state["residue_concept"] = str(cell["concept"])
        st.session_state["residue_layer"] = int(cell["layer"])

    alt = "Heatmap of layers by concepts: how many neurons follow each."
    neuron_maps.clickable(maps.Grid(option, cells), "residues", 360, alt, pick)


def _list(model: Model, rows: pd.DataFrame, every: pd.DataFrame, result: Result) -> None:
    """The neurons of a concept and a layer, best first, beside the card of the chosen one.

    Args:
        rows: of the neurons that follow their label.
        every: of all neurons.
    """
    left, right = neuron_card.columns()
    with left:
        one, two = st.columns(2)
        concept = one.selectbox(
            "Concept", [_ALL, *CONCEPTS], key="residue_concept", bind="query-params"
        )
        layers = [_ALL, *range(model.layers)]
        layer = two.selectbox("Layer", layers, key="residue_layer", bind="query-params")
        for column, wanted in (("concept", concept), ("layer", layer)):
            rows = rows if wanted == _ALL else rows[rows[column] == wanted]
        rows = rows.sort_values("correlation", ascending=False, ignore_index=True)
        if rows.empty:
            st.info("No neuron of this layer does: choose another.", icon=":material/info:")
            return
        st.markdown(search.heading(rows, _LISTED))
        columns = ["layer", "component", "neuron", "label", "correlation", "control_correlation"]
        neuron_maps.listed(
            rows.head(_LISTED),
            "residue_rows",
            "Neurons with their labels.",
            height=520,
            order=[*columns, "explained"],
        )
    with right:
        narrowed = (concept, layer) != (_ALL, _ALL)
        _card(model, every, search.chosen(rows, every, narrowed=narrowed), result)


def _card(model: Model, table: pd.DataFrame, neuron: Neuron, result: Result) -> None:
    """One neuron: its label, how it follows each concept, and chains painted by it."""
    row = neuron_maps.row_of(table, neuron)
    assert row is not None
    names = ("explained", "judged", "shifted")
    at = (slice(None), neuron.layer, neuron.index)
    r = {name: result.arrays[f"{name}.{neuron.component}"][at] for name in names}
    with neuron_card.panel():
        title(neuron, str(row["label"]))
        st.caption(
            f"Correlation {row['correlation']:.2f} on chains that had no part in the label "
            f"({row['explained']:.2f} on those it is made from); from shifted states "
            f"{row['control_correlation']:.2f}."
        )
        exports.listed(pd.DataFrame({"concept": CONCEPTS, **r}).round(3))
        proteins = result.tables["proteins"]
        judging = proteins[proteins["side"] == JUDGED].head(_PAINTED)
        painted(model, judging, neuron, "Some of those that judge")
