"""How long work says what it has done, and is told to stop."""

from __future__ import annotations

from collections.abc import Callable

# The fraction that is done, 0 to 1, and what is being done; may raise to cancel.
Progress = Callable[[float, str], None]
# The same without words.
Fraction = Callable[[float], None]
# Called between the pieces of work; may raise to cancel.
Check = Callable[[], None]


def bar() -> Progress:
    """A bar that follows work, in a notebook or a terminal.

    scores = nl.attribute(model, prompt, progress=bar())
    """
    from tqdm.auto import tqdm

    shown = tqdm(total=1.0, bar_format="{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}")

    def report(fraction: float, words: str = "") -> None:
        shown.set_description_str(words, refresh=False)
        shown.update(fraction - shown.n)
        if fraction >= 1:
            shown.close()

    return report


def unheard(*report: object) -> None:
    """For work that nobody watches."""
