import os
import pickle
import socket
import threading
import time
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import psutil
import pytest
from runs_cluster_toys import (
    Distributed,
    Source,
    SourceSpec,
    at_once,
    beat_from_two,
    die_once,
    fail,
    fail_kindly,
    first_last,
    noted,
)
from runs_toys import Toy, ToySpec

from neuronlab.runs import Cancelled, Context, Store, UserError, cluster, run_study

ray = pytest.importorskip("ray")

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def head():
    """The address of a cluster of two slots, on which the toys can be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(HERE))
        # Else Ray writes a token into the home of whoever runs this. The mode is set by Ray.
        patch.setenv("RAY_AUTH_TOKEN", uuid4().hex + uuid4().hex)
        patch.setenv("RAY_AUTH_MODE", "")
        patch.delenv("RAY_AUTH_MODE")
        context = ray.init(
            "local",
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            object_store_memory=80 * 2**20,
        )
        yield context.address_info["gcs_address"]
        ray.shutdown()


@pytest.fixture
def on_cluster(head, monkeypatch):
    monkeypatch.setenv(cluster.ADDRESS, head)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "notes"
    made.mkdir()
    return made


@pytest.fixture
def spec(folder):
    return ToySpec(text=str(folder), parts=5)


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


def drivers():
    """The processes between this one and the cluster."""
    children = psutil.Process().children()
    return [child for child in children if "neuronlab.runs.driver" in " ".join(child.cmdline())]


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


@pytest.mark.long
def test_the_cluster_finds_what_the_local_worker_finds(
    on_cluster, monkeypatch, make_queue, store, tmp_path, spec, folder
):
    study = Distributed(first_last, [(Source(at_once), SourceSpec())])
    queue = make_queue(study)
    queue.submit(spec)
    seen = []
    while (run := queue.wait(spec.key, 0.02)).active:
        seen.append((run.fraction, run.message))
    assert (run.status, run.error) == ("done", "")
    attempts = noted(folder)
    assert [len(each) for each in attempts.values()] == [1] * 5
    assert os.getpid() not in {each[0][0] for each in attempts.values()}
    assert attempts[0][0][1] > max(attempts[i][0][1] for i in (1, 2, 3)), "not in their order"
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions)
    assert any(message.endswith("of 5 parts, on the cluster 2 at a time") for _, message in seen)
    assert not drivers()
    found = store.load(spec.key)[1]

    monkeypatch.delenv(cluster.ADDRESS)
    local = run_study(study, spec, Store(tmp_path / "other"), Context())
    assert {each[1][0] for each in noted(folder).values()} == {os.getpid()}
    assert found.numbers == local.numbers
    assert found.numbers["parts"][0]["given"] == [999 * 1000 / 2]
    assert found.files == local.files
    pd.testing.assert_frame_equal(found.tables["table"], local.tables["table"])
    np.testing.assert_array_equal(found.arrays["array"], local.arrays["array"])


@pytest.mark.slow  # with others, to keep `make test` short
@pytest.mark.long
def test_cancelled_in_seconds_and_taken_up_again(on_cluster, store, spec, folder):
    cancelled = threading.Event()
    raised = []

    def work():
        context = Context(cancelled=cancelled.is_set)
        try:
            run_study(Distributed(beat_from_two), spec, store, context)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: store.finished_shards(spec.key) == {0, 1} and len(noted(folder)) == 4)
    cancelled.set()
    thread.join(60)
    assert [type(error) for error in raised] == [Cancelled]
    time.sleep(0.5)
    before = noted(folder)
    time.sleep(0.5)
    assert noted(folder) == before, "the remote shards have stopped"

    seen = []
    context = Context(on_progress=lambda fraction, message: seen.append(fraction))
    result = run_study(Distributed(at_once), spec, store, context)
    assert [part["sum"] for part in result.numbers["parts"]] == [1, 2, 3, 4, 5]
    assert {i: len(each) for i, each in noted(folder).items()} == {
        **{i: len(before[i]) for i in (0, 1)},
        **{i: len(before[i]) + 1 for i in (2, 3)},
        4: 1,
    }
    assert context.skipped == pytest.approx(2 / 5)
    assert seen[0] == pytest.approx(2 / 5)
    assert seen == sorted(seen)


@pytest.mark.long
def test_a_user_error_comes_back_as_it_was(on_cluster, store, spec):
    with pytest.raises(UserError, match=r"^The part \d is too long\.\n") as raised:
        run_study(Distributed(fail_kindly), spec, store, Context())
    assert raised.value.details == "by far"


@pytest.mark.slow
def test_another_error_comes_back_with_its_traceback(on_cluster, make_queue, spec):
    queue = make_queue(Distributed(fail))
    run = queue.wait(queue.submit(spec).key, 60)
    assert run.status == "failed"
    assert run.error == "The run failed unexpectedly: KeyError: 'no such thing'"
    assert "runs_cluster_toys.py" in run.details


class Impossible(Exception):
    """An error that pickle cannot make again."""

    def __init__(self, one, two):
        super().__init__("both")


@pytest.mark.parametrize(
    ("error", "type_", "text"),
    [
        (UserError("Too long.", details="by far"), UserError, "Too long."),
        (Impossible(1, 2), RuntimeError, "Impossible: both"),
        (ValueError(threading.Lock()), RuntimeError, "ValueError: <unlocked _thread.lock"),
    ],
)
def test_every_error_can_be_sent(error, type_, text):
    from neuronlab.runs import driver

    try:
        raise error
    except Exception as raised:
        sent, trace = pickle.loads(pickle.dumps(driver._portable(raised)))
    assert type(sent) is type_
    assert str(sent).startswith(text)
    assert "test_every_error_can_be_sent" in trace
    assert getattr(sent, "details", "") == getattr(error, "details", "")


@pytest.mark.slow  # with others, to keep `make test` short
@pytest.mark.long
def test_a_worker_that_dies_is_replaced(on_cluster, store, folder, monkeypatch):
    monkeypatch.setenv(cluster.CPUS, "2")
    spec = ToySpec(text=str(folder), parts=2)
    result = run_study(Distributed(die_once), spec, store, Context())
    assert [part["sum"] for part in result.numbers["parts"]] == [1, 2]
    attempts = noted(folder)
    assert [len(each) for each in attempts.values()] == [2, 2]
    assert {threads for each in attempts.values() for _, _, threads in each} == {2}


@pytest.mark.slow  # with others, to keep `make test` short
@pytest.mark.long
def test_a_lost_cluster_is_told_and_what_is_finished_stays(on_cluster, make_queue, store, spec):
    queue = make_queue(Distributed(beat_from_two))
    queue.submit(spec)
    until(lambda: store.finished_shards(spec.key) == {0, 1})
    for driver in drivers():  # which is what Ray does when the head is gone
        driver.kill()
    run = queue.wait(spec.key, 30)
    assert run.status == "failed"
    assert run.error.endswith("was lost: run it again, the finished parts are kept.")
    assert store.finished_shards(spec.key) == {0, 1}


@pytest.mark.long
def test_a_part_that_fits_no_machine_is_told(on_cluster, store, spec, monkeypatch):
    monkeypatch.setenv(cluster.CPUS, "3")
    with pytest.raises(UserError, match=r"^No machine of the .* NEURONLAB_RAY_CPUS=3 of"):
        run_study(Distributed(), spec, store, Context())


@pytest.mark.parametrize("where", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "nonsense", "a b:x"])
def test_an_address_where_nothing_is(store, spec, monkeypatch, where):
    monkeypatch.setenv(cluster.ADDRESS, where.format(free_port()))
    with pytest.raises(UserError, match="is out of reach: start it with `ray start --head`"):
        run_study(Distributed(), spec, store, Context())


@pytest.mark.long
def test_an_address_that_never_answers(store, spec, monkeypatch):
    monkeypatch.setattr(cluster, "_ANSWER", 2.0)
    monkeypatch.setattr(cluster, "_END", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(cluster.ADDRESS, "{}:{}".format(*server.getsockname()))
        with pytest.raises(UserError, match="out of reach"):
            run_study(Distributed(), spec, store, Context())
    assert not drivers()


def test_ray_is_not_installed(store, spec, monkeypatch):
    monkeypatch.setenv(cluster.ADDRESS, "auto")
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -r requirements-ray\.txt"):
        run_study(Distributed(), spec, store, Context())


@pytest.mark.parametrize("cpus", ["0", "-1", "many", "1.5"])
def test_cores_that_are_no_number(store, spec, monkeypatch, cpus):
    monkeypatch.setenv(cluster.ADDRESS, "auto")
    monkeypatch.setenv(cluster.CPUS, cpus)
    with pytest.raises(UserError, match="NEURONLAB_RAY_CPUS is"):
        run_study(Distributed(), spec, store, Context())


def test_what_is_not_worth_a_cluster_stays_here(store, folder, monkeypatch):
    monkeypatch.setenv(cluster.ADDRESS, "nonsense")
    assert run_study(Toy(), ToySpec(parts=3), store, Context()).numbers == {"sum": 6}
    single = ToySpec(text=str(folder))
    assert len(run_study(Distributed(), single, store, Context()).numbers["parts"]) == 1
    several = ToySpec(text=str(folder), parts=2)
    for index in range(2):
        store.save_shard(several.key, index, Distributed().run_shard(several, index, Context()))
    assert len(run_study(Distributed(), several, store, Context()).numbers["parts"]) == 2


def node(cpu, gpu=0.0, alive=True):
    return {"Alive": alive, "Resources": {"CPU": float(cpu)} | ({"GPU": gpu} if gpu else {})}


@pytest.mark.parametrize(
    ("nodes", "cpus", "room"),
    [
        ([node(8), node(3)], 2, (5, False)),
        ([node(8), node(8, alive=False)], 1, (8, False)),
        ([node(8, 2.0), node(64)], 1, (2, True)),
        ([node(4, 4.0), node(4, 1.0)], 2, (3, True)),
        ([node(1)], 2, (0, False)),
        ([], 1, (0, False)),
    ],
)
def test_room_on_a_cluster(monkeypatch, nodes, cpus, room):
    from neuronlab.runs import driver

    monkeypatch.setattr(driver.ray, "nodes", lambda: nodes)
    assert driver._room(cpus) == room
