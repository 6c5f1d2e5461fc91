"""Learn: lessons that ask before they show."""

from __future__ import annotations

from functools import partial
from typing import Any

import streamlit as st

from neuronlab.widgets import bars, links
from neuronlab.widgets.bars import Bar
from neuronlab.widgets.guard import complain, counted, guard, plain
from neuronlab.widgets.page import GLOSSARY
from pages import PAGES, WORDS
from pages.learn import classroom, handout, language, neuron, protein  # noqa: F401 (register experiments)
from pages.learn.experiment import Outcome, measure
from pages.learn.lesson import Lesson, Step, lessons

_COLUMNS = 2


def main() -> None:
    classroom.remember()
    of = {lesson.name: lesson for lesson in lessons()}
    name = st.query_params.get("lesson", "")
    lesson = of.get(name)
    if lesson is None:
        if name:
            complain(f"There is no lesson “{name[:60]}”: choose one below.")
        shelf()
        return
    with guard():
        take(lesson)


def shelf() -> None:
    """All lessons, in their order."""
    # Row by row, so that a phone shows them in order.
    rows = [st.columns(_COLUMNS, gap="medium") for _ in lessons()[::_COLUMNS]]
    places = [place for row in rows for place in row]
    for number, (place, lesson) in enumerate(zip(places, lessons(), strict=False)):
        with place, st.container(border=True, height="stretch"):
            asked = [at for at, step in enumerate(lesson.steps, start=1) if step.question]
            done = sum(classroom.answered((lesson.name, at)) is not None for at in asked)
            st.markdown(f"## {number + 1}. {lesson.title}")
            st.caption(lesson.about)
            with st.container(horizontal=True, vertical_alignment="center"):
                st.button(
                    "Begin" if not done else "Go on" if done < len(asked) else "Look again",
                    key=f"lesson_{lesson.name}",
                    icon=":material/play_arrow:",
                    on_click=go,
                    args=(lesson.name, 1),
                )
                took = f"{lesson.minutes} minutes"
                st.caption(f"{took}, {done} of {counted(len(asked), 'answer')} given")
    st.page_link(WORDS.path, label=f"**{WORDS.title}**: {WORDS.card}", icon=WORDS.symbol)


def go(lesson: str, step: int) -> None:
    """Turn to a step; the address follows. Keys of buttons that do begin with "lesson_"."""
    links.carry("lesson", lesson)
    links.carry("step", str(step) if lesson else "")


def take(lesson: Lesson) -> None:
    """One step of a lesson, and the way on."""
    asked = st.query_params.get("step", "1")
    number = min(max(int(asked), 1), len(lesson.steps)) if asked.isdecimal() else 1
    step, last = lesson.steps[number - 1], number == len(lesson.steps)
    back = ":material/arrow_back:"
    st.button(
        "All lessons", icon=back, type="tertiary", key="lesson_all", on_click=go, args=("", 1)
    )
    st.header(lesson.title, anchor=False)
    st.progress(number / len(lesson.steps), f"Step {number} of {len(lesson.steps)}")
    answered = show(step, (lesson.name, number))
    with st.container(horizontal=True):
        if number > 1:
            st.button("Back", key="lesson_back", on_click=go, args=(lesson.name, number - 1))
        if not last:
            st.button(
                "Next",
                key="lesson_next",
                type="primary",
                disabled=not answered,
                on_click=go,
                args=(lesson.name, number + 1),
            )
    if last and answered:
        end(lesson)


def show(step: Step, at: tuple[str, int]) -> bool:
    """A step; whether nothing is left to answer in it."""
    st.subheader(step.title, anchor=False)
    with guard():
        outcome = measure(step)
        st.markdown(handout.filled(step.text, outcome))
        if step.question:
            chosen = classroom.answered(at)
            if chosen is None:
                ask(step, at)
                return False
            with st.container(border=True):
                given(step, outcome, at, chosen)
        outcome.draw()
        if step.reveal:
            st.markdown(handout.filled(step.reveal, outcome))
    return True


