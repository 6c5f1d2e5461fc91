"""Toy studies whose shards run on a cluster, in processes that import them from here."""

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from runs_toys import Toy, ToySpec

from neuronlab.runs import Result, UserError


def note(spec, shard):
    """Leave a line, as the attempts of remote shards cannot be counted here: folder in `text`."""
    with (Path(spec.text) / str(shard)).open("a") as file:
        file.write(f"{os.getpid()} {time.time()} {os.environ.get('OMP_NUM_THREADS', 0)}\n")


def noted(folder):
    """(process, time, threads) of every attempt, by shard."""
    lines = {int(path.name): path.read_text().splitlines() for path in Path(folder).iterdir()}
    return {
        shard: [tuple(map(float, attempt.split())) for attempt in attempts]
        for shard, attempts in sorted(lines.items())
    }


def at_once(spec, shard, context):
    note(spec, shard)


def first_last(spec, shard, context):
    time.sleep(1.5 if shard == 0 else 0)
    note(spec, shard)


def beat_from_two(spec, shard, context):
    """Shards 0 and 1 end; the others never do, and say all the time that they are alive."""
    note(spec, shard)
    while shard >= 2:
        time.sleep(0.05)
        note(spec, shard)


def fail_kindly(spec, shard, context):
    raise UserError(f"The part {shard} is too long.", details="by far")


def fail(spec, shard, context):
    raise KeyError("no such thing")


def die_once(spec, shard, context):
    note(spec, shard)
    if len(noted(spec.text)[shard]) == 1:
        os._exit(1)


class Distributed(Toy):
    """Random parts of every kind, and the sum of what it was given."""

    distributed = True

    def __init__(self, body=at_once, needed=()):
        super().__init__(body)
        self.needed = list(needed)

    def needs(self, spec):
        return self.needed

    def run_shard(self, spec, shard, context):
        self.body(spec, shard, context)
        random = np.random.default_rng(shard)
        given = [float(result.arrays["file"].sum()) for result in context.given]
        return Result(
            numbers={"sum": shard + 1, "given": given, "device": context.device},
            tables={"table": pd.DataFrame({"x": random.normal(size=3), "at": [shard] * 3})},
            arrays={"array": random.normal(size=(2, 2))},
            files={"text.txt": f"part {shard} ✓\r\n"},
        )

    def merge(self, spec, parts, context):
        parts = list(parts)
        return Result(
            numbers={"parts": [part.numbers for part in parts]},
            tables={"table": pd.concat([part.tables["table"] for part in parts])},
            arrays={"array": np.stack([part.arrays["array"] for part in parts])},
            files={"all.txt": "".join(part.files["text.txt"] for part in parts)},
        )


class Source(Toy):
    """What another study needs."""

    name = "source"

    def run_shard(self, spec, shard, context):
        return Result(arrays={"file": np.arange(1000.0)})

    def merge(self, spec, parts, context):
        return parts[0]


class SourceSpec(ToySpec):
    study = "source"
