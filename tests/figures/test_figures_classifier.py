"""Figures of protein classifiers: what is drawn is the table."""

import numpy as np
import pandas as pd
import pytest
from web_page import can_be_sent

from neuronlab.figures.classifier import (
    kept_lines,
    length_histogram,
    metric_bars,
    only_bars,
    score_scatter,
    share_bars,
    single_lines,
    tuning_curve,
)
from neuronlab.figures.colours import COMPONENT_COLOURS, FOR, NEUTRAL

QKV = ("query", "key", "value")
TITLES = {
    "integrated_gradients": "Integrated gradients",
    "activation": "Activation",
    "like activation": "random like Activation",
    "like all": "random like all",
    "random": "random neurons",
}
CONTROLS = {"like activation": "activation", "like all": "", "random": ""}
# Of stacked bars.
CHOICES = {
    ("integrated_gradients", "raw"): "Integrated gradients",
    ("integrated_gradients", "quota"): "Integrated gradients, quota",
    ("activation", "raw"): "Activation",
    ("random", "raw"): "random neurons",
}


def named(figure):
    return {trace.name: trace for trace in figure.data if trace.name}


# --- Data and tuning -----------------------------------------------------------------------------


def test_every_class_has_its_lengths():
    lengths = {"enzyme": [30, 40, 900], "not <b>an</b> enzyme": [25]}
    figure = length_histogram(lengths)
    assert [list(trace.x) for trace in figure.data] == [[30, 40, 900], [25]]
    assert figure.data[0].name == "enzyme"
    assert figure.data[1].name == "not &lt;b&gt;an&lt;/b&gt; enzyme"
    assert len({trace.marker.color for trace in figure.data}) == 2
    assert len({trace.marker.pattern.shape for trace in figure.data}) == 2
    assert can_be_sent(length_histogram({f"class {i}": [i + 1] for i in range(20)}))


def judged():
    return pd.DataFrame(
        {
            "name": ["tuned", "length", "<majority>"],
            "baseline": [False, True, True],
            "auc": [0.9, 0.7, 0.5],
            "auc_low": [0.85, 0.6, 0.5],
            "auc_high": [0.92, 0.85, 0.5],
        }
    )


def test_bars_are_the_metrics_with_their_intervals():
    figure = metric_bars(judged(), "auc")
    (bars,) = figure.data
    assert list(bars.y) == ["tuned", "length", "&lt;majority&gt;"]
    assert list(bars.x) == [0.9, 0.7, 0.5]
    low, high = np.array(bars.error_x.arrayminus), np.array(bars.error_x.array)
    assert np.array(bars.x) - low == pytest.approx([0.85, 0.6, 0.5])
    assert np.array(bars.x) + high == pytest.approx([0.92, 0.85, 0.5])
    assert list(bars.marker.color) == [FOR, NEUTRAL, NEUTRAL]
    assert figure.layout.xaxis.title.text == "AUC"
    assert figure.layout.yaxis.autorange == "reversed"  # the first on top


def test_a_metric_that_is_no_number_leaves_the_others():
    table = judged()
    table.loc[1, ["auc", "auc_low", "auc_high"]] = np.nan
    (bars,) = metric_bars(table, "auc").data
    assert list(bars.x)[::2] == [0.9, 0.5]
    assert can_be_sent(metric_bars(table, "auc"))


def test_the_curve_has_every_step_and_every_look():
    loss = [1.0, 0.8, 0.6, 0.9, 0.2, 0.1, 0.4]
    seen = [np.nan, 0.5, np.nan, np.nan, 0.7, np.nan, 0.65]
    curve = pd.DataFrame({"step": range(7), "loss": loss})
    curve["validation_auc"] = seen
    curve["validation_loss"] = [np.nan if np.isnan(v) else 1 - v for v in seen]
    traces = named(tuning_curve(curve))
    assert list(traces["validation AUC"].x) == list(traces["validation loss"].x) == [1, 4, 6]
    assert list(traces["validation AUC"].y) == [0.5, 0.7, 0.65]
    assert list(traces["validation loss"].y) == pytest.approx([0.5, 0.3, 0.35])
    training = traces["training loss (mean of 5)"]
    assert list(training.x) == list(range(7))
    assert list(training.y) == pytest.approx(
        [np.mean(loss[max(0, i - 4) : i + 1]) for i in range(7)]
    )
    # Two scales: losses on the left, the AUC on the right.
    assert traces["validation AUC"].yaxis == "y2"
    assert (traces["validation loss"].yaxis, training.yaxis) == ("y", None)


