"""What is explained of a prompt, and what it is compared with: target and foil."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pandas as pd
import streamlit as st

from neuronlab.errors import UserError
from neuronlab.figures.charts import visible
from neuronlab.models import Model, Prompt
from neuronlab.models.prompt import joined
from neuronlab.neurons import predict
from neuronlab.neurons.effect import percent
from neuronlab.widgets.guard import plain
from neuronlab.widgets.state import form_key

_NOTHING = -1  # in place of a foil's index


def target(model: Model, prompt: Prompt, form: dict[str, Any]) -> str | int:
    """The target as a spec holds it: its text where that is unambiguous, else its index."""
    probability = _probabilities(model, prompt)
    options = list(probability)
    first = options[0]
    if model.alphabet == "protein" and prompt.mask is not None:
        # What the residue is, is the natural question about it.
        truth = prompt.text[prompt.mask]
        first = model.tokenizer.convert_tokens_to_ids(truth)
    if (named := _named(model, prompt, form, "target")) is not None:
        first = named
    if first not in options:
        options.insert(0, first)
    chosen = _pick(
        model,
        prompt,
        "Class to explain" if model.kind == "classifier" else "Target to explain",
        options,
        first,
        key="target",
        help_="" if model.kind == "classifier" else "The model's first choices; or type another.",
    )
    assert chosen is not None  # nothing is no option
    return chosen


def foil(model: Model, prompt: Prompt, form: dict[str, Any], answer: str | int) -> str | int | None:
    """What the target is compared with, as a spec holds it; None is nothing."""
    index = _index(model, prompt, answer)
    options = [_NOTHING, *(choice for choice in _probabilities(model, prompt) if choice != index)]
    named = _named(model, prompt, form, "foil")
    first = _NOTHING if named in (None, index) else named
    if first not in options:
        options.insert(1, first)
    return _pick(
        model,
        prompt,
        "instead of (foil)",
        options,
        first,
        key=f"foil_{index}",
        help_="What is explained is then the difference of the two log-probabilities: which "
        "neurons prefer the target over the foil, and which the foil.",
    )


@st.cache_data(max_entries=256, show_spinner=False)
def _top(_model: Model, name: str, revision: str, prompt: Prompt, count: int) -> pd.DataFrame:
    """The model's most probable choices for a prompt; cached for all sessions."""
    return predict(_model, prompt).top(count)


def _named(model: Model, prompt: Prompt, form: dict[str, Any], name: str) -> int | None:
    """The form's target or foil, where it was chosen for this prompt and the model has it.

    An example's answer need be no word of a model of one's own: the field then offers others.
    """
    if form.get(name) is None or not _same(prompt, form):
        return None
    with suppress(UserError):
        return _index(model, prompt, form[name])
    return None


def _same(prompt: Prompt, form: dict[str, Any]) -> bool:
    """Whether the form's target and foil were chosen for this prompt."""
    there = prompt.text, prompt.mask, prompt.prefix
    return there == (form["text"], form["mask"], form.get("prefix"))


def _probabilities(model: Model, prompt: Prompt) -> dict[int, float]:
    """The first choices, the most probable first; of a masked residue all residues alone."""
    protein = model.alphabet == "protein"
    masked = protein and model.kind == "masked"
    count = model.vocabulary if masked else len(model.residues) if protein else 10
    top = _top(model, model.name, model.revision, prompt, count)
    if masked:
        top = top[top["index"].isin(model.residue_tokens.values())]
    return dict(zip(top["index"], top["probability"], strict=True))


def _pick(
    model: Model,
    prompt: Prompt,
    label: str,
    options: Sequence[int],
    first: int,
    *,
    key: str,
    help_: str,
) -> str | int | None:
    """One of the choices, or another that is typed; None where nothing is chosen."""
    probability = _probabilities(model, prompt)

    def words(choice: int | str) -> str:
        if isinstance(choice, str):
            return choice
        if choice == _NOTHING:
            return "nothing: the target by itself"
        share = f"  {percent(probability[choice])}" if choice in probability else ""
        return f"{visible(model.label(choice))}{share}"

    digest = hashlib.sha256(f"{prompt.text}|{prompt.mask}|{prompt.prefix}".encode()).hexdigest()[
        :12
    ]
    chosen: int | str | None = st.selectbox(
        label,
        options,
        index=options.index(first),
        format_func=words,
        key=form_key(f"{key}_{digest}"),
        accept_new_options=model.kind != "classifier",
        help=help_ or None,
    )
    if chosen == _NOTHING:
        return None
    if isinstance(chosen, str):
        text = model.kind == "causal" and model.alphabet == "text"
        typed = joined(prompt.text, chosen) if text else joined(prompt.prefix or "", chosen)
        encoded = model.encode(replace(prompt, target=typed))
        if encoded.note:
            st.caption(plain(encoded.note))
        chosen = encoded.target
    assert chosen is not None  # there is always a first choice
    return _written(model, prompt, chosen)


def _index(model: Model, prompt: Prompt, answer: str | int) -> int:
    index = model.encode(replace(prompt, target=answer)).target
    assert index is not None  # the prompt names a target
    return index


def _written(model: Model, prompt: Prompt, index: int) -> str | int:
    """A target's text, if reading it gives the same token again."""
    if model.kind == "classifier":
        return index
    text = model.token(index)
    try:
        return text if _index(model, prompt, text) == index else index
    except UserError:
        return index
