"""Which facts a model is asked: a built-in set, or a person's own file."""

from __future__ import annotations

from collections import Counter
from typing import Any

import streamlit as st

from neuronlab.attribution.estimate import duration
from neuronlab.errors import UserError
from neuronlab.facts import MAX_BYTES, SETS, Fact, Facts, read_facts
from neuronlab.models import Model
from neuronlab.runs import Spec
from neuronlab.studies import STUDIES
from neuronlab.studies.over_facts import MAX_ASKED, OWN
from neuronlab.widgets import model_fetch, services, state
from neuronlab.widgets.guard import complain, plain

# By code; what is not here is called by its code.
LANGUAGES = {
    "en": "English",
    "zh": "Chinese",
    "ja": "Japanese",
    "fr": "French",
    "es": "Spanish",
    "de": "German",
}
_EXAMPLE = (
    "prompt,answer,relation,language,fact\n"
    "The capital of France is,Paris,capital,en,france\n"
    "La capitale de la France est,Paris,capital,fr,france\n"
    "The capital of Japan is,Tokyo,capital,en,japan\n"
    "La capitale du Japon est,Tokyo,capital,fr,japan\n"
    "The color of the sky is,blue,color,en,sky\n"
    "La couleur du ciel est le,bleu,color,fr,sky\n"
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


def language_name(code: str) -> str:
    """A language as a person reads it."""
    return LANGUAGES.get(code, code)


def draw(
    study: str, facts: str, per_relation: int | None, *, filters: bool = True
) -> dict[str, Any] | None:
    """The fields of a ``FactsSpec``, or None with a message where there are no facts yet.

    Args:
        study: whose form it is; each keeps its own choices.
        facts, per_relation: what the form begins with.
        filters: whether facts can be left out that the model does not know.
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
    fields = {"facts": chosen, "per_relation": count or None}
    if filters:
        fields["filtered"] = third.toggle(
            "Only facts the model knows",
            True,
            key=f"facts_filtered_{study}",
            help="The right answer is among the model's first ten choices and above the answers of "
            "the other facts of its kind, as in arXiv 2312.12141.",
            persist_state="session",
        )
    if chosen != OWN:
        st.caption(plain(SETS[chosen].what))
        return fields
    own = own_facts()
    return fields | {"own": own} if own else None


def cost(model: Model, spec: Spec) -> str:
    """What a run will take, at most."""
    study = STUDIES[spec.study]
    return f"At most {duration(study.seconds(model, spec))}; finished facts are kept."


def notes(numbers: dict[str, Any]) -> None:
    """What was left out of a result, and what is scored where an answer is more than one token."""
    said = [numbers["left_out"]]
    count = numbers["first_tokens"]
    if count:
        what = "1 answer is" if count == 1 else f"{count} answers are"
        said.append(f"{what} scored by the first of several tokens.")
    if any(said):
        st.caption(plain(" ".join(filter(None, said))))


def own_facts() -> tuple[Fact, ...]:
    """The facts of the uploaded files; none with a message where they cannot be read."""
    folder = st.toggle("Upload a folder, such as mLAMA's", key="facts_folder")
    files = st.file_uploader(
        "A folder with one folder for each language"
        if folder
        else "LAMA, ParaRel, mLAMA, "
        "mParaRel (zip), or a table with the columns prompt and answer, and relation, language and "
        "fact if wanted",
        type=["csv", "tsv", "txt", "jsonl", "json", "zip"],
        accept_multiple_files="directory" if folder else True,
        max_upload_size=MAX_BYTES // 1_000_000,
        key=f"facts_files_{folder}",
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
        found = _read(tuple((file.name, file.file_id) for file in files), files)
    except UserError as error:
        complain(str(error))
        return ()
    counts = Counter(fact.relation for fact in found.facts)
    st.caption(plain(f"Prompts: {len(found.facts):,}; kinds: {len(counts)}. {found.note}".rstrip()))
    kept = found.facts
    if len(counts) > 1:
        chosen = st.multiselect(
            "Kinds",
            list(counts),
            _that_fit(counts),
            format_func=lambda relation: f"{relation} ({counts[relation]:,})",
            key=f"facts_kinds_{hash(tuple(counts))}",
        )
        kept = [fact for fact in kept if fact.relation in chosen]
    if len(kept) > MAX_ASKED:
        complain(f"These are {len(kept):,} prompts and a run takes {MAX_ASKED:,}: choose fewer.")
        return ()
    return tuple(kept)


@st.cache_data(max_entries=4, show_spinner="Reading")
def _read(ids: tuple, _files: list) -> Facts:
    return read_facts({file.name: file.getvalue() for file in _files})


def _that_fit(counts: Counter[str]) -> list[str]:
    """The first kinds that a run takes together."""
    kept, total = [], 0
    for relation, count in counts.items():
        total += count
        if total <= MAX_ASKED:
            kept.append(relation)
    return kept
