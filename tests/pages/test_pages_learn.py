"""Lessons: each is walked through to its end, and asks before it shows."""

import re
from types import SimpleNamespace

import numpy as np
import pytest

from neuronlab.widgets.page import GLOSSARY
from pages import PAGES
from pages.learn import classroom, handout, language, neuron, protein  # noqa: F401 (register experiments)
from pages.learn.experiment import EXPERIMENTS, Outcome, band, measure
from pages.learn.lesson import lessons

NAMES = [lesson.name for lesson in lessons()]


@pytest.fixture(autouse=True)
def _empty_classroom():
    classroom.classroom.clear()


def begin(visit, name, **query):
    page = visit("learn", lesson=name, **query)
    assert page.errors() == []
    return page


def guess(page, choice):
    page.at.radio[0].set_value(choice)
    page.run()
    return page.press("guess")


@pytest.mark.parametrize("lesson", lessons(), ids=NAMES)
def test_a_lesson_is_walked_through(visit, results, lesson):
    page = begin(visit, lesson.name)
    for number, step in enumerate(lesson.steps, start=1):
        assert page.says(f"Step {number} of {len(lesson.steps)}") or page.at.get("progress")
        if step.question:
            # Nothing is shown, and nobody goes on, before there is a guess.
            assert page.at.button(key="guess").disabled
            if number < len(lesson.steps):
                assert page.at.button(key="lesson_next").disabled
            guess(page, 0)
            assert page.says("You said")
        assert page.errors() == []
        shown = " ".join(page.texts())
        assert not re.search(r"\{\w+[:}]", shown)
        assert "nan" not in shown.lower().split()
        if number < len(lesson.steps):
            page.press("lesson_next")
            assert page.query("step") == str(number + 1)
    assert page.says("Now you.")
    for term in lesson.terms:
        assert page.says(GLOSSARY[term].replace("*", ""))


@pytest.mark.parametrize("lesson", lessons(), ids=NAMES)
def test_a_lesson_names_what_there_is(lesson):
    assert lesson.alone.page in {page.name for page in PAGES}
    assert set(lesson.terms) <= GLOSSARY.keys()
    for step in lesson.steps:
        assert not step.experiment or step.experiment in EXPERIMENTS
        assert not step.question or step.experiment


def test_what_is_right_is_measured_and_the_class_is_told(visit, results):
    one = guess(begin(visit, "proof"), 0)
    assert one.says("Measured: “Nearly all of it goes”")
    assert not one.says("What was guessed on this server")
    two = guess(begin(visit, "proof"), 2)
    assert two.says("and so it is")
    assert two.says("What was guessed on this server, 2 times")
    assert classroom.classroom().counts(("proof", 1)) == {0: 1, 2: 1}


def test_the_stronger_opponent_is_not_shown_before_it_is_asked_about(visit, results, monkeypatch):
    rows = {}
    monkeypatch.setattr(language.bars, "draw", lambda bars, name, alt: rows.update({name: bars}))
    for step in lessons()[NAMES.index("proof")].steps:
        measure(step).draw()
    assert [len(rows[f"learn_{which}"]) for which in ("best", "random", "active")] == [2, 3, 4]


def test_sure_is_what_the_histogram_shows_outside_its_lines(visit, results, monkeypatch):
    monkeypatch.setattr(protein, "_random_p", lambda *asked: np.array([0.0, 0.2, 0.5, 0.79, 0.8]))
    numbers = protein.random_letters(5).numbers
    assert (numbers["others"], numbers["enzymes"], numbers["sure"]) == (2, 1, 3)


def test_the_first_answer_counts_and_old_ones_give_way(monkeypatch):
    monkeypatch.setattr(classroom, "_MOST", 2)
    room = classroom.Classroom()
    for person, choice in (("a", 0), ("a", 1), ("b", 1), ("c", 1)):
        room.answer(("x", 1), person, choice)
    assert room.counts(("x", 1)) == {1: 2}


def test_a_lesson_can_be_taken_again(visit, results):
    page = guess(begin(visit, "languages"), 1)
    page.at.query_params["lesson"] = ""
    assert page.run().at.button(key="lesson_languages").label == "Look again"
    page.at.query_params["lesson"] = "languages"
    page.run()
    page.press("lesson_again")
    assert page.at.button(key="guess").disabled


@pytest.mark.parametrize(
    ("lesson", "step", "button"),
    [
        ("proof", "x", "guess"),
        ("proof", "9", "lesson_back"),
    ],
)
def test_a_damaged_link_leads_somewhere(visit, results, lesson, step, button):
    page = begin(visit, lesson, step=step)
    assert button in [each.key for each in page.at.button]


def test_a_lesson_that_there_is_not_is_named_above_those_that_there_are(visit, results):
    page = visit("learn", lesson="<b>nothing", step="2")
    page.one_error("<b>nothing", "choose one below")
    assert "lesson_proof" in [each.key for each in page.at.button]
    page.press("lesson_proof")
    assert page.errors() == []


def test_on_paper_answers_are_for_the_teacher_alone():
    lesson = next(each for each in lessons() if each.name == "languages")
    numbers = {"shared": 5.5, "same_relation": 4.3, "other_relation": 2.2, "expected": 0.03}
    numbers |= {"english": 15.0, "chinese": 20.0, "neurons": 36_864}
    outcomes = [Outcome({**numbers, "facts": 15}, answer=1)]
    sheet, notes = handout.worksheet(lesson, outcomes), handout.notes(lesson, outcomes)
    right = lesson.steps[0].question.choices[1]
    assert right in sheet
    assert f"{right} (right)" not in sheet
    assert f"{right} (right)" in notes
    assert "beside the lesson on a screen" in sheet
    assert "/learn?lesson=languages" in sheet
    assert "5.5 on average" in notes
    assert "5.5 on average" not in sheet
    assert "**" not in notes


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0), (0.2, 1), (0.5, 1), (0.8, 2), (3, 2)])
def test_a_band_begins_at_its_limit(value, expected):
    assert band(value, 0.2, 0.8) == expected


@pytest.mark.parametrize(
    ("kept", "answers"),
    [
        ([["proof", 1, 2], ["neuron", 2, 0]], {("proof", 1): 2, ("neuron", 2): 0}),
        (
            [["proof", 2, 9], ["proof", 1, -1], ["nowhere", 1, 0], ["proof"], ["proof", "1", 2], 3],
            {},
        ),
        ({"proof": 1}, {}),
        (None, {}),
    ],
)
def test_a_tab_gives_back_what_was_answered_and_nothing_else(monkeypatch, kept, answers):
    session = {"answers_in_tab": SimpleNamespace(kept=kept)}
    monkeypatch.setattr(classroom.st, "session_state", session)
    classroom._given_back()
    assert session["answers"] == answers  # also without any: the tab is not asked again
    assert not classroom.classroom().counts(("proof", 1))  # the class has heard it before


@pytest.mark.parametrize(
    ("token", "words"),
    [(" Paris", "“Paris”"), (" ", "a space"), ("   ", "nothing but spaces"), ("\n", "“↵”")],
)
def test_a_token_in_a_sentence_is_never_nothing(token, words):
    assert language.named(token) == words
