"""A lesson on paper: a worksheet to fill in, and notes for whoever teaches it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from neuronlab.figures.report import paragraphs
from pages.learn.experiment import Outcome
from pages.learn.lesson import Lesson, Step

_STYLE = """
body { font: 12pt/1.45 Georgia, serif; max-width: 42em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 20pt; } h2 { font-size: 14pt; margin-top: 1.6em; }
.line { border-bottom: 1px solid #999; height: 1.9em; } ul { list-style: "☐  "; }
.right { font-weight: bold; } .name { float: right; }
@media print { body { margin: 0; } h2 { break-after: avoid; } }
"""


def worksheet(lesson: Lesson, outcomes: Sequence[Outcome]) -> str:
    """A page to print: texts and questions, without what is revealed."""
    parts = [
        f"<p class='name'>Name: ____________________</p><h1>{escape(lesson.title)}</h1>",
        "<p><i>To be filled in beside the lesson on a screen, which has the figures: what is "
        f"“below”, or has a colour, is there (/learn?lesson={escape(lesson.name)}).</i></p>",
    ]
    for number, (step, outcome) in enumerate(zip(lesson.steps, outcomes, strict=True), start=1):
        parts.append(f"<h2>{number}. {escape(step.title)}</h2>{_text(step.text, outcome)}")
        if step.question:
            choices = "".join(f"<li>{escape(choice)}</li>" for choice in step.question.choices)
            parts.append(f"<p><b>{escape(step.question.ask)}</b></p><ul>{choices}</ul>")
            parts.append("<p>Why do you think so?</p>" + "<div class='line'></div>" * 2)
        parts.append("<p>What did you see?</p>" + "<div class='line'></div>" * 2)
    parts.append(f"<h2>Alone</h2>{_text(lesson.alone.text)}" + "<div class='line'></div>" * 4)
    return _page(lesson.title, parts)


def notes(lesson: Lesson, outcomes: Sequence[Outcome]) -> str:
    """The same for a teacher: right answers, and the numbers to expect on this server."""
    parts = [f"<h1>{escape(lesson.title)}: notes</h1><p>{escape(lesson.about)}</p>"]
    parts.append(
        f"<p>About {lesson.minutes} minutes. The numbers were measured on this server just now.</p>"
    )
    for number, (step, outcome) in enumerate(zip(lesson.steps, outcomes, strict=True), start=1):
        parts.append(f"<h2>{number}. {escape(step.title)}</h2>{_text(step.text, outcome)}")
        if step.question:
            choices = "".join(
                f"<li class='{'right' if at == outcome.answer else ''}'>{escape(choice)}"
                f"{' (right)' if at == outcome.answer else ''}</li>"
                for at, choice in enumerate(step.question.choices)
            )
            parts.append(f"<p><b>{escape(step.question.ask)}</b></p><ul>{choices}</ul>")
        parts.append(_text(step.reveal, outcome))
    parts.append(f"<h2>Alone</h2>{_text(lesson.alone.text)}")
    return _page(f"{lesson.title}: notes", parts)


def filled(text: str, outcome: Outcome) -> str:
    """A text with the numbers of its experiment in it."""
    return text.format(**outcome.numbers)


def right(step: Step, outcome: Outcome) -> str:
    """The answer that the measurement bears out, in words."""
    assert step.question is not None
    assert outcome.answer is not None
    return step.question.choices[outcome.answer]


def _text(text: str, outcome: Outcome | None = None) -> str:
    return paragraphs(filled(text, outcome) if outcome else text)


def _page(title: str, parts: Sequence[str]) -> str:
    return (
        f"<!DOCTYPE html><html lang='en'><meta charset='utf-8'><title>{escape(title)}</title>"
        f"<style>{_STYLE}</style>{''.join(parts)}</html>"
    )
