import errno
import shutil
import threading
import time
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from runs_toys import Gate, Toy, ToySpec, until_cancelled

from neuronlab.runs import Context, Result, UserError, run_study
from neuronlab.runs import queue as queues

SPEC = ToySpec()
A, B, C = (ToySpec(text=text) for text in "abc")
# Seconds after which a test fails that waits: far more than a loaded machine takes.
LIMIT = 60


def test_a_run_ends_with_its_result_stored(store, make_queue):
    queue = make_queue(Toy())
    before = time.time()
    run = queue.wait(queue.submit(SPEC).key, LIMIT)
    assert (run.status, run.fraction, run.error, run.position) == ("done", 1.0, "", 0)
    assert before <= run.submitted <= run.started <= run.finished <= time.time()
    assert run.spec == SPEC
    assert store.load(run.key)[1].numbers == {"sum": 1}
    assert list((store.root / ".pending").iterdir()) == []


def test_the_result_is_stored_before_the_status_says_done(store, make_queue):
    queue = make_queue(Toy())
    for index in range(5):
        spec = ToySpec(text=str(index))
        queue.submit(spec)
        while queue.get(spec.key).status != "done":
            pass
        assert store.has(spec.key)


def test_the_same_spec_is_computed_once(make_queue):
    gate = Gate()
    toy = Toy(gate)
    queue = make_queue(toy)
    queue.submit(A)  # keeps the device busy, so that SPEC is joined in the queue
    barrier = threading.Barrier(8)

    def submit(owner):
        barrier.wait()
        for _ in range(20):
            queue.submit(ToySpec(), owner=str(owner))

    threads = [threading.Thread(target=submit, args=(owner,)) for owner in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gate.opened.set()
    assert queue.wait(SPEC.key, LIMIT).status == "done"
    assert queue.submit(SPEC, device="other").status == "done"
    assert toy.computed == [("a", 0), ("hello", 0)]
    assert len(queue.runs()) == 2


def test_a_stored_result_is_done_at_once(store, make_queue):
    store.save(SPEC, Result(), seconds=1)
    toy = Toy()
    run = make_queue(toy).submit(SPEC)
    assert (run.status, run.fraction) == ("done", 1.0)
    assert toy.computed == []


def test_a_damaged_result_is_computed_again(store, make_queue):
    store.save(SPEC, Result(numbers={"sum": 0.4}), seconds=1)
    numbers = store.path(SPEC.key) / "result.json"
    numbers.write_text(numbers.read_text().replace("0.4", "0.9"))
    toy = Toy()
    queue = make_queue(toy)
    queue.submit(SPEC)
    assert queue.wait(SPEC.key, LIMIT).status == "done"
    assert toy.computed == [("hello", 0)]
    assert store.load(SPEC.key)[1].numbers == {"sum": 1}


def test_a_result_stored_meanwhile_is_not_computed_again(store, make_queue):
    gate = Gate()
    toy = Toy(gate)
    queue = make_queue(toy)
    queue.submit(A)  # keeps the device busy
    queue.submit(B)
    store.save(B, Result(), seconds=1)
    gate.opened.set()
    assert queue.wait(B.key, LIMIT).status == "done"
    assert toy.computed == [("a", 0)]


def test_a_deleted_result_is_computed_again(store, make_queue):
    toy = Toy()
    queue = make_queue(toy)
    for _ in range(2):
        queue.submit(SPEC)
        assert queue.wait(SPEC.key, LIMIT).status == "done"
        store.delete(SPEC.key)
    assert len(toy.computed) == 2


@pytest.mark.parametrize("running", [True, False])
def test_one_owner_cancels_and_the_other_gets_the_result(store, make_queue, running):
    gate = Gate()
    queue = make_queue(Toy(gate))
    if not running:
        queue.submit(A)
    queue.submit(SPEC, owner="ann")
    queue.submit(SPEC, owner="bob")
    assert gate.begun.wait(LIMIT)
    expected = "running" if running else "queued"
    assert queue.cancel(SPEC.key, "ann").status == expected
    assert queue.cancel(SPEC.key, "stranger").status == expected
    gate.opened.set()
    assert queue.wait(SPEC.key, LIMIT).status == "done"
    assert store.has(SPEC.key)


def test_a_run_is_stopped_for_all_who_wait_for_it(make_queue):
    gate = Gate()
    queue = make_queue(Toy(gate))
    for owner in ("ann", "bob"):
        run = queue.submit(SPEC, owner=owner)
    assert gate.begun.wait(LIMIT)
    assert run.owners == {"ann", "bob"}
    queue.cancel(SPEC.key, *run.owners)
    assert queue.wait(SPEC.key, LIMIT).status == "cancelled"


def test_a_running_run_is_cancelled_within_a_second(store, make_queue):
    gate = Gate()
    queue = make_queue(Toy(gate))
    queue.submit(SPEC, owner="ann")
    assert gate.begun.wait(LIMIT)
    queue.cancel(SPEC.key, "ann")
    run = queue.wait(SPEC.key, 1)
    assert (run.status, run.error, run.details) == ("cancelled", "", "")
    assert not store.has(SPEC.key)
    assert list((store.root / ".pending").iterdir()) == []
    assert queue.cancel(SPEC.key).status == "cancelled"


def test_a_queued_run_is_cancelled_at_once(store, make_queue):
    gate = Gate()
    toy = Toy(gate)
    queue = make_queue(toy)
    for spec in (A, B, C):
        queue.submit(spec)
    assert gate.begun.wait(LIMIT)
    assert queue.cancel(B.key).status == "cancelled"
    assert queue.get(C.key).position == 0
    gate.opened.set()
    assert queue.wait(C.key, LIMIT).status == "done"
    assert toy.computed == [("a", 0), ("c", 0)]


def test_a_cancelled_run_is_tried_again(make_queue):
    gate = Gate()
    queue = make_queue(Toy(gate))
    queue.submit(SPEC)
    assert gate.begun.wait(LIMIT)
    queue.cancel(SPEC.key)
    assert queue.wait(SPEC.key, LIMIT).status == "cancelled"
    gate.opened.set()
    queue.submit(SPEC)
    assert queue.wait(SPEC.key, LIMIT).status == "done"


def test_submitting_takes_back_a_cancellation_under_way(make_queue):
    begun, stopping, go_on = threading.Event(), threading.Event(), threading.Event()

    def body(spec, shard, context):
        begun.set()
        if len(toy.computed) == 1:  # only at the first try
            try:
                until_cancelled(spec, shard, context)
            finally:
                stopping.set()
                go_on.wait(LIMIT)

    toy = Toy(body)
    queue = make_queue(toy)
    queue.submit(SPEC, owner="ann")
    assert begun.wait(LIMIT)
    assert queue.cancel(SPEC.key, "ann").message == "Stopping"
    assert stopping.wait(LIMIT)
    assert queue.submit(SPEC, owner="bob").status == "running"
    go_on.set()
    assert queue.wait(SPEC.key, LIMIT).status == "done"
    assert len(toy.computed) == 2


def fail(error):
    def body(spec, shard, context):
        raise error

    return body


@pytest.mark.parametrize(
    ("error", "text", "has_details"),
    [
        (UserError("The model is too large."), "The model is too large.", False),
        (
            RuntimeError("first line\nsecond line"),
            "The run failed unexpectedly: RuntimeError: first line",
            True,
        ),
        (AssertionError(), "The run failed unexpectedly: AssertionError", True),
        (SystemExit("bye"), "The run failed unexpectedly: SystemExit: bye", True),
    ],
)
def test_failures_are_explained_and_tried_again(store, make_queue, error, text, has_details):
    toy = Toy(fail(error))
    queue = make_queue(toy)
    for attempt in (1, 2):
        queue.submit(SPEC)
        run = queue.wait(SPEC.key, LIMIT)
        assert (run.status, run.error) == ("failed", text)
        assert ("runs_toys.py" in run.details) == has_details
        assert len(toy.computed) == attempt
    assert list((store.root / ".pending").iterdir()) == []


class FullDisk(str):
    """A text at which the disk is full."""

    def encode(self):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_explained(store, make_queue):
    class Big(Toy):
        def merge(self, spec, parts, context):
            return Result(files={"a.txt": FullDisk("a")})

    queue = make_queue(Big())
    queue.submit(SPEC)
    run = queue.wait(SPEC.key, LIMIT)
    assert run.status == "failed"
    assert run.error == f"The results in {store.root} cannot be changed: the disk is full."
    assert not store.has(SPEC.key)
    assert list(store.root.glob(".*.partial*")) == []


def test_a_store_that_vanishes_is_explained(store, make_queue):
    def body(spec, shard, context):
        shutil.rmtree(store.root)
        store.root.write_text("not a folder")

    queue = make_queue(Toy(body))
    queue.submit(SPEC)
    while_running = queue.wait(SPEC.key, LIMIT)
    at_once = queue.submit(A)  # not even the marker can be written
    for run in (while_running, at_once):
        assert run.status == "failed"
        assert run.error.startswith("The results in ")
        assert "Not a directory" in run.error or "File exists" in run.error


@contextmanager
def moments():
    """Yields [before, after]: the times between which the body ran."""
    times = [time.time()]
    yield times
    times.append(time.time())


def assert_left(run, times, ratio):
    """The time left is `ratio` times what it took until the last step, less what has passed since.

    However long the machine pauses this process: both bounds hold of any moment between `times`.
    """
    before, after = times
    least = ratio * (before - run.quiet - run.started) - (after - before + run.quiet)
    most = ratio * (after - run.quiet - run.started) - (before - after + run.quiet)
    assert least <= run.seconds_left <= most


def test_progress_and_time_left(make_queue):
    steps = {name: threading.Event() for name in ("begin", "little", "half")}
    reached = threading.Semaphore(0)

    def body(spec, shard, context):
        for name, fraction in {"begin": 0.0, "little": 0.01, "half": 0.5}.items():
            time.sleep(0.1)
            context.progress(fraction, name)
            reached.release()
            steps[name].wait(LIMIT)

    queue = make_queue(Toy(body))
    seen = []
    queue.submit(SPEC)
    for event in steps.values():
        assert reached.acquire(timeout=LIMIT)
        with moments() as at:
            run = queue.get(SPEC.key)
        seen.append((run.fraction, run.message))
        if run.fraction < 0.02:
            assert run.seconds_left is None
        else:  # as long as it has taken for the first half
            assert_left(run, at, 1)
        event.set()
    assert seen == [(0.0, "begin"), (0.01, "little"), (0.5, "half")]
    run = queue.wait(SPEC.key, LIMIT)
    assert (run.fraction, run.seconds_left) == (1.0, None)


def test_shards_found_stored_do_not_make_time_left_shorter(store, make_queue):
    spec = ToySpec(parts=4)
    run_study(Toy(), spec, store, Context())
    shutil.rmtree(store.shard_path(spec.key, 2))
    shutil.rmtree(store.shard_path(spec.key, 3))
    gate = Gate()

    def body(spec, shard, context):
        time.sleep(0.3)
        context.progress(0.5)
        gate(spec, shard, context)

    queue = make_queue(Toy(body))
    queue.submit(spec)
    assert gate.begun.wait(LIMIT)
    with moments() as at:
        run = queue.get(spec.key)
    assert run.fraction == 0.625
    # An eighth of the run has taken all the time, and three eighths are left.
    assert_left(run, at, 3)


@pytest.mark.parametrize("can", [True, False])
def test_freed_memory_is_given_back_after_a_run_where_that_can_be_asked(
    make_queue, monkeypatch, can
):
    asked = threading.Semaphore(0)
    trim = {"malloc_trim": lambda kept: asked.release()} if can else {}
    monkeypatch.setattr(queues.ctypes, "CDLL", lambda name: SimpleNamespace(**trim))
    queue = make_queue(Toy())
    for spec in (A, SPEC):
        queue.submit(spec)
        assert queue.wait(spec.key, LIMIT).status == "done"
        assert not can or asked.acquire(timeout=LIMIT)


def test_one_device_is_serial_and_two_are_parallel(make_queue):
    active, most, lock = {}, {}, threading.Lock()
    together = threading.Barrier(2)

    def body(spec, shard, context):
        with lock:
            active[context.device] = active.get(context.device, 0) + 1
            most[context.device] = max(most.get(context.device, 0), active[context.device])
        if spec.text.startswith("meet"):
            together.wait(LIMIT)  # passes only when both devices are running
        time.sleep(0.01)
        with lock:
            active[context.device] -= 1

    queue = make_queue(Toy(body))
    specs = [ToySpec(text=f"{text} on {device}") for text in ("meet", "x", "y") for device in "ab"]
    for spec in specs:
        queue.submit(spec, device=spec.text[-1])
    assert [queue.wait(spec.key, LIMIT).status for spec in specs] == ["done"] * 6
    assert most == {"a": 1, "b": 1}


def test_positions_and_order(make_queue):
    gate = Gate()
    toy = Toy(gate)
    queue = make_queue(toy)
    for spec in (A, B, C):
        queue.submit(spec)
    assert gate.begun.wait(LIMIT)
    assert [queue.get(spec.key).position for spec in (A, B, C)] == [0, 0, 1]
    assert [run.key for run in queue.runs()] == [C.key, B.key, A.key]
    gate.opened.set()
    queue.wait(C.key, LIMIT)
    assert [text for text, _ in toy.computed] == ["a", "b", "c"]


def test_people_take_turns(make_queue):
    gate = Gate()
    toy = Toy(gate)
    queue = make_queue(toy)
    first, *more = (ToySpec(text=f"ann {i}") for i in range(4))
    queue.submit(first, owner="ann")
    assert gate.begun.wait(LIMIT)
    for spec in more:
        queue.submit(spec, owner="ann")
    others = [ToySpec(text="bob"), ToySpec(text="cyd"), ToySpec(text="bob again")]
    for spec, owner in zip(others, ("bob", "cyd", "bob"), strict=True):
        queue.submit(spec, owner=owner)
    order = ["bob", "cyd", "ann 1", "bob again", "ann 2", "ann 3"]
    waiting = {queue.get(spec.key).position: spec.text for spec in [*more, *others]}
    assert [waiting[place] for place in range(6)] == order
    gate.opened.set()
    for spec in [*more, *others]:
        queue.wait(spec.key, LIMIT)
    assert [text for text, _ in toy.computed] == ["ann 0", *order]


def test_wait_gives_up(make_queue):
    gate = Gate()
    queue = make_queue(Toy(gate))
    queue.submit(SPEC)
    assert gate.begun.wait(LIMIT)
    assert queue.wait(SPEC.key, 0.02).status == "running"


def test_unknown_keys_and_studies(make_queue):
    queue = make_queue()
    assert queue.get(SPEC.key) is None
    with pytest.raises(KeyError):
        queue.cancel(SPEC.key)
    with pytest.raises(KeyError):
        queue.wait(SPEC.key)
    with pytest.raises(ValueError, match="no study 'toy'"):
        queue.submit(SPEC)


def test_closed_runs_are_offered_for_resumption_but_cancelled_ones_are_not(store, make_queue):
    def body(spec, shard, context):
        if shard == 1:
            gate(spec, shard, context)

    gate = Gate()
    queue = make_queue(Toy(body))
    running = ToySpec(text="running", parts=2)
    for spec in (running, A, B):
        queue.submit(spec)
    assert gate.begun.wait(LIMIT)
    queue.cancel(B.key)
    threads = set(threading.enumerate())
    queue.close(timeout=LIMIT)
    ended = threads - set(threading.enumerate())
    assert [thread.name for thread in ended] == ["runs-cpu"]
    assert {run.status for run in queue.runs()} == {"cancelled"}
    assert queue.get(running.key).finished is not None
    with pytest.raises(UserError, match="closed"):
        queue.submit(C)
    pending = {item.spec["text"]: item for item in store.interrupted()}
    assert pending.keys() == {"running", "a"}

    toy = Toy()
    again = make_queue(toy)
    assert again.wait(again.resume(pending["running"]).key, LIMIT).status == "done"
    assert toy.computed == [("running", 1)]
    assert [item.spec["text"] for item in store.interrupted()] == ["a"]


def test_resuming_an_older_version_forgets_the_old_shards(store, make_queue):
    class NewSpec(ToySpec):
        version = 2

    class New(Toy):
        spec_type = NewSpec

    old = ToySpec(parts=2)
    store.mark_pending(old, "cpu")
    store.release_pending(old.key)
    store.save_shard(old.key, 0, Result(numbers={"sum": 100}))
    toy = New()
    queue = make_queue(toy)
    (pending,) = store.interrupted()
    run = queue.resume(pending)
    assert run.spec == NewSpec(parts=2)
    assert queue.wait(run.key, LIMIT).status == "done"
    assert len(toy.computed) == 2
    assert store.interrupted() == []
    assert store.finished_shards(old.key) == set()


def test_whoever_watches_is_woken_by_a_preview_and_by_the_end(make_queue):
    gate = Gate()

    def body(spec, shard, context):
        context.preview(Result({"sum": -1}), "a guess")
        gate(spec, shard, context)

    queue = make_queue(Toy(body))
    key = queue.submit(SPEC).key
    preview = queue.watch(key, 5, None).preview
    assert (preview.result.numbers, preview.words) == ({"sum": -1}, "a guess")
    assert queue.watch(key, 0.05, preview).active  # nothing new
    assert queue.wait(key, 0.05).active  # a preview is not the end
    gate.opened.set()
    run = queue.watch(key, 5, preview)
    while run.active:
        run = queue.watch(key, 5, run.preview)
    assert (run.status, run.preview) == ("done", None)
