"""Quadrature rules on [0, 1]."""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=8)
def radau(nodes: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nodes and weights of the left Gauss-Radau rule, exact for degree 2 * nodes - 2.

    The first node is 0. So the value at an interval's left end, which completeness needs, comes
    with the rule and costs no evaluation of its own.
    """
    legendre = np.polynomial.legendre
    roots = legendre.legroots([0.0] * (nodes - 1) + [1.0, 1.0]).real
    roots = np.sort(roots)
    roots[0] = -1.0
    last = legendre.legval(roots, [0.0] * (nodes - 1) + [1.0])
    weights = (1 - roots) / (nodes * last) ** 2
    weights[0] = 2 / nodes**2
    return tuple((roots + 1) / 2), tuple(weights / 2)
