"""Figures of labelled neurons: what is drawn is the table, and a click finds its row."""

import json
from collections import Counter
from statistics import median

import numpy as np
import pandas as pd
import pytest
from web_page import can_be_sent

from neuronlab.figures import labels as figures

GROUPS = ["sequence", "structure", "function", ""]


def labelled(count=400, concepts=30, seed=0):
    draw = np.random.default_rng(seed)
    has_label = draw.random(count) < 0.8
    number = np.minimum(draw.geometric(0.1, count), concepts)
    names_concept = has_label & (draw.random(count) < 0.9)
    return pd.DataFrame(
        {
            "layer": draw.integers(0, 6, count),
            "label": np.where(has_label, "high something", ""),
            "concept": [
                f"concept {n}" if k else "" for n, k in zip(number, names_concept, strict=True)
            ],
            "group": [
                GROUPS[n % 3] if k else "" for n, k in zip(number, names_concept, strict=True)
            ],
            "correlation": np.where(has_label, draw.uniform(-0.2, 1, count), np.nan),
            "control_correlation": np.where(has_label, draw.uniform(-1, 0.5, count), np.nan),
        }
    )


# --- Concepts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("by", "most"), [("group", 20), ("concept", 20), ("concept", 3)])
def test_every_labelled_neuron_is_counted_once(by, most):
    labels = labelled()
    table = figures.concept_table(labels, by, most)
    named = labels[labels["label"] != ""]
    assert table["neurons"].sum() == len(named)
    counts = Counter(named.loc[named[by] != "", by])
    for row in table[table["concept"] != "others"].itertuples():
        rows = named[(named["layer"] == row.layer) & (named[by] == row.concept)]
        assert row.neurons == len(rows)
        assert row.share == pytest.approx(len(rows) / (named["layer"] == row.layer).sum())
    kept = list(dict.fromkeys(table["concept"]))
    assert kept[-1] == "others"
    assert len(kept) == min(most, len(counts)) + 1
    assert [counts[c] for c in kept[:-1]] == [n for _, n in counts.most_common(most)]
    assert table.groupby("layer")["share"].sum().to_numpy() == pytest.approx(1)


def test_concepts_as_frequent_are_in_the_order_of_the_alphabet():
    labels = pd.DataFrame({"layer": 0, "label": "x", "concept": list("bcabca"), "group": "g"})
    assert figures.concept_table(labels, "concept", 2)["concept"].tolist() == ["a", "b", "others"]
    back = labels.iloc[::-1]
    assert figures.concept_table(back, "concept")["concept"].tolist() == ["a", "b", "c"]


def test_a_layer_without_labels_is_in_the_table():
    labels = pd.DataFrame(
        {"layer": [0, 0, 3, 7], "label": ["x", "x", "", "x"], "group": ["g", "h", "", "g"]}
    )
    table = figures.concept_table(labels)
    assert table["layer"].tolist() == [0, 3, 7] * 2
    assert table["share"].tolist() == [0.5, 0, 1, 0.5, 0, 0]


@pytest.mark.parametrize(("by", "most"), [("group", 20), ("concept", 7)])
def test_the_index_of_a_cell_is_its_row(by, most):
    labels = labelled()
    table = figures.concept_table(labels, by, most)
    option = figures.concept_map(labels, by, most)
    layers, concepts = option["xAxis"]["data"], option["yAxis"]["data"]
    (series,) = option["series"]
    assert series["selectedMode"] == "single"
    for cell, row in zip(series["data"], table.itertuples(), strict=True):
        x, y, value = cell["value"]
        assert (int(layers[x]), concepts[y]) == (row.layer, row.concept)
        assert value == pytest.approx(row.share, abs=1e-6)
        assert cell["name"] == (
            f"layer {row.layer}, {row.concept}: {row.neurons} neurons, {row.share:.1%}"
        )
    assert json.loads(json.dumps(option)) == option


def test_others_do_not_bleach_the_concepts():
    labels = labelled()
    table = figures.concept_table(labels, "concept", 2)
    largest = table.loc[table["concept"] != "others", "share"].max()
    assert largest < table["share"].max()
    scale = figures.concept_map(labels, "concept", 2)["visualMap"]
    assert (scale["min"], scale["max"]) == (0, largest)


