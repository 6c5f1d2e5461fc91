"""Models are made one at a time, and while nothing is computed.

While transformers makes a model it changes the whole process: torch's default type, and the
functions that draw first weights. A computation beside it would round differently, and a second
model would be made of both. So whoever makes a model holds the process alone (``making``), and
whoever computes with one shares it with all others who do (``computing``; ``Model.lock`` does).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class _Process:
    """Who computes, and who makes a model; those who want to make one go first."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._computing: dict[int, int] = {}  # by thread, how often it has entered
        self._maker: int | None = None
        self._made = 0
        self._waiting = 0

    def begin_computing(self) -> None:
        """Wait until no model is being made."""
        me = threading.get_ident()
        with self._changed:
            # Who is inside already goes on: waiting for one who waits for it would never end.
            if me not in self._computing and me != self._maker:
                self._changed.wait_for(lambda: self._maker is None and not self._waiting)
            self._computing[me] = self._computing.get(me, 0) + 1

    def end_computing(self) -> None:
        """Once for every ``begin_computing``, by the same thread."""
        me = threading.get_ident()
        with self._changed:
            self._computing[me] -= 1
            if not self._computing[me]:
                del self._computing[me]
                self._changed.notify_all()

    def begin_making(self) -> None:
        """Wait until nobody computes and no other model is being made."""
        me = threading.get_ident()
        with self._changed:
            if me == self._maker:
                self._made += 1
                return
            if me in self._computing:
                raise RuntimeError("a model cannot be made in the middle of a computation")
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._maker is None and not self._computing)
            finally:
                self._waiting -= 1
            self._maker, self._made = me, 1

    def end_making(self) -> None:
        """Once for every ``begin_making``, by the same thread."""
        with self._changed:
            self._made -= 1
            if not self._made:
                self._maker = None
                self._changed.notify_all()


_process = _Process()


@contextmanager
def making() -> Iterator[None]:
    """While open, this thread alone makes models; torch's default type is as before afterwards.

    Raises:
        RuntimeError: in the middle of a computation of the same thread.
    """
    _process.begin_making()
    dtype = torch.get_default_dtype()
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        _process.end_making()


@contextmanager
def computing() -> Iterator[None]:
    """While open, no model is made; others may compute. A thread may enter several times."""
    _process.begin_computing()
    try:
        yield
    finally:
        _process.end_computing()


class ModelLock:
    """Held by whoever runs a model: one thread at a time, and never while a model is made.

    A thread may enter several times.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        _process.begin_computing()
        try:
            self._lock.acquire()
        except BaseException:  # Ctrl-C while it waits: nobody would leave in its place
            _process.end_computing()
            raise

    def __exit__(self, *error: Any) -> None:
        self._lock.release()
        _process.end_computing()
