"""The view of submodels: how far the best neurons carry a classifier, and where they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from neuronlab.attribution.estimate import duration
from neuronlab.attribution.streamed import SCORED
from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.circuit import matrix
from neuronlab.figures.classifier import (
    METRICS,
    kept_lines,
    only_bars,
    score_scatter,
    share_bars,
    single_lines,
)
from neuronlab.figures.colours import COMPONENT_COLOURS, COMPONENT_NAMES
from neuronlab.figures.protein import state_bars, state_name
from neuronlab.models import COMPONENTS, Model, Prompt
from neuronlab.neurons import NeuronScores
from neuronlab.runs import Result
from neuronlab.studies import STUDIES, SubmodelsSpec
from neuronlab.studies.examples import small_submodels
from neuronlab.studies.submodels import FULL, RANDOM, STRATIFIED
from neuronlab.widgets import exports, neuron_card, neuron_maps, services, shown, state
from neuronlab.widgets.guard import complain, guard, plain

STUDY = "submodels"
METHODS = {
    "activation": "Activation",
    "integrated_gradients": "Integrated gradients",
    "gradient_x_activation": "Gradient x activation",
    RANDOM: "Random",
}
SELECTIONS = {"raw": "raw", "z": "z-scored", "quota": "quota per matrix"}
ABLATIONS = {"zero": "zero", "mean": "their mean"}
# What the columns of a comparison are called.
AGAINST = {STRATIFIED: "against random, same counts", FULL: "against all neurons"}
SAME = "not told apart"
# How often random neurons may do as well by chance where a choice is called better.
CHANCE = 0.05


def draw() -> None:
    """Form, run and results."""
    model = services.model(state.model_name(), state.device())
    spec = form(model)
    shown.run_button(spec, lambda: cost(model, spec))
    first = small_submodels(model.name, model.revision)
    found = shown.finished(STUDY, model.name, spec, first)
    if found is not None:
        with guard():
            results(model, *found)


def form(model: Model) -> SubmodelsSpec | None:
    """Scores, submodels and proteins."""
    start = SubmodelsSpec.like_tuned(model.name, model.revision)
    left, right = st.columns(2)
    methods = left.pills(
        "Scores",
        SCORED,
        selection_mode="multi",
        default=SCORED,
        format_func=METHODS.get,
        key="sub_methods",
    )
    selections = right.pills(
        "Choose by",
        list(SELECTIONS),
        selection_mode="multi",
        default=list(start.selections),
        format_func=SELECTIONS.get,
        key="sub_selections",
        help="Raw scores favour whichever projection is larger; z-scores or a quota do not.",
    )
    components = left.pills(
        "Neurons",
        COMPONENTS,
        selection_mode="multi",
        default=list(start.components),
        format_func=COMPONENT_NAMES.get,
        key="sub_components",
    )
    ablations = right.pills(
        "The others go to",
        list(ABLATIONS),
        selection_mode="multi",
        default=list(start.ablations),
        format_func=ABLATIONS.get,
        key="sub_ablations",
    )
    with st.expander("Settings"):
        one, two, three = st.columns(3)
        text = one.text_input("Kept, in %", "50, 25, 10, 1", key="sub_fractions")
        scored = two.number_input("Proteins that score", 2, 5000, start.scored, key="sub_scored")
        tested = three.number_input(
            "Test proteins (0: all)", 0, 20_000, start.tested or 0, key="sub_tested"
        )
        seeds = one.number_input("Random selections", 1, 50, start.seeds, key="sub_seeds")
        baseline = two.selectbox(
            "Integrated gradients begin at",
            ["input", "zero"],
            format_func={"input": "masked sequence", "zero": "zero"}.get,
            key="sub_baseline",
        )
    if not (methods and selections and components and ablations):
        complain("Choose at least one of each.")
        return None
    try:
        fractions = tuple(float(part) / 100 for part in text.replace("%", "").split(","))
        return SubmodelsSpec.like_tuned(
            model.name,
            model.revision,
            methods=tuple(methods),
            selections=tuple(selections),
            components=tuple(components),
            ablations=tuple(ablations),
            fractions=fractions,
            scored=scored,
            tested=max(tested, 4) if tested else None,
            seeds=seeds,
            baseline=baseline,
        )
    except ValueError:
        complain("Give the kept shares in percent, above 0 and at most 100, such as 50, 10, 1.")
        return None


def cost(model: Model, spec: SubmodelsSpec) -> str:
    """What a run will take."""
    return f"About {duration(STUDIES[STUDY].seconds(model, spec))}; finished scores are kept."


def results(model: Model, spec: SubmodelsSpec, result: Result) -> None:
    """Submodels, where their neurons are, and the checks."""
    n, table = result.numbers, result.tables["submodels"]
    left, right = st.columns(2)
    metric = left.segmented_control(
        "Measure",
        list(METRICS),
        default="auc",
        format_func=METRICS.get,
        key="sub_metric",
        required=True,
    )
    ablation = right.segmented_control(
        "The others go to",
        list(spec.ablations),
        default=spec.ablations[0],
        format_func=ABLATIONS.get,
        key=f"sub_ablation_{spec.key}",
        required=True,
    )
    titles = names(table)
    here = table[table["ablation"] == ablation]
    headline(here, result, metric, ablation)
    exports.chart(
        lines(here, spec, metric, n, ablation),
        table,
        "submodels",
        "Lines: the measure against the share of neurons kept, with bands of random selections.",
    )
    compared = result.tables["compared"]
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
    where(spec, result, titles)
    checks(spec, result, metric)
    agreement(spec, result)
    ranked(model, spec, result)
    exports.share(spec.key, study_python(spec), study_command(spec))


def names(table: pd.DataFrame) -> dict[tuple[str, str], str]:
    """What each way to choose is called."""
    found = {}
    for method, selection in (
        table[["method", "selection"]].drop_duplicates().itertuples(index=False)
    ):
        if method in METHODS:
            extra = "" if selection in ("raw", "") else f", {SELECTIONS[selection]}"
            found[method, selection] = METHODS[method] + extra
    return found


def lines(
    table: pd.DataFrame, spec: SubmodelsSpec, metric: str, n: dict, ablation: str
) -> go.Figure:
    """The figure, of one way to select.

    Args:
        table: of one ablation.
    """
    selection = spec.selections[0]
    if len(spec.selections) > 1:
        selection = st.segmented_control(
            "Chosen by",
            list(spec.selections),
            default=selection,
            format_func=SELECTIONS.get,
            key=f"sub_selection_{spec.key}",
            required=True,
        )
    here = table[(table["selection"] == selection) | (table["method"] == RANDOM)]
    line = here["method"].where(here["method"] != STRATIFIED, "like " + here["like"])
    here = here.assign(line=line)
    titles = {method: METHODS[method] for method in spec.methods}
    controls = {}
    for method in dict.fromkeys(here.loc[here["method"] == STRATIFIED, "like"]):
        words = METHODS[method] if method else "all of these"
        titles[f"like {method}"] = f"random like {words}"
        controls[f"like {method}"] = method
    titles[RANDOM], controls[RANDOM] = "random", ""
    across = {
        "full model": n["full"][metric],
        "none kept": n["floor"][ablation][metric],
        "majority": n["majority"][metric],
    }
    return kept_lines(here, metric, titles, across, controls)


def verdict(low: float, high: float, p: float = np.nan) -> str:
    """What a difference shows: "more" or "less" where its interval leaves out 0, and, where there
    is a p (two-sided), random draws are hardly as far off; else that they are not told apart.
    """
    if p >= CHANCE:
        return SAME
    return "more" if low > 0 else "less" if high < 0 else SAME


def verdict_on(row: object) -> str:
    """The verdict on a row of a comparison; a single random draw shows nothing."""
    one_draw = "random" in row.against and np.isnan(row.p)
    return SAME if one_draw else verdict(row.low, row.high, row.p)


def difference(row: object) -> str:
    """A difference, its interval, and what it shows."""
    if not np.isfinite([row.difference, row.low, row.high]).all():
        return "no value"
    p = "" if np.isnan(row.p) else f", p = {row.p:.2g}"
    shows = verdict_on(row)
    return f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]{p}: {shows}"


def comparison(
    table: pd.DataFrame, columns: dict[str, str], against: dict[str, str]
) -> pd.DataFrame:
    """Differences side by side.

    Args:
        table: of one metric; what ``Judgement.above`` says, and against what.
        columns: that tell rows apart, and how they are called.
        against: what is compared with, and how its column is called.
    """
    words = table.assign(words=[difference(row) for row in table.itertuples()])
    rows = words.groupby(list(columns), sort=False)
    found = [
        dict(zip(columns.values(), place, strict=True))
        | {against[r.against]: r.words for r in own.itertuples() if r.against in against}
        for place, own in rows
    ]
    return pd.DataFrame(found)


def headline(table: pd.DataFrame, result: Result, metric: str, ablation: str) -> None:
    """The result in a few words, of all that was chosen.

    Args:
        table: of one ablation.
    """
    n, compared = result.numbers, result.tables["compared"]
    fractions = set(compared["fraction"])
    share = 0.1 if 0.1 in fractions else min(fractions)
    here = compared[
        (compared["fraction"] == share)
        & (compared["ablation"] == ablation)
        & (compared["metric"] == metric)
        & (compared["against"] == STRATIFIED)
    ]
    titles = names(table)
    better = [
        titles[row.method, row.selection] for row in here.itertuples() if verdict_on(row) == "more"
    ]
    random = table[(table["method"] == RANDOM) & (table["fraction"] == share)][metric].mean()
    which = f" ({'; '.join(better)})" if better else ""
    st.markdown(
        f"With **{share:.0%}** of the neurons kept, **{len(better)} of {len(here)}** ways to "
        "choose them do better than random neurons with as many in each layer and "
        f"component{which}. "
        f"{METRICS[metric]}: any random neurons {random:.3f}, all neurons "
        f"{n['full'][metric]:.3f}, none {n['floor'][ablation][metric]:.3f}, the most frequent "
        f"class {n['majority'][metric]:.3f}."
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


def where(spec: SubmodelsSpec, result: Result, titles: dict) -> None:
    """Shares by component and layer at a fraction."""
    st.subheader("Where the kept neurons are")
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    fraction = left.select_slider(
        "Kept",
        sorted(spec.fractions),
        max(f for f in spec.fractions if f <= max(0.1, min(spec.fractions))),
        format_func=lambda f: f"{100 * f:g}%",
        key=f"sub_fraction_{spec.key}",
    )
    key = right.selectbox("Chosen by", list(titles), format_func=titles.get, key="sub_where")
    table = result.tables["shares"]
    here = table[table["fraction"] == fraction]
    summed = here.groupby(["method", "selection", "seed", "component"], sort=False)["share"].sum()
    left, right = st.columns(2, gap="medium")
    with left:
        st.markdown("**Share of each component**; dotted: equal shares.")
        exports.chart(
            share_bars(summed.reset_index(), titles),
            here,
            "component_shares",
            "Stacked bars: share of query, key and value neurons among those kept.",
        )
    with right:
        st.markdown(f"**Density**, {plain(titles[key])}: kept of each layer's neurons.")
        own = here[(here["method"] == key[0]) & (here["selection"] == key[1])]
        wide = own.pivot_table(index="layer", columns="component", values="density")
        wide = wide[list(spec.components)].rename(columns=COMPONENT_NAMES)
        exports.chart(
            matrix(wide, "kept", percent=True), own, "density", "Heatmap of layers by components."
        )


def checks(spec: SubmodelsSpec, result: Result, metric: str) -> None:
    """Equal budgets, and one at a time against together."""
    st.subheader("Checks")
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
            required=True,
        )
        here = only[only["budget"] == budget]
        st.markdown("**Only query, only key or only value neurons off**, as many of each.")
        exports.chart(
            only_bars(here, metric, result.numbers["full"][metric]),
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


def agreement(spec: SubmodelsSpec, result: Result) -> None:
    """How far the methods' scores agree."""
    table = result.tables["agreement"]
    if table.empty:
        return
    st.subheader("Do the methods agree?")
    left, right = st.columns(2, gap="medium")
    with left:
        shown_table = table.replace(METHODS).replace(COMPONENT_NAMES)
        numbers = {c: st.column_config.NumberColumn(format="%.2f") for c in ("spearman", "jaccard")}
        numbers["fraction"] = st.column_config.NumberColumn(format="percent")
        st.dataframe(shown_table, hide_index=True, column_config=numbers, height=340)
        exports.tables(table, "agreement")
    with right:
        pairs = list(table[["a", "b"]].drop_duplicates().itertuples(index=False, name=None))
        a, b = st.selectbox(
            "Scores of",
            pairs,
            format_func=lambda pair: f"{METHODS[pair[0]]} and {METHODS[pair[1]]}",
            key="sub_pair",
        )
        c = st.segmented_control(
            "Component",
            list(spec.components),
            default=spec.components[0],
            format_func=COMPONENT_NAMES.get,
            key="sub_scatter",
            required=True,
            label_visibility="collapsed",
        )
        x, y = result.arrays[f"{a}.{c}"], result.arrays[f"{b}.{c}"]
        points = pd.DataFrame({METHODS[a]: x.ravel(), METHODS[b]: y.ravel()})
        exports.chart(
            score_scatter(x, y, (METHODS[a], METHODS[b]), COMPONENT_COLOURS[c]),
            points,
            "scatter",
            "Points: one per neuron, by the scores of two methods.",
        )


