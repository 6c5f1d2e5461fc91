"""Figures of value and query neurons: what is drawn is what the tables say, where they say it."""

import json
import warnings
from itertools import groupby

import numpy as np
import pandas as pd
import pytest

from neuronlab.figures import value_query
from neuronlab.figures.charts import matrix
from neuronlab.figures.colours import COMPONENT_NAMES

LAYERS, HEADS = 4, 6


@pytest.fixture
def heads():
    rng = np.random.default_rng(0)
    layer, head = np.meshgrid(np.arange(LAYERS), np.arange(HEADS), indexing="ij")
    return pd.DataFrame(
        {
            "layer": layer.ravel(),
            "head": head.ravel(),
            "increase": rng.normal(size=layer.size).astype(np.float32),
        }
    )


def items(grid):
    return grid.option["series"][0]["data"]


# --- Heads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_head_is_drawn_at_its_layer_and_number(heads, shuffled):
    if shuffled:
        heads = heads.sample(frac=1, random_state=1)
    grid = value_query.head_grid(heads)
    assert len(items(grid)) == len(grid.cells) == LAYERS * HEADS
    columns, rows = (grid.option[axis]["data"] for axis in ("xAxis", "yAxis"))
    of = heads.set_index(["layer", "head"])["increase"]
    seen = set()
    for cell, item in zip(grid.cells.itertuples(), items(grid), strict=True):
        x, y, value = item["value"]
        at = int(rows[y]), int(columns[x])
        assert at == (cell.layer, cell.head)
        assert value == pytest.approx(float(of[at]), abs=1e-6)
        assert item["name"] == f"layer {at[0]}, head {at[1]}: {of[at]:+.4f}"
        seen.add(at)
    assert len(seen) == LAYERS * HEADS
    assert len(columns) == HEADS
    assert len(rows) == LAYERS


def test_the_chosen_head_alone_is_marked(heads):
    for chosen in ((0, 0), (3, 5), (2, 1)):
        grid = value_query.head_grid(heads.sample(frac=1, random_state=2), chosen)
        (index,) = (i for i, item in enumerate(items(grid)) if "itemStyle" in item)
        assert tuple(grid.cells.loc[index, ["layer", "head"]].astype(int)) == chosen
    assert not any("itemStyle" in item for item in items(value_query.head_grid(heads)))


def test_zero_is_the_middle_of_the_heads_colours(heads):
    for change in (lambda v: v, lambda v: -abs(v), lambda v: 0 * v):
        changed = heads.assign(increase=change(heads["increase"]))
        scale = value_query.head_grid(changed).option["visualMap"]
        assert scale["max"] == -scale["min"] > 0
        assert scale["max"] >= abs(changed["increase"]).max() - 1e-6


# --- The flow ------------------------------------------------------------------------------------

COLUMNS = ("source", "source_layer", "source_neuron", "target", "target_layer", "target_neuron")
LINKS = [
    # the two stages of FFN neurons may hold the same neuron
    ("attention", 3, 11, "target", -1, -1, 2.0),
    ("attention", 1, 40, "target", -1, -1, 0.5),
    ("ffn", 3, 7, "target", -1, -1, 1.0),
    ("ffn", 2, 9, "target", -1, -1, -0.4),
    ("attention", 1, 40, "ffn", 3, 7, -0.25),
    ("attention", 3, 11, "ffn", 3, 7, 0.01),
    ("query", 2, 9, "attention", 3, 11, 0.7),
    ("query", 0, 30, "attention", 3, 11, 0.0201),
    ("query", 0, 30, "attention", 1, 40, 0.0199),
    ("query", 0, 4, "attention", 1, 40, 0.0),
    ("query", 0, 4, "attention", 3, 11, -0.021),
]


