"""Layers, neurons and heads of each kind of knowledge."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.charts import matrix
from neuronlab.figures.differences import differences
from neuronlab.runs import Result
from neuronlab.statistics import FEWEST
from neuronlab.studies.knowledge_types import HEADS, RANDOM_SETS, SHARED, KnowledgeTypesSpec
from neuronlab.widgets import exports, sections
from neuronlab.widgets.guard import plain


def kinds(spec: KnowledgeTypesSpec, result: Result) -> None:
    """Layers, neurons and heads per kind of knowledge."""
    headline(result)
    sections.draw(parts(result) | {"Heads": partial(heads, result)})
    exports.share(spec.key, study_python(spec), study_command(spec))


def without_heads(spec: KnowledgeTypesSpec, result: Result) -> None:
    """What the facts say before any head is switched off; also of the first facts of a run."""
    headline(result)
    sections.draw(parts(result))


def headline(result: Result) -> None:
    """Whether facts of one kind share neurons, where each kind is written, and what was asked."""
    n, overlaps = result.numbers, result.tables["overlap"]
    overlaps = overlaps[overlaps["neurons"] == overlaps["neurons"].iloc[0]]
    same = overlaps["relation"] == overlaps["other"]
    alike, unlike = overlaps.loc[same, "overlap"].mean(), overlaps.loc[~same, "overlap"].mean()
    sentences = []
    if pd.notna(alike) and pd.notna(unlike):
        sentences.append(
            f"Two facts of one kind share **{alike:.0%}** of their best {SHARED} "
            f"{overlaps['neurons'].iloc[0]} neurons, two of different kinds **{unlike:.0%}**; by "
            f"chance it would be {overlaps['chance'].iloc[0]:.1%}."
        )
    layers = result.tables["value_layers"]
    layers = layers[layers["part"] == "attention"]
    strongest = layers.loc[layers.groupby("relation")["score"].idxmax()]
    written = strongest.sort_values("layer").groupby("layer")["relation"].agg(", ".join)
    where = "; ".join(f"{plain(names)} in layer **{layer}**" for layer, names in written.items())
    sentences.append(f"Attention writes most of {where}.")
    exports.finding("headline", "What was found", " ".join(sentences))
    by_kind = ", ".join(f"{count} {name}" for name, count in n["per_type"].items())
    st.caption(f"{n['facts']} facts: {plain(by_kind)}. {plain(n['left_out'])}")


def parts(result: Result) -> dict[str, Callable[[], None]]:
    """The sections that need no head switched off."""
    return {
        "Writing layers": partial(writing_layers, result),
        "Waking layers": partial(waking_layers, result),
        "Shared neurons": partial(shared_neurons, result),
    }


def writing_layers(result: Result) -> None:
    """In which layers the answers of each kind are written."""
    part = st.segmented_control(
        "Part",
        ["attention", "ffn"],
        default="attention",
        key="value_part",
        persist_state="page",
        required=True,
        format_func={"attention": "Attention", "ffn": "FFN"}.__getitem__,
        label_visibility="collapsed",
    )
    table = result.tables["value_layers"]
    scores = table[table["part"] == part].pivot(index="relation", columns="layer", values="score")
    exports.chart(
        matrix(scores.loc[list(result.numbers["per_type"])], "increase", signed=True),
        table,
        "kinds_value_layers",
        "Heatmap of kinds of knowledge by layers: mean log-probability increase.",
    )


def waking_layers(result: Result) -> None:
    """In which layers the writing neurons of each kind are woken."""
    left, right = st.columns(2)
    of = left.segmented_control(
        "Who wakes the",
        ["attention", "ffn"],
        default="attention",
        key="kinds_of",
        persist_state="page",
        required=True,
        format_func={
            "attention": "writing attention neurons",
            "ffn": "writing FFN neurons",
        }.__getitem__,
    )
    by = right.segmented_control(
        "Share of",
        ["attention", "ffn"],
        default="ffn",
        key="kinds_by",
        persist_state="page",
        required=True,
        format_func={"attention": "Attention", "ffn": "FFN"}.__getitem__,
    )
    table = result.tables["query_layers"]
    scores = table[(table["of"] == of) & (table["part"] == by)]
    scores = scores.pivot(index="relation", columns="layer", values="score")
    exports.chart(
        matrix(scores.loc[list(result.numbers["per_type"])], "waking score", signed=True),
        table,
        "kinds_query_layers",
        "Heatmap of kinds of knowledge by layers: mean waking score.",
    )


def shared_neurons(result: Result) -> None:
    """How much the best neurons of two facts have in common."""
    table = result.tables["overlap"]
    names = list(dict.fromkeys(table["neurons"]))
    kind = st.segmented_control(
        "Neurons",
        names,
        default=names[0],
        key="kinds_neurons",
        persist_state="page",
        required=True,
        label_visibility="collapsed",
    )
    overlaps = table[table["neurons"] == kind]
    order = list(result.numbers["per_type"])
    left, right = st.columns([3, 2], gap="medium")
    with left:
        square = overlaps.pivot(index="relation", columns="other", values="overlap").loc[
            order, order
        ]
        st.markdown(f"**Overlap of the best {SHARED}** of two different facts, on average.")
        exports.chart(
            matrix(square, "shared", percent=True),
            overlaps,
            "kinds_overlap",
            "Heatmap: mean share of the best neurons that facts of two kinds have in common.",
        )
        st.caption(f"By chance it would be {overlaps['chance'].iloc[0]:.1%}.")
    with right:
        st.markdown(f"**Common**: of the best {SHARED}, how many more than half of the facts have.")
        common = result.tables["sharing"]
        common = common[common["neurons"] == kind].drop(columns="neurons")
        st.dataframe(
            common,
            hide_index=True,
            column_config={"fraction": st.column_config.NumberColumn(format="percent")},
        )
        exports.tables(result.tables["sharing"], "kinds_sharing")


def heads(result: Result) -> None:
    """What switching the heads of a kind off does to its own facts and to others."""
    n = result.numbers
    st.markdown(
        f"Each kind's best {n['heads_off']} heads ({HEADS:.0%} of all) are switched off. Change of "
        "the right answer's probability, on facts that had no say in the choice of heads."
    )
    if n["untested"]:
        st.caption(
            f"Left out: {plain(', '.join(n['untested']))}. The model knows one fact of each, which "
            "cannot both choose the heads and test them."
        )
    if "effects" in result.tables:
        left, right = st.columns(2, gap="medium")
        with left:
            by_kind(result.tables["effects"])
        with right:
            by_chance(result.tables["beside_random"])
    with st.expander("The heads"):
        exports.listed(result.tables["heads"])


def by_kind(table: pd.DataFrame) -> None:
    """What the heads of each kind do to each kind."""
    table = table.assign(relative=table["after"] / table["before"] - 1)
    order = list(dict.fromkeys(table["off"]))
    square = table.pivot(index="off", columns="relation", values="relative").loc[order, order]
    st.markdown("**The heads of the kind on the left** are off.")
    exports.chart(
        matrix(square, "change", signed=True, percent=True),
        table,
        "kinds_heads_own",
        "Heatmap: change of probability of each kind's facts when heads are off.",
    )


def by_chance(table: pd.DataFrame) -> None:
    """What the heads of each kind do to its own facts, beyond random heads."""
    enough = table["facts"] >= FEWEST
    clear = table[enough & (table["difference_high"] < 0) & (table["p"] <= 0.05)]["relation"]
    st.markdown(
        f"**Beside random heads** of the same layers ({RANDOM_SETS} sets), on facts of the kind."
    )
    names = {"difference_low": "low", "difference_high": "high"}
    exports.chart(
        differences(
            table.assign(name=table["relation"]).rename(columns=names),
            "probability left, less than with random heads",
            "+.1%",
        ),
        table,
        "kinds_heads_random",
        "Marks with intervals: what a kind's heads take from its facts beyond random heads.",
    )
    words = f"clearly more for {', '.join(clear)}" if len(clear) else "clearly more for no kind"
    rest = [
        f"{row.relation}: {row.difference:+.1%} ({_certainty(row)})" for row in table.itertuples()
    ]
    st.caption(plain(f"A kind's heads take {words}. {'; '.join(rest)}."))


def _certainty(row: Any) -> str:
    """What a difference rests on: it needs several facts, however rare it is among random sets."""
    facts = f"{row.facts} {'fact' if row.facts == 1 else 'facts'}"
    if row.facts < FEWEST:
        return f"{facts}: too few to tell"
    low, high = row.difference_low, row.difference_high
    return f"{low:+.1%} to {high:+.1%}, p = {row.p:.2g}, {facts}"
