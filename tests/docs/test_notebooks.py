"""The notebooks of ``examples`` run cell by cell, and what a cell ends with shows itself."""

import ast
import json
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "examples").glob("*.ipynb"))


def cells(notebook):
    return json.loads(notebook.read_text("utf-8"))["cells"]


def run(code, namespace):
    """One cell; what its last expression gives."""
    *statements, last = ast.parse(code).body
    exec(compile(ast.Module(statements, []), "a cell", "exec"), namespace)
    if not isinstance(last, ast.Expr):
        exec(compile(ast.Module([last], []), "a cell", "exec"), namespace)
        return None
    return eval(compile(ast.Expression(last.value), "a cell", "eval"), namespace)


def shown(value):
    """What a notebook shows of it."""
    if hasattr(value, "_repr_html_"):
        return value._repr_html_()
    return repr(value)


# With others, to keep `make test` short.
BY_HAND = {"language", "proteins"}


@pytest.mark.parametrize(
    "notebook",
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] * (path.stem in BY_HAND))
        for path in NOTEBOOKS
    ],
)
def test_a_notebook_runs_in_order_and_shows_what_it_finds(notebook, elsewhere):
    namespace = {"__name__": "__main__"}
    for cell in cells(notebook):
        if cell["cell_type"] == "code":
            assert shown(run("".join(cell["source"]), namespace))


def test_notebooks_are_short_begin_with_words_and_hold_no_results():
    assert [path.stem for path in NOTEBOOKS] == ["language", "proteins", "teaching"]
    for notebook in NOTEBOOKS:
        kinds = [cell["cell_type"] for cell in cells(notebook)]
        assert 8 <= len(kinds) <= 13
        assert kinds[0] == "markdown"
        for cell in cells(notebook):
            assert cell.get("outputs", []) == []
            assert cell.get("execution_count") is None
