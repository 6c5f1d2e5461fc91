"""One transformer block with the numbers of one prompt, from the sentence to the next token."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from neuronlab.figures.charts import visible

# Numbers of a long vector that are shown.
SHOWN = 12


class Stage(NamedTuple):
    """A line of the drawing.

    Attributes:
        name: what it is called.
        words: what happens there, in one sentence.
        cells: a label and a number each; None where there is none.
        of: how many numbers there are in all; 0 where all are shown.
        percent: numbers are shares, drawn as bars.
    """

    name: str
    words: str
    cells: Sequence[tuple[str, float | None]]
    of: int = 0
    percent: bool = False


def block(stages: Sequence[Stage]) -> str:
    """The stages as HTML, one below the other, appearing in turn along a stream that flows.

    Nothing moves for people who do not want that.
    """
    lines = "".join(_stage(stage, number) for number, stage in enumerate(stages))
    return f"<style>{_STYLE}</style><ol class='nl-block'>{lines}</ol>"


def _stage(stage: Stage, number: int) -> str:
    largest = max((abs(value or 0) for _, value in stage.cells), default=0) or 1.0
    form = _percent(stage.cells) if stage.percent else "+.2f"
    cells = "".join(_cell(*cell, largest, form) for cell in stage.cells)
    more = f"<i>… of {stage.of:,}</i>" if stage.of else ""
    return (
        f"<li style='--turn: {number}'><b>{escape(stage.name)}</b>"
        f"<span class='nl-words'>{escape(stage.words)}</span>"
        f"<span class='nl-cells'>{cells}{more}</span></li>"
    )


def _percent(cells: Sequence[tuple[str, float | None]]) -> str:
    """One form for all shares of a line, in which the smallest is not 0."""
    least = min((value for _, value in cells if value), default=1.0)
    return ".0%" if least >= 0.01 else ".1%" if least >= 0.001 else ".2%"


def _cell(label: str, value: float | None, largest: float, form: str) -> str:
    strength = round(100 * abs(value or 0) / largest)
    shown = "" if value is None else format(value, form)
    sign = "against" if value is not None and value < 0 else "for"
    name = f"<em>{escape(visible(label))}</em>" if label else ""
    return f"<span class='nl-{sign}' style='--strength: {strength}%'>{name}{shown}</span>"


_STYLE = """
.nl-block { list-style: none; margin: 0; padding: 0 0 0 1.6rem; position: relative; }
.nl-block::before { content: ""; position: absolute; left: 0.45rem; top: 0.4rem; bottom: 0.4rem;
  width: 4px; border-radius: 2px; background: repeating-linear-gradient(to bottom,
  #2B87C8 0 10px, color-mix(in srgb, #2B87C8 25%, transparent) 10px 20px);
  background-size: 4px 20px; animation: nl-flow 0.9s linear infinite; }
.nl-block li { position: relative; margin: 0 0 0.8rem; display: block;
  animation: nl-come 0.5s ease-out backwards; animation-delay: calc(var(--turn) * 0.55s); }
.nl-block li::before { content: ""; position: absolute; left: -1.42rem; top: 0.35rem; width: 0.7rem;
  height: 0.7rem; border-radius: 50%; background: #2B87C8; border: 2px solid var(--page); }
.nl-words { margin-left: 0.5rem; color: color-mix(in srgb, var(--ink) 78%, var(--page)); }
.nl-cells { display: flex; flex-wrap: wrap; gap: 3px; margin-top: 0.25rem; align-items: center; }
.nl-cells > span { font: 0.78rem/1.3 monospace; padding: 0.1rem 0.3rem; border-radius: 4px;
  text-align: center; color: var(--ink);
  background: color-mix(in srgb, var(--side) calc(var(--strength) * 0.45), transparent);
  border: 1px solid color-mix(in srgb, var(--side) 35%, transparent); }
.nl-for { --side: #6F5FB0; } .nl-against { --side: #D98224; }
.nl-cells em { display: block; font-style: normal; font-weight: 650; }
.nl-cells i { font-size: 0.8rem; color: color-mix(in srgb, var(--ink) 70%, var(--page)); }
@keyframes nl-flow { to { background-position-y: 20px; } }
@keyframes nl-come { from { opacity: 0; transform: translateY(-6px); } }
@media (prefers-reduced-motion: reduce) {
  .nl-block::before, .nl-block li { animation: none; }
}
"""
