"""The view of submodels: how far the best neurons carry a classifier, and where they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
import streamlit as st

from neuronlab import examples
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.classifier import (
    METRICS,
    only_bars,
    single_lines,
)
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.models import Model
from neuronlab.runs import Result
from neuronlab.studies.bases.submodel_plan import FULL, RANDOM, STRATIFIED
from neuronlab.studies.submodels import SubmodelsSpec, SubmodelsStudy, lines
from neuronlab.widgets import exports, sections, services, shown, state
from pages.classifier.differences import AGAINST, comparison, verdict_on
from pages.classifier.ranking import METHODS, agreement, ranked, where
from pages.classifier.submodels_form import ABLATIONS, SELECTIONS, form

STUDY = "submodels"


def draw() -> None:
    """Form, run and results."""
    model = services.model(state.model_name(), state.device())
    spec = form(model)
    first = examples.first(STUDY, model) or SubmodelsStudy().small(model)
    shown.study(STUDY, model, spec, partial(results, model), first=first, preview=preview)


def preview(spec: SubmodelsSpec, result: Result) -> None:
    """Where the best neurons are, before any submodel is judged."""
    n = result.numbers
    st.markdown(
        f"Scored on **{n['scored']}** proteins ({n['residues']:,} residues); submodels are judged "
        "when all are scored."
    )
    where(spec, result, names(result.tables["shares"]))
    agreement(spec, result)


def results(model: Model, spec: SubmodelsSpec, result: Result) -> None:
    """Submodels, where their neurons are, and the checks."""
    table = result.tables["submodels"]
    left, right = st.columns(2)
    metric = left.segmented_control(
        "Measure",
        list(METRICS),
        default="auc",
        format_func=METRICS.__getitem__,
        key="sub_metric",
        required=True,
    )
    ablation = right.segmented_control(
        "The others go to",
        list(spec.ablations),
        default=spec.ablations[0],
        format_func=ABLATIONS.__getitem__,
        key=f"sub_ablation_{spec.key}",
        required=True,
    )
    titles = names(table)
    rows = table[table["ablation"] == ablation]
    headline(rows, result, metric, ablation)
    exports.chart(
        lines(spec, result, metric, chosen_by(spec), ablation),
        table,
        "submodels",
        "Lines: the measure against the share of neurons kept, with bands of random selections.",
    )
    compared = result.tables["compared"]
    parts = {
        "Differences": partial(differences, spec, compared, titles, metric, ablation),
        "Layers": partial(where, spec, result, titles),
        "Checks": partial(checks, spec, result, metric),
        "Agreement": partial(agreement, spec, result),
        "Neurons": partial(ranked, model, spec, result),
    }
    if result.tables["agreement"].empty:  # of one method
        del parts["Agreement"]
    sections.draw(parts)
    exports.share(spec.key, study_python(spec), study_command(spec))


def differences(
    spec: SubmodelsSpec, compared: pd.DataFrame, titles: dict, metric: str, ablation: str
) -> None:
    """Every choice beside random neurons and beside all neurons."""
    compared = compared[(compared["ablation"] == ablation) & (compared["metric"] == metric)]
    st.dataframe(
        comparison(
            compared.assign(choice=[titles[r.method, r.selection] for r in compared.itertuples()]),
            {"choice": "chosen by", "fraction": "kept"},
            AGAINST,
        ),
        hide_index=True,
        column_config={"kept": st.column_config.NumberColumn(format="percent")},
    )
    exports.tables(compared, "compared")
    st.caption(
        f"Differences of {METRICS[metric]} on the same test proteins, with their 95 % intervals "
        "over proteins. Random neurons with the same counts have as many in each layer and "
        f"component, drawn {spec.seeds} times; p: how often one more draw would do as well, were "
        "draws normally distributed."
    )


def names(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """What each way to choose is called."""
    titles = {}
    for method, selection in (
        table[["method", "selection"]].drop_duplicates().itertuples(index=False)
    ):
        if method in METHODS:
            extra = "" if selection in ("raw", "") else f", {SELECTIONS[selection]}"
            titles[method, selection] = METHODS[method] + extra
    return titles


def chosen_by(spec: SubmodelsSpec) -> str:
    """Which of the spec's selections the figure is of."""
    if len(spec.selections) == 1:
        return spec.selections[0]
    return st.segmented_control(
        "Chosen by",
        list(spec.selections),
        default=spec.selections[0],
        format_func=SELECTIONS.__getitem__,
        key=f"sub_selection_{spec.key}",
        required=True,
    )


