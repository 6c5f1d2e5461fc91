"""Boxes that also take what is typed, on every page: a text there stays as it is written."""

from __future__ import annotations

from neuronlab.widgets.browser import element

_mount = element("boxes")


def draw() -> None:
    """Watch over the boxes of the page."""
    _mount(key="boxes", data={})
