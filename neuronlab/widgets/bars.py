"""Bars of probabilities that move when what they show changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from neuronlab.neurons.effect import percent
from neuronlab.widgets.browser import element

_mount = element("bars")


class Bar(NamedTuple):
    """One probability.

    Attributes:
        name: of what it is; unique among the bars.
        value: between 0 and 1.
        marked: whether it is the one to look at.
    """

    name: str
    value: float
    marked: bool = False


def draw(bars: Sequence[Bar], name: str, alt: str) -> None:
    """The bars, one below the other.

    Args:
        name: of the widget: unique on the page.
        alt: what they show, for those who do not see it.
    """
    rows = [
        {
            "name": bar.name,
            "value": bar.value,
            "shown": percent(bar.value),
            "marked": bar.marked,
            "words": f"{bar.name}: {percent(bar.value, 2)}",
        }
        for bar in bars
    ]
    _mount(key=f"bars_{name}", data={"rows": rows, "alt": alt})