def tables(rows=LINKS, seed=None):
    links = pd.DataFrame(rows, columns=[*COLUMNS, "weight"])
    ends = {(row[i], row[i + 1], row[i + 2]) for row in rows for i in (0, 3)}
    nodes = pd.DataFrame(sorted(ends, key=str), columns=["stage", "layer", "neuron"])
    nodes["component"] = [None if s == "target" else s for s in nodes["stage"]]
    nodes["component"] = nodes["component"].replace("query", "ffn")
    nodes["head"] = np.where(nodes["stage"] == "attention", nodes["neuron"] // 8, -1)
    if seed is not None:
        nodes, links = (t.sample(frac=1, random_state=seed) for t in (nodes, links))
    return nodes, links


def ends_of(grid, link):
    """Stage, layer and neuron of both ends of a drawn link, by the ids of the data."""
    ids = [item["id"] for item in items(grid)]
    cells = [grid.cells.iloc[ids.index(link[side])] for side in ("source", "target")]
    return tuple(part for cell in cells for part in (cell.stage, cell.layer, cell.neuron))


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_the_flow_draws_every_node_in_the_order_of_its_cells(seed):
    nodes, links = tables(seed=seed)
    grid = value_query.flow(nodes, links, " Paris")
    assert len(items(grid)) == len(grid.cells) == len(nodes)
    assert [item["id"] for item in items(grid)] == [str(i) for i in range(len(nodes))]
    drawn = set(grid.cells[["stage", "layer", "neuron"]].itertuples(index=False, name=None))
    assert drawn == set(nodes[["stage", "layer", "neuron"]].itertuples(index=False, name=None))
    for cell, item in zip(grid.cells.itertuples(), items(grid), strict=True):
        if cell.stage == "target":
            assert item["name"] == "␣Paris"
            continue
        head = f" h{cell.neuron // 8}" if cell.stage == "attention" else ""
        assert item["name"] == f"L{cell.layer}{head} #{cell.neuron}"
        assert item["label"]["formatter"] == "{b}"  # the name


def test_the_flow_runs_from_left_to_right():
    grid = value_query.flow(*tables(seed=3), "x")
    place = {}
    for cell, item in zip(grid.cells.itertuples(), items(grid), strict=True):
        place.setdefault(cell.stage, []).append((item["x"], item["y"], cell.layer, cell.neuron))
    across = [{x for x, *_ in place[s]} for s in ("query", "attention", "ffn", "target")]
    assert all(len(column) == 1 for column in across)
    order = [column.pop() for column in across]
    assert order == sorted(order)
    assert len(set(order)) == 4
    for column in place.values():  # deeper ones are further down, none on top of another
        heights = [y for _, y, *_ in sorted(column, key=lambda node: node[2:])]
        assert heights == sorted(heights)
        assert len(set(heights)) == len(heights)


@pytest.mark.parametrize("seed", [None, 0, 1])
def test_links_have_the_ends_and_the_weights_of_the_table(seed):
    grid = value_query.flow(*tables(seed=seed), "x")
    drawn = {
        (*ends_of(grid, link), round(link["value"], 5))
        for link in grid.option["series"][0]["links"]
    }
    # one per cent of the strongest, 2.0, is .02
    assert drawn == {link for link in LINKS if abs(link[-1]) > 0.02}
    assert len(grid.option["series"][0]["links"]) == len(drawn) == 8


def test_the_sign_of_a_link_is_told_by_dashes_too():
    links = value_query.flow(*tables(), "x").option["series"][0]["links"]
    assert {link["value"] > 0 for link in links} == {True, False}
    styles = {sign: set() for sign in (True, False)}
    for link in links:
        style = link["lineStyle"]
        styles[link["value"] > 0].add((style["type"], style["color"]))
    (((line, colour),), ((dashed, other),)) = styles[True], styles[False]
    assert (line, dashed) == ("solid", "dashed")
    assert colour != other
    widths = [(abs(link["value"]), link["lineStyle"]["width"]) for link in links]
    assert [w for _, w in sorted(widths)] == sorted(w for _, w in widths)
    assert len({w for _, w in widths}) == len({v for v, _ in widths})


def test_a_node_says_what_it_sends_on():
    grid = value_query.flow(*tables(), "x")
    for cell, item in zip(grid.cells.itertuples(), items(grid), strict=True):
        weights = [r[-1] for r in LINKS if r[:3] == (cell.stage, cell.layer, cell.neuron)]
        assert item["value"] == pytest.approx(sum(weights), abs=1e-5)


def test_one_link_alone_and_links_of_no_weight_are_drawn_or_not():
    one = [("ffn", 3, 7, "target", -1, -1, -1e-9)]
    assert len(value_query.flow(*tables(one), "x").option["series"][0]["links"]) == 1
    for weight in (0.0, -0.0):
        none = [("ffn", 3, 7, "target", -1, -1, weight)]
        assert not value_query.flow(*tables(none), "x").option["series"][0]["links"]


@pytest.mark.parametrize(
    "token", ["<b>x</b>", "<script>alert(1)</script>", "a\nb", "\n", " \t", "&amp;", "", '"', "É"]
)
def test_a_strange_target_is_shown_as_it_is_and_on_one_line(token):
    grid = value_query.flow(*tables(), token)
    (item,) = (i for c, i in zip(grid.cells["stage"], items(grid), strict=True) if c == "target")
    shown = token.replace("\n", "↵").replace("\t", "⇥")
    assert item["name"] == (f"␣{shown[1:]}" if shown.startswith(" ") else shown)
    assert not set(item["name"]) & set("\n\t")
    # The chart reads names as text: labels are drawn on a canvas, and what stands for {b} in a
    # tooltip is escaped.
    assert item["label"]["formatter"] == "{b}"
    assert grid.option["tooltip"]["formatter"] == "{b}: {c}"
    assert json.loads(json.dumps(grid.option)) == grid.option


@pytest.mark.parametrize("token", ["{c}", "{a}"])
def test_a_target_in_braces_is_no_placeholder(token):
    grid = value_query.flow(*tables(), token)
    (item,) = (i for c, i in zip(grid.cells["stage"], items(grid), strict=True) if c == "target")
    assert item["label"].get("formatter", "{b}") == "{b}"  # the name, whatever is in it


def test_options_are_plain_json(heads):
    for grid in (value_query.head_grid(heads, (1, 2)), value_query.flow(*tables(), "x")):
        assert json.loads(json.dumps(grid.option, allow_nan=False)) == grid.option


# --- Charts that are looked at -------------------------------------------------------------------


def test_layer_bars_carry_the_numbers_of_each_part():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        [(layer, part, rng.normal()) for layer in range(5) for part in ("attention", "ffn")],
        columns=["layer", "part", "increase"],
    )
    for rows in (table, table.sample(frac=1, random_state=0), table[table["part"] == "ffn"]):
        figure = value_query.layer_bars(rows, "increase", "increase")
        seen = {
            (int(layer), trace.name, float(value))
            for trace in figure.data
            for layer, value in zip(trace.x, trace.y, strict=True)
        }
        assert seen == {(r.layer, COMPONENT_NAMES[r.part], r.increase) for r in rows.itertuples()}
        # not by colour alone
        patterns = [trace.marker.pattern.shape for trace in figure.data]
        assert len(set(patterns)) == len(patterns)


