from types import SimpleNamespace

import pytest

from neuronlab.widgets import selection


@pytest.mark.parametrize(
    ("rows", "cells", "count", "ticked", "clicked"),
    [
        ([], [], 3, [], None),
        ([0, 2], [], 3, [0, 2], 2),
        ([0, 2], [(1, "score")], 3, [0, 2], 1),
        # The table has become shorter since.
        ([0, 2], [(2, "score")], 2, [0], 0),
    ],
)
def test_a_click_is_on_one_row_and_ticks_on_several(rows, cells, count, ticked, clicked):
    event = SimpleNamespace(rows=rows, cells=cells)
    assert selection.ticked(event, count) == ticked
    assert selection.clicked(event, count) == clicked
