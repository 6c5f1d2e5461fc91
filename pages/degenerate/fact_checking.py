"""The view that asks whether neurons can tell true facts from false ones."""

from __future__ import annotations

from functools import partial

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from neuronlab import examples
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.facts import SETS
from neuronlab.facts.checking import (
    ALWAYS,
    DEGENERATE,
    DRAWN,
    FIXED,
    NULLS,
    PROBABILITY,
    SCORERS,
    best_threshold,
    columns_of,
    curves,
    decide,
    scores_of,
    stronger,
    verdict,
)
from neuronlab.figures.degenerate import bars, precision_recall, roc
from neuronlab.models import Model
from neuronlab.neurons.effect import AS_ACTIVE, CONTROLS, RANDOM
from neuronlab.runs import Result
from neuronlab.studies.bases.over_facts import OWN
from neuronlab.studies.fact_checking import FactCheckingSpec
from neuronlab.widgets import exports, facts_form, neuron_maps, sections, shown
from neuronlab.widgets.facts_form import language_name
from neuronlab.widgets.guard import complain, guard, plain
from pages.degenerate import claim

STUDY = "fact_checking"


def draw() -> None:
    """Form, run and results."""
    model = facts_form.language_model()
    if model is None:
        return
    box = st.container()  # what people come for: above the facts that its neurons are from
    spec = form(model)
    first = examples.first(STUDY, model)
    shown.study(STUDY, model, spec, partial(results, model, box), first=first)


def form(model: Model) -> FactCheckingSpec | None:
    """Facts, their language, and how many are held out."""
    fields = facts_form.draw(STUDY, "knowledge_types", 20, filters=False)
    if fields is None:
        return None
    built_in = None if fields["facts"] == OWN else SETS[fields["facts"]]
    facts = fields.get("own", ())
    spoken = built_in.languages if built_in else dict.fromkeys(f.language for f in facts)
    languages = list(spoken)
    left, middle, right = st.columns([2, 1.2, 1.4], vertical_alignment="bottom")
    with left:
        test = st.slider(
            "Share held out for the test",
            0.1,
            0.6,
            0.2,
            0.05,
            key="checking_test",
            persist_state="session",
        )
    if len(languages) > 1:
        fields["language"] = middle.selectbox(
            "Language",
            languages,
            format_func=language_name,
            key=f"checking_language_{'_'.join(languages)}",
        )
    else:
        fields["language"] = languages[0]
    if built_in is not None and built_in.has_two_shot:
        fields["two_shot"] = right.toggle("Two solved examples first", key="checking_two_shot")
    spec = FactCheckingSpec(model=model.name, revision=model.revision, test=test, **fields)
    if not spec.pool():
        complain("There are no facts in this language: choose another.")
        return None
    return spec


def results(model: Model, box: DeltaGenerator, spec: FactCheckingSpec, result: Result) -> None:
    """The result in words, how every scorer does, and in the box a claim of one's own."""
    scorers, candidates = result.tables["scorers"], result.tables["candidates"]
    with box, guard():
        claim.draw(model, spec, result)
    headline(spec, result)
    sections.draw(
        {
            "Scorers": partial(both_tasks, scorers),
            "Threshold": partial(at_threshold, candidates),
            "Relations": partial(relations, result),
            "Neurons": partial(neurons, model, result.tables["neurons"]),
            "Candidates": partial(listed, candidates),
        }
    )
    exports.share(spec.key, study_python(spec), study_command(spec))


def both_tasks(scorers: pd.DataFrame) -> None:
    """Every scorer at judging one candidate, and at choosing between two."""
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(
            "**Judging one candidate**, true or not, by a threshold: F1 on the test part, with "
            "95 % intervals over facts."
        )
        exports.chart(
            bars(scorers, SCORERS, "f1"),
            scorers,
            "checking_f1",
            "Bars: F1 of each scorer; a line at .667, what always answering true gives.",
        )
    with right:
        st.markdown(
            "**Forced choice**, which of a fact's two candidates is true: another task, for which "
            "both are known."
        )
        exports.chart(
            bars(scorers, SCORERS, "accuracy"),
            scorers,
            "checking_choice",
            "Bars: share of right choices of each scorer; a line at one half, what guessing gives.",
        )
    table(scorers)


