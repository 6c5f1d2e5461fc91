"""Python in a process of its own, which ends with the one that started it."""

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from neuronlab.progress import Check

POLL_SECONDS = 0.2
LOG_BYTES = 4_000
# Runs a module (-m NAME) or a file until standard input, which nobody writes to, ends: the system
# closes it when the process that holds its other end has ended, however that was.
_LEASHED = """
import os, runpy, sys, threading

held = os.dup(0)
null = os.open(os.devnull, os.O_RDONLY)
os.dup2(null, 0)
threading.Thread(target=lambda: (os.read(held, 1), os._exit(1)), daemon=True).start()
if sys.argv[1] == "-m":
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    del sys.argv[:1]
    runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(command: list[str], cwd: Path, variables: dict[str, str], tick: Check) -> tuple[int, str]:
    """Run Python to the end, calling `tick` all the while; the exit code and the end of the output.

    Whatever `tick` raises ends the process, and so does the end of this one.
    """
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            # -P: the folder of what it runs is not on its path.
            [sys.executable, "-P", "-c", _LEASHED, *command],
            cwd=cwd,
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        assert process.stdin
        try:
            while process.poll() is None:
                tick()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(POLL_SECONDS)
        finally:
            process.kill()
            process.wait()
            process.stdin.close()
        log.seek(0)
        return process.returncode, log.read()[-LOG_BYTES:].decode(errors="replace")
