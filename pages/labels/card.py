"""One neuron: its label, what else was thought of, and the proteins it answers to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.figures import labels as figures
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.labels.library import LabelSet
from neuronlab.neurons import Neuron
from neuronlab.proteins.features import FEATURES
from neuronlab.runs import Result
from neuronlab.studies import NeuronLabelsSpec
from neuronlab.studies.neuron_labels import question
from neuronlab.widgets import exports, services
from neuronlab.widgets.guard import plain


def card(labels: LabelSet, neuron: Neuron, spec: NeuronLabelsSpec, result: Result) -> None:
    """One neuron: its label, its proteins, and their features."""
    row = labels.label_of(neuron)
    with st.container(border=True):
        st.markdown(
            f"**Neuron {neuron.layer} / {COMPONENT_NAMES[neuron.component]} / {neuron.index}**"
        )
        st.markdown(f"### {plain(str(row['label']))}")
        st.caption(
            f"Held-out correlation {row['correlation']:.2f}{control(row)}"
            + (f"; effect size {row['effect']:+.2f}" if pd.notna(row.get("effect")) else "")
            + (f", false discovery rate {row['q']:.1g}" if pd.notna(row.get("q")) else "")
            + "."
        )
        exemplars = _exemplars(spec)
        if exemplars is None or f"top.{neuron.component}" not in exemplars.arrays:
            st.caption("Its proteins are not on this machine.")
            return
        _proteins(exemplars, neuron, str(row["concept"]))
        _others(result, neuron)
        if spec.explainer != "statistics":
            with st.expander("What the language model was asked"):
                for message in question(
                    spec, exemplars, neuron.component, neuron.layer, neuron.index
                ):
                    st.code(message["content"], language=None, wrap_lines=True)


def _exemplars(spec: NeuronLabelsSpec) -> Result | None:
    key = spec.exemplars.key
    return services.result(key)[1] if services.store().has(key) else None


def _proteins(exemplars: Result, neuron: Neuron, concept: str) -> None:
    """Both ends, and a feature of them: first the one that the label names."""
    table = exemplars.tables["proteins"]
    at = (neuron.layer, neuron.index)
    ends = {}
    for end in ("top", "bottom"):
        rows = exemplars.arrays[f"{end}_at.{neuron.component}"][at]
        values = exemplars.arrays[f"{end}.{neuron.component}"][at]
        proteins = table.iloc[rows]
        ends[end] = rows
        shown_rows = pd.DataFrame(
            {
                "protein": proteins["name"].to_numpy(),
                "activation": values,
                "annotations": [", ".join(map(str, a)) for a in proteins["annotations"]],
                "sequence": proteins["sequence"].to_numpy(),
            }
        )
        title = "Drives it most" if end == "top" else "Drives it least"
        with st.expander(f"{title}: {len(shown_rows)} proteins", expanded=end == "top"):
            st.dataframe(
                shown_rows,
                hide_index=True,
                height=210,
                key=f"label_{end}",
                column_config={"activation": st.column_config.NumberColumn(format="%+.3f")},
            )
            exports.tables(shown_rows, f"{end}_proteins")
    names = [n for n in FEATURES if n in table and table[n].notna().any()]
    feature = st.selectbox(
        "A feature of them",
        names,
        next(
            (i for i, n in enumerate(names) if FEATURES[n].title == concept), names.index("gravy")
        ),
        format_func=lambda n: FEATURES[n].title,
        key=f"label_feature_{concept}",
    )
    everywhere = table.loc[table["background"], feature].to_numpy(float)
    chart = figures.feature_histogram(
        everywhere[np.isfinite(everywhere)],
        table[feature].to_numpy(float)[ends["top"]],
        table[feature].to_numpy(float)[ends["bottom"]],
        FEATURES[feature].title,
    )
    exports.chart(
        chart,
        pd.DataFrame({"corpus": everywhere}),
        "feature",
        "Histogram: a feature over the corpus and of the neuron's proteins.",
    )


def _others(result: Result, neuron: Neuron) -> None:
    """What else was considered."""
    table = result.tables["hypotheses"]
    hypotheses = table[
        (table["layer"] == neuron.layer)
        & (table["component"] == neuron.component)
        & (table["neuron"] == neuron.index)
    ]
    if len(hypotheses) > 1:
        st.caption("All hypotheses, with their correlation on the proteins that choose:")
        st.dataframe(
            hypotheses[["text", "source", "correlation"]].sort_values(
                "correlation", ascending=False
            ),
            hide_index=True,
            key="label_hypotheses",
        )


def control(of: Mapping[str, Any] | pd.Series) -> str:
    """What others' labels get; nothing where there are none."""
    if not np.isfinite([of["control_correlation"], of["beaten"]]).all():
        return ""
    return (
        f"; other neurons' labels get {of['control_correlation']:.2f}, and its own beats "
        f"**{of['beaten']:.0%}** of them"
    )
