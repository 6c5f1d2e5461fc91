"""Models made on this machine by tuning another: a folder each, with a card that says how.

They join the catalogue. What made a model is part of its name, so that nobody's run replaces
another's model.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.models.convert import DATA
from neuronlab.models.entries import Entry
from neuronlab.models.wheels import sha256

CARD = "card.json"
# The settings of the run that made a model, with a person's own proteins.
SPEC = "spec.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,59}")


class Card(BaseModel):
    """What a tuned model is, and how it was made.

    Attributes:
        entry: its place in the catalogue.
        base: name and revision of the model it was made from.
        key: of the run that made it.
        data: the proteins in words; ``sizes`` how many were in each part.
        metrics: on the test part.
    """

    model_config = ConfigDict(frozen=True)

    entry: Entry
    base: dict[str, str]
    key: str
    data: str
    sizes: dict[str, int]
    metrics: dict[str, Any]


def folder(name: str) -> Path:
    """Where the tuned model of that name is kept, whether or not it is there."""
    return home.folder() / "tuned" / name


def card(name: str) -> Card | None:
    """The card of a tuned model; None where there is no such model, or it is damaged."""
    if not _NAME.fullmatch(name):
        return None
    try:
        return Card.model_validate_json((folder(name) / CARD).read_text("utf-8"))
    except (OSError, ValueError):  # of pydantic too
        return None


def spec_of(name: str) -> dict[str, Any]:
    """The settings of the run that made a tuned model; empty where they are not known.

    Also of one that comes with the project.
    """
    try:
        if _NAME.fullmatch(name) and (comes := DATA / f"{name}.json").exists():
            return json.loads(comes.read_text("utf-8"))["settings"]
        if card(name) is None:
            return {}
        return json.loads((folder(name) / SPEC).read_text("utf-8"))
    except (OSError, ValueError):
        return {}


def entries() -> list[Entry]:
    """The tuned models, by name."""
    try:
        names = sorted(os.listdir(home.folder() / "tuned"))
    except OSError:
        return []
    return [tuned_card.entry for name in names if (tuned_card := card(name)) is not None]


def save(name: str, write: Callable[[Path], None], describe: Callable[[str], Card]) -> Card:
    """Keep a tuned model; replaces one of the same name.

    Args:
        write: puts weights, configuration and tokenizer into a folder.
        describe: the card, given the revision of the weights.

    Raises:
        UserError: the name is none, or the disk refuses.
    """
    if not _NAME.fullmatch(name):
        raise UserError(f"'{name}' cannot name a model: use small letters, digits, '-' and '.'.")
    target = folder(name)
    try:
        with home.publish(target) as made:
            made.mkdir()
            write(made)
            tuned_card = describe(_revision(made))
            (made / CARD).write_text(tuned_card.model_dump_json(indent=2), "utf-8")
    except OSError as error:
        raise UserError(
            f"The model cannot be written to {target}: check the free disk space and your rights.",
            details=str(error),
        ) from error
    return tuned_card


def remove(name: str) -> None:
    """Delete a tuned model, if there is one."""
    if _NAME.fullmatch(name):
        home.remove(folder(name))


def _revision(made: Path) -> str:
    sums = [sha256(path) for path in sorted(made.glob("*.safetensors"))]
    return "sha256:" + hashlib.sha256(json.dumps(sums).encode()).hexdigest()[:16]
