"""Files of packages of the npm registry: fetched, checked, and never run."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
import tempfile
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

from neuronlab.errors import UserError

# The same files, for machines without npm.
CDN = "https://cdn.jsdelivr.net/npm"
TIMEOUT = 120.0  # s
MAX_FILE = 64 * 2**20  # bytes


def files(package: str, version: str, members: Mapping[str, str], title: str) -> dict[str, bytes]:
    """What a package holds, by npm or else from the web.

    Args:
        members: paths in the package, each with the sha256 of the file that was tested.
        title: what it is, in the plural or with an article, for a person.

    Raises:
        UserError: it cannot be downloaded, or is not what was tested.
    """
    npm = shutil.which("npm")
    try:
        if npm:
            contents = _packed(npm, package, version, members)
        else:
            address = f"{CDN}/{package}@{version}"
            contents = {member: _served(f"{address}/{member}") for member in members}
    except (OSError, HTTPException) as error:
        raise UserError(
            f"{title} could not be downloaded: check the connection, then run the set-up again.",
            details=str(error),
        ) from error
    for member, sha256 in members.items():
        if hashlib.sha256(contents[member]).hexdigest() != sha256:
            raise UserError(f"{title}: what was downloaded is not what was tested; it is unused.")
    return contents


def _packed(npm: str, package: str, version: str, members: Mapping[str, str]) -> dict[str, bytes]:
    """From the npm registry. Raises OSError."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [npm, "pack", f"{package}@{version}", "--silent"]
        details = ""
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, timeout=TIMEOUT, stdin=subprocess.DEVNULL
            )
            details = done.stderr.decode(errors="replace")
            with tarfile.open(folder / f"{package}-{version}.tgz") as archive:
                return {member: _read(archive, member) for member in members}
        except (OSError, subprocess.TimeoutExpired, tarfile.TarError, LookupError) as error:
            raise OSError(details or str(error)) from error


def _read(archive: tarfile.TarFile, member: str) -> bytes:
    file = archive.extractfile(f"package/{member}")
    if file is None:
        raise LookupError(f"{member} is no file")
    return file.read(MAX_FILE)


def _served(address: str) -> bytes:
    """From the web. Raises OSError and HTTPException."""
    with urllib.request.urlopen(address, timeout=TIMEOUT) as answer:
        return answer.read(MAX_FILE)
