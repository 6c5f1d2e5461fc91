"""Prove it: change the chosen neurons and see what the prediction does, beside random sets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from neuronlab.cli.same_call import neurons_python
from neuronlab.figures.charts import predictions, visible
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.figures.report import Part
from neuronlab.models import COMPONENTS, Component, Model, Prompt
from neuronlab.neurons import (
    Affine,
    Amplify,
    Effect,
    Intervention,
    KeepOnly,
    NeuronScores,
    NeuronSet,
    Suppress,
    effect,
)
from neuronlab.neurons.effect import AS_ACTIVE, CONTROLS, RANDOM, RANDOM_SETS, WRITTEN, percent
from neuronlab.neurons.interventions import Positions
from neuronlab.widgets import bystanders, exports, state
from neuronlab.widgets.guard import counted, guard, plain

_KINDS = {
    "scale": "Suppress / amplify",
    "affine": "Affine",
    "keep": "Keep only",
}
_POSITIONS: dict[Positions, str] = {
    "all": "all positions",
    "predicted": "the predicted position",
}


@dataclass(frozen=True)
class Change:
    """What the panel's widgets say; hashable, so that its outcome can be cached."""

    kind: str
    positions: Positions
    a: float = 0.0
    b: float = 0.0
    components: tuple[Component, ...] = COMPONENTS
    to_mean: bool = False

    def of(self, neurons: NeuronSet, model: Model, prompt: Prompt) -> Intervention:
        """The intervention on a set of neurons."""
        if self.kind == "affine":
            return Affine(neurons, self.positions, self.a, self.b)
        if self.kind == "keep":
            if self.to_mean:
                return KeepOnly.at_means(
                    neurons, model, prompt, positions=self.positions, components=self.components
                )
            return KeepOnly(neurons, self.positions, self.components)
        return (
            Suppress(neurons, self.positions)
            if self.a == 0
            else Amplify(neurons, self.positions, self.a)
        )

    def words(self) -> str:
        """What is done to neurons, and where."""
        if self.kind == "affine":
            done = f"activation h made {self.a:g} h {'-' if self.b < 0 else '+'} {abs(self.b):g}"
        elif self.kind == "keep":
            to = "set to their mean" if self.to_mean else "set to 0"
            names = ", ".join(COMPONENT_NAMES[c] for c in self.components)
            done = f"kept, all other {names} neurons {to}"
        else:
            done = "suppressed" if self.a == 0 else f"multiplied by {self.a:g}"
        return f"{done} at {_POSITIONS[self.positions]}"

    def python(self) -> str:
        """The call that makes this intervention of a set named ``basket``."""
        if self.kind == "affine":
            return f'nl.Affine(basket, "{self.positions}", a={self.a}, b={self.b})'
        if self.kind == "keep":
            to = ".at_means(basket, model, prompt, positions=" if self.to_mean else "(basket, "
            return f'nl.KeepOnly{to}"{self.positions}", components={self.components})'
        if self.a == 0:
            return f'nl.Suppress(basket, "{self.positions}")'
        return f'nl.Amplify(basket, "{self.positions}", factor={self.a})'


BASKET = "Basket"
_SUPPRESS = Change("scale", "all")
# Neurons of a changed set that are named in a line.
_NAMED = 10


@st.cache_data(max_entries=512, show_spinner=False)
def _effect(
    _model: Model,
    name: str,
    revision: str,
    prompt: Prompt,
    neurons: tuple,
    change: Change,
) -> Effect:
    """Run the change and its controls; cached for all sessions."""
    chosen = NeuronSet(neurons)
    # Means over the prompt are read once, not for every random set.
    intervention = change.of(chosen, _model, prompt)
    return effect(_model, prompt, chosen, lambda other: replace(intervention, neurons=other))


# Rankings to take the top of, by name.
Sources = Mapping[str, NeuronScores]


