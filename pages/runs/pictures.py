"""The pictures by which finished runs are known again in the list."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence

import streamlit as st

from neuronlab.figures.thumbnails import SOURCES, thumbnail
from neuronlab.runs import Record
from neuronlab.widgets import services

# Seconds of drawing before the page is shown with what there is.
_PATIENCE = 0.5


def draw(records: Sequence[Record]) -> bool:
    """Draw the pictures that this server has not drawn yet; True where the time was too short.

    What is stored under a key stays as it is, so that each is drawn once. No more of a result is
    read than what its picture shows.
    """
    drawn, began = _drawn(), time.perf_counter()
    for record in (each for each in records if each.key not in drawn):
        drawn[record.key] = _address(record)
        if time.perf_counter() - began > _PATIENCE:
            return True
    return False


def of(key: str) -> str | None:
    """The picture of a result as an address that holds it; None where there is none."""
    return _drawn().get(key)


@st.cache_resource
def _drawn() -> dict[str, str | None]:
    """By key, of all sessions."""
    return {}


def _address(record: Record) -> str | None:
    source = SOURCES.get(record.study)
    if source is None or not record.readable:
        return None
    try:
        picture = thumbnail(record.study, services.store().part(record.key, source.part))
    except Exception:  # of an earlier version, or deleted meanwhile: the list has its words
        return None
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}" if picture else None
