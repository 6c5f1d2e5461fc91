"""The neurons that methods rank first: where they are, and what they answer to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.figures.charts import matrix
from neuronlab.figures.classifier import (
    score_scatter,
    share_bars,
)
from neuronlab.figures.colours import COMPONENT_COLOURS, COMPONENT_NAMES
from neuronlab.figures.protein import state_bars, state_name
from neuronlab.models import COMPONENTS, Model, Prompt
from neuronlab.neurons import NeuronScores
from neuronlab.runs import Result
from neuronlab.studies.bases.submodel_plan import RANDOM
from neuronlab.studies.submodels import SubmodelsSpec
from neuronlab.widgets import exports, neuron_card, neuron_maps
from neuronlab.widgets.guard import plain

METHODS = {
    "activation": "Activation",
    "integrated_gradients": "Integrated gradients",
    "gradient_x_activation": "Gradient x activation",
    RANDOM: "Random",
}


def where(spec: SubmodelsSpec, result: Result, titles: dict) -> None:
    """Shares by component and layer at a fraction."""
    st.header("Where the kept neurons are")
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    fraction = left.select_slider(
        "Kept",
        sorted(spec.fractions),
        max(f for f in spec.fractions if f <= max(0.1, min(spec.fractions))),
        format_func=lambda f: f"{100 * f:g}%",
        key=f"sub_fraction_{spec.key}",
        persist_state="page",
    )
    key = right.selectbox(
        "Chosen by",
        list(titles),
        format_func=titles.__getitem__,
        key="sub_where",
        persist_state="page",
    )
    table = result.tables["shares"]
    kept = table[table["fraction"] == fraction]
    summed = kept.groupby(["method", "selection", "seed", "component"], sort=False)["share"].sum()
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Share of each component**; dotted: equal shares.")
        exports.chart(
            share_bars(summed.reset_index(), titles),
            kept,
            "component_shares",
            "Stacked bars: share of query, key and value neurons among those kept.",
        )
    with right:
        st.markdown(f"**Density**, {plain(titles[key])}: kept of each layer's neurons.")
        densities = kept[(kept["method"] == key[0]) & (kept["selection"] == key[1])]
        wide = densities.pivot_table(index="layer", columns="component", values="density")
        wide = wide[list(spec.components)].rename(columns=COMPONENT_NAMES)
        exports.chart(
            matrix(wide, "kept", percent=True),
            densities,
            "density",
            "Heatmap of layers by components.",
        )


def agreement(spec: SubmodelsSpec, result: Result) -> None:
    """How far the methods' scores agree."""
    table = result.tables["agreement"]
    if table.empty:
        return
    st.header("Do the methods agree?")
    left, right = st.columns(2, gap="medium")
    with left:
        shown_table = table.replace(METHODS).replace(COMPONENT_NAMES)
        numbers = {c: st.column_config.NumberColumn(format="%.2f") for c in ("spearman", "jaccard")}
        numbers["fraction"] = st.column_config.NumberColumn(format="percent")
        st.dataframe(shown_table, hide_index=True, column_config=numbers, height=340)
        exports.tables(table, "agreement")
    with right:
        pairs = list(table[["a", "b"]].drop_duplicates().itertuples(index=False, name=None))
        a, b = st.selectbox(
            "Scores of",
            pairs,
            format_func=lambda pair: f"{METHODS[pair[0]]} and {METHODS[pair[1]]}",
            key="sub_pair",
            persist_state="page",
        )
        c = st.segmented_control(
            "Component",
            list(spec.components),
            default=spec.components[0],
            format_func=COMPONENT_NAMES.__getitem__,
            key="sub_scatter",
            persist_state="page",
            required=True,
            label_visibility="collapsed",
        )
        x, y = result.arrays[f"{a}.{c}"], result.arrays[f"{b}.{c}"]
        points = pd.DataFrame({METHODS[a]: x.ravel(), METHODS[b]: y.ravel()})
        exports.chart(
            score_scatter(x, y, (METHODS[a], METHODS[b]), COMPONENT_COLOURS[c]),
            points,
            "scatter",
            "Points: one per neuron, by the scores of two methods.",
        )


def scores_of(result: Result, method: str) -> NeuronScores:
    """The scores of a method over the components that were scored."""
    arrays = {c: result.arrays.get(f"{method}.{c}") for c in COMPONENTS}
    source = {"settings": {"method": method}, "over": "the proteins"}
    return NeuronScores({c: scores for c, scores in arrays.items() if scores is not None}, source)


def ranked(model: Model, spec: SubmodelsSpec, result: Result) -> None:
    """The neurons themselves, and what secondary structure they respond to."""
    method = st.segmented_control(
        "Ranked by",
        list(spec.methods),
        default=spec.methods[min(1, len(spec.methods) - 1)],
        format_func=METHODS.__getitem__,
        key=f"sub_ranked_{spec.key}",
        persist_state="page",
        required=True,
    )
    scores = scores_of(result, method)
    neuron_maps.start(scores)
    table = scores.top(100)
    states = [s for s in "HGIEBTSC" if f"state_{s}.query" in result.arrays]
    for s in states:
        table[state_name(s)] = [
            float(result.arrays[f"state_{s}.{r.component}"][r.layer, r.neuron])
            for r in table.itertuples()
        ]
    left, right = neuron_card.columns()
    with left:
        neuron_maps.listed(
            table.drop(columns="rank"), "sub_neurons", "Neurons, best first, and their response."
        )
        if states:
            st.caption(
                "By secondary structure: mean activation there less that anywhere, in standard "
                "deviations of the activation."
            )
            response(result, states)
    with right:
        protein = spec.to_test()[0]
        prompt = Prompt(protein.sequence, target=protein.label)
        neuron_card.draw(model, prompt, neuron_maps.chosen(), scores)


def response(result: Result, states: list[str]) -> None:
    """What the chosen neuron responds to."""
    at = neuron_maps.chosen()
    values = [float(result.arrays[f"state_{s}.{at.component}"][at.layer, at.index]) for s in states]
    table = pd.DataFrame({"state": states, "mean": values, "low": values, "high": values})
    exports.chart(
        state_bars(table, title="response (standard deviations)"),
        table[["state", "mean"]],
        "response",
        f"Bars: how neuron {at} responds to each kind of secondary structure.",
    )
    strongest = {}
    for s in states:
        arrays = {c: np.abs(result.arrays[f"state_{s}.{c}"]) for c in COMPONENTS}
        c = max(arrays, key=lambda name: arrays[name].max())
        layer, index = np.unravel_index(arrays[c].argmax(), arrays[c].shape)
        strongest[state_name(s)] = (
            f"{layer}.{c}.{index} ({result.arrays[f'state_{s}.{c}'][layer, index]:+.1f})"
        )
    st.caption("Strongest of all neurons: " + "; ".join(f"{k} {v}" for k, v in strongest.items()))
