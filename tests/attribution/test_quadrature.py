"""Rules against the integrals of polynomials, which are known."""

import numpy as np
import pytest

from neuronlab.attribution.quadrature import clenshaw_curtis

ORDERS = pytest.mark.parametrize("order", [2, 3, 5, 9, 17])


@ORDERS
def test_a_rule_is_exact_up_to_its_degree_and_not_beyond(order):
    rule = clenshaw_curtis(order)
    x = np.array(rule.nodes)
    degrees = order if order % 2 == 0 else order + 1  # one more by symmetry
    for degree in range(degrees):
        assert rule.weights @ x**degree == pytest.approx(1 / (degree + 1), abs=1e-12)
    if order <= 9:  # beyond that, a power's error is rounding
        assert abs(rule.weights @ x**degrees - 1 / (degrees + 1)) > 1e-9
    assert min(rule.weights) > 0


@pytest.mark.parametrize("order", [2, 3, 5, 9])
def test_the_next_order_keeps_every_node_bit_for_bit(order):
    few, many = clenshaw_curtis(order).nodes, clenshaw_curtis(2 * order - 1).nodes
    assert many[::2] == few
    assert sorted(many) == list(many)


@ORDERS
def test_stretches_integrate_from_node_to_node(order):
    rule = clenshaw_curtis(order)
    x = np.array(rule.nodes)
    assert x[0] == 0.0
    assert x[-1] == 1.0
    for degree in range(order):
        integrals = np.diff(x ** (degree + 1)) / (degree + 1)
        assert rule.stretches @ x**degree == pytest.approx(integrals, abs=1e-12)
    assert rule.stretches.sum(0) == pytest.approx(rule.weights, abs=1e-12)


def test_it_is_the_rule_of_the_textbooks():
    """Simpson's with three nodes, and the end weights 1 / (n^2 - 1) of an even n intervals."""
    assert clenshaw_curtis(3).weights == pytest.approx([1 / 6, 4 / 6, 1 / 6])
    for order in (5, 9, 17):
        assert clenshaw_curtis(order).weights[0] == pytest.approx(0.5 / ((order - 1) ** 2 - 1))
