"""Heatmaps side by side: what a cell says is what the scores say, and every neuron is in one."""

import json

import numpy as np
import pytest

from neuronlab.figures import heatmaps
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.neurons import Neuron, NeuronScores

LAYERS = 5


def scored(**sizes):
    rng = np.random.default_rng(0)
    return NeuronScores(
        {c: rng.normal(size=(LAYERS, n)).astype(np.float32) for c, n in sizes.items()}
    )


@pytest.fixture
def scores():
    return scored(query=24, key=8, ffn=1000)


@pytest.mark.parametrize("count", [1, 31, 96, 97, 576, 1536, 28_672])
@pytest.mark.parametrize("others", [{}, {"query": 40, "key": 8, "value": 8}])
def test_bins_cover_every_neuron_once_and_show_the_strongest(count, others):
    scores = scored(**others, ffn=count)
    cells = heatmaps.by_layer(scores).cells
    cells = cells[cells["component"] == "ffn"]
    for layer in range(LAYERS):
        row = cells[cells["layer"] == layer]
        assert len(row) <= 96 // len(scores.arrays)
        assert [n for c in row.itertuples() for n in range(c.start, c.stop)] == list(range(count))
        for cell in row.itertuples():
            inside = scores["ffn"][layer, cell.start : cell.stop]
            assert cell.strongest == cell.start + np.abs(inside).argmax()
            assert cell.score == scores["ffn"][layer, cell.strongest]


def test_the_browser_is_sent_the_cells_in_their_places(scores):
    maps = heatmaps.by_layer(scores)
    for at, panel in enumerate(maps.data["panels"]):
        cells = maps.cells[maps.cells["panel"] == at]
        assert len(cells) == len(panel["values"]) == panel["rows"] * panel["columns"]
        place = panel["columns"] * cells["row"] + cells["column"]
        assert place.tolist() == list(range(len(cells)))
        np.testing.assert_allclose(panel["values"], cells["score"], rtol=1e-3)
        assert panel["strongest"] == cells["strongest"].tolist()
        for cell in cells.itertuples():
            component = COMPONENT_NAMES[cell.component]
            assert panel["places"][cell.row] == f"layer {cell.layer}, {component}"
            # How the browser counts the neurons of a cell.
            start = panel["starts"][cell.row] + cell.column * panel["size"]
            assert (start, min(start + panel["size"], panel["stop"])) == (cell.start, cell.stop)


def test_maps_say_what_their_rows_and_columns_are(scores):
    maps = heatmaps.by_layer(scores)
    for panel, size in zip(maps.data["panels"], (24, 8, 1000), strict=True):
        assert panel["axes"] == {
            "row": "layer", "column": "neuron", "first": "0", "last": f"{size - 1:,}"
        }  # fmt: skip
    still = heatmaps.still(maps)
    assert still.layout.yaxis.title.text == "layer"
    assert {axis.title.text for axis in still.select_xaxes()} == {"neuron"}
    strip = heatmaps.strip(scores, Neuron(2, "ffn", 40)).data["panels"][0]
    assert (strip["axes"]["row"], strip["axes"]["last"]) == ("neuron", f"+{strip['columns'] - 1}")


def test_the_edge_has_the_sums_against_and_for(scores):
    data = heatmaps.by_layer(scores).data
    for component, panel in zip(scores, data["panels"], strict=True):
        for values, (against, towards) in zip(scores[component], panel["sums"], strict=True):
            assert towards == pytest.approx(float(values[values > 0].sum()), rel=1e-3)
            assert against == pytest.approx(float(values[values < 0].sum()), rel=1e-3)
            assert max(abs(against), towards) <= data["sum_limit"]


def test_all_panels_share_the_scale_of_the_strongest(scores):
    strongest = max(float(np.abs(scores[c]).max()) for c in scores)
    assert heatmaps.by_layer(scores).data["limit"] == pytest.approx(strongest)
    weak = Neuron(0, "key", 0)
    assert heatmaps.strip(scored(key=200, ffn=9), weak).data["limit"] == pytest.approx(
        heatmaps.by_layer(scored(key=200, ffn=9)).data["limit"]
    )


@pytest.mark.parametrize("neuron", [(0, "query", 0), (4, "ffn", 999), (2, "ffn", 31)])
def test_the_chosen_neuron_is_in_the_marked_cell(scores, neuron):
    neuron = Neuron(*neuron)
    maps = heatmaps.by_layer(scores, neuron)
    cell = maps.cell(maps.data["chosen"])
    assert (cell["layer"], cell["component"]) == (neuron.layer, neuron.component)
    assert cell["start"] <= neuron.index < cell["stop"]
    assert heatmaps.bin_of(scores, neuron) == (cell["start"], cell["stop"])
    strip = heatmaps.strip(scores, neuron)
    assert strip.cell(strip.data["chosen"])["strongest"] == neuron.index


def test_a_strip_shows_the_bin_one_by_one(scores):
    maps = heatmaps.strip(scores, Neuron(3, "ffn", 500))
    start, stop = heatmaps.bin_of(scores, Neuron(3, "ffn", 500))
    assert maps.cells["strongest"].tolist() == list(range(start, stop))
    np.testing.assert_array_equal(maps.cells["score"], scores["ffn"][3, start:stop])
    assert maps.data["panels"][0]["names"][0] == str(start)


def test_what_is_not_a_cell_is_none(scores):
    maps = heatmaps.by_layer(scores)
    assert maps.cell({"panel": 9, "row": 0, "column": 0}) is None
    assert maps.cell({"panel": 0, "row": 0, "column": 99}) is None


def test_the_edge_of_a_row_stands_for_its_strongest_neuron(scores):
    cell = heatmaps.by_layer(scores).cell({"panel": 2, "row": 3, "column": -1})
    assert (cell["layer"], cell["component"]) == (3, "ffn")
    assert cell["strongest"] == np.abs(scores["ffn"][3]).argmax()


def test_scores_of_nothing_have_a_scale():
    maps = heatmaps.by_layer(NeuronScores({"ffn": np.zeros((2, 4), np.float32)}))
    assert maps.data["limit"] == maps.data["sum_limit"] == 1.0
    json.dumps(maps.data, allow_nan=False)
