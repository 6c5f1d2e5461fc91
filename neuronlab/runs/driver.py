"""The process between a run and its Ray cluster: it hands out the shards and stores what comes."""

from __future__ import annotations

import logging
import os
import pickle
import sys
import traceback
from pathlib import Path
from threading import Event, Thread
from typing import IO, TYPE_CHECKING, Any

import ray

import neuronlab
from neuronlab.runs.errors import UserError
from neuronlab.runs.study import Context, Study

if TYPE_CHECKING:
    from collections.abc import Callable

    from neuronlab.runs.result import Result
    from neuronlab.runs.spec import Spec


def main() -> None:
    """Compute the task that standard input holds, pickled; say how it goes on standard output.

    A message is a pickled pair: "slots" (how many shards at once), "stored" (a shard's index),
    and at the end "finished", "unreached" (why there is no cluster) or "raised" (an error and its
    traceback). The end of standard input is the wish to stop.
    """
    messages = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what Ray prints would not be understood

    def say(kind: str, value: Any = None) -> None:
        pickle.dump((kind, value), messages)
        messages.flush()

    unwanted = Event()
    task = pickle.load(sys.stdin.buffer)
    Thread(target=_until_closed, args=(sys.stdin.buffer, unwanted), daemon=True).start()
    try:
        ray.init(
            task["address"],
            include_dashboard=False if task["address"] == "local" else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            runtime_env={
                # Workers compute with this very code, and torch with as many threads as it may.
                "py_modules": [str(Path(neuronlab.__file__).parent)],
                "env_vars": {"OMP_NUM_THREADS": str(task["cpus"])},
            },
        )
    except ConnectionError as error:
        say("unreached", str(error))
        return
    except Exception as error:  # another version of Ray or Python there, an odd address
        reason = str(error).strip().partition("\n")[0]
        refused = UserError(f"The Ray cluster at '{task['address']}' cannot be used: {reason}")
        refused.__cause__ = error
        say("raised", _portable(refused))
        return
    try:
        _compute(task, say, unwanted)
    except Exception as error:
        say("raised", _portable(error))
    finally:
        ray.shutdown()


def _until_closed(stream: IO[bytes], unwanted: Event) -> None:
    stream.read()
    unwanted.set()


def _compute(task: dict[str, Any], say: Callable[..., None], unwanted: Event) -> None:
    """Have all shards computed and stored, as many at once as the cluster has room for."""
    spec, store, cpus = task["spec"], task["store"], task["cpus"]
    remote = ray.remote(_compute_shard)
    shared = ray.put((task["study"], spec, task["given"]))  # once, not with every shard
    waiting = list(reversed(task["shards"].items()))
    running: dict[Any, int] = {}
    while (waiting or running) and not unwanted.is_set():
        slots, gpu = _room(cpus)
        if not slots:
            raise UserError(
                f"No machine of the Ray cluster offers the NEURONLAB_RAY_CPUS={cpus} of one part: "
                "set it lower, or add a machine with `ray start`."
            )
        say("slots", slots)
        placed = remote.options(num_cpus=cpus, num_gpus=int(gpu))
        while waiting and len(running) < 2 * slots:
            index, shard = waiting.pop()
            running[placed.remote(shared, shard, gpu)] = index
        for finished in ray.wait(list(running), timeout=0.5)[0]:
            index = running.pop(finished)
            try:
                outcome = ray.get(finished)
            except ray.exceptions.RayError as error:
                raise UserError(
                    f"The Ray cluster could not compute part {index + 1}, and gave up: "
                    "look whether its workers have what they need and memory enough.",
                    details=str(error),
                ) from error
            if isinstance(outcome, tuple):
                say("raised", outcome)
                return
            store.save_shard(spec.key, index, outcome)
            say("stored", index)
    say("finished")


def _room(cpus: int) -> tuple[int, bool]:
    """How many shards can run at once, and whether on a GPU each: then only where there is one."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpu = any(node.get("GPU", 0) >= 1 for node in nodes)
    fitting = (
        min(node.get("CPU", 0) // cpus, node.get("GPU", 0) if gpu else float("inf"))
        for node in nodes
    )
    return int(sum(fitting)), gpu


def _compute_shard(
    shared: tuple[Study, Spec, tuple[Result, ...]], shard: Any, gpu: bool
) -> Result | tuple[Exception, str]:
    """A shard, on a worker. An error comes back as a value: Ray would wrap it."""
    study, spec, given = shared
    try:
        return study.run_shard(spec, shard, Context("cuda" if gpu else "cpu", given=given))
    except Exception as error:
        return _portable(error)


def _portable(error: Exception) -> tuple[Exception, str]:
    """The error, or one that says the same where it cannot be pickled, and its traceback."""
    trace = "".join(traceback.format_exception(error))
    try:
        copy = pickle.loads(pickle.dumps(error))
    except Exception:
        copy = None
    if type(copy) is not type(error):
        error = RuntimeError(f"{type(error).__name__}: {error}")
    return error, trace