def scores_of(result: Result, method: str) -> NeuronScores:
    """The scores of a method over the components that were scored."""
    arrays = {c: result.arrays.get(f"{method}.{c}") for c in COMPONENTS}
    return NeuronScores({c: own for c, own in arrays.items() if own is not None})


def ranked(model: Model, spec: SubmodelsSpec, result: Result) -> None:
    """The neurons themselves, and what secondary structure they respond to."""
    st.subheader("The neurons")
    method = st.segmented_control(
        "Ranked by",
        list(spec.methods),
        default=spec.methods[min(1, len(spec.methods) - 1)],
        format_func=METHODS.get,
        key=f"sub_ranked_{spec.key}",
        required=True,
    )
    scores = scores_of(result, method)
    neuron_maps.start(scores)
    table = scores.top(100)
    states = [s for s in "HGIEBTSC" if f"state_{s}.query" in result.arrays]
    for s in states:
        table[state_name(s)] = [
            float(result.arrays[f"state_{s}.{r.component}"][r.layer, r.neuron])
            for r in table.itertuples()
        ]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        neuron_maps.listed(
            table.drop(columns="rank"), "sub_neurons", "Neurons, best first, and their response."
        )
        if states:
            st.caption(
                "By secondary structure: mean activation there less that anywhere, in standard "
                "deviations of the activation."
            )
            response(result, states)
    with right:
        protein = spec.to_test()[0]
        prompt = Prompt(protein.sequence, target=protein.label)
        neuron_card.draw(model, prompt, neuron_maps.chosen(), scores)


def response(result: Result, states: list[str]) -> None:
    """What the chosen neuron responds to."""
    at = neuron_maps.chosen()
    values = [float(result.arrays[f"state_{s}.{at.component}"][at.layer, at.index]) for s in states]
    table = pd.DataFrame({"state": states, "mean": values, "low": values, "high": values})
    exports.chart(
        state_bars(table, title="response (standard deviations)"),
        table[["state", "mean"]],
        "response",
        f"Bars: how neuron {at} responds to each kind of secondary structure.",
    )
    strongest = {}
    for s in states:
        arrays = {c: np.abs(result.arrays[f"state_{s}.{c}"]) for c in COMPONENTS}
        c = max(arrays, key=lambda name: arrays[name].max())
        layer, index = np.unravel_index(arrays[c].argmax(), arrays[c].shape)
        strongest[state_name(s)] = (
            f"{layer}.{c}.{index} ({result.arrays[f'state_{s}.{c}'][layer, index]:+.1f})"
        )
    st.caption("Strongest of all neurons: " + "; ".join(f"{k} {v}" for k, v in strongest.items()))
