"""Runs under way, as noted on disk, and whether their process still lives."""

import os
from dataclasses import dataclass
from typing import Any

import psutil


@dataclass(frozen=True)
class Pending:
    """A run that was under way; `spec` is a dict as in spec.json, `submitted` is Unix time in s."""

    key: str
    study: str
    spec: dict[str, Any]
    device: str
    submitted: float

    @classmethod
    def from_marker(cls, key: str, marker: dict[str, Any]) -> "Pending":
        """From the JSON of a marker; LookupError, TypeError or ValueError when it is not one."""
        spec = dict(marker["spec"])
        try:
            submitted = float(marker["submitted"])
        except OverflowError as error:
            raise ValueError("no time") from error
        return cls(key, str(spec["study"]), spec, str(marker["device"]), submitted)


def this_process() -> dict[str, int | float]:
    """What names this process for ever: a bare process id is used again by the system."""
    return {"pid": os.getpid(), "started": psutil.Process().create_time()}


def process_is_alive(process: dict[str, int | float] | None) -> bool:
    """Whether the process that `this_process` named in a marker is still running."""
    if process is None:
        return False
    try:
        running = psutil.Process(int(process["pid"]))
        # The system's clock may be set right in between, by a little.
        same = abs(running.create_time() - process["started"]) < 2.0
        return same and running.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, LookupError, TypeError, ValueError, OverflowError):
        return False  # gone, or no note of a process at all
