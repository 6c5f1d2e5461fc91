"""Rules against the integrals of polynomials, which are known."""

import numpy as np
import pytest

from neuronlab.attribution.quadrature import lobatto

ORDERS = pytest.mark.parametrize("order", [3, 4, 5, 7])


@ORDERS
def test_a_rule_is_exact_up_to_its_degree_and_not_beyond(order):
    rule = lobatto(order)
    x = np.array(rule.nodes)
    for degree in range(2 * order - 2):
        assert rule.weights @ x**degree == pytest.approx(1 / (degree + 1), abs=1e-12)
    beyond = 2 * order - 2
    assert abs(rule.weights @ x**beyond - 1 / (beyond + 1)) > 1e-9


@ORDERS
def test_the_check_is_exact_to_a_lower_degree_without_the_first_node(order):
    rule = lobatto(order)
    x = np.array(rule.nodes)
    assert rule.check[0] == 0.0
    for degree in range(order - 1):
        assert rule.check @ x**degree == pytest.approx(1 / (degree + 1), abs=1e-12)
    assert abs(rule.check @ x**order - rule.weights @ x**order) > 1e-4


@ORDERS
def test_stretches_integrate_from_node_to_node(order):
    rule = lobatto(order)
    x = np.array(rule.nodes)
    assert x[0] == 0.0
    assert x[-1] == 1.0
    for degree in range(order):
        integrals = np.diff(x ** (degree + 1)) / (degree + 1)
        assert rule.stretches @ x**degree == pytest.approx(integrals, abs=1e-12)
    assert rule.stretches.sum(0) == pytest.approx(rule.weights, abs=1e-12)
