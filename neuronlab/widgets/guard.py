"""No traceback reaches a page: an error is one sentence, with its details folded."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import streamlit as st
from pydantic import ValidationError

from neuronlab.errors import UserError, memory_in_a_sentence
from neuronlab.models.residues import besides, doubt

log = logging.getLogger("neuronlab")


@contextmanager
def guard() -> Iterator[None]:
    """Show an exception of the code inside as a message instead of a traceback."""
    try:
        with memory_in_a_sentence():
            yield
    except UserError as error:
        complain(str(error), getattr(error, "details", ""))
    except Exception as error:
        log.exception("a page failed")
        complain(
            "This part of the page failed unexpectedly; the rest still works. Try again, or "
            "report it with the details below.",
            f"{type(error).__name__}: {error}\n\n{traceback.format_exc()}",
        )


def complain(sentence: str, details: str = "") -> None:
    """One sentence; details for those who want them."""
    # Text from people and files is in there: it must not become Markdown.
    st.error(plain(sentence), icon=":material/error:")
    if details:
        with st.expander("Details"):
            st.code(details, language=None)


def doubted(sequence: str) -> None:
    """A warning where a sequence is hardly a protein's, or has letters of no known residue."""
    if words := doubt([sequence]) or besides(sequence):
        st.warning(words, icon=":material/help:")


def sentence(error: Exception) -> str:
    """What an error says; of what a spec refuses, the first reason alone."""
    if not isinstance(error, ValidationError):
        return str(error)
    reason = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    return f"{reason[:1].upper()}{reason[1:]}."


def counted(count: int, noun: str) -> str:
    """So many of something: "1 neuron", "2,000 neurons"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def enumerated(names: Sequence[str]) -> str:
    """Names in a sentence: "a", "a and b", "a, b and c"."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last


def plain(text: str) -> str:
    """Text as Markdown that shows exactly that text."""
    for mark in "\\`*_{}[]()<>#+-!|$~:":
        text = text.replace(mark, f"\\{mark}")
    return text
