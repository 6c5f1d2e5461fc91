"""Predicted secondary structure and contacts, before and after."""

import numpy as np
import pytest

from neuronlab.figures.secondary import contact_changes, secondary_lines, secondary_table
from neuronlab.proteins.secondary import Secondary

EVIL = "<b>x</b>"


def of(*rows):
    return Secondary(np.array(rows, float))


TABLE = secondary_table(
    ["MK", "MA"], [of([0.5, 0.3, 0.2], [0, 1, 0]), of([1, 0, 0], [0.2, 0.2, 0.6])], ["start", EVIL]
)


def test_the_table_has_a_row_for_each_residue():
    assert TABLE["protein"].tolist() == ["start", "start", EVIL, EVIL]
    assert TABLE["residue"].tolist() == [1, 2, 1, 2]
    assert "".join(TABLE["letter"]) == "MKMA"
    assert TABLE["helix"].tolist() == [0.5, 0, 1, 0.2]
    assert TABLE["neither"].tolist() == [0.2, 0, 0, 0.6]


def test_lines_are_the_probabilities_and_names_are_no_html():
    figure = secondary_lines(TABLE)
    assert [list(line.y) for line in figure.data] == [[0.5, 0], [1, 0.2], [0.3, 1], [0, 0.2]]
    assert "<b>x" not in figure.to_json().replace("\\u003c", "<")
    assert len({line.line.dash for line in figure.data}) == 2
    with pytest.raises(ValueError, match="not one to three"):
        secondary_lines(TABLE.iloc[:0])


def test_the_map_has_the_first_below_and_the_second_above_its_diagonal():
    draw = np.random.default_rng(0)
    before, after = draw.random((2, 5, 5))
    figures = contact_changes(before, after, ("start", EVIL))
    (both,), (change,) = (figure.data for figure in figures)
    for i in range(5):
        for j in range(5):
            expected = before[i, j] if i > j else after[i, j] if i < j else 0
            assert both.z[i, j] == round(100 * expected)
            assert change.z[i, j] == round(100 * (after[i, j] - before[i, j]))
    assert change.zmin == -change.zmax
    for figure in figures:
        assert "<b>x" not in figure.to_json().replace("\\u003c", "<")
