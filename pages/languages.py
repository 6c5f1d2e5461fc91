"""One fact, many languages: the neurons it rests on in all of them (arXiv 2308.13198)."""

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.errors import UserError
from neuronlab.facts import SETS, Fact
from neuronlab.facts.asking import answered, ask, prompt_text
from neuronlab.facts.readers import UNSPACED
from neuronlab.figures.charts import visible
from neuronlab.figures.languages import exclusive, layer_counts, set_bars, thresholds
from neuronlab.models import Model, Prompt
from neuronlab.neurons import Effect, NeuronScores, NeuronSet, Suppress, effect
from neuronlab.neurons.effect import AS_ACTIVE, CONTROLS, RANDOM
from neuronlab.runs import Result
from neuronlab.studies import STUDIES, LanguageIndependentSpec
from neuronlab.studies.examples import in_languages
from neuronlab.studies.in_languages import (
    LEAST,
    Group,
    LanguagesSpec,
    common,
    default_taus,
    first_wording,
    neuron_set,
    select,
)
from neuronlab.studies.language_independent import TAUS, overlap
from neuronlab.studies.over_facts import OWN
from neuronlab.widgets import (
    editing,
    exports,
    facts_form,
    neuron_card,
    neuron_maps,
    shown,
)
from neuronlab.widgets.facts_form import language_name
from neuronlab.widgets.guard import complain, guard, plain
from neuronlab.widgets.page import header

HOW_TO_READ = r"""
The same fact is asked in several languages. In each, AMIG scores every FFN neuron: integrated
gradients from a baseline in which the prompt says as little as possible (the mean over prompts in
which one token is replaced by the mask or the end of text). A language's set holds the neurons
above $\tau$ times its highest score. **Language-independent** are those in the sets of all
languages.

A number of shared neurons means something only beside others: random sets of the same sizes and
layers; the English set of this fact with the Chinese set of *another* fact of the same relation;
and of another relation. What the last two share belongs to the relation, or to answering as such,
not to the fact.

**Edit in one, measure in all.** A language's neurons, the shared ones, or those of all languages
one after the other are switched off (× 0) or enhanced (× 2) at the predicted position. The change
of the right answer's probability is shown for the fact, for another fact of its relation and for
one of another relation, in every language, beside the same change of random neurons of the same
layers, and of random ones that are as active. The paper's **success rate** divides the mean change
of the facts by that of unrelated ones: look at both, since near a small number a ratio explodes.

**Caveats.** An answer of several tokens is scored by its first, which two languages may spell
alike. Small models know few facts in other languages: see the probabilities. The thresholds
published for BERT are .3 (English) and .2 (Chinese).
"""
VIEWS = {
    "language_independent": "Neurons in common",
    "cross_lingual_editing": "Edit in one, measure in all",
}
TYPED = "typed"


def main() -> None:
    header(
        "One fact, many languages",
        "Which neurons does a fact rest on in every language?",
        "After arXiv 2308.13198.",
        HOW_TO_READ,
        (
            "Language-independent neuron",
            "Matched random set",
            "Success rate",
            "Basket",
        ),
    )
    model = facts_form.language_model(" Gemma 3 knows several languages.")
    if model is None:
        return
    study = shown.view(VIEWS)
    spec = None
    try:
        spec = form(model, study)
        if spec is not None:
            spec.groups()
    except UserError as error:
        complain(str(error))
        spec = None
    shown.run_button(spec, lambda: facts_form.cost(model, spec))
    first = in_languages(model.name, model.revision, study)
    found = shown.finished(study, model.name, spec, first)
    if found is not None:
        with guard():
            if study == "cross_lingual_editing":
                editing.results(model, *found)
            else:
                results(model, *found)


def form(model: Model, study: str) -> LanguagesSpec | None:
    """Facts and languages; for an edit also whose neurons."""
    known = SETS["six_languages"]
    left, middle, right = st.columns([2, 1, 1.4], vertical_alignment="bottom")
    names = [fact.name for fact in known.facts()]
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
    own = facts_form.own_facts() if which == OWN else ()
    if which == OWN and not own:
        return None
    languages = choose_languages(model, own)
    if languages is None:
        return None
    if which == TYPED:
        own = typed(languages)
        if not own:
            return None
    fields: dict[str, Any] = {"facts": OWN, "own": own}
    if not own:
        two_shot = st.toggle("Two solved examples first", True, key="languages_two_shot")
        fields = {"facts": known.name, "fact": which, "two_shot": two_shot}
    wordings = Counter((fact.relation, fact.name, fact.language) for fact in own)
    most = min(max(wordings.values(), default=1), 20)
    if most > 1:
        fields["wordings"] = st.number_input(
            "Wordings of each fact",
            1,
            most,
            1,
            key="languages_wordings",
            help="With several, a neuron's share is the highest that 70 % of them reach.",
        )
    if study == "cross_lingual_editing":
        moved, published = thresholds_of(languages), default_taus(languages)
        fields["taus"] = {k: tau for k, tau in moved.items() if tau != published[k]}
    return STUDIES[study].spec_type(
        model=model.name,
        revision=model.revision,
        languages=languages,
        filtered=filtered,
        per_relation=(count or None) if several else None,
        **fields,
    )


