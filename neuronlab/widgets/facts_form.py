"""Which facts a model is asked: a built-in set, or a person's own file."""

from __future__ import annotations

from collections import Counter
from typing import Any

import streamlit as st

from neuronlab.errors import UserError
from neuronlab.facts import (
    MAX_BYTES,
    MAX_FACTS,
    SETS,
    Contents,
    Fact,
    Facts,
    list_facts,
    read_facts,
)
from neuronlab.models import Model
from neuronlab.studies.bases.over_facts import MAX_ASKED, OWN
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
    if model.kind not in ("classifier", "encoder") and model.alphabet == "text":
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
    fields = {"facts": chosen, "per_relation": _limit(chosen, count)}
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
    uploaded = own_facts()
    return fields | {"own": uploaded} if uploaded else None


def _limit(facts: str, count: int) -> int | None:
    """How many facts of a kind are drawn; None where that is all: one question has one key."""
    if facts == OWN:
        return count or None
    most = max(Counter(fact.relation for fact in SETS[facts].facts()).values())
    return count if 0 < count < most else None


def notes(numbers: dict[str, Any]) -> None:
    """What was left out of a result, and what is scored where an answer is more than one token."""
    remarks = [numbers["left_out"]]
    count = numbers["first_tokens"]
    if count:
        what = "1 answer is" if count == 1 else f"{count} answers are"
        remarks.append(f"{what} scored by the first of several tokens.")
    if any(remarks):
        st.caption(plain(" ".join(filter(None, remarks))))


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
    ids = tuple((file.name, file.file_id) for file in files)
    try:
        prompts = _list(ids, files).prompts
        languages, relations = _choice(prompts)
        if not (languages and relations):
            st.info("Choose a language and a kind.", icon=":material/info:")
            return ()
        upload = _read(ids, files, languages, relations)
    except UserError as error:
        complain(str(error))
        return ()
    kinds = {fact.relation for fact in upload.facts}
    st.caption(
        plain(f"Prompts: {len(upload.facts):,}; kinds: {len(kinds)}. {upload.note}".rstrip())
    )
    return tuple(upload.facts)


def _choice(prompts: dict[tuple[str, str], int]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The languages and relations that are to be read, of those an upload has."""
    languages = list(dict.fromkeys(language for language, _ in prompts))
    if len(languages) > 1:
        first = languages
        if len(languages) > len(LANGUAGES):
            first = [each for each in languages if each in LANGUAGES] or languages[:1]
        languages = st.multiselect(
            "Languages",
            languages,
            first,
            format_func=language_name,
            key=f"facts_languages_{hash(tuple(languages))}",
        )
    counts: Counter[str] = Counter()
    for (language, relation), count in prompts.items():
        if language in languages:
            counts[relation] += count
    kinds = list(counts)
    if len(kinds) > 1:
        kinds = st.multiselect(
            "Kinds",
            kinds,
            _that_fit(counts),
            format_func=lambda relation: f"{relation} ({counts[relation]:,})",
            key=f"facts_kinds_{hash(tuple(counts))}",
            help=f"Of more than {MAX_ASKED:,} prompts so many are drawn at random, of each kind "
            "alike.",
        )
    return tuple(languages), tuple(kinds)


@st.cache_data(max_entries=4, show_spinner="Looking what there is")
def _list(ids: tuple, _files: list) -> Contents:
    return list_facts({file.name: file.getvalue() for file in _files})


@st.cache_data(max_entries=4, show_spinner="Reading")
def _read(
    ids: tuple, _files: list, languages: tuple[str, ...], relations: tuple[str, ...]
) -> Facts:
    return read_facts(
        {file.name: file.getvalue() for file in _files},
        languages=languages,
        relations=relations,
        most=MAX_ASKED,
    )


def _that_fit(counts: Counter[str]) -> list[str]:
    """The first kinds that are read together."""
    kept, total = [], 0
    for relation, count in counts.items():
        total += count
        if total <= MAX_FACTS:
            kept.append(relation)
    return kept