def test_a_curve_without_any_look_can_be_drawn():
    curve = pd.DataFrame({"step": [0, 1], "loss": [1.0, 0.5]})
    figure = tuning_curve(curve.assign(validation_loss=np.nan, validation_auc=np.nan))
    assert list(named(figure)["validation AUC"].x) == []
    assert can_be_sent(figure)


# --- Submodels -----------------------------------------------------------------------------------


def submodels(seed=0):
    draw = np.random.default_rng(seed)
    rows = [
        (line, number, fraction, draw.uniform(0.4, 0.9))
        for line in TITLES
        for number in range(3 if line in CONTROLS else 1)
        for fraction in (0.5, 0.1, 0.01)
    ]
    return pd.DataFrame(rows, columns=["line", "seed", "fraction", "auc"])


def drawn(table, lines=None):
    return kept_lines(table, "auc", TITLES, lines or {}, CONTROLS)


def test_lines_are_the_table_in_order_of_the_fraction():
    table = submodels().sample(frac=1, random_state=2)
    traces = named(drawn(table))
    assert list(traces) == list(TITLES.values())
    for line, title in TITLES.items():
        rows = table[table["line"] == line]
        assert list(traces[title].x) == [0.01, 0.1, 0.5]
        expected = [rows.loc[rows["fraction"] == f, "auc"].mean() for f in (0.01, 0.1, 0.5)]
        assert list(traces[title].y) == pytest.approx(expected)


def test_only_random_neurons_have_a_band():
    table = submodels()
    bands = {trace.legendgroup: trace for trace in drawn(table).data if trace.fill == "toself"}
    assert list(bands) == [TITLES[line] for line in CONTROLS]
    for line in CONTROLS:
        random, band = table[table["line"] == line].groupby("fraction")["auc"], bands[TITLES[line]]
        assert list(band.x) == [0.01, 0.1, 0.5, 0.5, 0.1, 0.01]
        assert list(band.y) == [*random.max(), *random.min()[::-1]]


def test_lines_differ_in_more_than_colour():
    traces = named(drawn(submodels()))
    assert len({(t.line.dash, t.marker.symbol) for t in traces.values()}) == len(traces)
    neutral = {name for name, t in traces.items() if t.line.color == NEUTRAL}
    assert neutral == {"random like all", "random neurons"}
    # A control is drawn like what it stands beside, with open marks.
    method, control = traces["Activation"], traces["random like Activation"]
    assert control.line.color == method.line.color
    assert control.line.dash == "dot"
    assert control.marker.symbol == f"{method.marker.symbol}-open"


def test_lines_to_compare_with_stand_where_they_are():
    lines = {"full model": 0.9, "none kept": np.nan, "majority": 0.5}
    figure = drawn(submodels(), lines)
    assert [(shape.y0, shape.y1) for shape in figure.layout.shapes] == [(0.9, 0.9), (0.5, 0.5)]
    assert [note.text for note in figure.layout.annotations] == ["full model", "majority"]
    assert can_be_sent(figure)


def test_the_ticks_are_the_fractions():
    axis = drawn(submodels()).layout.xaxis
    assert axis.type == "log"
    assert list(axis.tickvals) == [0.01, 0.1, 0.5]
    assert list(axis.ticktext) == ["1%", "10%", "50%"]
    table = submodels().replace({"fraction": {0.01: 0.005}})
    assert drawn(table).layout.xaxis.ticktext[0] == "0.5%"


def test_the_ticks_say_the_fraction_as_it_is():
    table = submodels().replace({"fraction": {0.01: 0.025, 0.1: 0.125}})
    axis = drawn(table).layout.xaxis
    assert list(axis.ticktext) == ["2.5%", "12.5%", "50%"]


def test_methods_that_were_not_run_are_left_out():
    table = submodels().query("line == 'activation'")
    assert list(named(drawn(table))) == ["Activation"]


