"""A claim that someone types, checked by the neurons that a run of fact-checking found."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from neuronlab.attribution.request import Variant
from neuronlab.facts.checking import DEGENERATE, KNOWLEDGE, PROBABILITY, SCORERS
from neuronlab.figures.charts import visible
from neuronlab.models import Model
from neuronlab.neurons import Neuron, NeuronSet
from neuronlab.neurons.effect import percent
from neuronlab.runs import Result
from neuronlab.studies.bases.claims import check
from neuronlab.studies.fact_checking import FactCheckingSpec
from neuronlab.widgets import exports
from neuronlab.widgets.guard import complain, guard, plain

_AS_IT_READS = "as the claim reads"
# From such a share of common words on a claim reads like a fact.
_ALIKE = 0.5
# Of fewer held-out facts people are told that they are few.
_MANY = 10
_JUDGES = (DEGENERATE, KNOWLEDGE, PROBABILITY)


def draw(model: Model, spec: FactCheckingSpec, result: Result) -> None:
    """The box, and what the neurons and the model's own probability say to it."""
    st.markdown("## Check a claim")
    example = _example(spec, result)
    with st.form("claim_form", border=True):
        first, second, third = st.columns([3, 1.4, 2.4])
        text = first.text_input("Claim, up to its answer", example[0], max_chars=2_000)
        claimed = second.text_input("Answer claimed", example[1], max_chars=100)
        others = third.text_input(
            "Alternatives, with commas between them", ", ".join(example[2]), max_chars=400
        )
        with st.container(horizontal=True, vertical_alignment="bottom"):
            relation = st.selectbox(
                "Kind of fact",
                [_AS_IT_READS, *result.tables["neurons"]["relation"].unique()],
                format_func=lambda name: name.replace("_", " "),
                help="Whose neurons judge it. Of another kind than theirs they know nothing.",
                width=260,
            )
            pressed = st.form_submit_button("Check", type="primary", icon=":material/fact_check:")
    if pressed:
        st.session_state["claim"] = spec.key, text, claimed, others, relation
    key, *asked = st.session_state.get("claim", ("",))
    if key == spec.key:
        with guard():
            _answer(model, spec, result, *asked)


def _answer(
    model: Model,
    spec: FactCheckingSpec,
    result: Result,
    text: str,
    claimed: str,
    others: str,
    relation: str,
) -> None:
    if spec.two_shot:
        complain("These neurons were found behind two solved examples: run it without them.")
        return
    if not text.strip() or not claimed.strip():
        complain("Type a claim up to its answer, and the answer that is claimed.")
        return
    candidates = (claimed, *(answer.strip() for answer in others.split(",") if answer.strip()))
    if len(candidates) < 2:
        complain("Name at least one alternative: a claim is true only beside others.")
        return
    nearest, alike = _nearest(spec, text)
    relation = nearest if relation == _AS_IT_READS else relation
    if alike < _ALIKE or relation != nearest:
        st.warning(
            f"This does not read like the facts of the kind {plain(relation.replace('_', ' '))}, "
            "whose neurons judge it: they say little here.",
            icon=":material/warning:",
        )
    joiner = spec.pool()[0].joiner
    neurons = tuple((kind, tuple(_neurons(result, relation, kind))) for kind in _JUDGES[:2])
    table = _checked(
        model, model.name, model.revision, text, candidates, neurons, joiner, spec.method,
        spec.variant,
    )  # fmt: skip
    st.markdown(verdict(table, result, relation))
    exports.listed(
        table.rename(columns={name: SCORERS[name] for name in _JUDGES if name in table}).assign(
            token=[visible(token) for token in table["token"]]
        )
    )
    exports.tables(table, "claim")
    if not table["whole"].all():
        st.caption("Where `whole` is not ticked, an answer is judged by its first token alone.")


def verdict(table: pd.DataFrame, result: Result, relation: str) -> str:
    """True or false, by each judge, and how often that judge was right on facts it had not seen."""
    claimed = table["candidate"][0]
    of_relation = result.tables["by_relation"].query("relation == @relation").set_index("scorer")
    candidates = result.tables["candidates"].query("test and relation == @relation")
    count = candidates["fact"].nunique()
    few = ", which are few" if count < _MANY else ""
    lines = []
    for judge in _JUDGES:
        if judge not in table:
            continue
        best = table.loc[table[judge].idxmax()]
        true = best["candidate"] == claimed
        right = f"{of_relation.loc[judge, 'accuracy'] * count:.3g} of {count} held-out facts"
        instead = "" if true else f": they would say {plain(best['candidate'])}"
        if judge == PROBABILITY:
            instead = "" if true else f": the model would say {plain(best['candidate'])}"
            words = f"The model's own probability ({percent(table[PROBABILITY][0])})"
        else:
            words = SCORERS[judge]
        called = ":green[**true**]" if true else ":red[**false**]"
        lines.append(f"- {words}: {called}{instead}. Right about {right} of the kind{few}.")
    kind = plain(relation.replace("_", " "))
    return (
        f"**{plain(claimed)}**, among these candidates alone, by the neurons of the kind {kind}:"
        "\n\n" + "\n".join(lines)
    )


@st.cache_data(max_entries=64, show_spinner="Asking the neurons")
def _checked(
    _model: Model,
    name: str,
    revision: str,
    text: str,
    candidates: tuple[str, ...],
    neurons: tuple,
    joiner: str,
    method: str,
    variant: Variant,
) -> pd.DataFrame:
    sets = {kind: NeuronSet(of_kind) for kind, of_kind in neurons if of_kind}
    return check(_model, text, candidates, sets, joiner=joiner, method=method, variant=variant)


def _nearest(spec: FactCheckingSpec, text: str) -> tuple[str, float]:
    """The kind of facts that a claim reads like most, and the share of words that they share."""
    asked = set(text.lower().split())
    shares = {fact.relation: 0.0 for fact in spec.chosen()}
    for fact in spec.chosen():
        words = set(fact.prompt.lower().split())
        share = len(asked & words) / len(asked | words)
        shares[fact.relation] = max(shares[fact.relation], share)
    nearest = max(shares, key=shares.__getitem__)
    return nearest, shares[nearest]


def _neurons(result: Result, relation: str, kind: str) -> list[Neuron]:
    table = result.tables["neurons"]
    rows = table[(table["relation"] == relation) & (table["kind"] == kind)]
    return [Neuron(int(row.layer), "ffn", int(row.neuron)) for row in rows.itertuples()]


def _example(spec: FactCheckingSpec, result: Result) -> tuple[str, str, list[str]]:
    """A held-out fact of the first relation, with another one's answer claimed."""
    facts, table = spec.chosen(), result.tables["candidates"]
    relation = result.tables["neurons"]["relation"].iloc[0]
    tested = table[table["test"] & (table["relation"] == relation)]
    for at, rows in tested.groupby("fact", sort=False):
        label = {bool(row.true): row.candidate.strip() for row in rows.itertuples()}
        if label.keys() == {True, False} and label[True] in facts[at].answers:  # all of it
            return facts[at].prompt, label[False], [label[True]]
    return "", "", []
