"""Results on disk, one folder for each key, and what is needed to survive a killed process."""

import errno
import io
import json
import os
import re
import shutil
import time
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from neuronlab import home, uploads
from neuronlab.runs.errors import MissingResult, UnreadableResult, UserError
from neuronlab.runs.pending import Pending, process_is_alive, this_process
from neuronlab.runs.records import Record, check_stored, read_record
from neuronlab.runs.result import META, NAME, SPEC, Result, read_files, read_json
from neuronlab.runs.spec import KEY_LENGTH, Spec
from neuronlab.runs.unpacked import unpacked

_KEY = re.compile(rf"[0-9a-f]{{{KEY_LENGTH}}}")
_DAY = 24 * 3600.0
# Of one uploaded result.
_MAX_FILES = 200


class Store:
    """The folder of all results, under `root` ($NEURONLAB_HOME/runs, or the user's data folder).

    Every method that takes a key raises ValueError unless it is 16 lower-case hex digits, so a
    key can never lead out of the folder. Writing raises UserError when the disk is full or the
    folder may not be written. Any number of threads and processes may share a folder.
    """

    def __init__(self, root: Path | None = None) -> None:
        self.root = Path(root) if root is not None else home.folder() / "runs"
        with self._explained():
            home.make_folder(self.root)
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

    def save(
        self, spec: Spec, result: Result, *, seconds: float, provenance: Mapping[str, str] = {}
    ) -> None:
        """Store a result that took `seconds` to compute, and forget its shards.

        All or nothing, even when the process is killed; a result that is stored stays as it is.
        `provenance` says more of where it is from, for `provenance` to read.
        """
        if not self.has(spec.key):
            now = datetime.now(UTC).isoformat()
            meta = {"created": now, "seconds": seconds, **provenance}
            beside = {SPEC: spec.to_json() + "\n", META: json.dumps(meta, indent=2) + "\n"}
            with self._explained():
                try:
                    with home.publish(self.path(spec.key), replace=False) as folder:
                        result.save(folder, beside)
                except FileExistsError:
                    if not self.has(spec.key):
                        raise
        self.clear_shards(spec.key)

    def adopt(self, key: str, archive: Path) -> None:
        """Store the result that `export` wrote into an archive, with its provenance."""
        with (
            self._explained(),
            suppress(FileExistsError),
            zipfile.ZipFile(archive) as files,
            home.publish(self.path(key), replace=False) as folder,
        ):
            folder.mkdir()
            for name in files.namelist():
                (folder / name.removeprefix(f"{key}/")).write_bytes(files.read(name))

    def receive(self, file: str, key: str, data: bytes, room: uploads.Room) -> str:
        """Store a result that `export` wrote, and that somebody has uploaded; returns its key.

        A result that is here stays as it is. Nothing is stored unless the archive holds that one
        result, whole.

        Args:
            file: what the upload is called in sentences.
            room: how much may be unpacked.

        Raises:
            UserError: it holds something else, is damaged, or larger than the room.
        """
        refused = UserError(f"{file} holds what is no result that was exported here.")
        if not _KEY.fullmatch(key):
            raise refused
        with (
            self._explained(),
            suppress(FileExistsError),
            home.publish(self.path(key), replace=False) as folder,
        ):
            folder.mkdir()
            for name, content in uploads.unzipped(file, data, _MAX_FILES):
                path = name.removeprefix(f"{key}/")
                if not NAME.fullmatch(path):
                    raise refused
                part = room.read(file, content)
                (folder / path).write_bytes(part)
                try:
                    room.take(file, unpacked(path, part))
                except UserError:
                    raise
                except Exception:  # damaged files fail in many ways
                    raise refused from None
            try:
                check_stored(folder)
                Result.load(folder)
            except UnreadableResult:
                raise refused from None
        return key

    def provenance(self, key: str) -> dict[str, Any]:
        """When a result was computed, in how many seconds, and what `save` was given beside."""
        return read_json(self._existing(key), META)

    def load(self, key: str) -> tuple[dict[str, Any], Result]:
        """The spec (as in spec.json) and the result; MissingResult or UnreadableResult."""
        folder = self._existing(key)
        return check_stored(folder), Result.load(folder)

    def part(self, key: str, name: str) -> Result:
        """The numbers of a result, and of the rest the file `name`; raises as `load`."""
        return Result.load(self._existing(key), name)

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
        with self._explained():
            home.remove(self.path(key))
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
        # Written at the root, because another process may clear all shards of the run just now.
        target = self.shard_path(key, index)
        with self._explained(), home.publish(target, work=self.root) as folder:
            result.save(folder)

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
        """Remove the notes of this process and of those that are gone: for them the run is over."""
        with self._explained():
            for path in self._markers(key):
                if path == self._marker(key) or not _works(path):
                    path.unlink(missing_ok=True)

    def release_pending(self, key: str) -> None:
        """Keep the note of this process, but say that it does not work on the run any more."""
        with suppress(UnreadableResult):
            marker = read_json(self._marker(key).parent, self._marker(key).name)
            self._write_marker(key, marker | {"process": None})

    def interrupted(self) -> list[Pending]:
        """The runs whose processes are gone, newest first; unreadable notes are skipped."""
        newest: dict[str, Pending] = {}
        for path in (self.root / ".pending").glob("*.json"):
            key = path.name.partition(".")[0]
            with suppress(UnreadableResult, LookupError, TypeError, ValueError):
                if self.has(key) or self._worked_on(key):
                    continue
                pending = Pending.from_marker(key, read_json(path.parent, path.name))
                if key not in newest or newest[key].submitted < pending.submitted:
                    newest[key] = pending
        return sorted(newest.values(), key=lambda pending: pending.submitted, reverse=True)

    # Details

    def _existing(self, key: str) -> Path:
        if not self.has(key):
            raise MissingResult(f"There is no stored result {key}.")
        return self.path(key)

    def _shards(self, key: str) -> Path:
        return self.root / ".shards" / self.path(key).name

    def _marker(self, key: str) -> Path:
        """The note of this process."""
        return self.root / ".pending" / f"{self.path(key).name}.{os.getpid()}.json"

    def _markers(self, key: str) -> list[Path]:
        """The notes of all processes."""
        return list((self.root / ".pending").glob(f"{self.path(key).name}.*json"))

    def _worked_on(self, key: str) -> bool:
        return any(_works(path) for path in self._markers(key))

    def _write_marker(self, key: str, marker: dict[str, Any]) -> None:
        with self._explained(), home.publish(self._marker(key), work=self.root) as path:
            path.write_text(json.dumps(marker, indent=2), encoding="utf-8")

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
        with suppress(OSError, UserError):
            home.sweep(self.root, seconds=_DAY)
            for path in self.root.glob(".shards/*"):
                if not _KEY.fullmatch(path.name):
                    continue
                if self.has(path.name) and not self._worked_on(path.name):
                    # Of a process that was slower than another, and never came to its end.
                    self.clear_shards(path.name)
                    self.unmark_pending(path.name)
                elif not self._markers(path.name) and _age(path) > 30 * _DAY:
                    # Of a cancelled or failed run: they wait for another try, but not for ever.
                    self.clear_shards(path.name)


def _age(path: Path) -> float:
    return time.time() - path.stat().st_mtime


def _works(marker: Path) -> bool:
    """Whether the process that left the note is still at work on the run."""
    try:
        return process_is_alive(read_json(marker.parent, marker.name)["process"])
    except (UnreadableResult, LookupError, TypeError, ValueError):
        return False
