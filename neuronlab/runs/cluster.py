"""The shards of one run, computed on a Ray cluster.

A process of its own speaks with Ray, and is gone when the run has ended: Ray ends the process that
uses it when the cluster's head is lost, and that must not be the app.
"""

from __future__ import annotations

import os
import pickle
import queue
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit

from neuronlab.runs.errors import UserError

if TYPE_CHECKING:
    from neuronlab.runs.spec import Spec
    from neuronlab.runs.store import Store
    from neuronlab.runs.study import Context, Study

ADDRESS = "NEURONLAB_RAY_ADDRESS"
CPUS = "NEURONLAB_RAY_CPUS"

# Seconds: for a cluster to answer, between two looks at the context, for the process to end.
_ANSWER = 60.0
_TICK = 0.2
_END = 5.0
_DRIVER = "from neuronlab.runs.driver import main; main()"
# What the process says: a kind, and what belongs to it.
_Messages = queue.Queue[tuple[str, Any]]


class RemoteTraceback(Exception):
    """Where on the cluster an error was raised, as text; the cause of that error here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


def address() -> str:
    """The cluster that the settings name, "" for none: $NEURONLAB_RAY_ADDRESS.

    "auto" is the one this machine belongs to, "local" one of its own, "host:6379" the one whose
    head that is, for a machine that belongs to it.
    """
    return os.environ.get(ADDRESS, "").strip()


def compute_shards(
    study: Study, spec: Spec, shards: Mapping[int, Any], count: int, store: Store, context: Context
) -> None:
    """Compute `shards`, those of `count` that are not in `store` yet, and store each of them.

    Raises Cancelled, what a shard raises, or UserError where a setting is wrong, or the cluster is
    out of reach or lost; what was stored until then stays.
    """
    cpus = _cpus()
    where = address()
    if find_spec("ray") is None:
        raise UserError(
            f"{ADDRESS} is set, but Ray is not installed: "
            "run `pip install -r requirements-ray.txt`, or unset it."
        )
    _knock(where)
    task = {
        "address": where,
        "cpus": cpus,
        "study": study,
        "spec": spec,
        "shards": dict(shards),
        "given": context.given,
        "store": store,
    }
    done = count - len(shards)
    context.progress(done / count, "Waiting for the cluster")
    with _process(task) as messages:
        _follow(messages, where, done, count, context)


def _follow(messages: _Messages, where: str, done: int, count: int, context: Context) -> None:
    """Report what the process says until all is computed; raises as ``compute_shards``."""
    deadline: float | None = time.monotonic() + _ANSWER
    slots = 0
    while True:
        context.check()
        try:
            kind, value = messages.get(timeout=_TICK)
        except queue.Empty:
            if deadline and time.monotonic() > deadline:
                raise _out_of_reach(where) from None
            continue
        if kind == "slots":
            deadline, slots = None, value
        elif kind == "stored":
            done += 1
        elif kind == "unreached":
            raise _out_of_reach(where, value)
        elif kind == "raised":
            error, trace = value
            raise error from RemoteTraceback(trace)
        elif kind == "finished":
            return
        else:  # the process has ended without a word
            raise UserError(
                f"The Ray cluster at '{where}' was lost: run it again, "
                "the finished parts are kept.",
                details=value,
            )
        at_once = "one at a time" if slots == 1 else f"{slots} at a time"
        context.progress(done / count, f"{done} of {count} parts, on the cluster {at_once}")


def _cpus() -> int:
    text = os.environ.get(CPUS, "").strip() or "1"
    if not text.isdecimal() or not int(text):
        raise UserError(f"{CPUS} is '{text}': set it to the CPU cores of one part, such as 4.")
    return int(text)


def _knock(where: str) -> None:
    """UserError where nothing listens, which Ray itself would take two minutes to find out."""
    if where == "auto":
        where = os.environ.get("RAY_ADDRESS", where)
    if where in {"auto", "local"}:
        return
    try:
        parts = urlsplit(where if "://" in where else f"//{where}")
        reached = parts.hostname or "", parts.port or 10001
        socket.create_connection(reached, timeout=_END).close()
    except (OSError, ValueError) as error:
        raise _out_of_reach(where, str(error)) from error


def _out_of_reach(where: str, details: str = "") -> UserError:
    return UserError(
        f"The Ray cluster at '{where}' is out of reach: start it with `ray start --head`, "
        f"or correct or unset {ADDRESS}.",
        details=details,
    )


@contextmanager
def _process(task: dict[str, Any]) -> Iterator[_Messages]:
    """What the process that computes `task` says; the process ends with the context."""
    path = os.pathsep.join(str(Path(folder).absolute()) for folder in sys.path)
    environment = {**os.environ, "PYTHONPATH": path, "RAY_USAGE_STATS_ENABLED": "0"}
    if "NEURONLAB_HOME" in environment:  # it may be relative
        environment["NEURONLAB_HOME"] = str(Path(environment["NEURONLAB_HOME"]).absolute())
    messages: _Messages = queue.Queue()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-c", _DRIVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            # Ray has workers look for modules in this folder first, and a worker's own copy of
            # this program could be older than the one that is sent.
            cwd=tempfile.gettempdir(),
        )
        assert process.stdin
        assert process.stdout
        listener = Thread(target=_listen, args=(process.stdout, log, messages), daemon=True)
        listener.start()
        try:
            with suppress(BrokenPipeError):  # then the listener says why
                pickle.dump(task, process.stdin)
                process.stdin.flush()
            yield messages
        finally:
            with suppress(BrokenPipeError):
                process.stdin.close()  # which tells it to end
            try:
                process.wait(_END)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            listener.join()
            process.stdout.close()


def _listen(stream: IO[bytes], log: IO[bytes], messages: _Messages) -> None:
    """Put what the process says into `messages`; when it has ended, the end of its log."""
    try:
        while True:
            messages.put(pickle.load(stream))
    except Exception as error:  # whatever a message cut short leads to
        log.seek(0)
        end = log.read()[-4000:].decode(errors="replace")
        messages.put(("lost", f"{type(error).__name__}: {error}\n{end}"))
