"""Quadrature rules on [0, 1]."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Rule:
    """A quadrature rule whose first node is 0 and whose last is 1.

    Attributes:
        nodes: where to evaluate, ascending.
        weights: of the whole integral.
        stretches: weights of the integrals from each node to the next, (node - 1, node); they sum
            to ``weights``.
    """

    nodes: tuple[float, ...]
    weights: tuple[float, ...]
    stretches: Float[np.ndarray, "stretch node"]


@lru_cache(maxsize=8)
def clenshaw_curtis(nodes: int) -> Rule:
    """The Clenshaw-Curtis rule (1960): the polynomial through ``nodes`` Chebyshev points.

    The rule of ``2 * nodes - 1`` keeps every node, bit for bit, so that what was evaluated for one
    serves the next, and the difference of the two tells the error. In practice it is nearly as
    exact as Gauss's with as many nodes (Trefethen 2008, "Is Gauss quadrature better than
    Clenshaw-Curtis?"). Both ends are nodes: neighbours share them.
    """
    legendre = np.polynomial.legendre
    x = -np.cos(np.pi * (np.arange(nodes) / (nodes - 1)))
    # Legendre polynomials at the nodes, and their integrals from -1 to each: a rule is what maps
    # one to the other.
    values = legendre.legvander(x, nodes - 1)
    antiderivatives = legendre.legint(np.eye(nodes), lbnd=-1, axis=1)
    integrals = legendre.legval(x, antiderivatives.T).T
    stretches = np.linalg.solve(values.T, np.diff(integrals, axis=0).T).T / 2
    return Rule(tuple(((x + 1) / 2).tolist()), tuple(stretches.sum(0).tolist()), stretches)
