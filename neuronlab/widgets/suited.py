"""A page opens on a model that suits it, whatever was looked at before."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import streamlit as st

from neuronlab import examples
from neuronlab.models import Model, weights
from neuronlab.models.catalogue import available, entry, title_of
from neuronlab.models.entries import Entry
from neuronlab.studies.bases.prompts import one_stream
from neuronlab.widgets import state
from neuronlab.widgets.guard import plain


class Needs(NamedTuple):
    """What a page needs of a model.

    Attributes:
        kinds: of which it is one; any, if empty.
        alphabet: either, if empty.
        several_languages: that it knows more than one.
        stored: the studies whose stored results the page shows where the model is not fetched.
    """

    kinds: Collection[str]
    alphabet: str
    several_languages: bool
    stored: Collection[str]

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

    def shows(self, model: Entry | None) -> bool:
        """Whether there is anything to show of a model: not before it is fetched, as a rule."""
        if model is None or not model.embedded or weights.installed(model.name):
            return True
        return any((study, model.name) in examples.LARGE for study in self.stored)


def choose(page: str, needs: Needs, models: Sequence[str]) -> None:
    """Where a page is entered with a model that it can show nothing of, take another.

    The model chosen last that suits it, else the first of ``models`` of which there is something to
    show, else any. Whoever then chooses another on the page itself keeps it. Of a model that the
    catalogue does not list nothing is known: it stays. So does one of the hub that suits, which may
    be reached. What was done is told by ``note``.
    """
    chosen, recent = state.model_name(), st.session_state.setdefault("recent_models", [])
    entered = st.session_state.get("page") != page
    st.session_state["page"] = page
    suits = needs.suits(entry(chosen))
    if entered and not (suits and needs.shows(entry(chosen))):
        names = [*recent, *models, *(model.name for model in available())]
        suiting = [n for n in names if _offered(entry(n), needs)]
        if suiting:
            why = "is not on this machine" if suits else "does not suit this page"
            st.session_state["model"] = suiting[0]
            st.session_state["instead"] = page, f"{title_of(chosen)} {why}", suiting[0]
    current = state.model_name()
    st.session_state["recent_models"] = [current, *(name for name in recent if name != current)]
    on, why, instead = st.session_state.get("instead", ("", "", ""))
    sentence = f"Opened on {plain(title_of(current))}: {plain(why)}."
    st.session_state["note_on_model"] = sentence if (on, instead) == (page, current) else ""


def note() -> str:
    """Why the page is not on the model that was chosen, to be said once; "" where it is."""
    return st.session_state.pop("note_on_model", "")


def of_one_stream(model: Model) -> bool:
    """Whether a model's answer is a sum over one residual stream; else says so, and what to do."""
    if one_stream(model):
        return True
    why, other = "and reads it as tokens", ""
    if model.kind == "seq2seq":
        why = f"and {model.title} has two, an encoder's and a decoder's"
        other = " Its own neurons are scored on “Which neurons made it say that?”."
    st.info(
        plain(
            f"This page adds up what is written to one residual stream, {why}: choose a model that "
            f"continues text, or a masked one, in the sidebar.{other}"
        ),
        icon=":material/info:",
    )
    return False


def _offered(model: Entry | None, needs: Needs) -> bool:
    """Whether a page may open on a model by itself: on none of the hub."""
    at_hand = model is None or bool(model.tuned) or model.embedded
    return at_hand and needs.suits(model) and needs.shows(model)
