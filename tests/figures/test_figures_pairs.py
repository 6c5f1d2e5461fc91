"""Figures of pairs: how many pairs random sets give is what the table says."""

import json

import pandas as pd

from neuronlab.figures.pairs import pair_counts

WORDS = {"random": "Random", "as_active": "As active"}
TABLE = pd.DataFrame(
    {"null": ["random"] * 3 + ["as_active"] * 3, "set": [0, 1, 2] * 2, "pairs": [0, 0, 1, 3, 5, 4]}
)


def test_every_set_is_a_point_and_the_candidates_are_a_line():
    figure = pair_counts(TABLE, 26, WORDS)
    assert [(box.name, list(box.x)) for box in figure.data] == [
        ("Random", [0, 0, 1]),
        ("As active", [3, 5, 4]),
    ]
    assert all(box.boxpoints == "all" for box in figure.data)
    (line,) = figure.layout.shapes
    assert line.x0 == line.x1 == 26
    assert len(json.loads(figure.to_json())["data"]) == 2
