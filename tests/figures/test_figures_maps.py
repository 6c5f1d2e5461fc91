"""The maps people click: cells are found where the chart numbers them."""

import numpy as np
import pandas as pd
import pytest

from neuronlab.figures import maps


def drawn(values):
    values = pd.Series(values, dtype=float)
    place = np.arange(len(values))
    labels = [f"cell {at}" for at in place]
    return maps.heatmap(place, np.zeros_like(place), values, labels, labels, [""])


def test_cells_are_in_the_order_given():
    data = drawn([0.5, -1.0, 0.25])["series"][0]["data"]
    assert [item["value"] for item in data] == [[0, 0, 0.5], [1, 0, -1.0], [2, 0, 0.25]]
    assert [item["name"] for item in data] == ["cell 0", "cell 1", "cell 2"]


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.0, -3.0], [2.0, 1.0]])
def test_colours_diverge_around_zero(values):
    """Zero must be the middle of the scale whatever the sign of the scores."""
    scale = drawn(values)["visualMap"]
    assert scale["max"] == -scale["min"] > 0


@pytest.mark.parametrize(
    ("largest", "end", "precision"),
    [(2.96707, 2.97, 2), (-0.0012341, 0.00124, 5), (123.4, 124, 0), (0.5, 0.5, 3), (0.0, 1, 2)],
)
def test_a_scale_ends_at_a_number_of_three_digits_that_holds_every_value(largest, end, precision):
    scale = drawn([largest, 0.0])["visualMap"]
    assert scale["max"] == pytest.approx(end)
    assert scale["precision"] == precision


def test_the_chosen_cell_is_marked():
    option, cells = drawn([1.0, 2.0]), pd.DataFrame({"layer": [0, 1], "head": [3, 3]})
    maps.mark(option, cells, (cells["layer"], cells["head"]), (1, 3))
    marks = ["itemStyle" in item for item in option["series"][0]["data"]]
    assert marks == [False, True]
