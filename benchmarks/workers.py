"""How a study shards over Ray workers: the same run in this process, and by 1 to 4 workers here.

    python benchmarks/workers.py [--workers 1,2,3,4] [--limit 2048] [--turns 3]

The proteins that drive the FFN neurons of ``antiberty`` up and down (study ``exemplars``), in parts
of 256 proteins. Each worker computes with one thread, as the process does beside which they stand,
and needs a core of its own: more workers than cores can only wait for one another. A run counts
from when the cluster stands to the stored result, with the start of its workers and their loading
the model, and once more from the first part that is there to the last, which is what a long run
comes to. Results are compared number by number with the process's own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import pandas as pd
import ray
import torch

from neuronlab.runs import Context, Result, Store, cluster, run_study
from neuronlab.studies.exemplars import PORTION, ExemplarsSpec, ExemplarsStudy

NAME = "antiberty"


@contextmanager
def workers(count: int) -> Iterator[None]:
    """A cluster of so many workers, which the runs inside use."""
    head = ray.init(
        "local",
        num_cpus=count,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        object_store_memory=200 * 2**20,
    )
    os.environ[cluster.ADDRESS] = head.address_info["gcs_address"]
    try:
        yield
    finally:
        del os.environ[cluster.ADDRESS]
        ray.shutdown()


def measure(spec: ExemplarsSpec) -> tuple[Result, float, float]:
    """A run's result, its seconds, and its parts a minute after the first."""
    there: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))

        def note(fraction: float, words: str) -> None:
            count = len(store.finished_shards(spec.key))
            if count and (not there or count > there[-1][0]):
                there.append((count, time.perf_counter()))

        began = time.perf_counter()
        result = run_study(ExemplarsStudy(), spec, store, Context("cpu", on_progress=note))
        seconds = time.perf_counter() - began
    (first, start), (last, end) = there[0], there[-1]
    return result, seconds, 60 * (last - first) / (end - start)


def same(result: Result, expected: Result) -> bool:
    """Whether two results have the same arrays and tables."""
    return all(
        np.array_equal(result.arrays[name], array, equal_nan=array.dtype.kind == "f")
        for name, array in expected.arrays.items()
    ) and all(result.tables[name].equals(table) for name, table in expected.tables.items())


def main() -> None:
    """Measure and print a row for the process and for each number of workers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--workers", default="1,2,3,4")
    parser.add_argument("--limit", type=int, default=8 * PORTION, help="proteins")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    # Else Ray writes a token into the home of whoever runs this; it reads it once.
    os.environ["RAY_AUTH_TOKEN"] = uuid4().hex + uuid4().hex
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    counts = [0, *map(int, options.workers.split(","))]
    spec = ExemplarsSpec(model=NAME, limit=options.limit)
    print(f"{os.cpu_count()} cores, one thread each, {options.limit} proteins", flush=True)
    expected = measure(spec)[0]  # which also loads the model and reads the proteins
    turns: dict[int, list[tuple[float, float]]] = {count: [] for count in counts}
    for _ in range(options.turns):
        for count in counts:
            if count:
                with workers(count):
                    result, *measured = measure(spec)
            else:
                result, *measured = measure(spec)
            assert same(result, expected), f"{count} workers give another result"
            turns[count].append(tuple(measured))
    rows = []
    for count, measured in turns.items():
        seconds, rates = zip(*measured, strict=True)
        rows.append(
            {
                "workers": count or "none",
                "seconds": statistics.median(seconds),
                "least": min(seconds),
                "most": max(seconds),
                "parts a minute after the first": statistics.median(rates),
            }
        )
    print(pd.DataFrame(rows).round(1).to_string(index=False))
    print("All results are the same.")


if __name__ == "__main__":
    main()
