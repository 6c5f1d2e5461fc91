"""How long work says what it has done, and is told to stop."""

from __future__ import annotations

from collections.abc import Callable

# The fraction that is done, 0 to 1, and what is being done; may raise to cancel.
Progress = Callable[[float, str], None]
# The same without words.
Fraction = Callable[[float], None]
# Called between the pieces of work; may raise to cancel.
Check = Callable[[], None]


def unheard(*report: object) -> None:
    """For work that nobody watches."""