def test_the_path_carries_both_scales_in_order():
    table = pd.DataFrame(
        {
            "state": ["embedding", "attention 0", "ffn 0"],
            "log_probability": [-9.0, -3.0, -0.5],
            "probability": np.exp([-9.0, -3.0, -0.5]),
        }
    )
    figure = value_query.path(table)
    for trace, name in zip(figure.data, ("log_probability", "probability"), strict=True):
        assert list(trace.y) == table[name].tolist()
        assert list(trace.x) == [0, 1, 2]
        assert list(trace.customdata) == table["state"].tolist()
    assert figure.data[0].yaxis != figure.data[1].yaxis
    assert figure.layout.yaxis2.side == "right"
    assert figure.data[0].line.dash != figure.data[1].line.dash


def test_the_histogram_carries_both_counts():
    table = pd.DataFrame(
        {
            "layer": [0, 1, 2],
            "log_probability_increase": [10, 60, 30],
            "probability_increase": [0, 1, 99],
        }
    )
    figure = value_query.histogram(table)
    assert [list(trace.y) for trace in figure.data] == [[10, 60, 30], [0, 1, 99]]
    assert all(list(trace.x) == [0, 1, 2] for trace in figure.data)
    assert [trace.name for trace in figure.data] == [
        "log-probability increase",
        "probability increase",
    ]