def choose_languages(model: Model, own: tuple[Fact, ...]) -> tuple[str, ...] | None:
    """Two to six languages of those there are; None with a message where they are not chosen."""
    offered = SETS["six_languages"].languages
    first = in_languages(model.name, model.revision).languages
    if own:
        offered = tuple(dict.fromkeys(fact.language for fact in own))
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
        key=f"languages_{model.name}" + ("_" + "_".join(offered) if own else ""),
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


def results(model: Model, spec: LanguageIndependentSpec, result: Result) -> None:
    """Everything, at thresholds that are moved live."""
    n = result.numbers
    neurons, facts = result.tables["neurons"], result.tables["facts"]
    shape = n["layers"], n["size"]
    relations = dict(zip(facts["fact"], facts["relation"], strict=True))
    taus = thresholds_of(spec.languages)
    sets = select(neurons, taus)
    table = _overlap(spec.key, tuple(taus.items()), neurons, relations, spec.languages, shape)
    headline(spec, table, n)
    chosen = st.selectbox("Fact to look at", table["fact"], key=f"fact_of_{spec.key}")
    own = {language: sets[chosen, language] for language in spec.languages}
    shared = common(sets, spec.languages, [chosen] * len(spec.languages))
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**{plain(chosen)}**: neurons in exactly these languages' sets.")
        parts = exclusive(own)
        exports.chart(
            set_bars(parts, len(own)), parts, "sets", "Bars: sizes of the parts of the sets."
        )
        p = table.set_index("fact").loc[chosen]
        st.caption(
            f"{len(shared)} in all languages; random sets of the same sizes and layers share "
            f"{p['expected']:.2f} (p = {p['p']:.2g})."
        )
        if not shared:
            st.caption(plain(how_far(neurons, chosen, spec.languages)))
    with right:
        st.markdown("**In which layers**, on average over the facts.")
        counts = per_layer(sets, spec.languages, shape)
        exports.chart(
            layer_counts(counts),
            counts.reset_index(names="layer"),
            "languages_layers",
            "Bars per layer: neurons of each language and of the intersection.",
        )
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**How much depends on the threshold**, the same in all languages.")
        curve = result.tables["sensitivity"]
        exports.chart(
            thresholds(curve), curve, "thresholds", "Lines: neurons in common by threshold."
        )
    with right:
        st.markdown("**Fact by fact**.")
        st.dataframe(table, hide_index=True, height=min(38 + 35 * len(table), 250))
        exports.tables(facts.drop(columns="why", errors="ignore"), "asked", label="What was asked")
    one_fact(model, spec, result, chosen, shared)
    exports.share(spec.key, study_python(spec), study_command(spec))


@st.cache_data(max_entries=64, show_spinner=False)
def _overlap(
    key: str,
    taus: tuple,
    _neurons: pd.DataFrame,
    _relations: dict,
    _languages: tuple,
    _shape: tuple,
) -> pd.DataFrame:
    return overlap(select(_neurons, dict(taus)), _relations, _languages, _shape)


def headline(spec: LanguageIndependentSpec, table: pd.DataFrame, n: dict) -> None:
    """The result in a few words."""
    names = ", ".join(language_name(language) for language in spec.languages)
    text = (
        f"On {n['facts']} {'fact' if n['facts'] == 1 else 'facts'}, {plain(names)} share "
        f"**{table['shared'].mean():.1f} neurons a fact**; by chance it would be "
        f"{table['expected'].mean():.2f}."
    )
    if table["same_relation"].notna().any():
        text += (
            f" With another fact of the same relation: {table['same_relation'].mean():.1f}; of "
            f"another relation: {table['other_relation'].mean():.1f}."
        )
    empty = int((table["shared"] == 0).sum())
    st.markdown(text + (f" {empty} facts share none." if empty else ""))
    facts_form.notes(n)


