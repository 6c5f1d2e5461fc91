"""Rows of a table: ticked for what is done with several, clicked for the one that is looked at."""

from __future__ import annotations

from typing import Any, Literal

# Of `st.dataframe`'s `selection_mode`.
MODES: tuple[Literal["multi-row"], Literal["single-cell"]] = ("multi-row", "single-cell")


def ticked(selection: Any, count: int) -> list[int]:
    """The rows whose boxes are ticked.

    Args:
        selection: of the table's event.
        count: of the table's rows: it may have changed since the click.
    """
    return [row for row in selection.rows if row < count]


def clicked(selection: Any, count: int) -> int | None:
    """The row in which a cell is chosen, or else the last that is ticked; None without either."""
    rows = [row for row, _ in selection.cells if row < count] or ticked(selection, count)
    return rows[-1] if rows else None
