"""Folders and files that a person names: on a server for others only those in listed folders."""

import os
from collections.abc import Iterable
from pathlib import Path

from neuronlab import home

VARIABLE = "NEURONLAB_FOLDERS"
SHOWN = 100  # characters of a name in a sentence


def limited() -> bool:
    """Whether only the listed folders, and what is in them, may be named: ``VARIABLE`` is set."""
    return VARIABLE in os.environ


def named(text: str) -> Path | None:
    """The folder of this machine that a text names, or None.

    Where names are limited, a folder outside of the list is as good as absent: nothing is asked of
    the disk, and neither ``..`` nor a symbolic link leads there. The simulators that were trained
    here may always be named.
    """
    path = _reached(text)
    return path if path is not None and os.path.isdir(path) else None


def named_file(text: str) -> Path | None:
    """The file of this machine that a text names, or None; limited as folders are."""
    path = _reached(text)
    return path if path is not None and os.path.isfile(path) else None


def _reached(text: str) -> Path | None:
    if not text.strip():
        return None
    try:
        path = os.path.abspath(os.path.expanduser(text))
        if limited():
            listed = _listed()
            if not _within(path, listed):
                return None
            path = os.path.realpath(path)
            if not _within(path, listed):
                return None
        return Path(path)
    except ValueError:  # no path at all, such as one with a NUL
        return None


def shown(text: str) -> str:
    """A name in quotes, for a sentence: short, and without what no screen shows."""
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")


def _listed() -> list[str]:
    listed = os.environ[VARIABLE].split(os.pathsep)
    listed = [os.path.expanduser(folder) for folder in listed if folder.strip()]
    listed = [os.path.abspath(folder) for folder in (*listed, str(home.folder() / "simulators"))]
    return [*listed, *map(os.path.realpath, listed)]


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)
