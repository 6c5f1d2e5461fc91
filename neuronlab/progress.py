"""How long work says what it has done, and is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

# The fraction that is done, 0 to 1, and what is being done; may raise to cancel.
Progress = Callable[[float, str], None]
# The same without words.
Fraction = Callable[[float], None]
# Called between the pieces of work; may raise to cancel.
Check = Callable[[], None]


@contextmanager
def bar() -> Iterator[Progress]:
    """A bar that follows work, in a notebook or a terminal; full when the work has ended well.

    with bar() as progress:
        scores = nl.attribute(model, prompt, progress=progress)
    """
    from tqdm.auto import tqdm

    bar_format = "{desc} {percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
    with tqdm(total=1.0, bar_format=bar_format) as shown:

        def report(fraction: float, words: str) -> None:
            shown.set_description_str(words, refresh=False)
            shown.update(fraction - shown.n)

        yield report
        report(1.0, "done")


def unheard(*report: object) -> None:
    """For work that nobody watches."""