def ask(step: Step, at: tuple[str, int]) -> None:
    """The question, before anything is seen."""
    assert step.question is not None
    with st.container(border=True):
        choices = step.question.choices
        st.markdown("**What do you think?**")
        chosen = st.radio(
            step.question.ask,
            range(len(choices)),
            index=None,
            format_func=choices.__getitem__,
            key=f"choice_{at[0]}_{at[1]}",
        )
        if st.button(
            "That is my guess: show it",
            key="guess",
            type="primary",
            disabled=chosen is None,
        ):
            assert chosen is not None
            classroom.answer(at, chosen)
            st.rerun()


def given(step: Step, outcome: Outcome, at: tuple[str, int], chosen: int) -> None:
    """What was guessed, what is right, and what the class has guessed."""
    assert step.question is not None
    st.markdown(step.question.ask)
    guess = f"You said “{step.question.choices[chosen]}”"
    if chosen == outcome.answer:
        st.success(f"{guess}, and so it is.", icon=":material/check:")
    else:
        st.info(
            f"{guess}. Measured: “{handout.right(step, outcome)}”.", icon=":material/lightbulb:"
        )
    choices = (
        f"- **{plain(choice)}**" if number == outcome.answer else f"- {plain(choice)}"
        for number, choice in enumerate(step.question.choices)
    )
    st.markdown("\n".join(choices))
    counts = classroom.classroom().counts(at)
    if counts.total() > 1:
        st.caption(f"What was guessed on this server, {counts.total()} times:")
        rows = [
            Bar(choice, counts[number] / counts.total(), number == outcome.answer)
            for number, choice in enumerate(step.question.choices)
        ]
        bars.draw(rows, f"class_{at[0]}_{at[1]}", "Guesses of the class.")


def end(lesson: Lesson) -> None:
    """What is left to do alone, the words, and the lesson on paper."""
    page = next(each for each in PAGES if each.name == lesson.alone.page)
    with st.container(border=True):
        st.markdown(f"**Now you.** {lesson.alone.text}")
        st.page_link(page.path, label=f"**{page.title}**", icon=page.symbol)
    if lesson.terms:
        st.markdown("**Words of this lesson**")
        for term in lesson.terms:
            st.markdown(f"- **{term}.** {GLOSSARY[term]}")
    outcomes = [
        Outcome(numbers, answer=answer) for numbers, answer in _measured(lesson.name, lesson)
    ]
    names = [each.name for each in lessons()]
    after = names.index(lesson.name) + 1
    with st.container(horizontal=True):
        if after < len(names):
            st.button(
                f"Next lesson: {lessons()[after].title}",
                key="lesson_after",
                type="primary",
                on_click=go,
                args=(names[after], 1),
            )
        st.button("Take it again", key="lesson_again", on_click=again, args=(lesson.name,))
        for words, make in (("Worksheet", handout.worksheet), ("Teacher's notes", handout.notes)):
            st.download_button(
                f"{words} (to print)",
                partial(make, lesson, outcomes),
                f"{lesson.name}_{words.split()[-1].lower()}.html",
                "text/html",
                on_click="ignore",
                type="tertiary",
                icon=":material/print:",
                key=f"handout_{words.split()[-1]}",
            )
    st.caption("The link of this lesson, for others:")
    address = (st.context.url or "").split("?")[0]
    st.code(f"{address}?lesson={lesson.name}", language=None, wrap_lines=True)


@st.cache_data(max_entries=32, show_spinner="Measuring for the handouts")
def _measured(name: str, _lesson: Lesson) -> list[tuple[dict[str, Any], int | None]]:
    """Numbers and answers of a lesson's steps: a download is made where no session is."""
    outcomes = [measure(step) for step in _lesson.steps]
    return [(dict(outcome.numbers), outcome.answer) for outcome in outcomes]


def again(name: str) -> None:
    """Begin a lesson anew."""
    classroom.forget(name)
    go(name, 1)


main()
