"""GGUF files, as llama.cpp and Ollama keep models: converted once into what transformers loads."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.models import convert, folders
from neuronlab.models.subprocesses import run
from neuronlab.models.wheels import sha256

ENDING, _MAGIC = ".gguf", b"GGUF"


def named(text: str) -> Path | None:
    """The GGUF file of this machine that a text names, or None; limited as folders are.

    Ollama keeps such files without an ending: their first bytes tell.
    """
    file = folders.named_file(text)
    if file is None or file.suffix.lower() == ENDING or _begins(file):
        return file
    return None


def converted(file: Path) -> Path:
    """A folder with the model of a GGUF file, made when the same bytes are first asked for.

    Weights are what quantisation has left of them, as bfloat16: a file of 4 bits a weight takes up
    to four times as much here. What was rounded away does not come back.

    Raises:
        UserError: it is none, or damaged, or of a type that transformers does not read from GGUF.
    """
    if not _begins(file):
        raise UserError(
            f"'{file.name}' is no GGUF file, whatever its name ends in: give the file itself, or a "
            "folder that save_pretrained wrote."
        )
    folder = _folder(file)
    if folder.is_dir():
        return folder
    try:
        with home.publish(folder) as made:
            made.mkdir()
            command = [convert.__file__, convert.GGUF, str(file), str(made)]
            code, log = run(command, made, {"HF_HUB_OFFLINE": "1"}, lambda: None)
            if code != 0:
                raise UserError(
                    f"The file '{file.name}' cannot be read as a model: it is damaged, in several "
                    "parts, or of a type that transformers does not read from GGUF.",
                    details=log,
                )
    except OSError as error:
        raise UserError(
            f"The model of '{file.name}' could not be written: check the free disk space and your "
            f"rights on {home.folder()}, then try again.",
            details=str(error),
        ) from error
    return folder


def bits(file: Path) -> float | None:
    """What a file has for each of its model's weights; None before it was converted."""
    shards = list(_folder(file).glob("*.safetensors"))
    if not shards:
        return None
    stored = sum(shard.stat().st_size for shard in shards)  # two bytes each
    return 8 * file.stat().st_size / (stored / 2)


def _begins(file: Path) -> bool:
    """Whether a file's first bytes are those of GGUF."""
    with suppress(OSError), file.open("rb") as stream:
        return stream.read(len(_MAGIC)) == _MAGIC
    return False


def _folder(file: Path) -> Path:
    """Where a file's model is kept, by what is in it: a copy or a renamed file is the same."""
    facts = file.stat()
    identity = f"{_digest(file, facts.st_size, facts.st_mtime_ns)} {convert.GGUF_VERSION}"
    return home.folder() / "gguf" / hashlib.sha256(identity.encode()).hexdigest()[:16]


@lru_cache(maxsize=64)
def _digest(file: Path, size: int, changed: int) -> str:
    """A gigabyte takes about a second: once for each state of a file."""
    return sha256(file)
