"""Texts that drive a neuron of a language model, coloured by its activation at each token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pandas as pd
import streamlit as st

from neuronlab.figures.report import Part
from neuronlab.figures.tokens import strip, written
from neuronlab.labels.contexts import ENDS, activations, counted
from neuronlab.models import Component, Model
from neuronlab.neurons import Neuron
from neuronlab.runs import Result
from neuronlab.studies.token_labels import TokenLabelsSpec
from neuronlab.widgets import exports, label_sets, neuron_maps, services, token_strip
from neuronlab.widgets.guard import plain

STUDY = "token_labels"
# Of the newest labels that a model has, in the card of every page.
_BRIEF = 2


def brief(model: Model, neuron: Neuron, activation: float) -> None:
    """What a neuron is called and the first texts that drive it; nothing where none are known.

    Args:
        activation: in the prompt; texts are those that drive the neuron to the same side.
    """
    key = label_sets.newest_run(STUDY, model.name) if model.alphabet == "text" else None
    if key is None or not services.store().has(key):
        return
    spec, labels = _labels(key)
    if neuron.component not in spec.components:
        return
    places = services.finished(spec.contexts.key)
    if activation >= 0:
        _called(labels, neuron)  # above the texts that it is of
    if places is not None:
        end, side = ("top", "positive") if activation >= 0 else ("bottom", "negative")
        st.caption(f"Where in WordNet's definitions it is most {side}:")
        draw(model, places, neuron, end, "card", _BRIEF)
    if activation < 0:
        _called(labels, neuron)


def _called(labels: pd.DataFrame, neuron: Neuron) -> None:
    row = neuron_maps.row_of(labels, neuron)
    if row is not None and row["label"]:
        st.markdown(f"Most positive **{plain(str(row['label']))}**{judged(row)}.")


def judged(row: pd.Series) -> str:
    """How well a label predicts the neuron, beside its control."""
    if pd.isna(row["correlation"]):
        return " :gray[(its words are too rare in the texts that judge)]"
    control = row["control_correlation"]
    other = "" if pd.isna(control) else f"; another neuron's label {control:.2f}"
    return f" :gray[(held-out correlation {row['correlation']:.2f}{other})]"


def draw(
    model: Model, places: Result, neuron: Neuron, end: str, name: str, count: int | None = None
) -> None:
    """The texts at one end of a neuron, a strip of tokens each, all on one scale.

    Args:
        places: a result of the study of contexts.
        end: "top" or "bottom".
        name: of the widgets: unique on the page.
        count: how many; all, if not given.
    """
    at = (neuron.layer, neuron.index)
    rows = places.arrays[f"{end}_text.{neuron.component}"][at][:count]
    tokens = places.arrays[f"{end}_token.{neuron.component}"][at][:count]
    texts = tuple(places.tables["texts"]["text"].iloc[rows])
    seen = _activations(model, model.name, model.revision, texts, str(neuron), neuron)
    limit = max(float(np.abs(values[1:]).max(initial=0)) for _, values in seen)
    strips = []
    for number, ((words, values), token) in enumerate(zip(seen, tokens, strict=True)):
        data = strip(
            words,
            values.tolist(),
            "activation",
            special=_uncounted(model, len(words)),
            chosen=int(token),
            clickable=False,
            limit=limit,
        )
        token_strip.draw(data, f"{name}_{end}_{number}")
        strips.append(written(data))
    most = "positive" if end == "top" else "negative"
    title = f"Where in WordNet's definitions neuron {neuron} is most {most}"
    exports.reported(f"{name}_{end}", Part(title, html="".join(strips)))


def stronger(places: Result, neuron: Neuron) -> str:
    """The end, "top" or "bottom", at which a neuron is further from zero."""
    at = (neuron.layer, neuron.index, 0)
    sizes = {end: abs(places.arrays[f"{end}_value.{neuron.component}"][at]) for end in ENDS}
    return max(sizes, key=sizes.__getitem__)


def _uncounted(model: Model, tokens: int) -> Sequence[int]:
    places = range(tokens)
    return sorted(set(places) - set(places[counted(model)]))


@st.cache_data(max_entries=256, show_spinner=False)
def _activations(
    _model: Model, name: str, revision: str, texts: tuple[str, ...], at: str, _neuron: Neuron
) -> list[tuple[list[str], np.ndarray]]:
    component: Component = _neuron.component
    return activations(_model, texts, component, _neuron.layer, _neuron.index)


@st.cache_resource(max_entries=4, show_spinner=False)
def _labels(key: str) -> tuple[TokenLabelsSpec, pd.DataFrame]:
    raw, result = services.result(key)
    return cast(TokenLabelsSpec, services.spec_of(raw)), result.tables["labels"]
