"""Quadrature rules on [0, 1]."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Rule:
    """A Gauss-Lobatto rule: its first node is 0, its last is 1.

    Attributes:
        nodes: where to evaluate, ascending.
        weights: of the rule itself, exact for degree ``2 * len(nodes) - 3``.
        check: weights of a rule of lower degree on the same nodes without the first. The
            difference between the two is a bound on the error that costs no evaluation.
    """

    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    check: tuple[float, ...]


@lru_cache(maxsize=8)
def lobatto(nodes: int) -> Rule:
    """The Gauss-Lobatto rule.

    Both ends of an interval are nodes: neighbours share them, and the far end of a whole path,
    the clean activation, is the same forward pass for every path.
    """
    legendre = np.polynomial.legendre
    polynomial = [0.0] * (nodes - 1) + [1.0]
    inner = legendre.legroots(legendre.legder(polynomial)).real
    x = np.concatenate([[-1.0], np.sort(inner), [1.0]])
    weights = 2 / (nodes * (nodes - 1) * legendre.legval(x, polynomial) ** 2)
    x, weights = (x + 1) / 2, weights / 2
    powers = np.vander(x[1:], increasing=True).T
    check = np.linalg.solve(powers, 1 / np.arange(1, nodes))
    return Rule(tuple(x), tuple(weights), (0.0, *check))
