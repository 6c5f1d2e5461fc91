"""What the commands write: a progress line and tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from neuronlab.errors import UserError


class ProgressLine:
    """A line on stderr that is rewritten; in a file or a pipe, one line for each new message.

    Call it with a fraction (0 to 1) and a message; use it as a context, which ends the line.
    """

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._message = ""
        self._width = 0

    def __call__(self, fraction: float, message: str = "") -> None:
        """Show how far the work is and what it does."""
        before, self._message = self._message, message or self._message
        if self._terminal:
            line = f"{fraction:4.0%} {self._message}"
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        elif self._message != before:
            print(self._message, file=sys.stderr, flush=True)

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._terminal and self._width:
            print(file=sys.stderr)


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns, those of numbers to the right."""
    cells = [header, *([str(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    numeric = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ).rstrip()
        for row in cells
    )


def check_path(path: Path) -> None:
    """Raises UserError where nothing can be written or shown under this name."""
    try:
        str(path).encode()
        os.stat(path)
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        shown = str(path)[:60].encode("ascii", "backslashreplace").decode()
        raise UserError(f"'{shown}' cannot be the name of what is written: {reason}.") from error


def quiet() -> None:
    """Keep the progress bars and warnings of transformers off the terminal."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
