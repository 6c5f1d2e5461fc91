"""The run on whose page a result is seen: that of another, where it is a part of that one."""

from __future__ import annotations

from collections.abc import Sequence

from neuronlab.errors import UserError
from neuronlab.runs import Record
from neuronlab.studies import STUDIES
from neuronlab.widgets import services
from pages import PAGE_OF


def whole(record: Record, records: Sequence[Record]) -> Record | None:
    """The run itself if a page shows its study, else one that is made from it or beside it.

    Contexts and exemplars, for instance, are seen with the labels that are made from them, and so
    is what a chat model says of one neuron's contexts.

    Args:
        records: of all results, the newest first.
    """
    if not record.readable:
        return None
    if record.study in PAGE_OF:
        return record
    parts = {record.key, *_needed(record)}
    shown = (each for each in records if each.readable and each.study in PAGE_OF)
    return next((each for each in shown if parts & _needed(each)), None)


def neuron(record: Record) -> dict[str, str]:
    """The neuron that a run is about, as an address has it; empty if about none."""
    try:
        return {"neuron": "{layer}.{component}.{neuron}".format_map(record.spec)}
    except KeyError:
        return {}


def _needed(record: Record) -> set[str]:
    """Keys of the results that it is made from."""
    try:
        spec = services.spec_of({"study": record.study, **record.spec})
        return {needed.key for _, needed in STUDIES[record.study].needs(spec)}
    except (UserError, ValueError, KeyError):  # of an earlier version
        return set()