def test_roles_are_counted_per_layer_and_empty_layers_are_there():
    rng = np.random.default_rng(2)
    table = pd.DataFrame(
        {
            "layer": rng.choice([0, 1, 3], 200),
            "role": rng.choice(["query only", "both", "value only"], 200),
        }
    )
    for part in (table, table[table["role"] != "both"]):
        figure = value_query.roles(part, 5)
        assert {trace.name for trace in figure.data} == set(value_query.ROLES.values())
        for trace in figure.data:
            assert list(trace.x) == [0, 1, 2, 3, 4]
            same = part["role"].map(value_query.ROLES) == trace.name
            expected = [((part["layer"] == i) & same).sum() for i in range(5)]
            assert list(trace.y) == expected
        assert sum(sum(trace.y) for trace in figure.data) == len(part)
    assert figure.layout.barmode == "stack"


def test_a_matrix_carries_its_numbers_and_names():
    values = pd.DataFrame(
        [[0.1, -2.0, np.nan], [0.4, 0.0, 1.0]],
        index=["capital", "colour"],
        columns=["a", "b", "c"],
    )
    figure = matrix(values, "score", signed=True)
    (trace,) = figure.data
    np.testing.assert_array_equal(np.array(trace.z, float), values.to_numpy())
    assert list(trace.x) == ["a", "b", "c"]
    assert list(trace.y) == ["capital", "colour"]
    assert figure.layout.yaxis.autorange == "reversed"  # the first row on top, as in the table
    assert (trace.zmin, trace.zmax) == (-2.0, 2.0)


def test_a_matrix_of_shares_begins_at_zero():
    values = pd.DataFrame([[0.1, 0.5]], index=["x"], columns=["x", "y"])
    (trace,) = matrix(values, "shared", percent=True).data
    assert (trace.zmin, trace.zmax) == (0, 0.5)
    assert ".0%" in trace.texttemplate
    assert ".0%" in trace.hovertemplate
    (trace,) = matrix(values * 0, "shared").data
    assert trace.zmax > 0


def test_numbers_are_written_in_small_matrices_only():
    for size, written in ((8, True), (9, False)):
        values = pd.DataFrame(np.ones((size, size)))
        assert bool(matrix(values, "x").data[0].texttemplate) == written


def test_a_matrix_without_a_number_is_empty():
    """One fact alone shares nothing with others."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = matrix(pd.DataFrame([[np.nan]], index=["a"], columns=["a"]), "shared")
    assert figure.data[0].zmax > 0


def test_names_in_a_matrix_are_shown_as_they_are():
    names = ["<b>bold</b>", '<a href="https://example.org">here</a>']
    (trace,) = matrix(pd.DataFrame(np.eye(2), names, names), "x").data
    for name in (*trace.x, *trace.y):
        assert "<" not in name


def test_names_that_look_like_numbers_stay_names():
    figure = matrix(pd.DataFrame(np.eye(2), ["2001", "1999"], ["2001", "1999"]), "x")
    assert figure.layout.xaxis.type == figure.layout.yaxis.type == "category"


def test_groups_of_the_flow_are_not_mixed():
    """All nodes of a stage follow each other in the data, the stages in the order of the flow."""
    stages = value_query.flow(*tables(seed=5), "x").cells["stage"].tolist()
    assert [stage for stage, _ in groupby(stages)] == ["query", "attention", "ffn", "target"]
