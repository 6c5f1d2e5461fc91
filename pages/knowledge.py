"""Where each kind of knowledge lives, and whether its neurons stay when the words change."""

import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.circuit import matrix
from neuronlab.figures.comparison import overlap_bars
from neuronlab.models import Model
from neuronlab.models.catalogue import CATALOGUE, entry
from neuronlab.runs import Result, Spec
from neuronlab.studies import KnowledgeTypesSpec, StabilitySpec
from neuronlab.studies.examples import small
from neuronlab.studies.knowledge_types import HEADS, SHARED
from neuronlab.studies.stability import PAIRS
from neuronlab.widgets import exports, facts_form, model_fetch, services, shown, state
from neuronlab.widgets.guard import guard, plain
from neuronlab.widgets.page import header

HOW_TO_READ = """
**Kinds of knowledge.** For every fact: how much each layer's attention and FFN raises the right
answer's log-probability (value layers), which layers make the best value neurons fire (query
layers), and the best 300 neurons. Facts of a kind are then compared: do they use the same layers,
the same neurons, the same heads? The heads of a kind are chosen on every second fact and switched
off on the others, so that no fact chooses what it is tested with.

**Stability.** The same fact in other words should use the same neurons. The overlap of the best
neurons (Jaccard index: shared, over all of both) is shown beside pairs that have less in common:
another fact of the kind, a fact of another kind. With another model of the same family, the same
prompts are compared across both.

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
        ("Value neuron", "Query neuron", "Jaccard index", "Matched random set"),
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
    table = result.tables["effects"]
    table = table.assign(change=table["after"] / table["before"] - 1)
    order = list(n["per_type"])
    columns = st.columns(2, gap="medium")
    for column, control, title in zip(
        columns,
        (False, True),
        ("The heads of the kind on the left", "Random heads of the same layers"),
        strict=True,
    ):
        with column:
            own = table[table["control"] == control]
            if control:
                own = own.groupby(["off", "relation"], as_index=False)["change"].mean()
            square = own.pivot(index="off", columns="relation", values="change").loc[order, order]
            st.markdown(f"**{title}** are off.")
            exports.chart(
                matrix(square, "change", signed=True, percent=True),
                own,
                f"kinds_heads_{'random' if control else 'own'}",
                "Heatmap: change of probability of each kind's facts when heads are off.",
            )
    with st.expander("The heads"):
        st.dataframe(result.tables["heads"], hide_index=True)


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
    means = table[table["k"] == table["k"].min()].set_index("pair")["jaccard"]
    words = [f"{PAIRS[pair]}: {value:.2f}" for pair, value in means.items()]
    st.caption(f"Jaccard index of the best {table['k'].min()} of two prompts: {'; '.join(words)}.")
    with st.expander("The prompts"):
        st.dataframe(pd.DataFrame(result.tables["facts"]), hide_index=True, height=260)
    exports.share(spec.key, study_python(spec), study_command(spec))


main()
