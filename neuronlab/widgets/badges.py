"""Beside a headline, how far it can be trusted; over maps not to be interpreted lies a veil."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from neuronlab.verdicts import Verdict
from neuronlab.widgets.guard import plain

_BAD = ":material/block:"
_LOOKS: dict[str, tuple[Literal["green", "orange", "red"], str]] = {
    "good": ("green", ":material/check_circle:"),
    "doubtful": ("orange", ":material/help:"),
    "bad": ("red", _BAD),
}


def draw(*verdicts: Verdict | None) -> bool:
    """A badge for each verdict.

    Returns:
        Whether what follows may be shown: not under a bad verdict, before a person has lifted the
        veil, which then stays lifted for such verdicts in this session.
    """
    given = [verdict for verdict in verdicts if verdict is not None]
    if not given:
        return True
    with st.container(horizontal=True, gap="small"):
        for verdict in given:
            colour, icon = _LOOKS[verdict.level]
            st.badge(plain(verdict.words), icon=icon, color=colour)
    return _lifted([verdict.words for verdict in given if verdict.level == "bad"])


def _lifted(reasons: list[str]) -> bool:
    lifted = st.session_state.setdefault("lifted", set())
    if lifted.issuperset(reasons):
        return True
    st.warning(
        "What would follow is not to be interpreted, though the model computes it all the same.",
        icon=_BAD,
    )
    if not st.button("Show it all the same", key="lift"):
        return False
    lifted.update(reasons)
    st.rerun()
