"""Where each kind of knowledge lives, and whether its neurons stay when the words change."""

from typing import Any

import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.circuit import matrix
from neuronlab.figures.comparison import overlap_bars
from neuronlab.figures.differences import differences
from neuronlab.models import Model
from neuronlab.models.catalogue import CATALOGUE, entry
from neuronlab.runs import Result, Spec
from neuronlab.statistics import FEWEST
from neuronlab.studies import KnowledgeTypesSpec, StabilitySpec
from neuronlab.studies.examples import small
from neuronlab.studies.knowledge_types import HEADS, RANDOM_SETS, SHARED
from neuronlab.studies.stability import PAIRS
from neuronlab.widgets import exports, facts_form, model_fetch, services, shown, state
from neuronlab.widgets.guard import guard, plain
from neuronlab.widgets.page import header

HOW_TO_READ = """
**Kinds of knowledge.** For every fact: how much each layer's attention and FFN raises the right
answer's log-probability (value layers), which layers make the best value neurons fire (query
layers), and the best 300 neurons. Facts of a kind are then compared: do they use the same layers,
the same neurons, the same heads? The heads of a kind are chosen on every second fact and switched
off on the others, so that no fact chooses what it is tested with; a kind of which the model knows
one fact is left out of this. They are said to matter more than random heads of the same layers
only where the difference is clear over facts (its 95 % interval is below 0) and nearly no random
set does as much (p is at most .05).

**Stability.** The same fact in other words should use the same neurons. The overlap of the best
neurons (Jaccard index: shared, over all of both) is shown beside pairs that have less in common:
another fact of the kind, a fact of another kind. With another model of the same family, the same
prompts are compared across both. Intervals are over facts: more wordings of a fact make none
narrower.

**Caveats.** A small model knows few numbers and months; a kind with few facts has noisy means.
Neurons of two models are comparable one by one only where one was trained from the other.
"""
VIEWS = {"knowledge_types": "Kinds of knowledge", "stability": "Stability"}


def main() -> None:
    header(
        "Where does each kind of knowledge live?",
        "Layers, neurons and heads of six kinds of facts, and whether they stay the same.",
        "After arXiv 2312.12141.",
        HOW_TO_READ,
        (
            "Value neuron",
            "Query neuron",
            "Jaccard index",
            "Matched random set",
            "Bootstrap interval",
        ),
    )
    model = facts_form.language_model()
    if model is None:
        return
    view = shown.view(VIEWS)
    fields = facts_form.draw(view, "knowledge_types", None if view == "knowledge_types" else 6)
    spec: Spec | None = None
    if view == "stability":
        other = other_model(model)
        if fields is not None:
            named = {} if other is None else {"other": other.name, "other_revision": other.revision}
            spec = StabilitySpec(model=model.name, revision=model.revision, **named, **fields)
    elif fields is not None:
        spec = KnowledgeTypesSpec(model=model.name, revision=model.revision, **fields)
    shown.run_button(spec, lambda: facts_form.cost(model, spec))
    found = shown.finished(view, model.name, spec, small(model.name, model.revision, view))
    if found is not None:
        with guard():
            (stability if view == "stability" else kinds)(*found)


def other_model(model: Model) -> Model | None:
    """A second model that the same prompts are asked of."""
    known = [c.name for c in CATALOGUE if c.kind in ("causal", "masked") and c.name != model.name]
    known = [name for name in known if entry(name).alphabet == "text"]
    chosen = st.selectbox(
        "Compare with",
        known,
        index=None,
        placeholder="no other model",
        key=f"other_{model.name}",
        accept_new_options=True,
        help="A model of the same family, for example a tuned version: a name of the list, a hub "
        "id or a folder.",
    )
    if not chosen or not model_fetch.ready(chosen):
        return None
    other = services.model(chosen, state.device())
    if other.kind == "classifier" or other.alphabet != "text":
        st.info(f"{plain(other.title)} does not continue text: it is left out.")
        return None
    return other


