"""Toy studies; also run as a script, by tests that kill a process."""

import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd

from neuronlab.runs import Queue, Result, Spec, Store, Study


class ToySpec(Spec):
    study: ClassVar[str] = "toy"
    text: str = "hello"
    tags: frozenset[str] = frozenset({"a", "b", "c"})
    weights: tuple[float, ...] = (1.0, 0.5)
    parts: int = 1


class Toy(Study):
    """Counts what it computes; `body(spec, shard, context)` is what a shard does."""

    name = "toy"
    title = "Toy"
    spec_type = ToySpec

    def __init__(self, body=None):
        self.body = body or (lambda spec, shard, context: None)
        self.computed = []

    def default(self):
        return ToySpec()

    def shards(self, spec, context):
        return list(range(spec.parts))

    def run_shard(self, spec, shard, context):
        self.computed.append((spec.text, shard))
        self.body(spec, shard, context)
        return Result(numbers={"sum": shard + 1})

    def merge(self, spec, parts, context):
        return Result(numbers={"sum": sum(part.numbers["sum"] for part in parts)})


def full_result():
    return Result(
        numbers={"score": 0.25, "count": np.int64(3), "names": ["x"]},
        tables={"top": pd.DataFrame({"layer": [0, 1], "value": [0.5, -1.0]})},
        arrays={"file": np.arange(6.0).reshape(2, 3), "mask": np.array([True, False])},
        files={"fold.pdb": "ATOM\r\nEND ✓\n"},
    )


def until_cancelled(spec, shard, context):
    while True:
        context.check()
        time.sleep(0.005)


class Gate:
    """A body that says when it has begun, and waits, checking, until it is opened."""

    def __init__(self):
        self.begun, self.opened = threading.Event(), threading.Event()

    def __call__(self, spec, shard, context):
        self.begun.set()
        while not self.opened.wait(0.005):
            context.check()


class SlowText(str):
    """A text that takes for ever to write, and says when writing begins."""

    def encode(self):
        print("saving", flush=True)
        time.sleep(60)


def block_on_last(spec, shard, context):
    if shard == spec.parts - 1:
        print("last shard", flush=True)
        time.sleep(60)


if __name__ == "__main__":
    what, root = sys.argv[1], Path(sys.argv[2])
    if what == "key":
        print(ToySpec().key)
    elif what == "save":
        result = full_result()
        result.files["slow.txt"] = SlowText("never")
        Store(root).save(ToySpec(), result, seconds=1.0)
    elif what == "run":
        queue = Queue(Store(root), {"toy": Toy(block_on_last)})
        queue.submit(ToySpec(parts=3), device="slow device")
        time.sleep(60)
