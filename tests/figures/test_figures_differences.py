"""Differences with intervals: what is drawn is the table, and what is clear stands out."""

import json

import numpy as np
import pandas as pd

from neuronlab.figures.differences import differences

TABLE = pd.DataFrame(
    {
        "name": ["more", "unclear", "less", "one fact", "a <b> & c"],
        "difference": [0.2, 0.1, -0.3, 0.4, 0.0],
        "low": [0.1, -0.1, -0.5, np.nan, -0.1],
        "high": [0.3, 0.3, -0.1, np.nan, 0.1],
    }
)


def test_marks_are_the_table():
    (marks,) = differences(TABLE, "change").data
    assert list(marks.x) == TABLE["difference"].tolist()
    np.testing.assert_allclose(marks.x + marks.error_x.array, TABLE["high"])
    np.testing.assert_allclose(marks.x - marks.error_x.arrayminus, TABLE["low"])
    assert marks.customdata[0] == "+0.10 to +0.30"
    assert marks.customdata[3] == "no interval"


def test_what_holds_zero_is_open():
    (marks,) = differences(TABLE, "change").data
    assert [symbol == "circle" for symbol in marks.marker.symbol] == [True, False, True] + [
        False
    ] * 2
    assert len(set(marks.marker.color)) == 2


def test_names_are_no_markup_and_zero_is_drawn():
    figure = differences(TABLE, "change", "+.0%")
    assert figure.data[0].y[-1] == "a &lt;b&gt; &amp; c"
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 0
    assert len(json.loads(figure.to_json())["data"]) == 1