def at_threshold(candidates: pd.DataFrame) -> None:
    """Every scorer at every threshold, and one at the threshold that is moved live."""
    left, right = st.columns(2, gap="medium")
    drawn = curves(candidates)
    with left:
        st.markdown("**ROC** of judging: the further above the diagonal, the better.")
        exports.chart(roc(drawn, SCORERS), drawn, "roc", "ROC curves of the scorers.")
    with right:
        st.markdown("**Precision and recall** of judging.")
        exports.chart(
            precision_recall(drawn, SCORERS), drawn, "precision_recall", "Curves of the scorers."
        )
    live(candidates)


def listed(candidates: pd.DataFrame) -> None:
    """Every fact with its answer and a wrong one, and what scorers give them."""
    exports.listed(candidates, height=460)
    exports.tables(candidates, "candidates", label="As a file")


def headline(spec: FactCheckingSpec, result: Result) -> None:
    """The result in a few words, and what it rests on."""
    n, comparisons = result.numbers, result.tables["comparisons"]
    scorers = result.tables["scorers"].set_index("scorer")
    for kind in NULLS:
        row = scorers.loc[kind]
        interval = "no interval"
        if row["f1_low"] <= row["f1_high"]:
            interval = f"{row['f1_low']:.2f} to {row['f1_high']:.2f}"
        exports.finding(
            f"headline_{kind}",
            "What was found",
            f"**{SCORERS[kind]}**, judging one candidate: F1 **{row['f1']:.2f}** "
            f"({interval}), {_verdicts(comparisons, kind, 'f1')}. "
            f"Forced choice: **{row['accuracy']:.0%}** right ({row['accuracy_low']:.0%} to "
            f"{row['accuracy_high']:.0%}), {_verdicts(comparisons, kind, 'accuracy')}.",
        )
    words = f"{n['facts']['train']} facts chose neurons and thresholds, {n['facts']['test']} "
    words += "were tested, each with its answer and a wrong one."
    if n["alone"]:
        words += f" {n['alone']} have no wrong answer to compare with."
    if n["one_part"]:
        words += f" Too few facts: {', '.join(n['one_part'])}."
    if n["without_pairs"]:
        words += f" Without a degenerate pair, all score alike: {', '.join(n['without_pairs'])}."
    if any(verdict(row) == "like" for _, row in comparisons.iterrows()):
        words += " What they do not tell apart, more facts may"
        more = len(spec.chosen()) < len(spec.pool())
        words += ": take more of each kind." if more else "; all of this set are taken."
    st.caption(plain(words))
    facts_form.notes(n)


_WORDS = {"better": "better than", "worse": "worse than", "like": "not told apart from"}


def _verdicts(comparisons: pd.DataFrame, kind: str, measure: str) -> str:
    """Against what a kind of neurons is better or worse at a task, as far as the facts tell."""
    rows = comparisons[(comparisons["scorer"] == kind) & (comparisons["measure"] == measure)]
    rows = rows.set_index("against", drop=False)
    null = stronger(comparisons, kind, measure)
    none = "always answering true" if measure == "f1" else "guessing"
    against = {
        none: rows.loc[ALWAYS],
        "the probability of the candidate": rows.loc[PROBABILITY],
        CONTROLS[AS_ACTIVE if null["against"] == NULLS[kind][1] else RANDOM]: null,
    }
    by_verdict: dict[str, list[str]] = {}
    for words, row in against.items():
        by_verdict.setdefault(verdict(row), []).append(words)
    return "; ".join(f"{_WORDS[outcome]} {' and '.join(of)}" for outcome, of in by_verdict.items())


