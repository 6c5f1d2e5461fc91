"""A result: numbers, tables, arrays and text files, and its form as a folder."""

import errno
import hashlib
import html
import io
import json
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from neuronlab.errors import UserError
from neuronlab.runs.errors import UnreadableResult

if TYPE_CHECKING:
    import plotly.graph_objects as go

_NUMBERS = "result.json"
_CONTENTS = "contents.json"
ARRAYS = "arrays.npz"
TABLE = ".parquet"
# Where text files used to be; now they lie beside the numbers.
_OLD_FILES = "files/"
# The texts that may lie beside a result and belong to it.
SPEC, META = "spec.json", "meta.json"
_BESIDE = {SPEC, META}
_RESERVED = {_NUMBERS, _CONTENTS, ARRAYS, *_BESIDE}
# Names become file names on any system, and must not be able to leave the folder.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")
# Rows of a table that a notebook shows.
_SHOWN = 5
_NO_LINK = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # Windows has none


@dataclass
class Result:
    """What a study found, in whatever units the study documents.

    `numbers` are JSON values (NumPy scalars are converted, NaN is kept); `files` are texts by file
    name. Names of tables, arrays and files are letters, digits, `_`, `.`, `-` and spaces.

    `draw` is how the study draws it; whoever has both says so.
    """

    numbers: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    draw: "Callable[[Result], go.Figure] | None" = field(default=None, repr=False, compare=False)

    def plot(self) -> "go.Figure":
        """What `nl.run` returned as its page draws it: the figure of plotly that says most.

        A notebook shows it on its own; elsewhere `plot().show()` opens it in a browser.

        Raises:
            UserError: the study draws no figure, or nobody knows which study it is of, as of a
                result read from a folder.
        """
        if self.draw is None:
            raise UserError("Nothing says which study this is of: nl.run gives it with its figure.")
        return self.draw(self)

    def _repr_html_(self) -> str:
        """In a notebook: the numbers, and the first rows of each table."""
        numbers = pd.Series(self.numbers, dtype=object).to_frame().to_html(header=False)
        tables = (
            f"<p>{html.escape(name)}: {len(table):,} rows</p>{table.head(_SHOWN).to_html()}"
            for name, table in self.tables.items()
        )
        return "".join((numbers, *tables))

    def save(self, folder: Path, beside: Mapping[str, str] | None = None) -> None:
        """Write the result into `folder`, which is made when absent.

        `beside` are the texts of spec.json and meta.json, where wanted: they are checked like the
        rest when the result is read. ValueError for a bad name or an array of objects, TypeError
        for a number that is not JSON.
        """
        beside = beside or {}
        for name in [*self.tables, *self.arrays, *self.files]:
            if not NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a part of a result.")
        for name in self.files:
            if name in _RESERVED or name.endswith(TABLE):
                raise ValueError(f"{name!r} cannot be the name of a file of a result.")
        if not _BESIDE.issuperset(beside):
            raise ValueError(f"Beside a result lie {SPEC} and {META} only.")
        texts = {_NUMBERS: _json(self.numbers), **beside, **self.files}
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name, table in self.tables.items():
            written.append(name + TABLE)
            # Two thirds of the bytes of pandas' default, which stored examples can use.
            table.to_parquet(folder / written[-1], compression="zstd", compression_level=12)
        if self.arrays:
            written.append(ARRAYS)
            _save_arrays(folder / ARRAYS, self.arrays)
        for name, text in texts.items():
            written.append(name)
            # Bytes, because text mode would change the line ends.
            (folder / written[-1]).write_bytes(text.encode())
        contents = {}
        for path in written:
            data = (folder / path).read_bytes()
            contents[path] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        sealed = _json({"files": contents, "sha256": _digest(contents)})
        (folder / _CONTENTS).write_text(sealed, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, part: str | None = None) -> "Result":
        """The result saved in `folder`; of tables, arrays and files only `part`, a file's name.

        UnreadableResult with one sentence when anything is missing, damaged or not readable.
        """
        folder = Path(folder)
        numbers, contents = check_result(folder)
        result = cls(numbers=numbers)
        for path in contents:
            if part is not None and path != part:
                continue
            data = _checked(folder, path, contents)
            if path == _NUMBERS or path in _BESIDE:
                continue
            try:
                result._add(path, data)
            except Exception as error:  # whatever a parser makes of a strange file
                raise UnreadableResult(f"The file {path} of the result cannot be read.") from error
        return result

    def _add(self, path: str, data: bytes) -> None:
        if path == ARRAYS:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                self.arrays.update({name: arrays[name] for name in arrays.files})
        elif path.endswith(TABLE) and not path.startswith(_OLD_FILES):
            self.tables[path.removesuffix(TABLE)] = pd.read_parquet(io.BytesIO(data))
        else:
            self.files[path.removeprefix(_OLD_FILES)] = data.decode()


