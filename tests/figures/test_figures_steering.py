"""Figures of a steered protein: what is drawn is the table."""

from collections import Counter
from statistics import fmean, stdev

import numpy as np
import pandas as pd
import pytest
from web_page import can_be_sent

from neuronlab.figures import steering
from neuronlab.models.residues import AMINO_ACIDS

NAMES = ["unsteered", "steered", "random neurons", "random neurons, matched in activity"]
# Sets, and chains of each.
CHAINS = {"unsteered": (1, 3), "steered": (1, 4), "random": (6, 2), "as active": (5, 3)}
COUNTS = ["3 chains", "4 chains", "6 sets", "5 sets"]


def chains(steps=5):
    """In an order in which nothing may be found by its place."""
    draw = np.random.default_rng(0)
    rows = [
        (condition, one, chain, step, float(draw.normal()))
        for condition, (sets, number) in CHAINS.items()
        for one in range(sets)
        for chain in range(number)
        for step in range(steps)
    ]
    table = pd.DataFrame(rows, columns=["condition", "set", "chain", "step", "gravy"])
    return table.sample(frac=1, random_state=1)


def reached():
    table = chains(steps=1)
    draw = np.random.default_rng(2)
    for cost in steering.COSTS:
        table[cost] = draw.uniform(0.2, 0.9, len(table))
    return table


def units(table, condition):
    """What is compared: chains, or the means of a random set's chains."""
    chosen = table[table["condition"] == condition]
    unit = "set" if condition in ("random", "as active") else "chain"
    return {number: fmean(rows["gravy"]) for number, rows in chosen.groupby(unit)}


def of(table, condition, column):
    return table.loc[table["condition"] == condition, column].tolist()


# --- Trajectories --------------------------------------------------------------------------------


def test_lines_are_means_over_chains_or_sets_at_every_step():
    table = chains()
    lines = [t for t in steering.trajectories(table, "gravy", "GRAVY", 0.0).data if t.name]
    assert [line.name for line in lines] == [
        f"{name}, {count}" for name, count in zip(NAMES, COUNTS, strict=True)
    ]
    for line, condition in zip(lines, CHAINS, strict=True):
        assert list(line.x) == list(range(5))
        for step, mean, spread in zip(line.x, line.y, line.customdata, strict=True):
            values = units(table[table["step"] == step], condition).values()
            assert mean == pytest.approx(fmean(values))
            assert spread == pytest.approx(stdev(values))


def test_bands_end_one_standard_deviation_from_the_mean():
    figure = steering.trajectories(chains(), "gravy", "GRAVY", 0.0)
    lines = {t.legendgroup: t for t in figure.data if t.name}
    bands = {t.legendgroup: t for t in figure.data if t.fill}
    assert set(bands) == set(CHAINS)
    for condition, band in bands.items():
        mean, spread = (np.array(getattr(lines[condition], k)) for k in ("y", "customdata"))
        assert list(band.x) == [0, 1, 2, 3, 4, 4, 3, 2, 1, 0]
        assert list(band.y) == pytest.approx([*(mean + spread), *(mean - spread)[::-1]])


def test_conditions_differ_in_dash_and_colour():
    lines = [t for t in steering.trajectories(chains(), "gravy", "GRAVY", 0.0).data if t.name]
    assert len({line.line.dash for line in lines}) == 4
    assert len({line.line.color for line in lines}) == 4


@pytest.mark.parametrize("draw", [steering.trajectories, steering.finals])
def test_the_start_is_a_dotted_line(draw):
    figure = draw(chains(), "gravy", "GRAVY", -0.4)
    (line,) = figure.layout.shapes
    assert (line.y0, line.y1, line.line.dash) == (-0.4, -0.4, "dot")
    assert [note.text for note in figure.layout.annotations] == ["start"]


@pytest.mark.parametrize("draw", [steering.trajectories, steering.finals])
def test_titles_are_text(draw):
    figure = draw(chains(), "gravy", "<b>GRAVY</b>", 0.0)
    assert figure.layout.yaxis.title.text == "&lt;b&gt;GRAVY&lt;/b&gt;"


def test_one_chain_has_a_line_and_no_band():
    table = chains().query("condition == 'steered' and chain == 0")
    figure = steering.trajectories(table, "gravy", "GRAVY", 0.0)
    (line,) = figure.data
    assert line.name == "steered, 1 chain"
    assert list(line.y) == table.sort_values("step")["gravy"].tolist()
    assert can_be_sent(figure)


# --- Ends ----------------------------------------------------------------------------------------


def test_every_chain_and_every_random_set_is_a_point_of_its_condition():
    table = reached()
    boxes = steering.finals(table, "gravy", "GRAVY", 0.0).data
    assert [box.name for box in boxes] == NAMES
    for box, condition, count in zip(boxes, CHAINS, COUNTS, strict=True):
        assert box.boxpoints == "all"
        points = dict(zip(box.customdata, box.y, strict=True))
        assert points == pytest.approx(units(table, condition))
        (place,) = set(box.x)
        assert place.endswith(count)
    assert len({box.marker.symbol for box in boxes}) == 4


