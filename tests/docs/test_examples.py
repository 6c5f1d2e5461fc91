"""The Python of README and docs runs as it stands there, and gives the numbers that it says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```python *(.*)\n((?s:.*?))^```$", re.MULTILINE)
# What an expression gives, in the comment behind it: a number, or several in parentheses.
NUMBER = r"-?\d+(?:\.\d+)?"
GIVES = re.compile(rf"  # ({NUMBER}|\({NUMBER}(?:, {NUMBER})*\))(?![\w.])")
# Blocks that need a minute or a network; each one more is an example that nothing checks.
MOST_NOT_RUN = 6


def blocks(document):
    """Info string and code of each block, the code on the lines that it has in the document."""
    text = document.read_text("utf-8")
    return [
        (found[1], "\n" * text.count("\n", 0, found.start(2)) + found[2])
        for found in BLOCK.finditer(text)
    ]


def run(code, namespace, document):
    """Statement by statement; an expression whose comment tells a number must give it."""
    lines = code.splitlines()
    for statement in ast.parse(code).body:
        gives = GIVES.search(lines[statement.end_lineno - 1])
        if gives and isinstance(statement, ast.Expr):
            expression = compile(ast.Expression(statement.value), str(document), "eval")
            value = eval(expression, namespace)
            assert value == pytest.approx(ast.literal_eval(gives[1]), rel=0.02), gives[0]
        else:
            exec(compile(ast.Module([statement], []), str(document), "exec"), namespace)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_the_blocks_of_a_document_run_in_order(document, elsewhere):
    namespace = {"__name__": "__main__"}
    for info, code in blocks(document):
        if info != "no-run":
            assert info == "", f"{document.name}: unknown mark '{info}'"
            run(code, namespace, document)


def test_few_blocks_are_not_run_and_those_compile():
    not_run = [code for path in DOCUMENTS for info, code in blocks(path) if info == "no-run"]
    assert len(not_run) <= MOST_NOT_RUN
    for code in not_run:
        compile(code, "a block that is not run", "exec")


def test_no_python_is_hidden_from_these_tests():
    for path in DOCUMENTS:
        text = path.read_text("utf-8")
        assert len(blocks(path)) == len(re.findall(r"```[ \t]*py", text)), path.name


@pytest.mark.parametrize("code", ["1 + 1  # 3", "(1, 2)  # (1, 3)", "0.77  # 0.8"])
def test_a_number_that_is_wrong_is_noticed(code):
    with pytest.raises(AssertionError):
        run(code, {}, "an example")


def test_a_number_that_is_right_and_words_pass():
    run("1 + 1  # 2: two\n0.7706  # 0.77\n'x'  # 3d is no number\n", {}, "an example")
