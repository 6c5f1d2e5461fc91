"""The models that the app offers: ``catalogue.toml``, and what was tuned on this machine."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from neuronlab.models import tuned
from neuronlab.models.entries import Entry, Use

FILE = Path(__file__).with_name("catalogue.toml")


def _entries(rows: list[dict[str, Any]]) -> Iterator[Entry]:
    """Checked; what a row says beside its ``models`` holds for each of them."""
    for row in rows:
        for one in row.pop("models", [{}]):
            facts = {**row, **one}
            page = f"https://huggingface.co/{facts['name']}"  # of a hub model, with its licence
            yield Entry.model_validate({"licence_url": page, **facts})


_LISTED = tomllib.loads(FILE.read_text("utf-8"))
EMBEDDED, HUB, TOOLS = (tuple(_entries(_LISTED[part])) for part in ("embedded", "hub", "tool"))
CATALOGUE: tuple[Entry, ...] = (*EMBEDDED, *HUB)


def available() -> list[Entry]:
    """The catalogue and the models tuned on this machine, those first that need no hub.

    A tuned model with a name of the catalogue, which an earlier version gave, is left out.
    """
    names = {listed.name for listed in CATALOGUE}
    return [*EMBEDDED, *(made for made in tuned.entries() if made.name not in names), *HUB]


def entry(name: str) -> Entry | None:
    """The model or tool of that name (or of an alias of the hub), if there is one."""
    for listed in (*CATALOGUE, *TOOLS):
        if name == listed.name or name in listed.aliases:
            return listed
    card = tuned.card(name)
    return card.entry if card else None


def title_of(name: str) -> str:
    """What a model or tool is called; one that the catalogue does not list goes by its name."""
    listed = entry(name)
    return listed.title if listed else name


def revision_of(name: str) -> str:
    """What the weights of a model are; "" of one that the catalogue does not list."""
    listed = entry(name)
    return listed.revision if listed else ""


def use_of(name: str) -> Use:
    """What a model is good for; of one that the catalogue does not list, nothing in particular."""
    listed = entry(name)
    return listed.use if listed else Use()
