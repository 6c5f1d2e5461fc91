"""The form of both studies: facts and languages."""

from collections import Counter
from typing import Any

import streamlit as st

from neuronlab.facts import SETS, Fact
from neuronlab.facts.formats import UNSPACED
from neuronlab.models import Model
from neuronlab.models.catalogue import use_of
from neuronlab.studies import STUDIES
from neuronlab.studies.bases.in_languages import (
    LEAST,
    LanguagesSpec,
    default_taus,
)
from neuronlab.studies.bases.over_facts import OWN
from neuronlab.studies.language_independent import TAUS
from neuronlab.widgets import facts_form
from neuronlab.widgets.facts_form import language_name
from neuronlab.widgets.guard import complain

TYPED = "typed"
_BUILT_IN = "six_languages"


def form(model: Model, study: str) -> LanguagesSpec | None:
    """Facts and languages; for an edit also whose neurons."""
    which, count, filtered = choose_facts()
    facts = facts_form.own_facts() if which == OWN else ()
    if which == OWN and not facts:
        return None
    languages = choose_languages(model, facts)
    if languages is None:
        return None
    if which == TYPED:
        facts = typed(languages)
        if not facts:
            return None
    fields: dict[str, Any] = {"facts": OWN, "own": facts}
    if not facts:
        two_shot = st.toggle("Two solved examples first", True, key="languages_two_shot")
        fields = {"facts": _BUILT_IN, "fact": which, "two_shot": two_shot}
    wordings = Counter((fact.relation, fact.name, fact.language) for fact in facts)
    most = min(max(wordings.values(), default=1), 20)
    if most > 1:
        fields["wordings"] = st.number_input(
            "Wordings of each fact",
            1,
            most,
            1,
            key="languages_wordings",
            help="In how many ways a fact is asked. With several, a neuron counts as much as it "
            "does in 70 % of them.",
        )
    if study == "cross_lingual_editing":
        moved, published = thresholds_of(languages), default_taus(languages)
        fields["taus"] = {k: tau for k, tau in moved.items() if tau != published[k]}
    return STUDIES[study].spec_type(
        model=model.name,
        revision=model.revision,
        languages=languages,
        filtered=filtered,
        per_relation=count,
        **fields,
    )


def choose_facts() -> tuple[str | None, int | None, bool]:
    """Which fact (``TYPED``, ``OWN``, None for all), how many of a kind, and whether only those
    that the model knows.
    """
    left, middle, right = st.columns([2, 1, 1.4], vertical_alignment="bottom")
    names = [fact.name for fact in SETS[_BUILT_IN].facts()]
    words = {None: "All 75 facts", TYPED: "Type one in each language", OWN: "A file of yours"}
    which = left.selectbox(
        "Fact",
        [TYPED, OWN, None, *names],
        index=names.index("capital/france") + 3,
        format_func=lambda name: words.get(name, name),
        key="languages_fact",
        persist_state="session",
    )
    several = which in (None, OWN)
    count = middle.number_input(
        "At most per kind",
        0,
        1000,
        0,
        key="languages_count",
        help="The first of each kind (capital, language, …); 0 takes all.",
        disabled=not several,
        persist_state="session",
    )
    filtered = right.toggle(
        "Only facts the model knows",
        several,
        key=f"languages_filtered_{several}",
        help="In every language the right answer is among the model's first ten choices.",
    )
    return which, (count or None) if several else None, filtered


def choose_languages(model: Model, facts: tuple[Fact, ...]) -> tuple[str, ...] | None:
    """Two to six languages of those there are; None with a message where they are not chosen."""
    offered = SETS[_BUILT_IN].languages
    first = use_of(model.name).example_languages
    if facts:
        offered = tuple(dict.fromkeys(fact.language for fact in facts))
        first = offered[:2]
    if len(offered) < 2:
        complain(
            f"All these facts are in one language ({offered[0]}): give each row its language, and "
            "the same fact the same name."
        )
        return None
    chosen = st.pills(
        "Languages",
        offered,
        selection_mode="multi",
        default=list(first),
        format_func=language_name,
        key=f"languages_{model.name}" + ("_" + "_".join(offered) if facts else ""),
        wrap=True,
        persist_state="session",
    )
    if not 2 <= len(chosen) <= 6:
        complain("Choose at least two languages." if len(chosen) < 2 else "Six is the most.")
        return None
    return tuple(chosen)


def thresholds_of(languages: tuple[str, ...]) -> dict[str, float]:
    """A slider for each language's threshold."""
    return {
        language: column.slider(
            f"τ {language_name(language)}",
            LEAST,
            TAUS[-1],
            tau,
            0.01,
            key=f"tau_{language}",
            persist_state="session",
        )
        for column, (language, tau) in zip(
            st.columns(len(languages)), default_taus(languages).items(), strict=True
        )
    }


def typed(languages: tuple[str, ...]) -> tuple[Fact, ...]:
    """A fact put in by hand; none with a message where something is missing."""
    facts = []
    for language in languages:
        left, right = st.columns([3, 1])
        name = language_name(language)
        prompt = left.text_input(f"Prompt, {name}", key=f"typed_prompt_{language}")
        answer = right.text_input(f"Answer, {name}", key=f"typed_answer_{language}")
        if prompt.strip() and answer.strip():
            joiner = "" if language in UNSPACED else " "
            facts.append(
                Fact(prompt.strip(), (answer.strip(),), "typed", "typed", language, joiner)
            )
    if len(facts) < len(languages):
        st.caption("Fill in prompt and answer in every language.")
        return ()
    return tuple(facts)
