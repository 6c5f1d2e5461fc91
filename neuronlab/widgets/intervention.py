"""Prove it: change the chosen neurons and see what the prediction does, beside random sets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.figures.charts import predictions, visible
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.models import COMPONENTS, Component, Model, Prompt
from neuronlab.neurons import (
    Affine,
    Amplify,
    Intervention,
    KeepOnly,
    NeuronScores,
    NeuronSet,
    Prediction,
    Suppress,
    predict_many,
)
from neuronlab.neurons.interventions import Positions
from neuronlab.widgets import exports, state
from neuronlab.widgets.guard import guard

RANDOM_SETS = 20
_KINDS = {
    "scale": "Suppress / amplify",
    "affine": "Affine",
    "keep": "Keep only",
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
            means = None
            if self.to_mean:
                seen = model.read(model.encode(prompt), self.components)
                means = {at: values[0].mean(0) for at, values in seen.items()}
            return KeepOnly(neurons, self.positions, self.components, means)
        return (
            Suppress(neurons, self.positions)
            if self.a == 0
            else Amplify(neurons, self.positions, self.a)
        )

    def python(self) -> str:
        """The call that makes this intervention of a set named ``basket``."""
        if self.kind == "affine":
            return f'nl.Affine(basket, "{self.positions}", a={self.a}, b={self.b})'
        if self.kind == "keep":
            means = ""
            if self.to_mean:
                seen = f"model.read(model.encode(prompt), {self.components})"
                means = f", means={{at: h[0].mean(0) for at, h in {seen}.items()}}"
            return f'nl.KeepOnly(basket, "{self.positions}", components={self.components}{means})'
        if self.a == 0:
            return f'nl.Suppress(basket, "{self.positions}")'
        return f'nl.Amplify(basket, "{self.positions}", factor={self.a})'


@dataclass(frozen=True)
class Outcome:
    """Before, after, and after the same change of random sets; tables as in Prediction.top."""

    label: str
    before: pd.DataFrame
    after: pd.DataFrame
    probability: tuple[float, float]
    rank: tuple[int, int]
    random: tuple[float, ...]


@st.cache_data(max_entries=512, show_spinner=False)
def outcome(
    _model: Model,
    name: str,
    revision: str,
    text: str,
    mask: int | None,
    target: int,
    neurons: tuple,
    change: Change,
) -> Outcome:
    """Run the change and its controls in batches; cached for all sessions."""
    chosen = NeuronSet(neurons)
    prompt = Prompt(text, target=target, mask=mask)
    sets = [chosen, *(chosen.matched_random(_model.sizes, seed) for seed in range(RANDOM_SETS))]
    rows = [None, *(change.of(s, _model, prompt) for s in sets)]
    before, after, *random = predict_many(_model, prompt, rows)
    # Both tables hold the first choices of either, so that the bars stand side by side.
    both = pd.concat([before.top(10), after.top(10)])["index"].unique().tolist()

    def table(prediction: Prediction) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "token": [_model.label(i) for i in both],
                "index": both,
                "probability": prediction.probabilities[both].numpy(),
            }
        )

    return Outcome(
        label=before.label,
        before=table(before),
        after=table(after),
        probability=(before.probability, after.probability),
        rank=(before.rank, after.rank),
        random=tuple(p.probability for p in random),
    )


@st.fragment
def draw(model: Model, prompt: Prompt, scores: NeuronScores) -> None:
    """The panel; its widgets rerun it alone."""
    with guard():
        _panel(model, prompt, scores)


def _panel(model: Model, prompt: Prompt, scores: NeuronScores) -> None:
    st.subheader("Prove it")
    left, right = st.columns([2, 3], gap="large")
    with left:
        neurons = _neurons(scores)
        change = _change(scores)
    if not len(neurons):
        with right:
            st.info("The basket is empty: add neurons above, or use the top neurons.")
        return
    found = outcome(
        model,
        model.name,
        model.revision,
        prompt.text,
        prompt.mask,
        prompt.target,
        tuple(neurons),
        change,
    )
    with left:
        _numbers(found, neurons)
    with right:
        table = found.before.rename(columns={"probability": "before"}).assign(
            after=found.after["probability"]
        )
        exports.chart(
            predictions(found.before, prompt.target, found.after),
            table,
            "intervention",
            "Bars: probabilities of the first choices before and after the change.",
        )
        with st.popover("Copy as Python", icon=":material/code:", type="tertiary"):
            st.code(_python(prompt, model, neurons, change), language="python")


def _neurons(scores: NeuronScores) -> NeuronSet:
    basket = state.basket()
    source = st.segmented_control(
        "Neurons",
        ["top", "basket"],
        default="top",
        key="prove_source",
        required=True,
        format_func={"top": "Top neurons", "basket": f"Basket ({len(basket)})"}.get,
    )
    if source == "basket":
        return basket
    count = st.slider("How many of the top", 1, 200, 10, key="prove_top", persist_state="session")
    return scores.select(top=count)


def _change(scores: NeuronScores) -> Change:
    kind = st.segmented_control(
        "Change",
        list(_KINDS),
        default="scale",
        format_func=_KINDS.get,
        key="prove_kind",
        required=True,
    )
    settings = {}
    if kind == "scale":
        settings["a"] = st.slider(
            "Factor: 0 suppresses, 1 changes nothing, 2 doubles",
            0.0,
            3.0,
            0.0,
            0.05,
            key="prove_factor",
            persist_state="session",
        )
    elif kind == "affine":
        first, second = st.columns(2)
        settings["a"] = first.slider("a in a·h + b", -3.0, 5.0, 1.0, 0.05, key="prove_a")
        settings["b"] = second.slider("b", -5.0, 5.0, 0.0, 0.05, key="prove_b")
    else:
        settings["components"] = scores.components
        settings["to_mean"] = st.toggle(
            "Set the others to their mean over the prompt instead of 0", key="prove_mean"
        )
        names = ", ".join(COMPONENT_NAMES[c] for c in scores.components)
        st.caption(f"All other {names} neurons are emptied, in every layer.")
    positions = st.segmented_control(
        "At",
        ["all", "predicted"],
        default="all",
        key="prove_positions",
        required=True,
        format_func={"all": "all positions", "predicted": "the predicted position"}.get,
    )
    return Change(kind, positions, **settings)


def _numbers(found: Outcome, neurons: NeuronSet) -> None:
    before, after = found.probability
    random = np.array(found.random)
    label = visible(found.label)
    first, second = st.columns(2)
    first.metric(f"p({label})", f"{after:.2%}", f"{100 * (after - before):+.2f} points")
    second.metric("Rank", f"{found.rank[1]:,}", f"was {found.rank[0]:,}", delta_color="off")
    mean, sd = random.mean(), random.std(ddof=1)
    st.markdown(
        f"{len(neurons)} neurons: **{before:.1%} → {after:.1%}**. "
        f"{len(random)} matched random sets: **{mean:.1%} ± {sd:.1%}** "
        f"(from {random.min():.1%} to {random.max():.1%}).",
        help="As many neurons drawn from the same layers and components; mean and standard "
        "deviation of the target's probability.",
    )
    exports.tables(
        pd.DataFrame(
            {"set": ["chosen", *map(str, range(len(random)))], "probability": [after, *random]}
        ),
        "random_sets",
    )


def _python(prompt: Prompt, model: Model, neurons: NeuronSet, change: Change) -> str:
    asked = [repr(prompt.text), f"target={prompt.target!r}"]
    if prompt.mask is not None:
        asked.append(f"mask={prompt.mask}")
    listed = ", ".join(f"({n.layer}, {n.component!r}, {n.index})" for n in neurons)
    return (
        "import neuronlab as nl\n\n"
        f"model = nl.load({model.name!r})\n"
        f"prompt = nl.Prompt({', '.join(asked)})\n"
        f"basket = nl.NeuronSet([{listed}])\n"
        f"changed = nl.predict(model, prompt, intervention={change.python()})\n"
        "print(changed.probability, changed.rank)"
    )
