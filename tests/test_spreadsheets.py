import csv
import io
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import neuronlab
from neuronlab import spreadsheets

FORMULAS = ["=1+1", "+A1", "-A1", "@SUM(A1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"]
TEXTS = ["", "plain", "'quoted'", "a=b", " x", "'=1", "''-1", 'a "word", two', "a\r=1", "a\n=1"]


def rows(table):
    return list(csv.reader(io.StringIO(spreadsheets.csv(table), newline="")))


@pytest.mark.parametrize("kind", [object, "string", "category"])
def test_no_text_of_a_table_is_a_formula(kind):
    texts = pd.Series([*FORMULAS, *TEXTS], dtype=kind)
    (header, *cells) = rows(pd.DataFrame({"=name": texts, "second": texts}))
    assert header == ["'=name", "second"]
    assert len(cells) == len(texts)
    for text, pair in zip(texts, cells, strict=True):
        assert pair[0] == pair[1]
        assert not pair[0].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert spreadsheets.from_text(pair[0]) == text
    assert [pair[0] for pair in cells[: len(FORMULAS)]] == [f"'{text}" for text in FORMULAS]
    # A cell with a line end is in quotation marks: else its end would be the next row's beginning.
    assert '"a\r=1"' in spreadsheets.csv(pd.DataFrame({"a": texts}))


def test_what_is_no_text_stays_as_pandas_writes_it():
    table = pd.DataFrame(
        {
            "float": [-1.5, np.nan, -1e-12],
            "single": np.array([-0.1, 0.2, np.inf], np.float32),
            "whole": [-1, 0, 3],
            "truth": [True, False, True],
            "when": pd.to_datetime(["2026-01-01", "2026-01-02", None]),
            "mixed": pd.Series([-1, -2.5, None], dtype=object),
        },
        index=[5, 5, 7],
    )
    assert spreadsheets.csv(table) == table.to_csv(index=False, lineterminator="\r\n")
    for empty in (table.iloc[:0], pd.DataFrame()):
        assert spreadsheets.csv(empty) == empty.to_csv(index=False, lineterminator="\r\n")


def test_columns_of_one_name_stay_apart():
    assert rows(pd.DataFrame([["-a", -1]], columns=["x", "x"])) == [["x", "x"], ["'-a", "-1"]]


def test_nothing_else_writes_csv_for_people():
    """One function knows what a spreadsheet runs."""
    package = Path(neuronlab.__file__).parent
    writing = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"\.to_csv\(", path.read_text("utf-8"))
    }
    # The corpora's is for a checksum.
    assert writing == {"spreadsheets.py", "proteins/corpora.py"}