@st.fragment
def draw(
    model: Model,
    prompt: Prompt,
    sources: Sources,
    suppressed: tuple[NeuronSet, Effect] | None,
    *,
    in_headline: bool = False,
) -> None:
    """The panel; its widgets rerun it alone.

    Args:
        sources: besides the basket.
        suppressed: a set, and the effect of suppressing it everywhere, where that was measured.
        in_headline: whether the page says how specific that is (``bystanders.headline``).
    """
    with guard():
        _panel(model, prompt, sources, suppressed, in_headline)


def _panel(
    model: Model,
    prompt: Prompt,
    sources: Sources,
    suppressed: tuple[NeuronSet, Effect] | None,
    in_headline: bool,
) -> None:
    st.header("Prove it")
    left, right = st.columns([2, 3], gap="large")
    with left:
        neurons = _neurons(sources)
        change = _change(tuple(dict.fromkeys(c for s in sources.values() for c in s)))
    if not len(neurons):
        with right:
            st.info("The basket is empty: add neurons above, or use the top neurons.")
        return
    target = prompt.target
    assert isinstance(target, int)  # pages name it by its index
    if suppressed is not None and (neurons, change) == (suppressed[0], _SUPPRESS):
        outcome = suppressed[1]
    else:
        in_headline = False
        outcome = _effect(
            model,
            model.name,
            model.revision,
            prompt,
            tuple(neurons),
            change,
        )
    changed = f"{counted(len(neurons), 'neuron')} ({_named(neurons)}) {change.words()}"
    with left:
        _numbers(outcome, neurons, changed)
    python = _python(prompt, model, neurons, change)
    with right:
        exports.chart(
            predictions(
                outcome.choices.rename(columns={"before": "probability"}),
                target,
                outcome.choices.rename(columns={"after": "probability"}),
            ),
            outcome.choices,
            "intervention",
            f"Bars: probabilities of the first choices before and after; {changed}.",
            code=python,
        )
        with st.popover("Copy as Python", icon=":material/code:", type="tertiary"):
            st.code(python, language="python")
    key = bystanders.SUPPRESSED if change == _SUPPRESS else (change,)
    made = partial(change.of, neurons, model, prompt)
    bystanders.draw(model, prompt, neurons, made, key, in_headline=in_headline)


def _neurons(sources: Sources) -> NeuronSet:
    basket = state.basket()
    names = [*sources, BASKET]
    source = st.segmented_control(
        "Neurons",
        names,
        default=names[0],
        key="chosen",
        bind="query-params",
        required=True,
        wrap=True,
    )
    if source == BASKET:
        return basket
    count = st.slider("How many of the top", 1, 200, 10, key="top", bind="query-params")
    return sources[source].select(top=count)


def _change(components: tuple[Component, ...]) -> Change:
    kind = st.segmented_control(
        "Change",
        list(_KINDS),
        default="scale",
        format_func=_KINDS.__getitem__,
        key="change",
        bind="query-params",
        required=True,
        wrap=True,
    )
    settings: dict[str, Any] = {}
    if kind == "scale":
        settings["a"] = st.slider(
            "Factor: 0 suppresses, 1 changes nothing, 2 doubles",
            0.0,
            3.0,
            0.0,
            0.05,
            key="factor",
            bind="query-params",
        )
    elif kind == "affine":
        first, second = st.columns(2)
        settings["a"] = first.slider(
            "a in a·h + b", -3.0, 5.0, 1.0, 0.05, key="a", bind="query-params"
        )
        settings["b"] = second.slider("b", -5.0, 5.0, 0.0, 0.05, key="b", bind="query-params")
    else:
        settings["components"] = components
        settings["to_mean"] = st.toggle(
            "Set the others to their mean over the prompt instead of 0",
            key="mean",
            bind="query-params",
        )
        names = ", ".join(COMPONENT_NAMES[c] for c in components)
        st.caption(f"All other {names} neurons are emptied, in every layer.")
    positions: Positions = st.segmented_control(
        "At",
        list(_POSITIONS),
        default="all",
        key="at",
        bind="query-params",
        required=True,
        wrap=True,
        format_func=_POSITIONS.__getitem__,
    )
    return Change(kind, positions, **settings)


