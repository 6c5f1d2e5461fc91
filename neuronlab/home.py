"""Where all is kept on this machine, and how something gets there: whole or not at all.

What is written lies in a hidden folder beside its place until it is whole; then it is renamed.
"""

import errno
import glob
import os
import random
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_data_dir

# What another process causes that clears or publishes the same, and how often that is met.
_PASSING = (errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY)
_TRIES = 100


def folder() -> Path:
    """The folder that holds everything the app keeps: $NEURONLAB_HOME or the user's data folder."""
    return Path(os.environ.get("NEURONLAB_HOME") or user_data_dir("neuronlab")).absolute()


def make_folder(path: Path) -> None:
    """Make a folder, and those above it; nothing happens where it is there.

    The data folder is made for this account alone: prompts and proteins are nobody else's. One that
    is there keeps the rights that a person gave it. OSError where the disk refuses.
    """
    if path.absolute().is_relative_to(folder()):
        folder().mkdir(mode=0o700, parents=True, exist_ok=True)
    path.mkdir(parents=True, exist_ok=True)


@contextmanager
def publish(target: Path, *, replace: bool = True, work: Path | None = None) -> Iterator[Path]:
    """A path at which to write a file, or make a folder, that becomes `target` at the end.

    `target` is whole or as it was, also when the process is killed, the disk is full, or what
    writes raises. Any number of threads and processes may publish the same at once. The path lies
    in a folder of its own, where what is needed on the way may lie beside it.

    Args:
        target: the folders above it are made.
        replace: whether a folder that is there gives way; a file always does.
        work: where to write until then, on the same disk; beside the target, if not given.

    Raises:
        FileExistsError: a folder is there, and stays.
        OSError: the disk refuses.
    """
    make_folder(work or target.parent)
    beside = _work(target, work or target.parent)
    made = beside / target.name
    try:
        yield made
        for path in [*made.rglob("*"), made]:
            _sync(path)
        _put(made, target, replace)
        with suppress(FileNotFoundError):
            _sync(target.parent)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove(path: Path) -> None:
    """Delete a folder, if there is one, so that no reader ever sees half of it.

    OSError where the disk refuses.
    """
    if not path.exists():
        return
    beside = _work(path, path.parent)
    try:
        with suppress(FileNotFoundError):  # another process was first
            path.rename(beside / path.name)
            (beside / path.name).chmod(0o700)  # one that cannot be read can still be deleted
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def sweep(where: Path, name: str = "*", seconds: float = 0.0) -> None:
    """Remove what killed processes left in a folder when they published `name`, or anything.

    Args:
        seconds: what is younger may be in use and stays. Without, hold a lock that says it is not.
    """
    name = name if name == "*" else glob.escape(name)
    for path in where.glob(f".{name}.partial*"):
        with suppress(OSError):  # another process sweeps, too
            if time.time() - path.stat().st_mtime >= seconds:
                shutil.rmtree(path, ignore_errors=True)


def _work(target: Path, where: Path) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{target.name}.partial.", dir=where))


def _put(made: Path, target: Path, replace: bool) -> None:
    """Rename into place; a folder that was there comes back where that fails."""
    for attempt in range(_TRIES):
        before = made.parent / f"before-{attempt}"
        try:
            # Another process may put something there, or clear what is around it, just now.
            with suppress(FileExistsError):
                make_folder(target.parent)
            if replace and made.is_dir() and target.is_dir():
                target.rename(before)
            made.replace(target)
            return
        except OSError as error:
            if before.exists() and not target.exists():
                with suppress(OSError):  # another process has put its own there just now
                    before.rename(target)
            if not replace and target.is_dir():
                raise FileExistsError(errno.EEXIST, "It is there already", str(target)) from None
            if error.errno not in _PASSING or attempt == _TRIES - 1:
                raise
            time.sleep(random.uniform(0, 0.01))  # not in step with the others


def _sync(path: Path) -> None:
    """Have the file or folder written to the disk itself."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