def shares():
    rows = [
        (*key, seed, c, share + seed / 100)
        for key, parts in zip(
            CHOICES, ([0.5, 0.3, 0.2], [1 / 3] * 3, [0.1, 0.7, 0.2]), strict=False
        )
        for seed in (0, 1)
        for c, share in zip(QKV, parts, strict=True)
    ]
    return pd.DataFrame(rows, columns=["method", "selection", "seed", "component", "share"])


def test_shares_are_stacked_by_component():
    figure = share_bars(shares(), CHOICES)
    assert figure.layout.barmode == "stack"
    assert [trace.name for trace in figure.data] == ["Query", "Key", "Value"]
    for trace, c in zip(figure.data, QKV, strict=True):
        assert trace.marker.color == COMPONENT_COLOURS[c]
        # Without the method that is not in the table; the mean over seeds.
        assert list(trace.y) == list(CHOICES.values())[:3]
    assert list(figure.data[0].x) == pytest.approx([0.505, 1 / 3 + 0.005, 0.105])
    assert list(figure.data[2].text) == ["20%", "34%", "20%"]


def test_equal_shares_are_marked():
    figure = share_bars(shares(), CHOICES)
    assert [shape.x0 for shape in figure.layout.shapes] == pytest.approx([1 / 3, 2 / 3])
    two = shares().query("component != 'value'")
    assert [shape.x0 for shape in share_bars(two, CHOICES).layout.shapes] == [0.5]


def test_bars_of_one_component_off():
    table = pd.DataFrame(
        {
            "component": ["query"] * 3 + ["key"] * 3,
            "choice": ["integrated_gradients", "random", "random"] * 2,
            "auc": [0.6, 0.8, 0.7, 0.5, 0.79, 0.75],
            "auc_low": [0.55, 0.7, 0.6, 0.45, 0.7, 0.7],
            "auc_high": [0.7, 0.9, 0.8, 0.6, 0.9, 0.9],
        }
    )
    figure = only_bars(table, "auc", 0.9)
    traces = named(figure)
    best, random = traces["best by integrated gradients"], traces["random neurons"]
    assert (list(best.x), list(best.y)) == (["Query", "Key"], [0.6, 0.5])
    assert list(best.error_y.array) == pytest.approx([0.1, 0.1])
    assert list(best.error_y.arrayminus) == pytest.approx([0.05, 0.05])
    assert list(random.x) == ["Query", "Key"]
    assert list(random.y) == pytest.approx([0.75, 0.77])
    assert list(random.error_y.array) == pytest.approx([0.05, 0.02])
    assert list(random.error_y.arrayminus) == pytest.approx([0.05, 0.02])
    assert list(best.marker.color) == [COMPONENT_COLOURS[c] for c in ("query", "key")]
    assert random.marker.pattern.shape == "/"
    assert figure.layout.shapes[0].y0 == 0.9
    assert figure.layout.yaxis.title.text == "AUC"


def test_single_neurons_and_their_sums():
    table = pd.DataFrame(
        {
            "rank": [1, 2, 3],
            "alone": [-0.5, -0.1, 0.2],
            "together": [-0.5, -0.9, -0.8],
            "sum": [-0.5, -0.6, -0.4],
        }
    )
    traces = named(single_lines(table))
    assert list(traces["this one alone"].y) == [-0.5, -0.1, 0.2]
    assert list(traces["the first r together"].y) == [-0.5, -0.9, -0.8]
    assert list(traces["sum of the first r alone"].y) == [-0.5, -0.6, -0.4]
    assert all(list(trace.x) == [1, 2, 3] for trace in traces.values())
    lines = [t for t in traces.values() if t.type == "scatter"]
    assert len({(t.line.dash, t.marker.symbol) for t in lines}) == 2


def test_every_neuron_is_a_point():
    draw = np.random.default_rng(0)
    x, y = draw.exponential(size=(2, 3, 8))
    figure = score_scatter(x, y, ("Activation", "Integrated gradients"), "#123456")
    (points,) = figure.data
    assert list(zip(points.x, points.y, strict=True)) == list(
        zip(x.ravel(), y.ravel(), strict=True)
    )
    assert (figure.layout.xaxis.type, figure.layout.yaxis.type) == ("log", "log")
    assert figure.layout.xaxis.title.text == "Activation"
    assert figure.layout.yaxis.title.text == "Integrated gradients"