def test_costs_are_means_with_one_standard_deviation():
    table = reached()
    figure = steering.costs(table)
    assert [note.text for note in figure.layout.annotations] == list(steering.COSTS.values())
    points = iter(figure.data)
    for number, cost in enumerate(steering.COSTS, start=1):
        for condition, name in zip(CHAINS, NAMES, strict=True):
            point, values = next(points), of(table, condition, cost)
            assert point.xaxis == ("x" if number == 1 else f"x{number}")
            assert point.name == name
            assert point.x[0] == pytest.approx(fmean(values))
            assert point.error_x.array[0] == pytest.approx(stdev(values))
            assert point.error_x.arrayminus[0] == pytest.approx(stdev(values))
    assert len({(p.marker.symbol, p.marker.color) for p in figure.data}) == 4
    assert [p.name for p in figure.data if p.showlegend] == NAMES


@pytest.mark.parametrize("gone", ["confidence", "identity"])
def test_what_is_unknown_has_no_panel(gone):
    table = reached().assign(**{gone: np.nan})
    expected = [title for cost, title in steering.COSTS.items() if cost != gone]
    for part in (table, table.drop(columns=gone)):
        figure = steering.costs(part)
        assert [note.text for note in figure.layout.annotations] == expected
        assert len(figure.data) == 20


def test_identity_alone_is_in_percent():
    axes = can_be_sent(steering.costs(reached()))["layout"]
    forms = [axes[f"xaxis{i}"].get("tickformat") for i in ("", 2, 3, 4, 5, 6)]
    assert forms == [".0%", *[None] * 5]
    without = can_be_sent(steering.costs(reached().drop(columns="identity")))["layout"]
    assert "tickformat" not in without["xaxis"]


def test_without_any_cost_there_is_an_empty_figure():
    table = reached()[["condition", "chain"]]
    assert can_be_sent(steering.costs(table))["data"] == []


# --- Doses ---------------------------------------------------------------------------------------


def tried():
    draw = np.random.default_rng(3)
    rows = [
        (a, b, chain, *draw.uniform(0, 3, 2))
        for a in (1.0, 2.5, 10.0)
        for b in (-0.5, 0.0)
        for chain in range(3)
    ]
    table = pd.DataFrame(rows, columns=["a", "b", "chain", "gravy", "entropy"])
    return table.sample(frac=1, random_state=4)


def test_cells_are_means_over_chains_with_the_entropy():
    table = tried()
    (cells,) = steering.doses(table, "gravy", "GRAVY").data
    # By size, not by the alphabet.
    assert list(cells.y) == ["1", "2.5", "10"]
    assert list(cells.x) == ["-0.5", "0"]
    for row, a in enumerate(cells.y):
        for column, b in enumerate(cells.x):
            cell = table[(table["a"] == float(a)) & (table["b"] == float(b))]
            assert cells.z[row][column] == pytest.approx(fmean(cell["gravy"]))
            bits = f"{fmean(cell['entropy']):.2f}"
            assert cells.customdata[row][column] == f"{bits} bits, 3 chains"
    assert "%{z" in cells.texttemplate
    assert "%{customdata}" in cells.hovertemplate


def test_a_pair_that_was_not_tried_is_empty():
    table = tried().query("not (a == 2.5 and b == 0)")
    figure = steering.doses(table, "gravy", "GRAVY")
    assert np.argwhere(np.isnan(figure.data[0].z)).tolist() == [[1, 1]]
    assert can_be_sent(figure)


# --- Residues ------------------------------------------------------------------------------------


def drawn(length=30, number=7, letters=AMINO_ACIDS, seed=5):
    draw = np.random.default_rng(seed)
    return ["".join(draw.choice(list(letters), length)) for _ in range(number)]


@pytest.mark.parametrize("free", [range(30), (3, 4, 11, 29), (7,)])
def test_shares_are_those_counted_by_hand(free):
    start, *ends = drawn()
    (cells,) = steering.residue_changes(start, ends, free).data
    assert sorted(cells.y) == list(AMINO_ACIDS)
    assert list(cells.x) == [f"{start[place]}{place + 1}" for place in free]
    for column, place in enumerate(free):
        count = Counter(end[place] for end in ends)
        shares = [row[column] for row in cells.z]
        assert shares == pytest.approx([count[letter] / len(ends) for letter in cells.y])
        assert sum(shares) == pytest.approx(1)


def test_the_start_is_named_in_its_cells_and_nowhere_else():
    start, *ends = drawn()
    (cells,) = steering.residue_changes(start, ends, range(30)).data
    for column, residue in enumerate(start):
        assert [row[column] for row in cells.text] == [a if a == residue else "" for a in cells.y]


def test_rows_go_from_hydrophobic_to_hydrophilic():
    figure = steering.residue_changes(drawn()[0], drawn(), range(30))
    rows = "".join(figure.data[0].y)
    assert (rows[0], rows[-1]) == ("I", "R")  # the ends of Kyte and Doolittle's scale
    assert max(map(rows.index, "AVILMFC")) < min(map(rows.index, "DENQKRH"))
    assert figure.layout.yaxis.autorange == "reversed"


def test_other_letters_get_a_row():
    start, *ends = drawn(letters="ACX")
    (cells,) = steering.residue_changes(start, ends, range(30)).data
    assert cells.y[-1] == "X"
    assert len(cells.y) == 21
    assert np.sum(cells.z, axis=0) == pytest.approx(1)


@pytest.mark.parametrize("ends", [[], ["ACDE", "ACD"]])
def test_sequences_that_do_not_fit_are_refused(ends):
    with pytest.raises(ValueError, match="4 residues"):
        steering.residue_changes("ACDE", ends, (0, 1))
