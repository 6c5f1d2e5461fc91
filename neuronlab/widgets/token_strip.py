"""The prompt itself, as tokens or residues that are read and chosen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from neuronlab.models import Encoded, Model
from neuronlab.widgets.browser import element

_mount = element("tokens")


def draw(data: dict[str, Any], name: str, pick: Callable[[int], None] | None = None) -> None:
    """The strip; the place of a chosen token is passed to ``pick``.

    Args:
        data: see ``figures.tokens.strip``.
        name: of the widget: unique on the page.
    """
    key = f"strip_{name}"

    def picked() -> None:
        at = st.session_state[key].picked
        if pick is not None and at is not None and at < len(data["tokens"]):
            pick(at)

    _mount(key=key, data=data, on_picked_change=picked)


def special(model: Model, encoded: Encoded) -> list[int]:
    """Places of the tokens that a tokenizer adds: a mask stands for what is hidden."""
    tokenizer = model.tokenizer
    added = set(tokenizer.all_special_ids) - {tokenizer.mask_token_id}
    return [at for at, token in enumerate(encoded.input_ids[0].tolist()) if token in added]