def table(scorers: pd.DataFrame) -> None:
    """Every scorer at both tasks, and how far it says what the probability says."""
    columns = {
        "f1": "F1",
        "auc": "AUC",
        "accuracy": "right choices",
        "spearman": "Spearman with the probability",
    }
    frame = scorers[["scorer", *columns]].rename(columns=columns)
    frame["scorer"] = [SCORERS[name] for name in frame["scorer"]]
    numbers = {name: st.column_config.NumberColumn(format="%.2f") for name in columns.values()}
    st.dataframe(
        frame,
        hide_index=True,
        column_config=numbers,
        key="checking_scorers",
        placeholder=exports.NOTHING,
    )
    st.caption(
        "Spearman: rank correlation of the scores with the candidate's probability, over the test "
        "part. What correlates with it may tell true from false because the probability does."
    )
    exports.tables(scorers, "checking_scorers")


def live(candidates: pd.DataFrame) -> None:
    """Precision, recall and F1 of one scorer at any threshold."""
    choices = [name for name in SCORERS if name not in FIXED]
    scorer = st.selectbox(
        "Scorer",
        choices,
        format_func=SCORERS.__getitem__,
        key="checking_scorer",
        persist_state="page",
    )
    train, test = candidates[~candidates["test"]], candidates[candidates["test"]]
    column = columns_of(scorer, candidates)[0]
    chosen = best_threshold(*scores_of(train, column))
    low, high = float(candidates[column].min()), float(candidates[column].max())
    value = st.slider(
        "λ, in standard deviations of the training scores",
        min(low, chosen) - 0.1,
        high + 0.1,
        min(chosen, high),
        0.01,
        key=f"checking_lambda_{scorer}_{chosen:.6f}",
        persist_state="page",
        help="It begins where F1 is best on the training part.",
    )
    rows = []
    for part, table in (("training part", train), ("test part", test)):
        true, wrong = scores_of(table, column)
        rows.append({"": part, **decide(true, wrong, value)})
    frame = pd.DataFrame(rows)
    numbers = {name: st.column_config.NumberColumn(format="%.3f") for name in frame.columns[1:]}
    st.dataframe(frame, hide_index=True, column_config=numbers, key="checking_live")
    if scorer in DRAWN:
        st.caption("One of the random sets; the bars and curves have them all.")


def relations(result: Result) -> None:
    """F1 and right choices of each relation."""
    table = result.tables["by_relation"]
    left, right = st.columns(2, gap="medium")
    for column, measure in ((left, "f1"), (right, "accuracy")):
        wide = table.pivot(index="scorer", columns="relation", values=measure).loc[list(SCORERS)]
        wide = wide.rename(index=SCORERS).reset_index()
        numbers = {c: st.column_config.NumberColumn(format="%.2f") for c in wide.columns[1:]}
        with column:
            words = "F1" if measure == "f1" else "Right choices"
            st.markdown(f"**{words} by relation**")
            st.dataframe(wide, hide_index=True, column_config=numbers, key=f"relation_{measure}")
    exports.tables(table, "by_relation")


def neurons(model: Model, table: pd.DataFrame) -> None:
    """The neurons of a relation, for the basket."""
    left, right = st.columns(2)
    relation = left.selectbox(
        "Neurons of", table["relation"].unique(), key="checking_relation", persist_state="page"
    )
    kinds = table[table["relation"] == relation]["kind"].unique()
    kind = right.selectbox(
        "Which", kinds, format_func=SCORERS.__getitem__, key="checking_kind", persist_state="page"
    )
    rows = table[(table["relation"] == relation) & (table["kind"] == kind)]
    what = "pairs" if kind == DEGENERATE else "facts"
    scored = rows.assign(component="ffn", score=rows["count"])
    neuron_maps.listed(
        model.named(scored[["layer", "component", "neuron", "score"]]),
        "checking_neurons",
        f"Neurons of {plain(relation)}; the score counts the {what} they occur in.",
    )
