import os

import pytest
from runs_toys import Toy, ToySpec

from neuronlab.runs import Result


def kill(child):
    """End the process with SIGKILL, to which nothing in it can react, and leave a zombie."""
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)


@pytest.mark.long
def test_killed_while_saving_leaves_no_half_result(process, store):
    child = process("save", store.root)
    assert child.stdout.readline() == "saving\n"
    assert list(store.root.glob(".*.partial.*/*/top.parquet")), "the result was being written"
    kill(child)
    assert not store.has(ToySpec().key)
    assert store.history() == []
    store.save(ToySpec(), Result(numbers={"a": 1}), seconds=1)
    assert store.load(ToySpec().key)[1].numbers == {"a": 1}


@pytest.mark.long
def test_killed_run_is_offered_and_resumed_from_its_shards(process, store, make_queue):
    spec = ToySpec(parts=3)
    child = process("run", store.root)
    assert child.stdout.readline() == "last shard\n"
    assert store.interrupted() == [], "its process is alive"
    kill(child)
    (pending,) = store.interrupted()
    assert (pending.key, pending.study, pending.device) == (spec.key, "toy", "slow device")
    assert not store.has(spec.key)
    assert store.finished_shards(spec.key) == {0, 1}

    toy = Toy()
    queue = make_queue(toy)
    run = queue.resume(pending)
    assert run.device == "slow device"
    assert queue.wait(run.key, 10).status == "done"
    assert toy.computed == [("hello", 2)]
    assert store.load(spec.key)[1].numbers == {"sum": 1 + 2 + 3}
    assert store.interrupted() == []
    assert store.finished_shards(spec.key) == set()
