"""The error whose text is meant for a person."""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """An error whose text is one sentence meant for the person in front of the screen.

    Attributes:
        details: for those who want them: folded on a page, and below a traceback.
    """

    def __init__(self, message: str = "", *, details: str = "") -> None:
        super().__init__(message)
        self.details = details
        if details:
            self.add_note(details)


@contextmanager
def memory_in_a_sentence() -> Iterator[None]:
    """Say in one sentence that memory ran out, which estimates beforehand cannot rule out: other
    programs take it, too.

    Raises:
        UserError: instead of MemoryError and of torch's OutOfMemoryError.
    """
    try:
        yield
    except Exception as error:
        # By its name: torch takes seconds to import.
        on_gpu = type(error).__name__ == "OutOfMemoryError"
        if not on_gpu and not isinstance(error, MemoryError):
            raise
        raise UserError(
            f"The memory of {'the GPU' if on_gpu else 'this machine'} ran out: free some that "
            "other programs use, or choose a shorter prompt, a smaller model or another device.",
            details=f"{type(error).__name__}: {error}",
        ) from error
