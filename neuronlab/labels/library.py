"""The sets of labels that are kept on this machine."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuronlab import home, uploads
from neuronlab.errors import UserError
from neuronlab.labels.label_files import CARD_FILE, MAX_CARD, export, read
from neuronlab.labels.label_set import LabelSet

CARD = ("model", "source", "neurons", "labelled", "spec", "versions", "created")
_KEY = re.compile(r"[0-9a-f]{16}")


class Library:
    """Imported sets, under `folder` ($NEURONLAB_HOME/labels, or the user's data folder).

    Each is one file that is whole or not there. A key that is not 16 hex digits is a ValueError,
    so that it can never lead out of the folder; what the disk refuses is a UserError.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = home.folder() / "labels" if folder is None else Path(folder)

    def sets(self) -> dict[str, Mapping[str, Any]]:
        """The cards of all sets by their keys, the newest first; unreadable ones are left out."""
        cards = {}
        for path in self.folder.glob("*.zip"):
            if not _KEY.fullmatch(path.stem):
                continue
            try:
                with zipfile.ZipFile(path) as archive:
                    card = json.loads(uploads.member(path.name, archive, CARD_FILE, MAX_CARD))
                cards[path.stem] = {name: card[name] for name in CARD}
            except Exception:  # also one that another process removes just now
                continue
        return dict(sorted(cards.items(), key=lambda item: str(item[1]["created"]), reverse=True))

    def add(self, label_set: LabelSet) -> str:
        """Keep a set; its key, under which the same one is kept once."""
        target = self._file(label_set.key)
        if target.exists():
            return label_set.key
        with self._explained(), home.publish(target) as path:
            path.write_bytes(export(label_set))
        return label_set.key

    def load(self, key: str) -> LabelSet:
        """The set of that key; UserError where there is none, or it is damaged."""
        path = self._file(key)
        if not path.is_file():
            raise UserError(f"There are no labels {key} on this machine: import them first.")
        with self._explained():
            return read(path.name, path.read_bytes())

    def remove(self, key: str) -> None:
        """Delete a set, if there is one of that key."""
        with self._explained():
            self._file(key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not the key of a set of labels.")
        return self.folder / f"{key}.zip"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"The labels in {self.folder} cannot be used: {reason}.") from error
