"""Which facts a model is asked: a built-in set, or a person's own file."""

from __future__ import annotations

from typing import Any

import streamlit as st

from neuronlab.attribution.estimate import duration
from neuronlab.errors import UserError
from neuronlab.facts import MAX_BYTES, SETS, Fact, read_facts
from neuronlab.models import Model
from neuronlab.studies import STUDIES
from neuronlab.studies.over_facts import OWN, FactsSpec
from neuronlab.widgets import model_fetch, services, state
from neuronlab.widgets.guard import complain, plain

_EXAMPLE = (
    "prompt,answer,relation\n"
    "The capital of France is,Paris,capital\n"
    "The capital of Japan is,Tokyo,capital\n"
    "The color of the sky is,blue,color\n"
)


def language_model(hint: str = "") -> Model | None:
    """The chosen model, or None with a message where it does not continue text.

    Args:
        hint: more words on what to choose.
    """
    if not model_fetch.ready(state.model_name()):
        return None
    model = services.model(state.model_name(), state.device())
    if model.kind != "classifier" and model.alphabet == "text":
        return model
    st.info(
        "This page asks for facts in words: choose a language model in the sidebar." + hint,
        icon=":material/info:",
    )
    return None


def draw(study: str, facts: str, per_relation: int | None) -> dict[str, Any] | None:
    """The fields of a ``FactsSpec``, or None with a message where there are no facts yet.

    Args:
        study: whose form it is; each keeps its own choices.
        facts, per_relation: what the form begins with.
    """
    names = [*SETS, OWN]
    first, second, third = st.columns([2, 1, 1.4], vertical_alignment="bottom")
    with first:
        chosen = st.selectbox(
            "Facts",
            names,
            index=names.index(facts),
            format_func=lambda n: "A file of yours" if n == OWN else SETS[n].title,
            key=f"facts_set_{study}",
            persist_state="session",
        )
    with second:
        count = st.number_input(
            "At most per kind",
            0,
            1000,
            per_relation or 0,
            key=f"facts_count_{study}",
            help="Of each kind (capital, language, …), drawn at random; 0 takes all.",
            persist_state="session",
        )
    with third:
        filtered = st.toggle(
            "Only facts the model knows",
            True,
            key=f"facts_filtered_{study}",
            help="The right answer is among the model's first ten choices and above the answers of "
            "the other facts of its kind, as in arXiv 2312.12141.",
            persist_state="session",
        )
    fields = {"facts": chosen, "per_relation": count or None, "filtered": filtered}
    if chosen != OWN:
        st.caption(plain(SETS[chosen].what))
        return fields
    own = own_facts()
    return fields | {"own": own} if own else None


def cost(model: Model, spec: FactsSpec) -> str:
    """What a run will take, at most."""
    study = STUDIES[spec.study]
    return f"At most {duration(study.seconds(model, spec))}; finished facts are kept."


def own_facts() -> tuple[Fact, ...]:
    """The facts of the uploaded files; none with a message where they cannot be read."""
    files = st.file_uploader(
        "LAMA, ParaRel (zip of patterns and vocabulary), or a table with the columns prompt and "
        "answer, and relation if wanted",
        type=["csv", "tsv", "txt", "jsonl", "json", "zip"],
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES // 1_000_000,
        key="facts_files",
    )
    if not files:
        st.download_button(
            "A table to start from (CSV)",
            _EXAMPLE,
            "facts.csv",
            "text/csv",
            on_click="ignore",
            type="tertiary",
            icon=":material/download:",
        )
        return ()
    try:
        found = read_facts({file.name: file.getvalue() for file in files})
    except UserError as error:
        complain(str(error))
        return ()
    kinds = {fact.relation for fact in found.facts}
    st.caption(plain(f"Prompts: {len(found.facts):,}; kinds: {len(kinds)}. {found.note}".rstrip()))
    return tuple(found.facts)
