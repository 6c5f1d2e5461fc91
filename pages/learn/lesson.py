"""A lesson: one file of text and steps, read and checked."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

FOLDER = Path(__file__).with_name("lessons")


class Question(BaseModel):
    """What people predict before it is computed.

    Attributes:
        ask: one sentence.
        choices: the answers there are, in the order in which the step's experiment counts them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ask: str
    choices: tuple[str, ...] = Field(min_length=2, max_length=5)


class Step(BaseModel):
    """A screen of a lesson.

    Attributes:
        title: a few words.
        text: Markdown, before anything is computed. In it and in `reveal`, ``{name}`` stands for a
            number of the step's experiment, such as ``{before:.0%}``; a text that comes before a
            question has none.
        experiment: by name, see ``experiment.EXPERIMENTS``; "" computes nothing.
        settings: of the experiment.
        question: asked before the experiment is shown; None shows it at once.
        reveal: Markdown, below what the experiment has shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str
    text: str
    experiment: str = ""
    settings: dict[str, Any] = Field(default_factory=dict)
    question: Question | None = None
    reveal: str = ""


class Alone(BaseModel):
    """One thing to try without help.

    Attributes:
        text: Markdown.
        page: where, by its address.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    page: str


class Lesson(BaseModel):
    """A lesson, as its file has it.

    Attributes:
        name: the file's, without the number that orders it; part of the lesson's address.
        about: one sentence.
        terms: of the glossary, that it explains.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    title: str
    about: str
    minutes: int = 5
    terms: tuple[str, ...] = ()
    steps: tuple[Step, ...] = Field(min_length=1)
    alone: Alone


@cache
def lessons() -> tuple[Lesson, ...]:
    """All lessons, in the order of their files' names."""
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.toml")))


def _read(path: Path) -> Lesson:
    name = path.stem.split("_", 1)[1]
    return Lesson(name=name, **tomllib.loads(path.read_text("utf-8")))
