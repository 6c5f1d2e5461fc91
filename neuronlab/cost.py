"""What work will cost, and how that is said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cost:
    """What work will take, roughly, on top of the loaded model.

    Attributes:
        seconds: of computing.
        bytes: of memory, at the peak.
        at_most: the seconds are a bound, not an estimate.
        remark: how the sentence goes on, such as "; finished facts are kept".
    """

    seconds: float
    bytes: float = 0.0
    at_most: bool = False
    remark: str = ""

    @property
    def words(self) -> str:
        """Time, and memory where it is worth a word."""
        if self.bytes < 1e6:
            return duration(self.seconds)
        return f"{duration(self.seconds)} and {memory(self.bytes)} of memory"

    @property
    def sentence(self) -> str:
        """The cost as it stands beside a button."""
        return f"{'At most' if self.at_most else 'About'} {self.words}{self.remark}."


def memory(bytes_: float) -> str:
    """An amount of memory in words."""
    return f"{bytes_ / 1e9:.1f} GB" if bytes_ > 1e8 else f"{bytes_ / 1e6:.0f} MB"


def duration(seconds: float) -> str:
    """A time in words."""
    if seconds < 1:
        return "a second"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
