"""Figures of pairs and scorers: what is drawn is the table, and colour is never alone."""

import json

import numpy as np
import pandas as pd
import pytest

from neuronlab.facts.checking import SCORERS
from neuronlab.figures import degenerate

TITLES = {"first": "The first", "random": "Random neurons", "always_true": "Always true"}


def bars(seed=0, names=TITLES):
    draw = np.random.default_rng(seed)
    low, f1, high = np.sort(draw.uniform(size=(3, len(names))), axis=0)
    return pd.DataFrame({"scorer": list(names), "f1": f1, "f1_low": low, "f1_high": high})


def curves():
    """Three random sets, and what decides all at once."""
    draw = np.random.default_rng(0)
    parts = []
    for scorer, columns, points in (
        ("random", ["random_0", "random_1", "random_2"], 8),
        ("first", ["first"], 10),
        ("always_true", ["always_true"], 2),
    ):
        for column in columns:
            false, true = np.sort(draw.uniform(size=(2, points)), axis=1)
            false[0] = true[0] = 0.0
            false[-1] = true[-1] = 1.0
            parts.append(
                pd.DataFrame(
                    {
                        "scorer": scorer,
                        "column": column,
                        "false_positive_rate": false,
                        "true_positive_rate": true,
                        "precision": draw.uniform(size=points),
                    }
                )
            )
    return pd.concat(parts, ignore_index=True)


def drawn(figure):
    """The curves: traces with a name, by the title of their scorer."""
    traces = {}
    for trace in figure.data:
        if trace.name:
            traces.setdefault(trace.name, []).append(trace)
    return traces


def test_bars_are_the_table():
    table = bars()
    figure = degenerate.bars(table, TITLES, "f1")
    (bar,) = figure.data
    assert bar.orientation == "h"
    assert list(bar.y) == list(TITLES.values())
    assert list(bar.x) == table["f1"].tolist()
    np.testing.assert_allclose(bar.x + bar.error_x.array, table["f1_high"])
    np.testing.assert_allclose(bar.x - bar.error_x.arrayminus, table["f1_low"])
    assert bar.error_x.symmetric is False


def test_bars_keep_the_order_and_the_names_of_the_table():
    table = bars().iloc[::-1]
    (bar,) = degenerate.bars(table, TITLES, "f1").data
    assert list(bar.y) == ["Always true", "Random neurons", "The first"]
    assert list(bar.x) == table["f1"].tolist()


@pytest.mark.parametrize(
    ("measure", "place", "text"), [("f1", 2 / 3, "always true"), ("accuracy", 0.5, "guessing")]
)
def test_the_line_is_at_what_takes_no_knowledge(measure, place, text):
    table = bars().rename(columns=lambda name: name.replace("f1", measure))
    figure = degenerate.bars(table, TITLES, measure)
    assert list(figure.data[0].x) == table[measure].tolist()
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == pytest.approx(place)
    (words,) = figure.layout.annotations
    assert words.text == text


@pytest.mark.parametrize(
    ("draw", "x", "y"),
    [
        (degenerate.roc, "false_positive_rate", "true_positive_rate"),
        (degenerate.precision_recall, "true_positive_rate", "precision"),
    ],
    ids=["roc", "precision_recall"],
)
def test_curves_are_the_table(draw, x, y):
    table = curves()
    if y == "precision":  # where none of the true ones is called true there is no point
        table = table[table["true_positive_rate"] > 0]
    traces = drawn(draw(curves(), TITLES))
    assert list(traces) == list(TITLES.values())
    for scorer, title in TITLES.items():
        columns = [curve for _, curve in table[table["scorer"] == scorer].groupby("column")]
        line = traces[title][-1]
        if len(columns) == 1:
            assert len(traces[title]) == 1
            np.testing.assert_allclose(line.x, columns[0][x])
            np.testing.assert_allclose(line.y, columns[0][y])
            continue
        band = traces[title][0]
        count = len(line.x)
        np.testing.assert_array_equal(band.x, [*line.x, *line.x[::-1]])
        assert (np.array(band.y[:count]) >= line.y).all()
        assert (np.array(band.y[count:])[::-1] <= line.y).all()
        for place in (0.3, 0.7):  # between points, by hand
            values = [float(np.interp(place, c[x], c[y])) for c in columns]
            at = list(np.round(line.x, 6)).index(place)
            assert line.y[at] == pytest.approx(np.mean(values))
            assert band.y[at] == pytest.approx(max(values))


