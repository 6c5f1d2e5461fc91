"""Rows of tokens that run together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# On a processor larger batches leave its cache.
TOKENS = 4096


def of_like_length(lengths: Sequence[int], tokens: int = TOKENS) -> list[list[int]]:
    """Rows of similar length together, so that little of a batch is padding; shortest first.

    Args:
        lengths: of the rows, in tokens.
        tokens: at most so many in a batch when padded, unless a row alone has more.

    Returns:
        The numbers of each batch's rows.
    """
    batches: list[list[int]] = []
    for row in np.argsort(lengths, kind="stable").tolist():
        if not batches or (len(batches[-1]) + 1) * lengths[row] > tokens:
            batches.append([])
        batches[-1].append(row)
    return batches
