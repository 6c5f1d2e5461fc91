"""A result: numbers, tables, arrays and text files, and its form as a folder."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from neuronlab.runs.errors import UnreadableResult

_NUMBERS = "result.json"
_CONTENTS = "contents.json"
_ARRAYS = "arrays.npz"
_TABLE = ".parquet"
# Where text files used to be; now they lie beside the numbers.
_OLD_FILES = "files/"
_RESERVED = {_NUMBERS, _CONTENTS, _ARRAYS, "spec.json", "meta.json"}
# Names become file names on any system, and must not be able to leave the folder.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. -]*")


@dataclass
class Result:
    """What a study found, in whatever units the study documents.

    `numbers` are JSON values (NumPy scalars are converted, NaN is kept); `files` are texts by file
    name. Names of tables, arrays and files are letters, digits, `_`, `.`, `-` and spaces.
    """

    numbers: dict[str, Any] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write the result into `folder`, which is made when absent.

        ValueError for a bad name or an array of objects, TypeError for a number that is not JSON.
        """
        for name in [*self.tables, *self.arrays, *self.files]:
            if not _NAME.fullmatch(name):
                raise ValueError(f"{name!r} cannot be the name of a part of a result.")
        for name in self.files:
            if name in _RESERVED or name.endswith(_TABLE):
                raise ValueError(f"{name!r} cannot be the name of a file of a result.")
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name, table in self.tables.items():
            written.append(name + _TABLE)
            table.to_parquet(folder / written[-1])
        if self.arrays:
            written.append(_ARRAYS)
            _save_arrays(folder / _ARRAYS, self.arrays)
        for name, text in self.files.items():
            written.append(name)
            # Bytes, because text mode would change the line ends.
            (folder / written[-1]).write_bytes(text.encode())
        contents = {}
        for path in written:
            data = (folder / path).read_bytes()
            contents[path] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for name, value in ((_NUMBERS, self.numbers), (_CONTENTS, contents)):
            text = json.dumps(value, indent=2, default=_plain_number)
            (folder / name).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Result":
        """The result saved in `folder`.

        UnreadableResult with one sentence when anything is missing, damaged or not readable.
        """
        folder = Path(folder)
        numbers, contents = check_result(folder)
        result = cls(numbers=numbers)
        for path, expected in contents.items():
            data = _read(folder, path, Path.read_bytes)
            if hashlib.sha256(data).hexdigest() != expected["sha256"]:
                raise UnreadableResult(f"The file {path} of the result is damaged.")
            try:
                result._add(path, data)
            except Exception as error:  # whatever a parser makes of a strange file
                raise UnreadableResult(f"The file {path} of the result cannot be read.") from error
        return result

    def _add(self, path: str, data: bytes) -> None:
        if path == _ARRAYS:
            with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
                self.arrays.update({name: arrays[name] for name in arrays.files})
        elif path.endswith(_TABLE) and not path.startswith(_OLD_FILES):
            self.tables[path.removesuffix(_TABLE)] = pd.read_parquet(io.BytesIO(data))
        else:
            self.files[path.removeprefix(_OLD_FILES)] = data.decode()


def check_result(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The numbers of a saved result, and its contents: bytes and sha256 by path.

    Cheap: it looks at the sizes of the other files without reading them. UnreadableResult with one
    sentence when a file is missing, damaged or not readable.
    """
    folder = Path(folder)
    numbers = read_json(folder, _NUMBERS)
    if numbers.keys() == {"numbers", "contents"}:  # in one file, as it used to be
        source, contents = _NUMBERS, numbers["contents"]
        numbers = numbers["numbers"]
    else:
        source, contents = _CONTENTS, read_json(folder, _CONTENTS)
    if not isinstance(numbers, dict) or not isinstance(contents, dict):
        raise UnreadableResult(f"The file {source} of the result is damaged.")
    for path, expected in contents.items():
        if not _is_part(path) or not isinstance(expected, dict) or "sha256" not in expected:
            raise UnreadableResult(f"The file {source} of the result is damaged.")
        if _read(folder, path, Path.stat).st_size != expected.get("bytes"):
            raise UnreadableResult(f"The file {path} of the result is damaged.")
    return numbers, contents


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in the file `name`; UnreadableResult with one sentence when there is none."""
    try:
        value = json.loads(_read(folder, name, Path.read_bytes))
    except UnreadableResult:
        raise
    except (ValueError, RecursionError) as error:
        raise UnreadableResult(f"The file {name} of the result is damaged.") from error
    if not isinstance(value, dict):
        raise UnreadableResult(f"The file {name} of the result is damaged.")
    return value


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
    name = path.removeprefix(_OLD_FILES)
    return _NAME.fullmatch(name) is not None and (name == _ARRAYS or name not in _RESERVED)


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
