import os
import subprocess
import sys
from pathlib import Path

import pytest

from neuronlab.runs import Queue, Store

HERE = Path(__file__).parent


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "runs")


@pytest.fixture
def make_queue(store):
    queues = []

    def make(*studies):
        queues.append(Queue(store, {study.name: study for study in studies}))
        return queues[-1]

    yield make
    for queue in queues:
        queue.close(timeout=5)


@pytest.fixture
def process():
    """Start the toys as another process; what is still alive at the end is killed."""
    started = []

    def start(*arguments, **environment):
        path = os.pathsep.join([str(HERE.parents[1]), str(HERE)])
        started.append(
            subprocess.Popen(
                [sys.executable, str(HERE / "runs_toys.py"), *map(str, arguments)],
                env={**os.environ, "PYTHONPATH": path, **environment},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield start
    for child in started:
        child.kill()
        child.wait()
        child.stdout.close()
