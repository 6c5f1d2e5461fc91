"""The maps people click: what a cell says must be what the scores say, at the place of its data."""

import numpy as np
import pytest

from neuronlab.figures import maps
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.neurons import NeuronScores

SIZES = {"query": 24, "key": 8, "ffn": 40}
LAYERS = 5


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    return NeuronScores(
        {c: rng.normal(size=(LAYERS, n)).astype(np.float32) for c, n in SIZES.items()}
    )


def points(grid):
    """(x, y, value) of the series, in the order in which the chart numbers its cells."""
    return np.array([item["value"] for item in grid.option["series"][0]["data"]])


def marked(grid):
    return [i for i, item in enumerate(grid.option["series"][0]["data"]) if "itemStyle" in item]


def test_overview_sums_and_finds_the_strongest(scores):
    grid = maps.overview(scores)
    assert len(grid.cells) == LAYERS * len(SIZES)
    for cell in grid.cells.itertuples():
        values = scores[cell.component][cell.layer]
        assert cell.total == pytest.approx(float(values.sum()), abs=1e-5)
        assert cell.strongest == values[np.abs(values).argmax()]


def test_overview_data_is_in_the_order_of_the_cells(scores):
    grid = maps.overview(scores)
    drawn = points(grid)
    names = grid.option["xAxis"]["data"]
    assert [names[int(x)] for x in drawn[:, 0]] == [
        COMPONENT_NAMES[c] for c in grid.cells["component"]
    ]
    rows = grid.option["yAxis"]["data"]
    assert [int(rows[int(y)]) for y in drawn[:, 1]] == grid.cells["layer"].tolist()
    np.testing.assert_allclose(drawn[:, 2], grid.cells["total"], atol=1e-6)


def test_overview_marks_the_chosen_cell(scores):
    grid = maps.overview(scores, (3, "ffn"))
    (index,) = marked(grid)
    assert tuple(grid.cells.loc[index, ["layer", "component"]]) == (3, "ffn")
    assert not marked(maps.overview(scores))


def test_overview_labels_name_the_cell_in_words(scores):
    grid = maps.overview(scores)
    for cell, item in zip(grid.cells.itertuples(), grid.option["series"][0]["data"], strict=True):
        assert f"layer {cell.layer}, {COMPONENT_NAMES[cell.component]}" in item["name"]
        assert f"{cell.total:+.4f}" in item["name"]


@pytest.mark.parametrize("count", [1, 31, 512, 513, 576, 1536, 3072, 28_672])
def test_bins_cover_every_neuron_once_and_show_its_strongest(count):
    values = np.random.default_rng(count).normal(size=count).astype(np.float32)
    cells = maps.layer_grid(values).cells
    assert len(cells) <= maps.MAX_CELLS
    covered = [n for c in cells.itertuples() for n in range(c.start, c.stop)]
    assert covered == list(range(count))
    for cell in cells.itertuples():
        inside = values[cell.start : cell.stop]
        assert cell.strongest == cell.start + np.abs(inside).argmax()
        assert cell.score == values[cell.strongest]


@pytest.mark.parametrize("count", [40, 576, 28_672])
def test_grid_data_is_in_the_order_of_the_cells(count):
    values = np.random.default_rng(1).normal(size=count).astype(np.float32)
    grid = maps.layer_grid(values, columns=32)
    drawn = points(grid)
    place = (drawn[:, 1] * 32 + drawn[:, 0]).astype(int)
    assert place.tolist() == list(range(len(grid.cells)))
    np.testing.assert_allclose(drawn[:, 2], grid.cells["score"], atol=1e-6)
    # A row is labelled with the first neuron it holds.
    firsts = [int(label) for label in grid.option["yAxis"]["data"]]
    assert firsts == grid.cells["start"].tolist()[::32]


@pytest.mark.parametrize(("count", "chosen"), [(40, 0), (40, 39), (1536, 1535), (28_672, 16_001)])
def test_grid_marks_the_bin_of_the_chosen_neuron(count, chosen):
    grid = maps.layer_grid(np.ones(count, np.float32), chosen=chosen)
    (index,) = marked(grid)
    assert grid.cells["start"][index] <= chosen < grid.cells["stop"][index]


def test_strip_shows_single_neurons_from_its_start():
    values = np.array([0.5, -1.0, 0.25], np.float32)
    grid = maps.neuron_strip(values, 96, chosen=97)
    assert grid.cells["neuron"].tolist() == [96, 97, 98]
    np.testing.assert_allclose(points(grid)[:, 2], values)
    assert marked(grid) == [1]
    assert not marked(maps.neuron_strip(values, 96))


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.0, -3.0], [2.0, 1.0]])
def test_colours_diverge_around_zero(values):
    """Zero must be the middle of the scale whatever the sign of the scores."""
    scale = maps.neuron_strip(np.array(values, np.float32), 0).option["visualMap"]
    assert scale["max"] == -scale["min"] > 0
