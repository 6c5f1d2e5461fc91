"""Pairs that stand in for each other, at thresholds that are moved live."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import study_command, study_python
from neuronlab.figures.charts import visible
from neuronlab.figures.degenerate import pair_bars, pair_counts, pair_graph
from neuronlab.models import Model
from neuronlab.neurons import Neuron, NeuronScores, NeuronSet
from neuronlab.neurons.effect import CONTROLS, percent
from neuronlab.runs import Result
from neuronlab.studies.degenerate_pairs import T_HIGH, T_LOW, DegeneratePairsSpec, published
from neuronlab.verdicts import confidence, domain
from neuronlab.widgets import (
    badges,
    exports,
    intervention,
    neuron_card,
    neuron_maps,
    prompt_form,
    sections,
    selection,
    services,
    shown,
    state,
)
from neuronlab.widgets.guard import plain

STUDY = "degenerate_pairs"
_DRAWN = 60
# Heads of the table of pairs.
_HEADS = {"layer_a": "layer A", "neuron_a": "A", "layer_b": "layer B", "neuron_b": "B"}
# The bars have what is left without either, and the files have all.
_SHOWN = {"p_ab": "without both", "synergy": "synergy"}
NULLS = {control.key: words for control, words in CONTROLS.items()}


def draw() -> None:
    """Form, run and results."""
    model = services.model(state.model_name(), state.device())
    asked = prompt_form.ask(model)
    # Without a prefix to share, every set costs a pass over the whole prompt.
    start, sets = (20, 20) if model.family.causal else (10, 3)
    count = st.slider(
        "Candidates: the best FFN neurons",
        5,
        40,
        start,
        key=f"pair_candidates_{start}",
    )
    spec = None
    if asked is not None:
        spec = DegeneratePairsSpec(
            model=model.name,
            revision=model.revision,
            candidates=count,
            random_sets=sets,
            **asked,
        )
    shown.study(STUDY, model, spec, partial(results, model), preview=partial(preview, model))


def preview(model: Model, spec: DegeneratePairsSpec, result: Result) -> None:
    """The pairs, before random ones stand beside them."""
    if trusted(model, spec, result):
        pairs_and_random(model, spec, result)


def results(model: Model, spec: DegeneratePairsSpec, result: Result) -> None:
    """The pairs and the candidates."""
    if not trusted(model, spec, result):
        return
    left, right = neuron_card.columns()
    scores = _scores(model, spec.method, result.tables["candidates"])
    with left:
        pairs_and_random(model, spec, result)
    with right:
        prompt = replace(spec.prompt, target=int(result.numbers["target"]))
        neuron_card.draw(model, prompt, neuron_maps.chosen(), scores)
    intervention.draw(model, prompt, {"Candidates": scores}, None)
    exports.share(spec.key, study_python(spec), study_command(spec))


def trusted(model: Model, spec: DegeneratePairsSpec, result: Result) -> bool:
    """The badges of a result, and whether its pairs may be shown."""
    of_prompt = domain(model.name, spec.text, model.alphabet)
    return badges.draw(of_prompt, confidence(result.numbers["p0"]))


def pairs_and_random(model: Model, spec: DegeneratePairsSpec, result: Result) -> None:
    """Pairs at thresholds that are moved live, beside random ones as soon as these are there."""
    n = result.numbers
    p0, table, candidates = n["p0"], result.tables["all_pairs"], result.tables["candidates"]
    low, high, most = thresholds()
    rule = published(table, p0, low, high)
    pairs = rule[rule["synergy"] <= most].reset_index(drop=True)
    label = plain(visible(n["target_label"]))
    st.markdown(
        f"**{label}** has {percent(p0)}. The published rule keeps **{len(rule)} of {len(table)} "
        f"pairs**; {int((rule['synergy'] < 0.95).sum())} of them leave less than 95 % of what two "
        "independent effects would leave."
    )
    if "random_pairs" in result.tables:
        beside_random(spec, result)
    neuron_maps.start(_scores(model, spec.method, candidates))
    parts: dict[str, Callable[[], None]] = {
        "Candidates": partial(listed_candidates, model, candidates)
    }
    if pairs.empty:
        nearest = table.loc[table["p_ab"].idxmin()]
        st.info(
            f"No pair at these thresholds. The strongest leaves {percent(nearest['p_ab'])} of "
            f"{percent(p0)}; alone its neurons leave {percent(nearest['p_a'])} and "
            f"{percent(nearest['p_b'])}."
        )
    else:
        of_pairs = {
            "Pairs": partial(look_at, model, pairs, p0),
            "Graph": partial(who_backs_whom, model, pairs),
        }
        parts = of_pairs | parts
    sections.draw(parts)


def thresholds() -> tuple[float, float, float]:
    """What a pair may cost alone, must cost together, and may leave of what is expected."""
    first, second, third = st.columns(3, vertical_alignment="bottom")
    low = first.slider(
        "Alone, each costs at most",
        0.0,
        0.5,
        T_LOW,
        0.01,
        format="percent",
        key="t_low",
        help="Of the answer's probability. The paper's T low.",
    )
    high = second.slider(
        "Together, at least",
        0.0,
        0.9,
        T_HIGH,
        0.01,
        format="percent",
        key="t_high",
        help="What both cost, switched off at once. The paper's T high.",
    )
    synergy = third.slider(
        "Left of expected, at most",
        0.0,
        1.5,
        1.5,
        0.01,
        format="percent",
        key="synergy",
        help="Synergy: what is left without both, as a share of what two separate effects would "
        "leave. Below 100 % either covers for the other.",
    )
    return low, high, synergy


def beside_random(spec: DegeneratePairsSpec, result: Result) -> None:
    """How many pairs random candidates give under the published thresholds."""
    n = result.numbers
    stronger = max(NULLS, key=lambda null: n[f"{null}_pairs"]["mean"])
    at = n[f"{stronger}_pairs"]
    verdict = "more than" if at["p"] <= 0.05 else "not clearly more than"
    others = [
        f"of {words}: {n[f'{null}_pairs']['mean']:.1f} ± {n[f'{null}_pairs']['sd']:.1f}"
        for null, words in NULLS.items()
    ]
    st.markdown(
        f"At the published thresholds the candidates give {len(n['pairs'])} pairs, **{verdict} "
        f"{NULLS[stronger]}** do (p = {at['p']:.2g}, {spec.random_sets} sets). Pairs "
        f"{'; '.join(others)}."
    )
    exports.chart(
        pair_counts(result.tables["random_pairs"], len(n["pairs"])),
        result.tables["random_pairs"],
        "random_pairs",
        "Points: how many pairs each random candidate set gives; a line for the candidates.",
    )


def look_at(model: Model, pairs: pd.DataFrame, p0: float) -> None:
    """The pairs as a table, and the one that is chosen."""
    chosen = pairs.iloc[[listed(model, pairs)]]
    exports.chart(
        pair_bars(p0, chosen.iloc[0], model.layer_names),
        chosen,
        "pair",
        "Bars: the target's probability with all, without either, without both.",
    )


def listed(model: Model, pairs: pd.DataFrame) -> int:
    """The pairs as a table, for the basket; returns the row that is looked at."""
    st.markdown("**Pairs**, strongest synergy first. Click one to look at it, tick several.")
    shown = pairs
    if len(model.stacks) > 1:
        names = pd.Series(model.layer_names)
        shown = pairs.assign(**{side: pairs[side].map(names) for side in ("layer_a", "layer_b")})
    event = st.dataframe(
        shown,
        hide_index=True,
        height=300,
        on_select="rerun",
        selection_mode=selection.MODES,
        key="pairs",
        column_config=_HEADS
        | {
            name: st.column_config.NumberColumn(words, format="%.3f")
            for name, words in _SHOWN.items()
        },
        column_order=[*_HEADS, *_SHOWN],
    )
    ticked = selection.ticked(event.selection, len(pairs))
    with st.container(horizontal=True):
        some = pairs.iloc[ticked] if ticked else pairs.head(5)
        words = f"{len(ticked)} selected" if ticked else f"the first {len(some)}"
        neuron_maps.add_button(f"Add {words} to the basket", _neurons(some), "add_pairs")
        exports.tables(shown, "pairs")
    st.caption(
        "In the basket, several pairs can be switched off at once below, beside random sets."
    )
    return selection.clicked(event.selection, len(pairs)) or 0


def listed_candidates(model: Model, candidates: pd.DataFrame) -> None:
    """The neurons that pairs are made of."""
    st.markdown("**The candidates**: what is left without each.")
    table = candidates.assign(component="ffn")[["layer", "component", "neuron", "score", "p"]]
    neuron_maps.listed(
        model.named(table),
        "candidates",
        "The candidates, best first.",
    )


def who_backs_whom(model: Model, pairs: pd.DataFrame) -> None:
    """The pairs as a graph of neurons, which are clicked."""
    st.markdown("**Who backs whom**. Click a neuron for its card.")
    at = neuron_maps.chosen()
    grid = pair_graph(pairs.head(_DRAWN), (at.layer, at.index), model.layer_names)

    def pick(cell: pd.Series) -> None:
        neuron_maps.choose(Neuron(int(cell["layer"]), "ffn", int(cell["neuron"])))

    neuron_maps.clickable(grid, "backs", 360, "Graph of neurons joined by pairs.", pick)
    if len(pairs) > _DRAWN:
        st.caption(f"Drawn: the {_DRAWN} strongest of {len(pairs)}.")


def _neurons(pairs: pd.DataFrame) -> NeuronSet:
    ends = [
        (int(row[f"layer_{side}"]), "ffn", int(row[f"neuron_{side}"]))
        for _, row in pairs.iterrows()
        for side in "ab"
    ]
    return NeuronSet(ends)


def _scores(model: Model, method: str, candidates: pd.DataFrame) -> NeuronScores:
    array = np.zeros((model.layers, model.sizes["ffn"]), np.float32)
    array[candidates["layer"], candidates["neuron"]] = candidates["score"]
    return NeuronScores({"ffn": array}, {"settings": {"method": method}})
