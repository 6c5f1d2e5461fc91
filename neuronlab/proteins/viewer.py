"""The JavaScript that draws structures: kept on this machine, so that 3D views work offline."""

import base64
import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from neuronlab.errors import UserError
from neuronlab.models import weights

PACKAGE, VERSION = "3dmol", "2.5.5"
MEMBER = "package/build/3Dmol-min.js"
SHA256 = "f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016"
# What py3Dmol itself falls back to.
CDN = f"https://cdn.jsdelivr.net/npm/{PACKAGE}@{VERSION}/build/3Dmol-min.js"
TIMEOUT = 120.0  # s


def viewer_file() -> Path:
    """Where the viewer is kept, whether or not it is there yet."""
    return weights.home() / "assets" / "3Dmol-min.js"


def fetch_viewer() -> Path | None:
    """Get the viewer with npm unless it is here; its file, or None where there is no npm.

    Raises:
        UserError: it cannot be downloaded or written, or is not the file that was tested.
    """
    path = viewer_file()
    if _intact(path):
        return path
    npm = shutil.which("npm")
    if npm is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        data = _downloaded(npm, Path(folder))
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise UserError("The 3D viewer that npm gave is not the one that was tested: it is unused.")
    try:
        weights.make_folder(path.parent)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        raise UserError(f"The 3D viewer cannot be written to {path}: {error.strerror}.") from error
    return path


def viewer_url() -> str:
    """What `py3Dmol.view(js=…)` takes: the viewer on this machine, else its CDN address.

    The local viewer comes as a `data:` address (0.7 MB), because a page that is served may not
    open a file, and an exported view goes on working anywhere.
    """
    path = viewer_file()
    if not _intact(path):
        return CDN
    return "data:text/javascript;base64," + base64.b64encode(path.read_bytes()).decode()


def _intact(path: Path) -> bool:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    except OSError:
        return False


def _downloaded(npm: str, folder: Path) -> bytes:
    command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent"]
    details = ""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL
        )
        details = done.stderr.decode(errors="replace")
        with tarfile.open(folder / f"{PACKAGE}-{VERSION}.tgz") as archive:
            return archive.extractfile(MEMBER).read()
    except (OSError, subprocess.TimeoutExpired, tarfile.TarError, LookupError) as error:
        raise UserError(
            "The 3D viewer could not be downloaded with npm: 3D views will take it from the "
            "internet.",
            details=details or str(error),
        ) from error
