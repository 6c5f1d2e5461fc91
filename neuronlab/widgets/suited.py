"""A page opens on a model that suits it, whatever was looked at before."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import streamlit as st

from neuronlab import examples
from neuronlab.models import weights
from neuronlab.models.catalogue import available, entry, title_of
from neuronlab.models.entries import Entry
from neuronlab.widgets import state
from neuronlab.widgets.guard import plain


class Suits(NamedTuple):
    """Which models suit a page.

    Attributes:
        kinds: any, if empty.
        alphabet: either, if empty.
        several_languages: whether they know more than one.
    """

    kinds: Collection[str]
    alphabet: str
    several_languages: bool

    def suits(self, model: Entry | None) -> bool:
        """Whether a model does; of one that the catalogue does not list nothing is known."""
        if model is None:
            return True
        several = not self.several_languages or len(model.use.languages) > 1
        return (
            several
            and (not self.kinds or model.kind in self.kinds)
            and self.alphabet in ("", model.alphabet)
        )


def choose(page: str, needs: Suits, models: Sequence[str]) -> str:
    """Where a page is entered with a model that does not suit it, take another; says so, or "".

    The model chosen last that suits it, else the first of ``models`` of which there is something to
    show, else any. Whoever then chooses another on the page itself keeps it. Of a model that the
    catalogue does not list nothing is known: it stays.
    """
    chosen, recent = state.model_name(), st.session_state.setdefault("recent_models", [])
    entered = st.session_state.get("page") != page
    st.session_state["page"] = page
    if entered and not needs.suits(entry(chosen)):
        names = [*recent, *models, *(model.name for model in available())]
        suiting = [n for n in names if needs.suits(entry(n)) and _something_to_show(entry(n))]
        if suiting:
            st.session_state["model"] = suiting[0]
            st.session_state["instead"] = page, chosen, suiting[0]
    current = state.model_name()
    st.session_state["recent_models"] = [current, *(name for name in recent if name != current)]
    on, former, instead = st.session_state.get("instead", ("", "", ""))
    if (on, instead) != (page, current):
        return ""
    return plain(f"{title_of(former)} does not suit this page, which opens on {title_of(current)}.")


def _something_to_show(model: Entry | None) -> bool:
    """Whether it is on this machine, or a result of it comes with the project."""
    if model is None or model.tuned or (model.embedded and weights.installed(model.name)):
        return True
    return any(name == model.name for _, name in examples.LARGE)
