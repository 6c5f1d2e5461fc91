"""Which method finds the neurons? The comparison of arXiv 2312.12141 on any model and facts."""

import pandas as pd
import streamlit as st

from neuronlab.attribution import METHODS
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.comparison import METRICS, after_zeroing, by_count
from neuronlab.models import Model
from neuronlab.runs import Result
from neuronlab.studies import MethodComparisonSpec
from neuronlab.studies.examples import small
from neuronlab.studies.method_comparison import COMPARED, KS, PAPER, POOLED, K, at
from neuronlab.widgets import exports, facts_form, shown
from neuronlab.widgets.guard import complain, guard
from neuronlab.widgets.page import header

HOW_TO_READ = """
Every method names the FFN neurons that it holds responsible for the right answer. Each method's
top neurons are then zeroed, fact by fact, and the model is run again: the further the right answer
falls, the better the method. **Lower is better.** The same number of random neurons of the same
layers stands beside each.

The bars have 95 % bootstrap intervals over the facts. The gradient methods were not compared in the
paper.

**Caveats.** The paper's numbers come from other models and other facts: compare the order, not the
values. Zeroing a large neuron can also break the model without having anything to do with the
fact, which is why MRR can even rise. An answer of several tokens is scored by its first token.
"""


def main() -> None:
    header(
        "Which method finds the neurons?",
        "Zero each method's best neurons and see whose choice hurts the right answer most.",
        "After arXiv 2312.12141, table 2.",
        HOW_TO_READ,
        ("MRR", "Matched random set", "Bootstrap interval", "Suppress"),
    )
    model = facts_form.language_model()
    if model is None:
        return
    spec = form(model)
    shown.run_button(spec, lambda: facts_form.cost(model, spec))
    found = shown.finished(
        "method_comparison",
        model.name,
        spec,
        small(model.name, model.revision, "method_comparison"),
    )
    if found is not None:
        with guard():
            results(*found)


def form(model: Model) -> MethodComparisonSpec | None:
    """Facts and methods."""
    fields = facts_form.draw("method_comparison", "six_languages", None)
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
    best = min(now["methods"], key=lambda name: now["methods"][name][metric])
    form = ".1%" if metric == "probability" else ".3f"
    st.markdown(
        f"On {n['facts']} facts, **{titles[best]}** does most: {METRICS[metric]} falls from "
        f"{now['original'][metric]:{form}} to **{now['methods'][best][metric]:{form}}**; with "
        f"random neurons of the same layers it is {now['random'][metric]:{form}}."
    )
    facts_form.notes(n)
    own = summary[(summary["k"] == k) & ~summary["control"]]
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown(f"**After zeroing {k}**: lower is better.")
        exports.chart(
            after_zeroing(own, titles, metric, now["original"][metric], now["random"][metric]),
            own,
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
    table(summary, titles, k)
    with st.expander(f"The {n['asked']} facts"):
        st.dataframe(result.tables["facts"], hide_index=True, height=260)
        exports.tables(result.tables["rows"], "rows", label="Every fact, method and k")
    exports.share(spec.key, study_python(spec), study_command(spec))


def table(summary: pd.DataFrame, titles: dict[str, str], k: int) -> None:
    """This model's numbers beside the paper's."""
    st.markdown(
        f"**The table**: k = {k} here; the paper's columns (*) are for k = {K}. p: probability of "
        "the right answer."
    )
    now = at(summary, k)
    controls = summary[(summary["k"] == k) & summary["control"]].set_index("method")
    rows = [("nothing zeroed", "original", now["original"], None)]
    rows += [(titles[m], m, values, controls.loc[m]) for m, values in now["methods"].items()]
    rows.append(("random neurons", "random", now["random"], None))
    shown = []
    for name, key, values, control in rows:
        row = {
            "method": name,
            "MRR": values["mrr"],
            "p %": 100 * values["probability"],
            "log p": values["log_probability"],
            "p % random": None if control is None else 100 * control["probability"],
        }
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
        "methods and no random row."
    )
    exports.tables(frame, "comparison")


main()
