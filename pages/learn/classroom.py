"""What everybody on this server has answered: kept in memory, without names.

What a person has answered is kept in the browser's tab, too, until that is closed.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from threading import Lock

import streamlit as st

from neuronlab.widgets import services
from neuronlab.widgets.browser import element
from pages.learn.lesson import lessons

_mount = element("answers")
_ANSWERS, _TAB = "answers", "answers_in_tab"
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
    return st.session_state.get(_ANSWERS, {}).get(question)


def answer(question: tuple[str, int], choice: int) -> None:
    """Answer for this session, and for the class."""
    _mine().setdefault(question, choice)
    classroom().answer(question, services.owner(), choice)


def forget(lesson: str) -> None:
    """Take a lesson again; the class keeps what was answered first."""
    for question in [q for q in _mine() if q[0] == lesson]:
        del _mine()[question]


def remember() -> None:
    """Have the tab keep the answers of this session, and give those of one before it to a new one.

    To be called once a run.
    """
    answers = [[*question, choice] for question, choice in _mine().items()] if _begun() else []
    _mount(key=_TAB, data={"answers": answers, "fresh": not _begun()}, on_kept_change=_given_back)


def _given_back() -> None:
    """Take the answers that the tab has kept, as far as there are such questions."""
    kept, mine = st.session_state[_TAB].kept, _mine()
    choices = {
        (lesson.name, at): len(step.question.choices)
        for lesson in lessons()
        for at, step in enumerate(lesson.steps, start=1)
        if step.question
    }
    for entry in kept if isinstance(kept, list) else []:
        match entry:
            case [str(name), int(at), int(choice)] if 0 <= choice < choices.get((name, at), 0):
                mine.setdefault((name, at), choice)


def _begun() -> bool:
    """Whether this session has answered, or was given back, anything."""
    return _ANSWERS in st.session_state


def _mine() -> dict[tuple[str, int], int]:
    return st.session_state.setdefault(_ANSWERS, {})
