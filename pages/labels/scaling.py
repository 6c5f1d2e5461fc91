"""The view that puts the labels of several models side by side."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures import labels as figures
from neuronlab.models.catalogue import available, title_of
from neuronlab.runs import Result
from neuronlab.studies.scaling import COMPARED, ScalingSpec, of_models
from neuronlab.widgets import exports, model_fetch, shown
from neuronlab.widgets.guard import complain, plain

STUDY = "scaling"
_HEADINGS = {name: title.replace("<br>", " ") for name, title in figures.SIZES.items()} | {
    "spread_control": "spread, labels shuffled"
}


def draw() -> None:
    """Form, run and results."""
    spec = form()
    first = of_models(COMPARED)
    shown.study(STUDY, None, spec, results, first=first)


def form() -> ScalingSpec | None:
    """Which models, on how many proteins."""
    left, middle, right = st.columns([3, 1, 1])
    few = of_models(COMPARED).labels[0]
    names = [e.name for e in available() if e.alphabet == "protein"]
    models = left.multiselect(
        "Models",
        names,
        list(COMPARED),
        format_func=title_of,
        key="scaling_models",
        max_selections=8,
        accept_new_options=True,
    )
    limit = middle.number_input("Proteins", 50, 100_000, few.limit, key="scaling_limit")
    per_layer = right.number_input(
        "Neurons per layer (0: all)", 0, 100_000, few.per_layer, key="scaling_each"
    )
    st.caption(
        "All read the same proteins: antibody germline genes where one of the models knows "
        "antibodies alone, else chains of the PDB. What is labelled already is not labelled again."
    )
    if len(models) < 2:
        complain("Choose at least two models.")
        return None
    ready = [model_fetch.ready(name) for name in models]  # each says what it lacks
    if not all(ready):
        return None
    return of_models(models, limit=limit, per_layer=per_layer or None)


def results(spec: ScalingSpec, result: Result) -> None:
    """The grid side by side, and how specific and spread labels are."""
    grid, sizes = result.tables["grid"], result.tables["sizes"]
    titles = {labels.model: title_of(labels.model) for labels in spec.labels}
    st.markdown("**What labels name, from the first sixth of the layers to the last.**")
    exports.chart(
        figures.sextiles(_named(grid, titles)),
        grid,
        "sextiles",
        "Panels by model: share of kinds of labels by sextile of the layers.",
    )
    st.markdown("**How specific and how spread labels are.**")
    exports.chart(
        figures.sizes(_named(sizes, titles)),
        sizes,
        "sizes",
        "Bars by model: distinct labels, entropy and spread over layers.",
    )
    st.dataframe(
        _named(sizes, titles).dropna(axis="columns", how="all"),
        hide_index=True,
        column_config=_HEADINGS,
        key="scaling_sizes",
    )
    if sizes["distinct_per_1000"].isna().any():
        st.caption(
            "How many distinct labels 1,000 neurons have is told of models with that many labelled "
            "neurons: label more of each layer."
        )
    corpora = {labels.corpus for labels in spec.labels}
    if len(corpora) > 1:
        st.caption(
            plain(
                "The models read different corpora: differences between them are of corpus and "
                "model together. Compare models of one family on one corpus for a claim on size."
            )
        )
    exports.tables(result.tables["concepts"], "concepts", label="Concepts")
    exports.share(spec.key, study_python(spec), study_command(spec))


def _named(table: pd.DataFrame, titles: dict[str, str]) -> pd.DataFrame:
    return table.assign(model=[titles.get(name, name) for name in table["model"]])
