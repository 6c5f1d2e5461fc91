"""The view of a language model's neurons: words they answer to, texts that drive them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from neuronlab import examples
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures import labels as figures
from neuronlab.figures.charts import stacked_layers
from neuronlab.labels import wordnet
from neuronlab.labels.search import search_words
from neuronlab.labels.token_labels import ROLES
from neuronlab.models import Model
from neuronlab.neurons import Neuron
from neuronlab.runs import Result, Spec
from neuronlab.studies.contexts import ContextsSpec
from neuronlab.studies.token_labels import PREDICTS, TokenLabelsSpec
from neuronlab.widgets import (
    components,
    contexts,
    exports,
    model_fetch,
    neuron_card,
    neuron_maps,
    runs,
    services,
    shown,
    state,
)
from neuronlab.widgets.guard import complain, counted, guard, plain
from pages.labels import explanation, search
from pages.labels.card import title

_ALL = "all"
_LISTED = 2_000
# Share of the tokens that words may make up to be rare.
_RARE = 0.001
# What is searched for to begin with.
_FIRST = "political"


def draw() -> None:
    """Form, run and results."""
    if not model_fetch.ready(state.model_name()):
        return
    model = services.model(state.model_name(), state.device())
    if model.kind == "seq2seq":
        st.info(
            plain(
                f"Labels are made of texts that a model reads, and the decoder of {model.title} "
                "reads what it has said itself: choose a language model that continues text, or a "
                "masked one, in the sidebar."
            ),
            icon=":material/info:",
        )
        return
    first: Spec | None = examples.first(contexts.STUDY, model)
    with st.expander("Make labels", icon=":material/label:"), guard():
        spec = _form(model, 1_000 if first is None else dict(first)["limit"])
        shown.run_button(spec)
    if first is not None and first.key not in examples.stored_keys() and spec is None:
        first = None  # without the texts it cannot be computed
    finished = shown.finished(contexts.STUDY, model.name, spec, first)
    if finished is not None:
        with guard():
            _results(model, *finished)


def _form(model: Model, most: int) -> TokenLabelsSpec | None:
    """Which neurons, on how many texts; None where the texts are not here or nothing is chosen.

    Args:
        most: how many to begin with.
    """
    if not wordnet.file().is_file():
        st.info(f"{wordnet.WHAT}: 11 MB, not on this machine yet.", icon=":material/download:")
        if st.button("Fetch the texts", key="fetch_wordnet", icon=":material/download:"):
            wordnet.fetch()
            st.rerun()
        return None
    left, right = st.columns(2)
    chosen = components.pills("Neurons", "context_components", left)
    limit = right.number_input(
        f"Definitions to read (0: all {wordnet.COUNT:,})",
        0,
        wordnet.COUNT,
        most,
        step=1_000,
        key="context_limit",
        help=f"{wordnet.WHAT}. {wordnet.TERMS} A tenth judges the labels.",
    )
    rounded = st.toggle(
        "Products in bfloat16",
        key="context_half",
        help="Less than half the time where the processor has it; of places that are nearly equal "
        "another may then be kept.",
    )
    if not chosen:
        complain("Choose at least one component.")
        return None
    fields = {
        "components": chosen,
        "limit": max(limit, 100) if limit else None,
        "precision": "bfloat16" if rounded else "float32",
    }
    return TokenLabelsSpec(model=model.name, revision=model.revision, **fields)


def _results(model: Model, spec: TokenLabelsSpec, result: Result) -> None:
    """How many neurons have a label and how good these are, a search, and one neuron."""
    table = result.tables["labels"]
    labelled = table[table["label"] != ""]
    _headline(result)
    _search(model, table, spec, result.numbers["tokens"])
    if labelled.empty:
        st.info("Read more definitions: so few have nothing in common.", icon=":material/info:")
    else:
        left, right = st.columns(2, gap="medium")
        with left:
            _where(table)
        with right:
            st.markdown("**Do labels predict?** On definitions that nobody used.")
            exports.chart(
                figures.correlations(
                    labelled, judges="definitions", control="another neuron's label"
                ),
                labelled[["layer", "component", "neuron", "correlation", "control_correlation"]],
                "word_correlations",
                "Histogram: held-out correlation of labels, and of another neuron's label.",
            )
    exports.share(spec.key, study_python(spec), study_command(spec))


def _headline(result: Result) -> None:
    n = result.numbers
    quality = ""
    if n["tested"]:
        quality = (
            f" Those of **{n['tested']:,}** neurons could be judged: {n['predicting']:,} predict "
            f"the neuron with a correlation above {PREDICTS}, and the median is "
            f"**{n['correlation']:.2f}** (another neuron's label: {n['control_correlation']:.2f})."
        )
    exports.finding(
        "headline",
        "What was found",
        f"**{n['labelled']:,} of {n['neurons']:,}** neurons have words, or pieces of words, in "
        f"common where they are most positive, **{n['distinct']:,}** different labels.{quality}",
    )
    st.caption(
        f"From {n['texts']:,} definitions of WordNet ({n['read']:,} tokens); {n['judged']:,} "
        "others judge. In quotes stand tokens, which are words or pieces of words. The first token "
        "of a text does not count: there the model has read nothing yet."
    )


def _where(table: pd.DataFrame) -> None:
    """Of each layer how many neurons have a label, by its role."""
    st.markdown(
        "**How many neurons of each layer have a label**, by where they are active: at its words, "
        "right after or right before them."
    )
    named = table[table["role"] != ""]
    exports.chart(
        stacked_layers(named, ROLES, int(table["layer"].max()) + 1),
        named.value_counts(["layer", "role"], sort=False).reset_index(),
        "word_layers",
        "Bars: neurons of each layer with a label, by where they are active: at its words, right "
        "after or right before them.",
    )


def _search(model: Model, table: pd.DataFrame, spec: TokenLabelsSpec, tokens: int) -> None:
    """The neurons that fit, as a list, beside the card of the chosen one.

    Args:
        tokens: of the texts that judge.
    """
    rows = _fitting(table, tokens)
    if rows is None:
        return
    if rows.empty:
        st.info("No neuron answers to such words: use others.", icon=":material/search_off:")
        return
    left, right = neuron_card.columns()
    with left:
        st.markdown(search.heading(rows, _LISTED))
        if "named" in rows:
            st.caption(
                f"{rows['named'].sum():,} have the words in their label and come first; "
                f"{(~rows['named']).sum():,} have them only at their places: the "
                "five, in all texts, at which the neuron is most positive."
            )
        # What there is no room for is on the card, and in the files.
        words = "likeness" if "likeness" in rows else "words at its places"
        order = ["layer", "neuron", "label", words, "correlation"]
        order = order if len(spec.components) == 1 else ["component", *order]
        neuron_maps.listed(
            rows.head(_LISTED)
            .rename(
                columns={"control_correlation": "another's label", "peaks": "words at its places"}
            )
            .assign(
                label=lambda table: table["label"].replace("", "no label"),
                promotes=lambda table: table["promotes"].map(_listed),
            ),
            "context_rows",
            "Neurons with their labels.",
            height=560,
            order=order,
            widths={"label": 145, words: 115},
        )
    with right:
        narrowed = bool(st.session_state["context_query"].strip())
        _card(model, table, search.chosen(rows, table, narrowed=narrowed), spec)


def _fitting(table: pd.DataFrame, tokens: int) -> pd.DataFrame | None:
    """The rows that a person asks for, best first; None where a model has to be fetched first."""
    one, two, three, four = st.columns([4, 3, 2, 2], vertical_alignment="bottom")
    query, meant = search.ask(
        one,
        two,
        "context",
        table,
        (_FIRST,),
        ("music",),
        help="In labels, which come first, and at a neuron's five strongest places.",
    )
    layer = four.selectbox(
        "Layer",
        [_ALL, *range(int(table["layer"].max()) + 1)],
        key="context_layer",
        bind="query-params",
    )
    frequency = three.segmented_control(
        "Frequent words",
        ["left out", "kept"],
        default="left out",
        key="context_frequency",
        bind="query-params",
        wrap=True,
        required=True,
        help=f"Frequent: more than {_RARE:.1%} of the tokens that judge. Labels of commas and of "
        "“the” fit best, and say least.",
    )
    rows = table if layer == _ALL else table[table["layer"] == layer]
    if frequency == "left out":
        frequent = rows["bearing"] > _RARE * tokens
        st.caption(
            f"{(frequent & (rows['label'] != '')).sum():,} neurons are left out here, whose labels "
            "are of frequent words."
        )
        rows = rows[~frequent]
    if meant:
        return search.by_meaning(rows, query)
    if query:
        words = rows["label"] + " " + rows["peaks"]
        rows = search_words(rows.assign(words=words), query, "words").drop(columns="words")
        labels = search_words(rows, query)["label"].unique()
        rows = rows.assign(named=rows["label"].isin(labels))
        return rows.sort_values(["named", "correlation"], ascending=False, ignore_index=True)
    rows = rows[rows["label"] != ""]
    return rows.sort_values("correlation", ascending=False, ignore_index=True)


def _card(model: Model, table: pd.DataFrame, neuron: Neuron, spec: TokenLabelsSpec) -> None:
    """One neuron: its label, what it promotes, and the texts at both ends."""
    row = neuron_maps.row_of(table, neuron)
    assert row is not None
    with neuron_card.panel():
        label = str(row["label"])
        title(neuron, f"Most positive {label}" if label else "No words in common")
        if row["label"]:
            st.caption(f"{_judged(row)}")
        if row["promotes"]:
            words = plain(_listed(row["promotes"]))
            st.markdown(f"Where it is positive, what it writes speaks most for {words}.")
        places = _places(spec)
        if places is None:
            return
        st.markdown("**Most positive**")
        contexts.draw(model, places, neuron, "top", "context")
        with st.expander("Most negative", expanded=contexts.stronger(places, neuron) == "bottom"):
            contexts.draw(model, places, neuron, "bottom", "context")
        explanation.draw(spec, neuron)


def _listed(tokens: str) -> str:
    """Tokens in quotes, as results have them, with a comma between."""
    return tokens.replace("” “", "”, “")


def _judged(row: pd.Series) -> str:
    words = contexts.judged(row).strip().removeprefix(":gray[(").removesuffix(")]")
    return f"{words[0].upper()}{words[1:]}; {counted(int(row['bearing']), 'held-out token')}."


def _places(spec: TokenLabelsSpec) -> Result | None:
    """The texts; where labels alone are here, the way to them."""
    key = spec.contexts.key
    places = services.finished(key)
    if places is not None:
        return places
    run = services.queue().get(key)
    if run is None or not run.active:
        st.caption(f"Labels alone are stored here. {shown.cost(spec.contexts)}")
        st.button(
            "Find its texts",
            key="find_contexts",
            icon=":material/search:",
            on_click=_find,
            args=(spec.contexts,),
        )
    runs.wait(key, "contexts")
    return services.finished(key)


def _find(spec: ContextsSpec) -> None:
    runs.submit(spec, state.device())
