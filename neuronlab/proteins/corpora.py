"""Corpora by name: those of ``CORPORA``, and a person's own, kept on this machine."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.proteins.annotated import CORPORA, AnnotatedProtein

_OWN = re.compile(r"own-[0-9a-f]{16}")
_TITLE = b"title"
MAX_TITLE = 100


def keep(title: str, proteins: Sequence[AnnotatedProtein]) -> str:
    """Keep a corpus on this machine; its name says what it holds, so that the same is kept once.

    Raises:
        UserError: the disk is full or may not be written.
    """
    table = pd.DataFrame(
        {
            "name": [p.name for p in proteins],
            "sequence": [p.sequence for p in proteins],
            "annotations": [json.dumps(p.annotations) for p in proteins],
            "secondary": [p.secondary for p in proteins],
        }
    )
    content = hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
    name = f"own-{content[:16]}"
    path = _file(name)
    if _title(path) is not None:
        return name
    import pyarrow as pa

    held = pa.Table.from_pandas(table, preserve_index=False)
    held = held.replace_schema_metadata({_TITLE: title.strip()[:MAX_TITLE].encode()})
    try:
        with home.publish(path) as made:
            pq.write_table(held, made)
    except OSError as error:
        raise UserError(
            f"The corpus cannot be kept in {path.parent}: {error.strerror or error}."
        ) from error
    return name


def titles() -> dict[str, str]:
    """Names and titles of all corpora on this machine or to be fetched."""
    by_name = {name: corpus.title for name, corpus in CORPORA.items()}
    for path in sorted((home.folder() / "corpora").glob("own-*.parquet")):
        title = _title(path) if _OWN.fullmatch(path.stem) else None
        if title is not None:
            by_name[path.stem] = title or path.stem
    return by_name


def proteins(name: str) -> list[AnnotatedProtein]:
    """The proteins of a corpus.

    Raises:
        UserError: there is none of that name on this machine, or its file is damaged.
    """
    if name in CORPORA:
        return CORPORA[name].proteins
    if not _OWN.fullmatch(name) or not _file(name).is_file():
        raise UserError(f"There is no corpus '{name}' on this machine: add it first.")
    try:
        return _own(name)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise UserError(
            f"The file of the corpus '{name}' is damaged: add the corpus again.",
            details=f"{_file(name)}: {error!r}",
        ) from error


@lru_cache(maxsize=2)
def _own(name: str) -> list[AnnotatedProtein]:
    table = pd.read_parquet(_file(name))
    return [
        AnnotatedProtein(row.name_, row.sequence, tuple(json.loads(row.annotations)), row.secondary)
        for row in table.rename(columns={"name": "name_"}).itertuples()
    ]


def _title(path: Path) -> str | None:
    """The title in the file of a corpus; None where there is no file that can be read."""
    try:
        return (pq.read_schema(path).metadata or {}).get(_TITLE, b"").decode(errors="replace")
    except (OSError, ValueError):
        return None


def _file(name: str) -> Path:
    return home.folder() / "corpora" / f"{name}.parquet"
