"""Names and notes that people give results, and collections that travel as one file.

What is stored of a result never changes; what people say of it lies beside the results, in a file
of its own.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterable
from threading import Lock

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neuronlab import home, uploads
from neuronlab.errors import UserError
from neuronlab.runs.errors import MissingResult, UnreadableResult
from neuronlab.runs.store import Store

FILE = "shelf.json"
MAX_BYTES = 200_000_000
MAX_NAME, MAX_NOTE = 100, 5_000
_MAX_RESULTS, _MAX_UNPACKED, _MAX_LIST = 1_000, 4 * MAX_BYTES, 10_000_000
_CARD = "collection.json"
# One shelf at a time is changed, whoever asks.
_lock = Lock()


class About(BaseModel):
    """What people call a result, and what they say of it."""

    model_config = ConfigDict(frozen=True)

    name: str = Field("", max_length=MAX_NAME)
    note: str = Field("", max_length=MAX_NOTE)


class Contents(BaseModel):
    """What a shelf holds.

    Attributes:
        about: what people say of results, by key; see ``of``.
        collections: keys in their order, by collection; of deleted results, too.
    """

    about: dict[str, About] = Field(default_factory=dict)
    collections: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    def of(self, key: str) -> About:
        """What people say of a result; nothing, where nobody has."""
        return self.about.get(key, About())

    def put(self, name: str, keys: Iterable[str]) -> None:
        """Put results at the end of a collection. Raises UserError where they are too many."""
        together = dict.fromkeys([*self.collections.get(name, ()), *keys])
        if len(together) > _MAX_RESULTS:
            raise UserError(f"A collection holds at most {_MAX_RESULTS:,} results.")
        self.collections[name] = tuple(together)


class Shelf:
    """The names, notes and collections of a store.

    Args:
        store: of the results; the shelf is the file ``FILE`` in its folder.
    """

    def __init__(self, store: Store) -> None:
        self.store = store
        self._path = store.root / FILE

    def read(self) -> Contents:
        """What it holds now; nothing, where there is no file, or a damaged one."""
        try:
            if self._path.stat().st_size <= _MAX_LIST:
                return Contents.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            pass
        return Contents()

    def describe(self, key: str, name: str, note: str) -> None:
        """Name a result, and say something of it; "" takes that away.

        Raises:
            UserError: too long.
        """
        about = _about(name, note)
        self._change(lambda contents: contents.about.__setitem__(key, about))

    def collect(self, name: str, keys: Iterable[str]) -> None:
        """Put results at the end of a collection, which is made where there is none.

        Raises:
            UserError: no name, or one that is too long; too many results.
        """
        named = _named(name)
        self._change(lambda contents: contents.put(named, keys))

    def discard(self, name: str) -> None:
        """Forget a collection; its results stay."""
        self._change(lambda contents: contents.collections.pop(name, None))

    def pack(self, name: str) -> bytes:
        """A collection with its results, names and notes, as a zip that ``unpack`` takes.

        Results that were deleted, or cannot be read, are left out.
        """
        contents, packed, kept = self.read(), io.BytesIO(), []
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for key in contents.collections.get(name, ()):
                try:
                    archive.writestr(f"{key}.zip", self.store.export(key))
                except (MissingResult, UnreadableResult):
                    continue
                kept.append(key)
            about = {key: contents.of(key).model_dump() for key in kept}
            card = {"name": name, "about": about}
            archive.writestr(_CARD, json.dumps(card, indent=2))
        return packed.getvalue()

    def unpack(self, file: str, data: bytes) -> str:
        """Store the results of a packed collection, and the collection; returns its name.

        A result that is here stays as it is.

        Raises:
            UserError: no packed collection, damaged, or larger than ``MAX_BYTES``, unpacked four
                times that.
        """
        if len(data) > MAX_BYTES:
            raise uploads.too_large(file, MAX_BYTES)
        room, card = uploads.Room(_MAX_UNPACKED), None
        keys = []
        for name, content in uploads.unzipped(file, data, _MAX_RESULTS + 1):
            part = room.read(file, content)
            if name == _CARD:
                card = _card(file, part)
            else:
                keys.append(self.store.receive(file, name.removesuffix(".zip"), part, room))
        if card is None:
            raise UserError(f"{file} is no collection that was downloaded from the page Runs.")
        name, about = _named(card.name), {key: card.about.get(key, About()) for key in keys}

        def change(contents: Contents) -> None:
            contents.put(name, keys)
            contents.about |= {key: each for key, each in about.items() if each != About()}

        self._change(change)
        return name

    def _change(self, change: Callable[[Contents], object]) -> None:
        with _lock:
            contents = self.read()
            change(contents)
            try:
                with home.publish(self._path, work=self.store.root) as path:
                    path.write_text(contents.model_dump_json(indent=1), encoding="utf-8")
            except OSError as error:
                raise UserError(f"{self._path} cannot be written: {error.strerror}.") from error


class _Card(BaseModel):
    name: str = Field(min_length=1, max_length=MAX_NAME)
    about: dict[str, About] = Field(default_factory=dict)


def _card(file: str, data: bytes) -> _Card:
    try:
        return _Card.model_validate_json(data)
    except ValidationError:
        raise UserError(f"What {file} says of its results is damaged.") from None


def _about(name: str, note: str) -> About:
    try:
        return About(name=name.strip(), note=note.strip())
    except ValidationError:
        raise UserError(
            f"A name has at most {MAX_NAME} letters, a note {MAX_NOTE:,}: shorten it."
        ) from None


def _named(name: str) -> str:
    name = uploads.line(name, MAX_NAME + 1)
    if not name or len(name) > MAX_NAME:
        raise UserError(f"Give the collection a name of 1 to {MAX_NAME} letters.")
    return name