def test_colours_may_count_neurons():
    labels = labelled()
    table = figures.concept_table(labels, "concept", 5)
    option = figures.concept_map(labels, "concept", 5, "neurons")
    (series,) = option["series"]
    assert [cell["value"][2] for cell in series["data"]] == table["neurons"].tolist()
    counts = table.loc[table["concept"] != "others", "neurons"]
    assert option["visualMap"]["max"] == counts.max()
    assert option["visualMap"]["text"] == ["neurons", ""]


def test_concepts_in_free_text_have_no_line_breaks():
    labels = pd.DataFrame({"layer": [1], "label": ["x"], "group": ["one\ntwo"]})
    option = figures.concept_map(labels)
    assert option["yAxis"]["data"] == ["one↵two"]
    assert "\n" not in option["series"][0]["data"][0]["name"]


def test_without_a_label_the_map_is_empty():
    labels = labelled().assign(label="")
    assert figures.concept_table(labels).empty
    option = figures.concept_map(labels)
    assert option["series"][0]["data"] == []
    assert option["visualMap"]["max"] > 0


def test_labels_that_name_nothing_known_are_others():
    labels = labelled().assign(group="")
    assert set(figures.concept_table(labels)["concept"]) == {"others"}
    assert json.dumps(figures.concept_map(labels), allow_nan=False)


# --- How far labels can be trusted ---------------------------------------------------------------


def test_bars_count_the_correlations_between_their_edges():
    labels = labelled(3000)
    figure = figures.correlations(labels)
    for bars, column in zip(figure.data, ("correlation", "control_correlation"), strict=True):
        values = labels[column].dropna()
        assert sum(bars.y) == len(values)
        assert len(values) < len(labels)
        for x, y, width, (low, high) in zip(
            bars.x, bars.y, bars.width, bars.customdata, strict=True
        ):
            assert y == sum(low <= v < high for v in values)
            assert (x - width / 2, x + width / 2) == pytest.approx((low, high))
    named, other = figure.data
    assert named.marker.color != other.marker.color
    assert named.marker.pattern.shape != other.marker.pattern.shape
    assert figure.layout.barmode == "overlay"
    # What a page is sent does not grow with the number of neurons.
    assert len(named.x) == figures.BINS


def test_medians_are_marked():
    labels = labelled()
    figure = figures.correlations(labels)
    medians = [median(labels[c].dropna()) for c in ("correlation", "control_correlation")]
    assert [line.x0 for line in figure.layout.shapes] == pytest.approx(medians)
    for note, value in zip(figure.layout.annotations, medians, strict=True):
        assert note.text.endswith(f"median {value:.2f}")


def test_correlations_at_the_ends_count_and_missing_controls_do_not():
    labels = pd.DataFrame({"correlation": [-1.0, 1.0, np.nan], "control_correlation": np.nan})
    (bars,) = figures.correlations(labels).data
    assert (bars.y[0], bars.y[-1], sum(bars.y)) == (1, 1, 2)
    assert can_be_sent(figures.correlations(labels.assign(correlation=np.nan)))["data"] == []


@pytest.mark.parametrize("whole", [False, True])
def test_a_feature_over_the_corpus(whole):
    draw = np.random.default_rng(1)
    everywhere = draw.normal(0, 4, 500)
    everywhere = np.rint(everywhere) if whole else everywhere
    top, bottom = everywhere[:7].copy(), everywhere[7:12]
    top[2] = np.nan
    figure = figures.feature_histogram(everywhere, top, bottom, "Charge <pH 7>")
    low, high, corpus = figure.data
    assert list(low.x) == bottom.tolist()
    assert list(high.x) == np.delete(top, 2).tolist()
    assert (low.boxpoints, high.boxpoints) == ("all", "all")
    assert low.marker.symbol != high.marker.symbol
    assert sum(corpus.y) == pytest.approx(1)
    for y, (start, stop) in zip(corpus.y, corpus.customdata, strict=True):
        inside = sum(start <= v < stop for v in everywhere)
        # The last bin holds its end.
        inside += sum(v == stop for v in everywhere) if stop == corpus.customdata[-1][1] else 0
        assert y == pytest.approx(inside / 500)
    assert figure.layout.xaxis2.title.text == "Charge &lt;pH 7&gt;"
    assert figure.layout.xaxis.matches == "x2"


