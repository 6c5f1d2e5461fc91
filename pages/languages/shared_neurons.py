"""The neurons that a fact rests on in every language."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.errors import UserError
from neuronlab.facts import Fact
from neuronlab.facts.asking import answered, ask, prompt_text
from neuronlab.figures.charts import visible
from neuronlab.figures.languages import exclusive, layer_counts, set_bars, thresholds
from neuronlab.models import Model, Prompt
from neuronlab.models.model import names_of_layers
from neuronlab.neurons import Effect, NeuronScores, NeuronSet, Suppress, effect
from neuronlab.neurons.effect import AS_ACTIVE, CONTROLS, RANDOM
from neuronlab.runs import Result
from neuronlab.studies.bases.in_languages import (
    LEAST,
    Group,
    common,
    first_wording,
    neuron_set,
    select,
)
from neuronlab.studies.language_independent import LanguageIndependentSpec, overlap
from neuronlab.widgets import exports, facts_form, neuron_card, neuron_maps, sections
from neuronlab.widgets.facts_form import language_name
from neuronlab.widgets.guard import enumerated, plain
from pages.languages.form import thresholds_of


def results(model: Model | None, spec: LanguageIndependentSpec, result: Result) -> None:
    """Everything, at thresholds that are moved live; without a model what needs none."""
    n = result.numbers
    neurons, facts = result.tables["neurons"], result.tables["facts"]
    shape = n["layers"], n["size"]
    relations = dict(zip(facts["fact"], facts["relation"], strict=True))
    taus = thresholds_of(spec.languages)
    sets = select(neurons, taus)
    table = _overlap(spec.key, tuple(taus.items()), neurons, relations, spec.languages, shape)
    headline(spec, table, n)
    titles = titles_of(facts)
    chosen = st.selectbox(
        "Fact to look at", table["fact"], key=f"fact_of_{spec.key}", format_func=titles.__getitem__
    )
    of_fact = {language_name(language): sets[chosen, language] for language in spec.languages}
    shared = common(sets, spec.languages, [chosen] * len(spec.languages))
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**{plain(titles[chosen])}**: neurons in exactly these languages' sets.")
        parts = exclusive(of_fact)
        exports.chart(
            set_bars(parts, len(of_fact)), parts, "sets", "Bars: sizes of the parts of the sets."
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
        counts = per_layer(sets, spec.languages, shape, layer_names(model, shape[0]))
        exports.chart(
            layer_counts(counts),
            counts.reset_index(names="layer"),
            "languages_layers",
            "Bars per layer: neurons of each language and of the intersection.",
        )
    sections.draw(
        {
            "Shared neurons": partial(one_fact, model, spec, result, chosen, shared),
            "Thresholds": partial(by_threshold, result.tables["sensitivity"]),
            "Facts": partial(by_fact, table, facts),
        }
    )
    exports.share(spec.key, study_python(spec), study_command(spec))


def titles_of(facts: pd.DataFrame) -> dict[str, str]:
    """What facts are called where one is chosen: the answers in all languages, then the name.

    Args:
        facts: fact and gold, a row for each language.
    """
    answers = facts["gold"].str.strip().groupby(facts["fact"], sort=False)
    joined = answers.agg(lambda golds: " · ".join(dict.fromkeys(golds)))
    return {fact: f"{gold} ({fact})" for fact, gold in joined.items()}


def by_threshold(curve: pd.DataFrame) -> None:
    """How many neurons are shared at other thresholds."""
    st.markdown("**How much depends on the threshold**, the same in all languages.")
    exports.chart(thresholds(curve), curve, "thresholds", "Lines: neurons in common by threshold.")


def by_fact(table: pd.DataFrame, facts: pd.DataFrame) -> None:
    """How many neurons each fact's languages share, and what was asked."""
    height = min(38 + 35 * len(table), 460)
    exports.listed(table.rename(columns=language_name), height=height)
    exports.tables(facts.drop(columns="why", errors="ignore"), "asked", label="What was asked")


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
    names = enumerated([language_name(language) for language in spec.languages])
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
    none = f" {empty} facts share none." if empty else ""
    exports.finding("headline", "What was found", text + none)
    facts_form.notes(n)