@pytest.mark.parametrize("draw", [degenerate.roc, degenerate.precision_recall])
def test_random_sets_share_one_entry_of_the_legend(draw):
    for title, traces in drawn(draw(curves(), TITLES)).items():
        assert sum(trace.showlegend is not False for trace in traces) == 1
        assert len({trace.legendgroup for trace in traces}) == 1
        assert len(traces) == (2 if title == "Random neurons" else 1)
        assert len({(trace.line.color, trace.line.dash) for trace in traces}) == 1


def test_what_is_one_decision_is_a_point():
    traces = drawn(degenerate.roc(curves(), TITLES))
    assert "markers" in traces["Always true"][0].mode
    assert "markers" not in traces["The first"][0].mode


def test_chance_is_drawn_beside_the_curves():
    (line,) = (trace for trace in degenerate.roc(curves(), TITLES).data if not trace.name)
    assert (list(line.x), list(line.y)) == ([0, 1], [0, 1])
    assert line.showlegend is False
    (shape,) = degenerate.precision_recall(curves(), TITLES).layout.shapes
    assert shape.y0 == shape.y1 == 0.5


@pytest.mark.parametrize(
    "draw",
    [
        degenerate.roc,
        degenerate.precision_recall,
    ],
)
def test_no_point_lies_outside_the_axes(draw):
    figure = draw(curves(), TITLES)
    for trace in figure.data:
        for axis, values in ((figure.layout.xaxis, trace.x), (figure.layout.yaxis, trace.y)):
            low, high = axis.range
            assert low <= min(values)
            assert max(values) <= high


def test_all_scorers_of_the_study_can_be_told_apart():
    table = pd.concat([curves().query("scorer == 'first'").assign(scorer=s) for s in SCORERS])
    traces = drawn(degenerate.roc(table, SCORERS))
    assert list(traces) == list(SCORERS.values())
    looks = [(trace.line.color, trace.line.dash) for (trace,) in traces.values()]
    assert len(set(looks)) == len(SCORERS)


def test_a_scorer_has_the_same_colour_in_all_figures():
    colours = {
        title: {trace.line.color for trace in traces}
        for draw in (degenerate.roc, degenerate.precision_recall)
        for title, traces in drawn(draw(curves(), TITLES)).items()
    }
    (bar,) = degenerate.bars(bars(), TITLES, "f1").data
    for title, colour in zip(bar.y, bar.marker.color, strict=True):
        assert colours[title] == {colour}


def test_figures_go_through_json():
    for figure in (
        degenerate.bars(bars(), TITLES, "f1"),
        degenerate.roc(curves(), TITLES),
        degenerate.precision_recall(curves(), TITLES),
    ):
        read = json.loads(figure.to_json())
        assert len(read["data"]) == len(figure.data)


PAIRS = pd.DataFrame(
    {"null": ["random"] * 3 + ["as_active"] * 3, "set": [0, 1, 2] * 2, "pairs": [0, 0, 1, 3, 5, 4]}
)


def test_every_set_is_a_point_and_the_candidates_are_a_line():
    figure = degenerate.pair_counts(PAIRS, 26)
    *boxes, candidates = figure.data
    assert [(box.name, list(box.x)) for box in boxes] == [
        ("random neurons", [0, 0, 1]),
        ("random neurons, matched in activity", [3, 5, 4]),
    ]
    assert all(box.boxpoints == "all" for box in boxes)
    assert (list(candidates.x), list(candidates.y)) == ([26], ["the candidates"])
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 26
    assert len(json.loads(figure.to_json())["data"]) == 3


def test_a_layer_is_called_by_its_number_or_by_its_stack():
    pair = {"layer_a": 0, "neuron_a": 5, "layer_b": 2, "neuron_b": 7, "synergy": 0.5}
    pair |= {"p_a": 0.5, "p_b": 0.4, "p_ab": 0.1, "product": 0.3}
    pairs, both = pd.DataFrame([pair]), ["encoder 0", "decoder 0", "decoder 1"]
    for names, expected in (((), ["L0 #5", "L2 #7"]), (both, ["encoder 0 #5", "decoder 1 #7"])):
        (series,) = degenerate.pair_graph(pairs, None, names).option["series"]
        assert [node["name"] for node in series["data"]] == expected
        (bar,) = degenerate.pair_bars(0.6, pairs.iloc[0], names).data
        assert list(bar.y[1:3]) == [f"without {name}" for name in expected]