@pytest.mark.parametrize("high", [0, 3, 39, 40, 41, 1000])
def test_whole_numbers_are_in_the_middle_of_a_bin(high):
    values = np.arange(high + 1, dtype=float)
    *_, corpus = figures.feature_histogram(values, values, values, "residues").data
    first, last = corpus.customdata[0][0], corpus.customdata[-1][1]
    assert first < 0 <= high < last
    assert sum(corpus.y) == pytest.approx(1)
    assert len(corpus.x) <= figures.BINS + 1
    assert all((edge - 0.5).is_integer() for edge in corpus.customdata[:, 0])
    if high < figures.BINS:
        assert list(corpus.x) == values.tolist()


def test_a_feature_that_is_the_same_everywhere_or_undefined():
    same = np.full(5, 0.3)
    *_, corpus = figures.feature_histogram(same, same, same, "share").data
    assert sum(corpus.y) == pytest.approx(1)
    assert min(corpus.width) > 0
    nothing = np.full(5, np.nan)
    assert can_be_sent(figures.feature_histogram(nothing, nothing, nothing, "share"))


# --- Models side by side -------------------------------------------------------------------------


def by_sextile(groups, models=("one", "<two>")):
    draw = np.random.default_rng(0)
    rows = [
        (model, f"S{s}", group, draw.random()) for model in models for s in range(1, 7)
        for group in groups
    ]  # fmt: skip
    table = pd.DataFrame(rows, columns=["model", "sextile", "group", "share"])
    return table.sample(frac=1, random_state=1)


def test_every_model_has_a_panel_with_a_line_for_each_group():
    table = by_sextile(["sequence", "structure", "function"])
    figure = figures.sextiles(table)
    models = list(dict.fromkeys(table["model"]))
    titles = [note.text for note in figure.layout.annotations]
    assert titles == [model.replace("<two>", "&lt;two&gt;") for model in models]
    assert len(figure.data) == 6
    for line in figure.data:
        model = models[0 if line.xaxis == "x" else 1]
        rows = table[(table["model"] == model) & (table["group"] == line.name)]
        assert list(line.x) == ["S1", "S2", "S3", "S4", "S5", "S6"]
        assert dict(zip(line.x, line.y, strict=True)) == dict(
            zip(rows["sextile"], rows["share"], strict=True)
        )


def test_a_group_of_the_second_model_alone_is_in_the_legend():
    first = by_sextile(["sequence"], ["one"])
    figure = figures.sextiles(pd.concat([first, by_sextile(["sequence", "<i>"], ["two"])]))
    assert [line.name for line in figure.data if line.showlegend] == ["sequence", "&lt;i&gt;"]
    assert len(figure.data) == 3


def test_many_groups_differ_and_none_is_black_or_white():
    lines = figures.sextiles(by_sextile([f"group {i}" for i in range(14)], ["one"])).data
    looks = {(line.line.color, line.line.dash, line.marker.symbol) for line in lines}
    assert len(looks) == 14
    assert not {line.line.color for line in lines} & {"#000000", "#FFFFFF"}


def test_a_sextile_without_labels_keeps_its_place():
    table = by_sextile(["sequence", "structure"])
    table = table[~((table["group"] == "sequence") & table["sextile"].isin(["S1", "S4"]))]
    axes = can_be_sent(figures.sextiles(table))["layout"]
    assert axes["xaxis"]["categoryarray"] == ["S1", "S2", "S3", "S4", "S5", "S6"]


def test_sizes_are_the_table():
    table = pd.DataFrame(
        {
            "model": ["one", "<two>"],
            "distinct_per_1000": [120.25, 80.0],
            "entropy": [6.5, np.nan],
            "spread": [0.75, 0.5],
        }
    )
    figure = figures.sizes(table)
    assert [note.text for note in figure.layout.annotations] == list(figures.SIZES.values())
    for number, (bars, name) in enumerate(zip(figure.data, figures.SIZES, strict=True), start=1):
        assert bars.xaxis == ("x" if number == 1 else f"x{number}")
        assert list(bars.y) == ["one", "&lt;two&gt;"]
        np.testing.assert_array_equal(np.array(bars.x), table[name])
    assert list(figure.data[1].text) == ["6.5", ""]


def test_a_number_that_no_model_has_takes_no_room():
    table = pd.DataFrame(
        {"model": ["one"], "distinct_per_1000": [np.nan], "entropy": [6.5], "spread": [0.75]}
    )
    figure = figures.sizes(table)
    titles = [figures.SIZES[name] for name in ("entropy", "spread")]
    assert [note.text for note in figure.layout.annotations] == titles
    assert [list(bars.x) for bars in figure.data] == [[6.5], [0.75]]
    assert can_be_sent(figure)
