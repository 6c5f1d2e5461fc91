"""What README and docs point at is there: documents, images, headings, files and commands."""

import re
import shlex
from pathlib import Path

import pytest

from neuronlab.attribution import METHODS
from neuronlab.cli.main import parser
from neuronlab.studies import STUDIES

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
ROOMS = "neuronlab|pages|tests|benchmarks|docs"
FILE = re.compile(rf"`((?:{ROOMS})/[\w./-]*)`")
COMMAND = re.compile(r"python -m neuronlab (\w[^`#\n]*)")
MOST_BYTES = 250_000  # of an image
MOST_LINES = 150  # of README

every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def prose(document):
    return FENCED.sub("", document.read_text("utf-8"))


def headings(document):
    """Their anchors, as GitHub makes them."""
    found = re.findall(r"^#+ (.+)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@every_document
def test_links_lead_to_files_and_headings(document):
    for link in LINK.findall(prose(document)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (document.parent / name).resolve() if name else document
        assert target.is_relative_to(ROOT), link
        assert target.exists(), link
        assert not anchor or anchor in headings(target), link


@every_document
def test_files_that_are_named_are_there(document):
    missing = [
        name
        for name in FILE.findall(prose(document))
        if "NAME" not in name and not (ROOT / name).exists()
    ]
    assert not missing


def test_every_method_and_study_is_in_the_methods():
    text = (ROOT / "docs" / "methods.md").read_text("utf-8")
    files = {type(study).__module__.replace(".", "/") + ".py" for study in STUDIES.values()}
    assert not [file for file in sorted(files) if f"`{file}`" not in text]
    titles = {m.title.lower() for m in METHODS.values() if m.name not in text}
    assert not [title for title in sorted(titles) if title not in text.lower()]


@every_document
def test_commands_are_understood(document):
    for line in COMMAND.findall(document.read_text("utf-8")):
        words = shlex.split(line)
        if "…" not in words:
            assert parser().parse_args(words).run, line


def test_readme_is_short_and_images_are_small():
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= MOST_LINES
    images = list((ROOT / "docs" / "images").iterdir())
    assert images
    assert all(image.stat().st_size <= MOST_BYTES for image in images)
