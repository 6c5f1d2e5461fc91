"""Which method finds the neurons? The comparison of arXiv 2312.12141 on any model and facts."""

from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab import examples
from neuronlab.attribution import METHODS
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.colours import NULL_NAMES
from neuronlab.figures.differences import differences
from neuronlab.figures.methods import METRICS, after_zeroing, by_count, specificity
from neuronlab.models import Model
from neuronlab.neurons.effect import CONTROLS
from neuronlab.runs import Result
from neuronlab.statistics import FEWEST
from neuronlab.studies.bases.published import PAPER
from neuronlab.studies.method_comparison import (
    COMPARED,
    KS,
    POOLED,
    K,
    MethodComparisonSpec,
    at,
    leaders,
)
from neuronlab.widgets import exports, facts_form, sections, shown, suited
from neuronlab.widgets.guard import complain, counted


def main() -> None:
    model = facts_form.language_model()
    if model is None or not suited.of_one_stream(model):
        return
    spec = form(model)
    first = examples.first("method_comparison", model)
    shown.study("method_comparison", model, spec, results, first=first)


def form(model: Model) -> MethodComparisonSpec | None:
    """Facts and methods."""
    fields = facts_form.draw("method_comparison", "six_languages", 25)
    methods = st.pills(
        "Methods",
        COMPARED,
        selection_mode="multi",
        default=COMPARED,
        format_func=lambda name: METHODS[name].title,
        key="compared",
        wrap=True,
        persist_state="session",
    )
    if not methods:
        complain("Choose at least one method.")
        return None
    if fields is None:
        return None
    return MethodComparisonSpec(
        model=model.name, revision=model.revision, methods=tuple(methods), **fields
    )


def results(spec: MethodComparisonSpec, result: Result) -> None:
    """The table at any k, and the curve over k."""
    n = result.numbers
    summary = result.tables["summary"]
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    k = left.select_slider("FFN neurons zeroed", KS, K, key="zeroed", persist_state="session")
    metric = right.selectbox(
        "Measure", list(METRICS), format_func=lambda m: METRICS[m].capitalize(), key="measure"
    )
    now = at(summary, k)
    titles = {name: METHODS[name].title for name in spec.methods}
    exports.finding("headline", "What was found", verdict(result, titles, k, metric))
    facts_form.notes(n)
    rows = summary[(summary["k"] == k) & (summary["control"] == "")]
    controls = {control: now[control.key][metric] for control in CONTROLS}
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**After zeroing {k}**: lower is better.")
        exports.chart(
            after_zeroing(rows, titles, metric, now["original"][metric], controls),
            rows,
            "after_zeroing",
            "Bars: what is left of the right answer after each method's neurons are zeroed.",
        )
    with right:
        st.markdown("**The more neurons, the less is left**.")
        exports.chart(
            by_count(summary, titles, metric, POOLED),
            summary,
            "by_count",
            "Lines: what is left of the right answer against the number of neurons zeroed.",
        )
    compared = result.tables["differences"]
    compared = compared[(compared["k"] == k) & (compared["measure"] == metric)]
    parts = {
        "Differences": partial(beside_best, compared, titles, metric),
        "Specificity": partial(specific, result, titles),
        "Table": partial(table, result, titles, k),
        "Facts": partial(facts, result),
    }
    if compared.empty:
        del parts["Differences"]
    sections.draw(parts)
    exports.share(spec.key, study_python(spec), study_command(spec))


def specific(result: Result, titles: dict[str, str]) -> None:
    """What is left of the fact, beside what is left of other prompts."""
    st.markdown(
        f"**Is it the fact?** What is left of its probability, and of that of other prompts, with "
        f"each fact's {K} neurons zeroed. To the right is better for all but the fact itself."
    )
    left = result.tables["specificity"]
    exports.chart(
        specificity(left, titles),
        left,
        "specificity",
        "Dots: what is left of the fact, of other facts and of plain prompts, for each method.",
    )


def facts(result: Result) -> None:
    """What was asked, and whether the model knew it."""
    exports.listed(result.tables["facts"], height=460)
    exports.tables(result.tables["rows"], "rows", label="Every fact, method and k")


