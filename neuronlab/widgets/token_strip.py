"""The prompt itself, as tokens or residues that are read and chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from neuronlab.figures.charts import visible
from neuronlab.figures.tokens import strip
from neuronlab.models import Encoded, Model, Prompt
from neuronlab.widgets.browser import element

_mount = element("tokens")


def draw(data: dict[str, Any], name: str, pick: Callable[..., None] | None = None) -> None:
    """The strip; the place of a chosen token is passed to ``pick``.

    Args:
        data: see ``figures.tokens.strip``.
        name: of the widget: unique on the page.
        pick: also takes the places of a pair, where a map of pairs is linked.
    """
    key = f"strip_{name}"

    def picked() -> None:
        places = st.session_state[key].picked
        if pick is not None and places and max(places) < len(data["tokens"]):
            pick(*places)

    _mount(key=key, data=data, on_picked_change=picked)


def of_prompt(
    model: Model, prompt: Prompt, values: Sequence[float] | None = None, what: str = "", **more: Any
) -> dict[str, Any]:
    """The data of a prompt's strip, what is hidden in it as "?"; see ``figures.tokens.strip``."""
    encoded, residues = model.encode(prompt), model.alphabet == "protein"
    texts = list(encoded.tokens)
    if residues and prompt.mask is not None:
        texts[model.residues_at.start + prompt.mask] = "?"
    added = special(model, encoded)
    return strip(texts, values, what, special=added, residues=residues, **more)


def name(model: Model, encoded: Encoded, at: int) -> str:
    """What a token of a prompt is called: "token 4, ␣France", or "residue 3 K"."""
    if model.alphabet == "protein" and at not in special(model, encoded):
        return f"residue {at - model.residues_at.start + 1} {encoded.tokens[at]}"
    return f"token {at + 1}, {visible(encoded.tokens[at])}"


def special(model: Model, encoded: Encoded) -> list[int]:
    """Places of the tokens that a tokenizer adds: a mask stands for what is hidden."""
    if model.alphabet == "protein":  # also a residue may be one that the vocabulary lacks
        places = range(len(encoded.tokens))
        return sorted(set(places) - set(places[model.residues_at]))
    tokenizer = model.tokenizer
    added = set(tokenizer.all_special_ids)
    ids = encoded.input_ids[0].tolist()  # what a decoder begins with is where its neurons are
    return [at for at, token in enumerate(ids) if token in added and not model.hides(token)]
