"""What everybody on this server has answered: kept in memory, without names."""

from __future__ import annotations

from collections import Counter, OrderedDict
from threading import Lock

import streamlit as st

from neuronlab.widgets import services

# Sessions whose answer to a question is kept.
_MOST = 1000


class Classroom:
    """Answers by question and session; the oldest give way."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, int], OrderedDict[str, int]] = {}
        self._lock = Lock()

    def answer(self, question: tuple[str, int], person: str, choice: int) -> None:
        """A person's answer; the first one counts."""
        with self._lock:
            answers = self._answers.setdefault(question, OrderedDict())
            answers.setdefault(person, choice)
            if len(answers) > _MOST:
                answers.popitem(last=False)

    def counts(self, question: tuple[str, int]) -> Counter[int]:
        """How often each choice was taken."""
        with self._lock:
            return Counter(self._answers.get(question, {}).values())


@st.cache_resource
def classroom() -> Classroom:
    """The one of this server."""
    return Classroom()


def answered(question: tuple[str, int]) -> int | None:
    """What this session has answered."""
    return _mine().get(question)


def answer(question: tuple[str, int], choice: int) -> None:
    """Answer for this session, and for the class."""
    _mine().setdefault(question, choice)
    classroom().answer(question, services.owner(), choice)


def forget(lesson: str) -> None:
    """Take a lesson again; the class keeps what was answered first."""
    for question in [q for q in _mine() if q[0] == lesson]:
        del _mine()[question]


def _mine() -> dict[tuple[str, int], int]:
    return st.session_state.setdefault("answers", {})