def _named(neurons: NeuronSet) -> str:
    """The names of a set, as far as a line has room."""
    names = [str(neuron) for neuron in neurons]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"{', '.join(names[:_NAMED])}{more}"


def _numbers(outcome: Effect, neurons: NeuronSet, changed: str) -> None:
    """What became of the target, beside every random set.

    Args:
        changed: what was done to which neurons.
    """
    measure = outcome.measure
    written = WRITTEN[measure]
    spread = written if measure == "probability" else "{:.2f}".format
    _metrics(outcome)
    before, after = outcome.judged
    what = "" if measure == "probability" else "log-odds "
    st.markdown(
        f"{counted(len(neurons), 'neuron')}: **{what}{written(before)} → {written(after)}**. "
        f"{RANDOM_SETS} matched random sets of either kind:"
    )
    rows = [{"set": "chosen", measure: after}]
    beside = []
    for control, words in CONTROLS.items():
        values = outcome.controls[control]
        line = (
            f"{words}: **{written(outcome.mean(control))} ± {spread(outcome.sd(control))}** "
            f"(from {written(min(values))} to {written(max(values))}; "
            f"p = {outcome.p(control):.2g})"
        )
        st.markdown(f"- {line}", help=_HELP[control].format(activity=outcome.activity[control]))
        beside.append(line)
        rows += [{"set": f"{control} {i}", measure: value} for i, value in enumerate(values)]
    table = pd.DataFrame(rows)
    exports.tables(table, "random_sets")
    text = (
        f"{plain(changed)}: **{what}{written(before)} → {written(after)}**. The same with "
        f"{RANDOM_SETS} matched random sets of either kind:"
    )
    exports.reported(
        "random_sets", Part("The proof", table=table, text="\n\n".join([text, *beside]))
    )


def _metrics(outcome: Effect) -> None:
    """The target after the change, and how it stands against a foil."""
    before, after = outcome.probability
    label = visible(outcome.label)
    first, second = st.columns(2)
    points = f"{100 * (after - before):+.3g} points"
    if outcome.log_odds is None:
        first.metric(f"p({label})", percent(after, 2), points)
        rank = outcome.rank
        second.metric(
            "Rank", f"{rank[1]:,}", f"was {rank[0]:,}", delta_color="off", delta_arrow="off"
        )
        return
    odds = outcome.log_odds
    first.metric(
        f"{label} against {visible(outcome.foil)}",
        f"{odds[1]:+.2f}",
        f"{odds[1] - odds[0]:+.2f}",
        help="Log-odds: the difference of the two log-probabilities, which is judged here.",
    )
    second.metric(f"p({label})", percent(after, 2), points)


_SETS = (
    f" {RANDOM_SETS} sets; mean and standard deviation of what is judged. p: how often "
    "such a set moves it as far, up or down, the chosen one counting as one of them."
)
_HELP = {
    RANDOM: "As many neurons drawn from the same layers and components. Most neurons are nearly "
    "silent: these are {activity:.0%} as active at the predicted token as the chosen ones "
    "(geometric mean)." + _SETS,
    AS_ACTIVE: "Each drawn among the neurons of its layer and component that are most like it in "
    "activation at the predicted token and in how much they write there. Where the chosen ones are "
    "the most active, none are as active: these are {activity:.0%} as active (geometric mean)."
    + _SETS,
}


def _python(prompt: Prompt, model: Model, neurons: NeuronSet, change: Change) -> str:
    asked = [repr(prompt.text), f"target={prompt.target!r}"]
    if prompt.mask is not None:
        asked.append(f"mask={prompt.mask}")
    for name, value in (("foil", prompt.foil), ("prefix", prompt.prefix)):
        if value is not None:
            asked.append(f"{name}={value!r}")
    return (
        "import neuronlab as nl\n\n"
        f"model = nl.load({model.name!r})\n"
        f"prompt = nl.Prompt({', '.join(asked)})\n"
        f"basket = {neurons_python(neurons)}\n"
        f"changed = nl.predict(model, prompt, intervention={change.python()})\n"
        f"print(changed.probability, changed.{'rank' if prompt.foil is None else 'log_odds'})"
    )