def kinds(spec: KnowledgeTypesSpec, result: Result) -> None:
    """Layers, neurons and heads per kind of knowledge."""
    n = result.numbers
    counts = ", ".join(f"{count} {name}" for name, count in n["per_type"].items())
    st.markdown(f"**{n['facts']} facts**: {plain(counts)}. {plain(n['left_out'])}")
    st.subheader("Value layers")
    part = st.segmented_control(
        "Part",
        ["attention", "ffn"],
        default="attention",
        key="value_part",
        required=True,
        format_func={"attention": "Attention", "ffn": "FFN"}.get,
        label_visibility="collapsed",
    )
    table = result.tables["value_layers"]
    own = table[table["part"] == part].pivot(index="relation", columns="layer", values="score")
    exports.chart(
        matrix(own.loc[list(n["per_type"])], "increase", signed=True),
        table,
        "kinds_value_layers",
        "Heatmap of kinds of knowledge by layers: mean log-probability increase.",
    )
    st.subheader("Query layers")
    left, right = st.columns(2)
    of = left.segmented_control(
        "Who wakes the",
        ["attention", "ffn"],
        default="attention",
        key="kinds_of",
        required=True,
        format_func={"attention": "attention value neurons", "ffn": "FFN value neurons"}.get,
    )
    by = right.segmented_control(
        "Share of",
        ["attention", "ffn"],
        default="ffn",
        key="kinds_by",
        required=True,
        format_func={"attention": "Attention", "ffn": "FFN"}.get,
    )
    table = result.tables["query_layers"]
    own = table[(table["of"] == of) & (table["part"] == by)]
    own = own.pivot(index="relation", columns="layer", values="score")
    exports.chart(
        matrix(own.loc[list(n["per_type"])], "query score", signed=True),
        table,
        "kinds_query_layers",
        "Heatmap of kinds of knowledge by layers: mean query score.",
    )
    st.subheader("Shared neurons")
    shared_neurons(result)
    st.subheader("Heads")
    heads(result)
    exports.share(spec.key, study_python(spec), study_command(spec))


def shared_neurons(result: Result) -> None:
    """How much the best neurons of two facts have in common."""
    table = result.tables["overlap"]
    names = list(dict.fromkeys(table["neurons"]))
    kind = st.segmented_control(
        "Neurons",
        names,
        default=names[0],
        key="kinds_neurons",
        required=True,
        label_visibility="collapsed",
    )
    own = table[table["neurons"] == kind]
    order = list(result.numbers["per_type"])
    left, right = st.columns([3, 2], gap="medium")
    with left:
        square = own.pivot(index="relation", columns="other", values="overlap").loc[order, order]
        st.markdown(f"**Overlap of the best {SHARED}** of two different facts, on average.")
        exports.chart(
            matrix(square, "shared", percent=True),
            own,
            "kinds_overlap",
            "Heatmap: mean share of the best neurons that facts of two kinds have in common.",
        )
        st.caption(f"By chance it would be {own['chance'].iloc[0]:.1%}.")
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
        st.dataframe(result.tables["heads"], hide_index=True)


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
        f"{row.relation}: {row.difference:+.1%}, {_interval(row)}, p = {row.p:.2f}, {row.facts} "
        f"{'fact' if row.facts == 1 else 'facts'}"
        for row in table.itertuples()
    ]
    st.caption(plain(f"A kind's heads take {words}. {'; '.join(rest)}."))


def _interval(row: Any) -> str:
    low, high = row.difference_low, row.difference_high
    return f"{low:+.1%} to {high:+.1%}" if low <= high else "no interval"


def stability(spec: StabilitySpec, result: Result) -> None:
    """Overlap between wordings, facts and models."""
    n = result.numbers
    table = result.tables["overlap"]
    st.markdown(f"**{n['facts']} facts in {n['prompts']} wordings**. {plain(n['left_out'])}")
    if spec.other and not n["comparable"]:
        st.info(
            "The two models have different shapes, so their neurons cannot be compared one by "
            f"one. How the best hundred spread over the depth: r = {n['profile_correlation']:.2f}.",
            icon=":material/info:",
        )
    exports.chart(
        overlap_bars(table, PAIRS),
        table,
        "stability",
        "Bars: overlap of the best FFN neurons of two prompts, by what the prompts share.",
    )
    words = [
        f"{PAIRS[row.pair]}: {row.jaccard:.2f}"
        + (
            f" ({row.jaccard_low:.2f} to {row.jaccard_high:.2f})"
            if row.jaccard_low <= row.jaccard_high
            else " (too few facts for an interval)"
        )
        for row in table[table["k"] == table["k"].min()].itertuples()
    ]
    st.caption(
        f"Jaccard index of the best {table['k'].min()} of two prompts, with 95 % intervals over "
        f"facts: {'; '.join(words)}."
    )
    with st.expander("The prompts"):
        st.dataframe(pd.DataFrame(result.tables["facts"]), hide_index=True, height=260)
    exports.share(spec.key, study_python(spec), study_command(spec))


main()
