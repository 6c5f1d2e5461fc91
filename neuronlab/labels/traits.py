"""What is known of proteins, as numbers: features and annotations side by side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

Array = np.ndarray
# An annotation that fewer proteins carry is left out: it cannot be told from chance.
MIN_COUNT = 10

_HIGH = {"high", "higher", "positive", "rich", "many", "large", "long", "strong", "elevated"}
_LOW = {"low", "lower", "negative", "poor", "few", "small", "short", "weak", "lacking", "without"}


@dataclass(frozen=True)
class Traits:
    """Features and annotations of proteins.

    Attributes:
        names: of the traits, each once.
        titles: as a person reads them.
        values: nan where a feature is undefined; annotations are 0 or 1.
        binary: which traits are annotations.
    """

    names: tuple[str, ...]
    titles: tuple[str, ...]
    values: Float[Array, "protein trait"]
    binary: Bool[Array, " trait"]

    def standard(self, like: Bool[Array, " protein"]) -> Float[Array, "protein trait"]:
        """In standard deviations of some of the proteins; 0 where undefined or constant."""
        some = self.values[like]
        mean, sd = np.nanmean(some, axis=0), np.nanstd(some, axis=0)
        z = np.divide(self.values - mean, sd, out=np.zeros_like(self.values), where=sd > 1e-9)
        return np.nan_to_num(z)


def traits(
    features: pd.DataFrame,
    annotations: Sequence[Sequence[str]],
    titles: Mapping[str, str],
    *,
    min_count: int = MIN_COUNT,
) -> Traits:
    """Features that are not the same everywhere, and annotations that enough proteins carry.

    Args:
        features: one row a protein.
        annotations: of each protein, in words.
        titles: of the features.
    """
    shown = [name for name in features if features[name].notna().sum() > 1]
    shown = [name for name in shown if features[name].std(ddof=0) > 1e-9]
    count = Counter(word for own in annotations for word in set(own))
    words = sorted(
        word for word, n in count.items() if min_count <= n <= len(annotations) - min_count
    )
    column = {word: i for i, word in enumerate(words)}
    carried = np.zeros((len(annotations), len(words)), np.float32)
    for row, own in enumerate(annotations):
        carried[row, [column[word] for word in set(own) if word in column]] = 1
    values = np.concatenate([features[shown].to_numpy(np.float32), carried], axis=1)
    binary = np.array([False] * len(shown) + [True] * len(words))
    return Traits((*shown, *words), (*(titles[n] for n in shown), *words), values, binary)


def words(title: str, sign: int, *, binary: bool) -> str:
    """A trait of a neuron's proteins as a label: "high hydropathy", "function: ATP binding"."""
    if title[:1].isupper() and not title[1:2].isupper():
        title = title[0].lower() + title[1:]
    if binary:
        return title if sign > 0 else f"not {title}"
    return f"{'high' if sign > 0 else 'low'} {title}"


def named(text: str, known: Traits) -> tuple[tuple[str, int], ...]:
    """The traits that a free text names, each with its direction: +1, or -1 after "low", "not" …

    A trait is named by its title, by its name, or by what an annotation says after its kind. Of
    names inside longer ones only the longest counts.
    """
    lowered = " ".join(re.findall(r"[a-z0-9+-]+", text.lower()))
    spans: list[tuple[int, int, str]] = []
    for name, title in zip(known.names, known.titles, strict=True):
        _, colon, value = title.partition(": ")
        short = re.sub(r"\(.*?\)", "", title)
        for phrase in {title, short, name.replace("_", " "), *([value] if colon else [])}:
            plain = " ".join(re.findall(r"[a-z0-9+-]+", phrase.lower()))
            if len(plain) < 3:
                continue
            for found in re.finditer(rf"(?<!\w){re.escape(plain)}(?!\w)", lowered):
                spans.append((*found.span(), name))
    spans.sort(key=lambda span: (span[0] - span[1], span[0]))
    taken: list[tuple[int, int, str]] = []
    for start, stop, name in spans:
        if all(stop <= a or start >= b for a, b, _ in taken):
            taken.append((start, stop, name))
    signs: dict[str, int] = {}
    for start, _, name in sorted(taken):
        before = lowered[:start].split()[-3:]
        direction = next((w for w in reversed(before) if w in _HIGH | _LOW | {"not", "no"}), "high")
        signs.setdefault(name, 1 if direction in _HIGH else -1)
    return tuple(signs.items())
