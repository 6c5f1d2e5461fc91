"""Tables as CSV for people, who open it in spreadsheets, and the way back.

Spreadsheets take a cell that begins with one of `=`, `+`, `-`, `@`, tab or carriage return for a
formula, and run it. An apostrophe before it makes it text to them.
"""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

# Apostrophes that stand there already count, so that the way back is exact.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
# What `from_text` replaces, and by what: for those who read a table of millions of cells.
APOSTROPHE, WITHOUT = r"^'('*[=+\-@\t\r])", r"\1"


def csv(table: pd.DataFrame) -> str:
    """The table without its index as CSV (RFC 4180); no text in it is a formula.

    Texts that a spreadsheet would run get an apostrophe before them; numbers stay as they are.
    """
    table = table.reset_index(drop=True)
    columns = [
        pd.Series([as_text(value) for value in column], column.index, dtype=object)
        if _may_hold_text(column.dtype)
        else column
        for _, column in table.items()
    ]
    safe = pd.concat(columns, axis=1) if columns else table
    safe.columns = [as_text(name) for name in table.columns]
    # With these line ends, a cell that holds one of their characters is put in quotation marks.
    return safe.to_csv(index=False, lineterminator="\r\n")


def as_text(value: Any) -> Any:
    """The value; with an apostrophe before it if it is a text that a spreadsheet would run."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def from_text(cell: str) -> str:
    """What `as_text` was given, from what it gave."""
    return re.sub(APOSTROPHE, WITHOUT, cell)


def _may_hold_text(kind: Any) -> bool:
    return not (pd.api.types.is_numeric_dtype(kind) or pd.api.types.is_datetime64_any_dtype(kind))
