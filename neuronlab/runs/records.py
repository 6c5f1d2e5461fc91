"""One line of the history: what is known about a stored result without loading it."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuronlab.runs.errors import UnreadableResult
from neuronlab.runs.result import META, SPEC, check_result, read_json
from neuronlab.runs.spec import key_of


@dataclass(frozen=True)
class Record:
    """A stored result: `created` in UTC, `seconds` of computing, size in `bytes`.

    `provenance` is what `Store.save` was told of it beside. When `readable` is false, `problem` is
    a sentence and the other fields hold what is known.
    """

    key: str
    study: str
    spec: dict[str, Any]
    created: datetime
    seconds: float
    bytes: int
    readable: bool
    problem: str
    provenance: dict[str, Any] = field(default_factory=dict)


def read_record(folder: Path) -> Record | None:
    """The record of the result in `folder`, or None when the folder is gone; never raises."""
    study, spec, seconds, problem = "", {}, 0.0, ""
    meta: dict[str, Any] = {}
    try:
        created = datetime.fromtimestamp(folder.stat().st_mtime, UTC)
    except OSError:
        return None
    try:
        spec = read_json(folder, SPEC)
        study = str(spec.get("study", ""))
        meta = read_json(folder, META)
        created = datetime.fromisoformat(meta["created"]).astimezone(UTC)
        seconds = float(meta["seconds"])
        check_stored(folder)
    except UnreadableResult as error:
        problem = str(error)
    except (LookupError, TypeError, ValueError, OverflowError):
        problem = f"The file {META} of the result is damaged."
    provenance = {name: value for name, value in meta.items() if name not in ("created", "seconds")}
    size = _size(folder)
    return Record(
        folder.name, study, spec, created, seconds, size, not problem, problem, provenance
    )


def check_stored(folder: Path) -> dict[str, Any]:
    """The spec of the result in `folder`, as cheap as `check_result`.

    UnreadableResult where that raises it, or when the folder is not named by the spec's key.
    """
    contents = check_result(folder)[1]
    spec = read_json(folder, SPEC, contents)
    read_json(folder, META, contents)
    if key_of(spec) != folder.name:
        raise UnreadableResult(f"The result in the folder {folder.name} is that of another spec.")
    return spec


def _size(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except OSError:
        return 0