def how_far(neurons: pd.DataFrame, fact: str, languages: tuple[str, ...]) -> str:
    """The neuron nearest to being shared, and the threshold that would let it in."""
    shares = neurons[neurons["fact"] == fact]
    wide = shares.pivot(index="place", columns="language", values="share").reindex(
        columns=list(languages)
    )
    best = wide.min(axis=1, skipna=False).dropna()
    if best.empty:
        return f"No neuron is above {LEAST} of the highest score in all languages."
    return (
        f"The nearest to it has {best.max():.2f} of the highest score where it is weakest: at a "
        "threshold below that it would be in."
    )


def layer_names(model: Model | None, layers: int) -> list[str]:
    """How a model's layers are called; a model that comes with the project has a single stack."""
    return names_of_layers({"": layers}) if model is None else model.layer_names


def per_layer(
    sets: Mapping[tuple[str, str], frozenset[int]],
    languages: tuple[str, ...],
    shape: tuple[int, int],
    names: Sequence[str],
) -> pd.DataFrame:
    """Mean number of neurons by layer: a column per language, and the intersection."""
    facts = list(dict.fromkeys(fact for fact, _ in sets))
    groups = {language_name(k): [sets[fact, k] for fact in facts] for k in languages}
    groups["shared"] = [common(sets, languages, [fact] * len(languages)) for fact in facts]
    return pd.DataFrame(
        {
            name: np.bincount(
                [place // shape[1] for members in group for place in members], minlength=shape[0]
            )
            / len(facts)
            for name, group in groups.items()
        },
        index=list(names),
    )


def one_fact(
    model: Model | None,
    spec: LanguageIndependentSpec,
    result: Result,
    chosen: str,
    shared: frozenset[int],
) -> None:
    """The shared neurons of a fact, and what switching them off does in each language."""
    neurons = result.tables["neurons"]
    shares = neurons[(neurons["fact"] == chosen) & neurons["place"].isin(shared)]
    wide = shares.pivot(index=["layer", "neuron"], columns="language", values="share").reset_index()
    if wide.empty:
        st.caption("None at these thresholds.")
        return
    languages = list(spec.languages)
    wide = wide.assign(component="ffn", score=wide[languages].mean(axis=1))
    wide = wide.sort_values("score", ascending=False)
    group = {k: wordings[0] for k, wordings in _group(spec, chosen).items()}
    # Without the model there is no card: the list has all of the width.
    left, right = (st.container(),) * 2 if model is None else neuron_card.columns()
    table = wide[["layer", "component", "neuron", "score", *languages]].reset_index(drop=True)
    table = table.rename(columns=language_name)
    with left:
        neuron_maps.listed(
            table if model is None else model.named(table),
            "shared",
            "Neurons that all languages share, with their share of the highest score in each.",
        )
        if model is not None:
            effects(model, group, neuron_set(shared, result.numbers["size"], "shared"))
    if model is None:
        return
    with right:
        first = neurons[(neurons["fact"] == chosen) & (neurons["language"] == spec.languages[0])]
        array = np.zeros((result.numbers["layers"], result.numbers["size"]), np.float32)
        array[first["layer"], first["neuron"]] = first["share"]
        scores = NeuronScores({"ffn": array}, {"settings": {"method": spec.method}})
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
        outcome = _effect(model, model.name, model.revision, fact, tuple(neurons))
        before, after = outcome.probability
        rows.append(
            {
                "language": language_name(language),
                "answer": visible(outcome.label),
                "before %": 100 * before,
                "after %": 100 * after,
            }
            | {f"{control} %": 100 * outcome.mean(control) for control in CONTROLS}
        )
    frame = pd.DataFrame(rows)
    numbers = {c: st.column_config.NumberColumn(format="%.3g") for c in frame.columns[2:]}
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