def how_far(neurons: pd.DataFrame, fact: str, languages: tuple[str, ...]) -> str:
    """The neuron nearest to being shared, and the threshold that would let it in."""
    own = neurons[neurons["fact"] == fact]
    wide = own.pivot(index="place", columns="language", values="share").reindex(
        columns=list(languages)
    )
    best = wide.min(axis=1, skipna=False).dropna()
    if best.empty:
        return f"No neuron is above {LEAST} of the highest score in all languages."
    return (
        f"The nearest to it has {best.max():.2f} of the highest score where it is weakest: at a "
        "threshold below that it would be in."
    )


def per_layer(sets: dict, languages: tuple[str, ...], shape: tuple[int, int]) -> pd.DataFrame:
    """Mean number of neurons per layer: a column per language, and the intersection."""
    facts = list(dict.fromkeys(fact for fact, _ in sets))
    groups = {language: [sets[fact, language] for fact in facts] for language in languages}
    groups["shared"] = [common(sets, languages, [fact] * len(languages)) for fact in facts]
    return pd.DataFrame(
        {
            name: np.bincount(
                [place // shape[1] for own in group for place in own], minlength=shape[0]
            )
            / len(facts)
            for name, group in groups.items()
        }
    )


def one_fact(
    model: Model,
    spec: LanguageIndependentSpec,
    result: Result,
    chosen: str,
    shared: frozenset[int],
) -> None:
    """The shared neurons of a fact, and what switching them off does in each language."""
    st.subheader("The shared neurons")
    neurons = result.tables["neurons"]
    own = neurons[(neurons["fact"] == chosen) & neurons["place"].isin(shared)]
    wide = own.pivot(index=["layer", "neuron"], columns="language", values="share").reset_index()
    if wide.empty:
        st.caption("None at these thresholds.")
        return
    languages = list(spec.languages)
    wide = wide.assign(component="ffn", score=wide[languages].mean(axis=1))
    wide = wide.sort_values("score", ascending=False)
    group = {k: own[0] for k, own in _group(spec, chosen).items()}
    left, right = st.columns([3, 2], gap="medium")
    with left:
        neuron_maps.listed(
            wide[["layer", "component", "neuron", "score", *languages]].reset_index(drop=True),
            "shared",
            "Neurons that all languages share, with their share of the highest score in each.",
        )
        effects(model, group, neuron_set(shared, result.numbers["size"], "shared"))
    with right:
        first = neurons[(neurons["fact"] == chosen) & (neurons["language"] == spec.languages[0])]
        array = np.zeros((result.numbers["layers"], result.numbers["size"]), np.float32)
        array[first["layer"], first["neuron"]] = first["share"]
        scores = NeuronScores({"ffn": array})
        neuron_maps.start(scores)
        prompt = Prompt(prompt_text(model, group[spec.languages[0]]))
        neuron_card.draw(model, prompt, neuron_maps.chosen(), scores)


def _group(spec: LanguageIndependentSpec, name: str) -> Group:
    for group in spec.groups():
        if first_wording(group).title == name:
            return group
    raise UserError(f"The facts no longer hold '{name}': run them again.")


def effects(model: Model, group: dict[str, Fact], neurons: NeuronSet) -> None:
    """The right answer in each language before and after, and with random neurons."""
    st.markdown(f"**Switched off** in each language: all {len(neurons)}.")
    rows = []
    for language, fact in group.items():
        found = _effect(model, model.name, model.revision, fact, tuple(neurons))
        before, after = found.probability
        rows.append(
            {
                "language": language_name(language),
                "answer": visible(found.label),
                "before %": 100 * before,
                "after %": 100 * after,
            }
            | {f"{control} %": 100 * found.mean(control) for control in CONTROLS}
        )
    frame = pd.DataFrame(rows)
    numbers = {c: st.column_config.NumberColumn(format="%.1f") for c in frame.columns[2:]}
    st.dataframe(frame, hide_index=True, column_config=numbers, key="language_effects")
    st.caption(
        "Random, as active: means of 20 sets of as many "
        f"{CONTROLS[RANDOM]}, and of as many {CONTROLS[AS_ACTIVE]}."
    )
    exports.tables(frame, "language_effects")


@st.cache_data(max_entries=256, show_spinner=False)
def _effect(_model: Model, name: str, revision: str, fact: Fact, neurons: tuple) -> Effect:
    _, before = answered(_model, ask(_model, fact))
    prompt = Prompt(prompt_text(_model, fact), target=before.target)
    return effect(_model, prompt, NeuronSet(neurons), Suppress)


main()
