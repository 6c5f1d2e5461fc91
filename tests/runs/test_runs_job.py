"""What a run says of its time, by a clock that the test sets."""

import weakref
from types import SimpleNamespace

import pytest
from runs_toys import ToySpec

from neuronlab.runs import Context, Preview, Result, job
from neuronlab.widgets import runs


@pytest.fixture
def clock(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(job.time, "time", lambda: clock.now)
    return clock


@pytest.fixture
def started(clock):
    one = job.Job(ToySpec(), "cpu", {"me"})
    one.start(Context())
    return one


def test_time_left_falls_while_a_part_reports_nothing(clock, started):
    clock.now += 20
    started.progress(0.25, "half of the first half")
    left = []
    for _ in range(7):
        left.append(started.snapshot().seconds_left)
        clock.now += 10
    # After three times as long, nobody knows.
    assert left == [*map(pytest.approx, (60, 50, 40, 30, 20, 10)), None]


def test_words_alone_are_no_progress(clock, started):
    clock.now += 20
    started.progress(0.5, "one")
    clock.now += 15
    started.progress(0.5, "two")
    run = started.snapshot()
    assert (run.message, run.seconds_left, run.quiet) == ("two", 5, 15)
    started.progress(0.75, "")
    run = started.snapshot()
    assert (run.message, run.quiet) == ("two", 0)
    assert run.seconds_left == pytest.approx(35 / 3)


def test_a_run_that_begins_again_has_no_news_of_before(clock, started):
    started.progress(0.5, "one")
    started.requeue()
    clock.now += 100
    assert started.snapshot().quiet == 0
    started.start(Context())
    assert (started.snapshot().fraction, started.snapshot().quiet) == (0, 0)


def test_a_run_that_has_ended_keeps_nothing_of_its_way(clock, started):
    shown = Preview(Result({"sum": 1}), "a guess")
    gone = weakref.ref(shown)
    started.preview, started.records = shown, [{"step": 1}]
    del shown
    started.finish("done")
    assert (gone(), started.records, started.context) == (None, [], None)
    assert (started.snapshot().fraction, started.snapshot().seconds_left) == (1.0, None)


def test_people_are_told_that_the_bar_stands_still(clock, started):
    clock.now += 4
    started.progress(0.5, "reading")
    clock.now += 2
    assert runs._words(started.snapshot()) == "Reading: 50%, about 2 s left"
    clock.now += 28
    assert runs._words(started.snapshot()) == "Reading: 50%, no progress for 30 s"
