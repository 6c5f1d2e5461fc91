"""Rows of like length run together."""

from itertools import pairwise

import numpy as np

from neuronlab.models.batches import of_like_length


def test_batches_are_full_and_never_larger():
    lengths = [*np.random.default_rng(0).integers(3, 60, 200).tolist(), 250]
    batches = of_like_length(lengths, 100)
    assert sorted(row for rows in batches for row in rows) == list(range(201))
    sizes = [len(rows) * max(lengths[row] for row in rows) for rows in batches]
    assert all(size <= 100 or len(rows) == 1 for size, rows in zip(sizes, batches, strict=True))
    for rows, following in pairwise(batches):
        assert (len(rows) + 1) * lengths[following[0]] > 100