def headline(table: pd.DataFrame, result: Result, metric: str, ablation: str) -> None:
    """The result in a few words, of all that was chosen.

    Args:
        table: of one ablation.
    """
    n, compared = result.numbers, result.tables["compared"]
    compared = compared[
        (compared["ablation"] == ablation)
        & (compared["metric"] == metric)
        & (compared["against"] == STRATIFIED)
    ]
    titles = names(table)
    better: dict[float, list[str]] = {}
    for row in compared.sort_values("fraction", ascending=False).itertuples():
        ways = better.setdefault(row.fraction, [])
        if verdict_on(row) == "more":
            ways.append(titles[row.method, row.selection])
    exports.finding(
        "headline",
        "What was found",
        f"{better_choices(better)} {METRICS[metric]} of all neurons {n['full'][metric]:.3f}, of "
        f"none {n['floor'][ablation][metric]:.3f}, of always the most frequent class "
        f"{n['majority'][metric]:.3f}.",
    )
    few = " So few say little: press Run for more." if n["tested"] < 50 else ""
    length = (
        " With none kept, the mean of the special tokens still tells how long a protein is."
        if ablation == "mean"
        else ""
    )
    st.caption(
        f"Scored on {n['scored']} training and validation proteins ({n['residues']:,} residues), "
        f"judged on {n['tested']} test proteins.{length}{few}"
    )


def better_choices(better: Mapping[float, Sequence[str]]) -> str:
    """At which shares the chosen neurons do better than random ones like them, in words.

    Args:
        better: per share of the neurons that is kept, the ways to choose that are better.
    """
    like = "random neurons with as many in each layer and component"
    shares = [f"**{share:.0%}** kept: {'; '.join(ways)}" for share, ways in better.items() if ways]
    neither = " or ".join(f"{share:.0%}" for share, ways in better.items() if not ways)
    if not shares:
        return f"With {neither} of the neurons kept, no choice is told apart from {like}."
    rest = f" With {neither} kept none is told apart from them." if neither else ""
    return f"Better than {like}: {'. '.join(shares)}.{rest}"


def checks(spec: SubmodelsSpec, result: Result, metric: str) -> None:
    """Equal budgets, and one at a time against together."""
    left, right = st.columns(2, gap="medium")
    only = result.tables["only"]
    with left:
        budgets = sorted(only["budget"].unique())
        budget = st.segmented_control(
            "Switched off, of one component's neurons",
            budgets,
            default=budgets[0],
            format_func=lambda b: f"{b:.0%}",
            key="sub_budget",
            persist_state="page",
            required=True,
        )
        rows = only[only["budget"] == budget]
        st.markdown("**Only query, only key or only value neurons off**, as many of each.")
        exports.chart(
            only_bars(rows, metric, result.numbers["full"][metric]),
            only,
            "only",
            "Bars: the measure with one component's neurons off, best and random.",
        )
        compared = result.tables["only_compared"]
        compared = compared[(compared["budget"] == budget) & (compared["metric"] == metric)]
        st.dataframe(
            comparison(
                compared.replace({"component": COMPONENT_NAMES}),
                {"component": "best off"},
                {RANDOM: "against random of the same layers", FULL: "against none off"},
            ),
            hide_index=True,
        )
        exports.tables(compared, "only_compared")
    with right:
        single = result.tables["single"]
        st.markdown("**One at a time, and together**")
        exports.chart(
            single_lines(single),
            single,
            "single",
            "Bars and lines: log-probability lost by single neurons, their sum, and together.",
        )
        last = single.iloc[-1]
        st.caption(
            f"The first {len(single)} together: {last['together']:+.3f}; the sum of each alone: "
            f"{last['sum']:+.3f}. Where they differ, neurons stand in for each other or depend on "
            "each other, and single effects do not tell which set matters."
        )