def beside_best(compared: pd.DataFrame, titles: dict[str, str], metric: str) -> None:
    """How much more the other methods leave than the best one.

    Args:
        compared: pairs of methods by this measure, at one number of neurons.
    """
    best = compared["other"].iloc[0]
    others = compared[compared["other"] == best]
    intervals = (
        "intervals that hold for all pairs of methods at once; what holds 0 is not told apart."
        if others["low"].notna().any()
        else f"without intervals, which need {FEWEST} facts; nothing is told apart yet."
    )
    st.markdown(f"**How much more is left than by {titles[best]}**, fact by fact: {intervals}")
    exports.chart(
        differences(
            others.assign(name=others["method"].map(titles)),
            f"{METRICS[metric]}, more than the best method leaves",
            "+.3f",
        ),
        compared,
        "differences",
        "Marks with intervals: how much more every method leaves than the best one.",
    )


def verdict(result: Result, titles: dict[str, str], k: int, metric: str) -> str:
    """What the comparison says, as far as the facts tell the methods apart."""
    now = at(result.tables["summary"], k)
    form = ".1%" if metric == "probability" else ".3f"
    best = min(now["methods"], key=lambda name: now["methods"][name][metric])
    others = leaders(result.tables["differences"], k, metric)[1:]
    summary = result.tables["summary"]
    rows = summary[(summary["method"] == best) & (summary["k"] == k)].set_index("control")
    control = min(CONTROLS, key=lambda name: rows.loc[name, metric])
    text = (
        f"On {counted(result.numbers['facts'], 'fact')}, **{titles[best]}** leaves least: "
        f"{METRICS[metric]} "
        f"falls from {now['original'][metric]:{form}} to "
        f"**{now['methods'][best][metric]:{form}}**; with as many {CONTROLS[control]} it is "
        f"{rows.loc[control, metric]:{form}}."
    )
    if len(titles) == 1:
        return text
    if not others:
        return f"{text} Every other method leaves more (intervals of the differences, over facts)."
    if len(others) == len(titles) - 1:
        near = "any other method"
    else:
        near = enumerated([titles[name] for name in others])
    return f"{text} These facts do not tell it from {near} (intervals of differences, over facts)."


def enumerated(names: list[str]) -> str:
    """The names as a list in words."""
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def table(result: Result, titles: dict[str, str], k: int) -> None:
    """This model's numbers beside the paper's."""
    summary = result.tables["summary"]
    left = result.tables["specificity"].pivot(index="method", columns="about", values="left")
    st.markdown(
        f"**The table**: k = {k} here; the paper's columns (*) are for k = {K}. p: probability of "
        "the right answer."
    )
    now = at(summary, k)
    controls = summary[summary["k"] == k].pivot(
        index="method", columns="control", values="probability"
    )
    rows = [("nothing zeroed", "original", now["original"])]
    rows += [(titles[m], m, values) for m, values in now["methods"].items()]
    rows += [(name, "", now[null]) for null, name in NULL_NAMES.items()]
    shown = []
    for name, key, values in rows:
        row = {
            "method": name,
            "MRR": values["mrr"],
            "p %": 100 * values["probability"],
            "log p": values["log_probability"],
        }
        for control in CONTROLS:
            row[f"p % {control}"] = 100 * controls[control].get(key, np.nan)
        if k == K:
            row |= {f"{about} left %": 100 * left[about].get(key, np.nan) for about in left}
        for published in PAPER:
            mrr, probability = published.rows.get(key, (None, None))
            row[f"{published.model} MRR*"] = mrr
            row[f"{published.model} p %*"] = None if probability is None else 100 * probability
        shown.append(row)
    frame = pd.DataFrame(shown)
    numbers = {
        column: st.column_config.NumberColumn(format="%.1f" if "%" in column else "%.3f")
        for column in frame.columns[1:]
    }
    st.dataframe(frame, hide_index=True, height=38 + 35 * len(frame), column_config=numbers)
    st.caption(
        r"\* Paper: arXiv 2312.12141v4 (EMNLP 2024), table 2, after zeroing 10 FFN neurons; "
        "GPT2-large on 1,350 and Llama-7B on 3,141 sentences from TriviaQA. It has no gradient "
        "methods and no random rows; those here are of the same layers as all methods' neurons. "
        "Left: of the probability of the fact itself, of facts of other relations, and of plain "
        "prompts."
    )
    exports.tables(frame, "comparison")


main()
