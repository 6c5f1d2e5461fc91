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

_HIGH = (
    {"high", "higher", "highly", "positive", "positively", "rich", "richer", "many", "more"}
    | {"large", "larger", "long", "longer", "strong", "elevated", "increased", "greater"}
    | {"enriched"}
)
_LOW = (
    {"low", "lower", "negative", "negatively", "poor", "few", "fewer", "less", "small", "smaller"}
    | {"short", "shorter", "weak", "reduced", "decreased", "depleted", "lack", "lacks", "lacking"}
    | {"without", "not", "no", "non"}
)
# "whose hydropathy is negative"
_AFTER = re.compile(r" (?:value |score )?(?:is|are) (?:(?:very|rather|mostly|often) )?([a-z]+)")


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
        some = np.where(np.isnan(self.values[like]).all(0), 0, self.values[like])
        mean, sd = np.nanmean(some, axis=0), np.nanstd(some, axis=0)
        z = np.divide(self.values - mean, sd, out=np.zeros_like(self.values), where=sd > 1e-9)
        return np.nan_to_num(z)


def traits(
    features: pd.DataFrame,
    annotations: Sequence[Sequence[str]],
    titles: Mapping[str, str],
    *,
    among: Bool[Array, " protein"] | None = None,
    min_count: int = MIN_COUNT,
) -> Traits:
    """Features that are not the same everywhere, and annotations that enough proteins carry.

    Args:
        features: one row a protein.
        annotations: of each protein, in words.
        titles: of the features.
        among: proteins that decide which traits there are; the others are described by these.
    """
    deciding = np.ones(len(annotations), bool) if among is None else among
    some = features[deciding]
    shown = [name for name in some if some[name].notna().sum() > 1]
    shown = [name for name in shown if some[name].std(ddof=0) > 1e-9]
    count = Counter(word for i in np.flatnonzero(deciding) for word in set(annotations[int(i)]))
    most = deciding.sum() - min_count
    words = sorted(word for word, n in count.items() if min_count <= n <= most)
    column = {word: i for i, word in enumerate(words)}
    carried = np.zeros((len(annotations), len(words)), np.float32)
    for row, of_protein in enumerate(annotations):
        carried[row, [column[word] for word in set(of_protein) if word in column]] = 1
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


def named(text: str, vocabulary: Traits) -> tuple[tuple[str, int], ...]:
    """The traits that a free text names, each with its direction: +1, or -1 after "low", "not" …

    A trait is named by its title, by its name, or by what an annotation says after its kind. Of
    names inside longer ones only the longest counts. A direction stands in the three words before
    the name or after its "is", and holds for a list of features: "low charge and hydropathy".
    """
    lowered = " ".join(re.findall(r"[a-z0-9+-]+", text.lower()))
    spans: list[tuple[int, int, str]] = []
    for name, title in zip(vocabulary.names, vocabulary.titles, strict=True):
        _, colon, value = title.partition(": ")
        short = re.sub(r"\(.*?\)", "", title)
        for phrase in {title, short, name.replace("_", " "), *([value] if colon else [])}:
            plain = " ".join(re.findall(r"[a-z0-9+-]+", phrase.lower()))
            if len(plain) < 3 or plain not in lowered:
                continue
            for place in re.finditer(rf"(?<!\w){re.escape(plain)}(?!\w)", lowered):
                spans.append((*place.span(), name))
    spans.sort(key=lambda span: (span[0] - span[1], span[0]))
    taken: list[tuple[int, int, str]] = []
    for start, stop, name in spans:
        if all(stop <= a or start >= b for a, b, _ in taken):
            taken.append((start, stop, name))
    binary = dict(zip(vocabulary.names, vocabulary.binary, strict=True))
    signs: dict[str, int] = {}
    end, sign, listed = 0, 1, False
    for start, stop, name in sorted(taken):
        before = [word.strip("-") for word in lowered[end:start].split()[-3:]]
        after = _AFTER.match(lowered[stop:])
        nearby = [*([after[1]] if after else []), *before]
        direction = next((word for word in reversed(nearby) if word in _HIGH | _LOW), "")
        if direction:
            sign = 1 if direction in _HIGH else -1
        elif not (listed and not binary[name] and before in ([], ["and"], ["or"])):
            sign = 1
        signs.setdefault(name, sign)
        end, listed = stop + (after.end() if after else 0), not binary[name]
    return tuple(signs.items())
