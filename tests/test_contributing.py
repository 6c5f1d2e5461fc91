"""What docs/contributing.md promises: what a new study with its page touches, and nothing else.

A copy of the project, of links to its files, gets exactly these files; navigation, home, command
line and registry then have the study.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

STUDY = '''"""How long a text is: a study for a test."""

from typing import Any, ClassVar

from neuronlab.runs import Context, Result, Spec, Study


class TextLengthSpec(Spec):
    """Whose length."""

    study: ClassVar[str] = "text_length"

    model: str = "smollm2-135m"
    text: str = "seven"


class TextLengthStudy(Study):
    """Counts characters."""

    name = "text_length"
    title = "The length of a text"
    spec_type = TextLengthSpec

    def default(self) -> TextLengthSpec:
        """Five letters."""
        return TextLengthSpec()

    def run_shard(self, spec: TextLengthSpec, shard: Any, context: Context) -> Result:
        """All at once."""
        return Result({"characters": len(spec.text)})
'''
PAGE = '''"""How long is a text?"""

import streamlit as st

from neuronlab.runs import Result
from neuronlab.studies.text_length import TextLengthSpec
from neuronlab.widgets import shown


def main() -> None:
    spec = TextLengthSpec(text=st.text_input("Text", "seven"))
    shown.study("text_length", None, spec, results)


def results(spec: TextLengthSpec, result: Result) -> None:
    st.markdown(f"It has {result.numbers['characters']} characters.")


main()
'''
ROW = """    Page(
        "text_length",
        "How long is a text?",
        "straighten",
        card="Counts characters.",
        question="How many characters has it?",
        studies=("text_length",),
    ),
"""
VISIT = """
import sys
from pathlib import Path
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash
from app_without_browser import MENDS
from neuronlab.widgets import services
import time

for owner, name, value in MENDS:
    setattr(owner, name, value)
app = AppTest.from_file(str(Path.cwd() / "dashboard.py"), default_timeout=300)
app._page_hash = calc_hash("text_length")
for _ in range(50):
    app.run()
    assert not app.exception, [error.message for error in app.exception]
    texts = [element.value for element in [*app.title, *app.markdown]]
    if "It has 5 characters." in texts:
        break
    time.sleep(0.1)
print(texts)
services.queue().close(timeout=10)
"""


@pytest.fixture
def project(tmp_path):
    """The project, as links to its files."""
    for folder in ("neuronlab", "pages"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                link = tmp_path / path.relative_to(ROOT)
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)
    (tmp_path / "dashboard.py").symlink_to(ROOT / "dashboard.py")
    return tmp_path


def python(project, *arguments):
    paths = os.pathsep.join([str(project), str(ROOT / "tests")])
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=os.environ | {"PYTHONPATH": paths, "NEURONLAB_HOME": str(project / "home")},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.long
def test_a_study_with_its_page_is_three_files_and_a_row(project):
    (project / "neuronlab/studies/text_length.py").write_text(STUDY)
    (project / "pages/text_length").mkdir()
    (project / "pages/text_length/page.py").write_text(PAGE)
    (project / "pages/text_length/how_to_read.md").write_text("Count them.\n")
    table = project / "pages/__init__.py"
    text = table.read_text()
    table.unlink()
    end = text.index('    Page(\n        "runs",')
    table.write_text(text[:end] + ROW + text[end:])

    ran = python(project, "-m", "neuronlab", "study", "text_length", "--out", "out")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "characters: 5" in ran.stdout
    visited = python(project, "-c", VISIT)
    assert visited.returncode == 0, visited.stderr
    assert "How long is a text?" in visited.stdout
    assert "How many characters has it?" in visited.stdout
    assert "It has 5 characters." in visited.stdout