def check_result(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers of a saved result, and its contents: bytes and sha256 by path.

    Cheap: of tables, arrays and files it compares the sizes only. UnreadableResult with one
    sentence when a file is missing, damaged or not readable.
    """
    folder = Path(folder)
    try:
        contents = _files(read_json(folder, _CONTENTS), _CONTENTS)
    except UnreadableResult:
        together = read_json(folder, _NUMBERS)
        if together.keys() != {"numbers", "contents"}:
            raise
        # Numbers and contents in one file, as it used to be.
        contents = _files(together["contents"], _NUMBERS)
        numbers = together["numbers"]
        if not isinstance(numbers, dict):
            raise _damaged(_NUMBERS) from None
    else:
        numbers = read_json(folder, _NUMBERS, contents)
    for path, expected in contents.items():
        if _read(folder, path, Path.lstat).st_size != expected.get("bytes"):
            raise _damaged(path)
    return numbers, contents


def read_json(folder: Path, name: str, contents: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The JSON object in the file `name`.

    UnreadableResult with one sentence when there is none, or it is not what `contents` (as from
    `check_result`) says of that file.
    """
    try:
        value = json.loads(_checked(folder, name, contents or {}))
    except UnreadableResult:
        raise
    except (ValueError, RecursionError) as error:
        raise _damaged(name) from error
    if not isinstance(value, dict):
        raise _damaged(name)
    return value


def read_files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Path and content of all files of a saved result, each checked; nothing else, and no link.

    UnreadableResult with one sentence when one is missing, damaged or not readable.
    """
    folder = Path(folder)
    _, contents = check_result(folder)
    # Results of earlier versions list fewer of these, or have none.
    unlisted = (name for name in _RESERVED if os.path.lexists(folder / name))
    for path in sorted({*contents, *unlisted}):
        yield path, _checked(folder, path, contents)


def _files(contents: Any, source: str) -> dict[str, Any]:
    """The files that a table of contents lists, by path; UnreadableResult where it was changed."""
    if isinstance(contents, dict) and contents.keys() == {"files", "sha256"}:
        if contents["sha256"] != _digest(contents["files"]):
            raise _damaged(source)
        contents = contents["files"]
    # Results of earlier versions list tables, arrays and files only, unsealed.
    if not isinstance(contents, dict) or not all(
        _is_part(path) and isinstance(expected, dict) and "sha256" in expected
        for path, expected in contents.items()
    ):
        raise _damaged(source)
    return contents


def _checked(folder: Path, name: str, contents: Mapping[str, Any]) -> bytes:
    data = _read(folder, name, _bytes)
    if name in contents and hashlib.sha256(data).hexdigest() != contents[name]["sha256"]:
        raise _damaged(name)
    return data


def _bytes(path: Path) -> bytes:
    # A link could make a result, and its export, show any file of this machine.
    # And a pipe would wait for ever for somebody to write.
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_LINK)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        return file.read()


def _damaged(name: str) -> UnreadableResult:
    return UnreadableResult(f"The file {name} of the result is damaged.")


def _digest(contents: Any) -> str:
    return hashlib.sha256(json.dumps(contents, sort_keys=True).encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, default=_plain_number)


def _read(folder: Path, name: str, read: Callable[[Path], Any]) -> Any:
    try:
        return read(folder / name)
    except FileNotFoundError as error:
        raise UnreadableResult(f"The file {name} of the result is missing.") from error
    except OSError as error:
        raise UnreadableResult(
            f"The file {name} of the result cannot be read: {error.strerror or error}."
        ) from error


def _is_part(path: str) -> bool:
    """Whether `path` is one that `Result.save` writes; an edited summary may say anything."""
    return path != _CONTENTS and NAME.fullmatch(path.removeprefix(_OLD_FILES)) is not None


def _save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    # As np.savez, which however takes array names as arguments and so cannot store one named
    # "file"; and it would pickle objects.
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def _plain_number(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"A number of the result is a {type(value).__name__}, which is not JSON.")
