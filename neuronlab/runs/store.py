"""Results on disk, one folder for each key, and what is needed to survive a killed process."""

import errno
import io
import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import platformdirs

from neuronlab.runs.errors import MissingResult, UnreadableResult, UserError
from neuronlab.runs.pending import Pending, process_is_alive, this_process
from neuronlab.runs.records import Record, check_stored, read_record
from neuronlab.runs.result import META, SPEC, Result, read_files, read_json
from neuronlab.runs.spec import KEY_LENGTH, Spec

_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")
_TEMPORARY = ".tmp-"
_DAY = 24 * 3600.0


class Store:
    """The folder of all results, under `root` ($NEURONLAB_HOME/runs, or the user's data folder).

    Every method that takes a key raises ValueError unless it is 16 lower-case hex digits, so a
    key can never lead out of the folder. Writing raises UserError when the disk is full or the
    folder may not be written. Any number of threads and processes may share a folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        home = os.environ.get("NEURONLAB_HOME") or platformdirs.user_data_dir("neuronlab")
        self.root = Path(root) if root is not None else Path(home) / "runs"
        with self._explained():
            self.root.mkdir(parents=True, exist_ok=True)
        self._sweep()

    # Results

    def path(self, key: str) -> Path:
        """The folder of the result `key`, whether or not it exists."""
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not the key of a result.")
        return self.root / key

    def has(self, key: str) -> bool:
        """Whether there is a result; its folder appears only when it is complete."""
        return self.path(key).is_dir()

    def save(self, spec: Spec, result: Result, *, seconds: float) -> None:
        """Store a result that took `seconds` to compute, and forget its shards.

        All or nothing, even when the process is killed; nothing happens when the key is stored.
        """
        if self.has(spec.key):
            return
        meta = {"created": datetime.now(UTC).isoformat(), "seconds": seconds}
        with self._publish(self.path(spec.key)) as folder:
            result.save(
                folder, {SPEC: spec.to_json() + "\n", META: json.dumps(meta, indent=2) + "\n"}
            )
        self.clear_shards(spec.key)

    def load(self, key: str) -> tuple[dict[str, Any], Result]:
        """The spec (as in spec.json) and the result; MissingResult or UnreadableResult."""
        folder = self._existing(key)
        return check_stored(folder), Result.load(folder)

    def find(self, key: str) -> Result | None:
        """The result, or None where there is none that can be read: a damaged one is removed."""
        try:
            return self.load(key)[1]
        except MissingResult:
            return None
        except UnreadableResult:
            self.delete(key)
            return None

    def history(self) -> list[Record]:
        """All results, newest first. One that cannot be read is listed as such; never raises."""
        records = []
        with suppress(OSError):
            for path in self.root.iterdir():
                # Another process may delete a folder while it is looked at.
                if _KEY.fullmatch(path.name) and (record := read_record(path)):
                    records.append(record)
        return sorted(records, key=lambda record: record.created, reverse=True)

    def delete(self, key: str) -> None:
        """Remove the result and its shards, if there are any; no reader ever sees half of it."""
        trash = self._temporary()
        with self._explained(), suppress(FileNotFoundError):
            self.path(key).rename(trash)
            trash.chmod(0o700)  # a folder that cannot be read can still be deleted
            shutil.rmtree(trash, ignore_errors=True)
        self.clear_shards(key)

    def export(self, key: str) -> bytes:
        """The files of the result as a ZIP archive; MissingResult or UnreadableResult."""
        folder = self._existing(key)
        check_stored(folder)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in read_files(folder):
                archive.writestr(f"{key}/{path}", content)
        return buffer.getvalue()

    # Finished shards of a run that is not finished

    def shard_path(self, key: str, index: int) -> Path:
        """The folder of shard `index`, whether or not it exists."""
        return self._shards(key) / str(int(index))

    def save_shard(self, key: str, index: int, result: Result) -> None:
        """Store a finished shard, all or nothing; replaces the one that is there."""
        target = self.shard_path(key, index)
        with self._publish(target) as folder:
            result.save(folder)
            shutil.rmtree(target, ignore_errors=True)

    def load_shard(self, key: str, index: int) -> Result:
        """A finished shard; UnreadableResult when it is missing or damaged."""
        return Result.load(self.shard_path(key, index))

    def finished_shards(self, key: str) -> set[int]:
        """The indices of the stored shards."""
        try:
            return {int(name) for name in os.listdir(self._shards(key)) if name.isdecimal()}
        except OSError:
            return set()

    def clear_shards(self, key: str) -> None:
        """Remove all shards of the run, if there are any."""
        shutil.rmtree(self._shards(key), ignore_errors=True)

    # Markers of runs under way

    def mark_pending(self, spec: Spec, device: str) -> None:
        """Note on disk that this process is going to compute `spec` on `device`."""
        self._write_marker(
            spec.key,
            {
                "spec": json.loads(spec.to_json()),
                "device": device,
                "submitted": time.time(),
                "process": this_process(),
            },
        )

    def unmark_pending(self, key: str) -> None:
        """Remove the note, if there is one: the run is over."""
        with self._explained():
            self._marker(key).unlink(missing_ok=True)

    def release_pending(self, key: str) -> None:
        """Keep the note, but say that no process works on the run any more."""
        with suppress(UnreadableResult):
            marker = read_json(self._marker(key).parent, self._marker(key).name)
            self._write_marker(key, marker | {"process": None})

    def interrupted(self) -> list[Pending]:
        """The runs whose process is gone, newest first; notes that cannot be read are skipped."""
        found = []
        for path in (self.root / ".pending").glob("*.json"):
            with suppress(UnreadableResult, LookupError, TypeError, ValueError):
                marker = read_json(path.parent, path.name)
                if self.has(path.stem) or process_is_alive(marker["process"]):
                    continue
                found.append(Pending.from_marker(path.stem, marker))
        return sorted(found, key=lambda pending: pending.submitted, reverse=True)

    # Details

    def _existing(self, key: str) -> Path:
        if not self.has(key):
            raise MissingResult(f"There is no stored result {key}.")
        return self.path(key)

    def _shards(self, key: str) -> Path:
        return self.root / ".shards" / self.path(key).name

    def _marker(self, key: str) -> Path:
        return self.root / ".pending" / f"{self.path(key).name}.json"

    def _temporary(self) -> Path:
        # In the same folder, hence on the same disk, so that renaming is atomic.
        return self.root / f"{_TEMPORARY}{uuid4().hex}"

    def _write_marker(self, key: str, marker: dict[str, Any]) -> None:
        target, temporary = self._marker(key), self._temporary()
        with self._explained():
            target.parent.mkdir(exist_ok=True)
            temporary.write_text(json.dumps(marker, indent=2), encoding="utf-8")
            _sync(temporary)
            temporary.replace(target)

    @contextmanager
    def _publish(self, target: Path) -> Iterator[Path]:
        """A new folder to write into, which becomes `target` at the end, whole or not at all."""
        folder = self._temporary()
        with self._explained():
            try:
                folder.mkdir()
                yield folder
                for path in [*folder.rglob("*"), folder]:
                    _sync(path)
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    folder.rename(target)
                except OSError:
                    if not target.is_dir():
                        raise  # else another process has stored the same result just now
                _sync(target.parent)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                reason = "the disk is full"
            elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
                reason = "this program may not write there"
            else:
                reason = error.strerror or str(error)
            raise UserError(f"The results in {self.root} cannot be changed: {reason}.") from error

    def _sweep(self) -> None:
        """Remove what killed processes left behind, once it is too old to be in use."""
        with suppress(OSError):
            for path in self.root.glob(f"{_TEMPORARY}*"):
                _remove_if_older(path, _DAY)
            # Shards of cancelled and failed runs wait for another try, but not for ever.
            for path in self.root.glob(".shards/*"):
                if not (self.root / ".pending" / f"{path.name}.json").exists():
                    _remove_if_older(path, 30 * _DAY)


def _remove_if_older(path: Path, seconds: float) -> None:
    if time.time() - path.stat().st_mtime < seconds:
        return
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()


def _sync(path: Path) -> None:
    """Have the file or folder written to the disk itself."""
    if path.is_dir() and os.name == "nt":
        return  # Windows cannot open folders
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
