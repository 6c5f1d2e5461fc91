"""Quadrature rules on [0, 1]."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Rule:
    """A Gauss-Lobatto rule: its first node is 0, its last is 1.

    Attributes:
        nodes: where to evaluate, ascending.
        weights: of the rule itself, exact for degree ``2 * len(nodes) - 3``.
        check: weights of a rule of lower degree on the same nodes without the first. The
            difference between the two is a bound on the error that costs no evaluation.
        stretches: weights of the integrals from each node to the next, (node - 1, node); they sum
            to ``weights``.
    """

    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    check: tuple[float, ...]
    stretches: Float[np.ndarray, "stretch node"]


@lru_cache(maxsize=8)
def lobatto(nodes: int) -> Rule:
    """The Gauss-Lobatto rule.

    Both ends of an interval are nodes: neighbours share them, and the far end of a whole path,
    the clean activation, is the same forward pass for every path.
    """
    legendre = np.polynomial.legendre
    polynomial = [0.0] * (nodes - 1) + [1.0]
    inner = legendre.legroots(legendre.legder(polynomial)).real
    x = np.concatenate([[0.0], (np.sort(inner) + 1) / 2, [1.0]])
    # Powers of x at the nodes, and their integrals from 0 to each: a rule is what maps one to the
    # other.
    powers = np.vander(x, increasing=True)
    integrals = powers * x[:, None] / np.arange(1, nodes + 1)
    stretches = np.linalg.solve(powers.T, np.diff(integrals, axis=0).T).T
    check = np.linalg.solve(powers[1:, :-1].T, integrals[-1, :-1])
    return Rule(tuple(x), tuple(stretches.sum(0)), (0.0, *check), stretches)
