"""The help of every page begins in plain words; formulas fold open below them."""

import re

import pytest

from neuronlab.widgets.page import EXACTLY
from pages import PAGES

HELPED = [page for page in PAGES if page.how_to_read]


@pytest.mark.parametrize("page", HELPED, ids=lambda page: page.name)
def test_plain_words_come_before_formulas(page):
    words, _, exactly = page.how_to_read.partition(EXACTLY)
    assert "$" not in words
    assert EXACTLY not in exactly
    first = words.split("\n\n")[0]
    assert 5 < len(re.split(r"[.?]", first)[0].split()) < 40  # a sentence, and no long one


def test_formulas_fold_open(visit, results):
    app = visit("value_query")
    helps = [e.label for e in app.at.expander]
    assert helps.index("Exactly, with formulas") == helps.index("How to read this") + 1
    inside = next(e for e in app.at.expander if e.label == "Exactly, with formulas")
    assert any("$" in text.value for text in inside.markdown)
    helps = [e.label for e in visit("runs").at.expander]
    assert "Exactly" in helps  # it has none


@pytest.mark.parametrize("page", HELPED, ids=lambda page: page.name)
def test_roles_have_the_names_of_their_page(page):
    # "Query" and "value" are outputs of projections: arXiv 2312.12141 calls roles by them, too.
    assert not re.search(
        r"(query|value) (scores?|layers?)|subkey", page.how_to_read.split(EXACTLY)[0]
    )


def test_help_is_on_the_kind_of_model_that_is_looked_into():
    (labels,) = (page for page in PAGES if page.name == "labels")
    on_text, on_proteins = labels.help_on("text"), labels.help_on("protein")
    assert "WordNet" in on_text
    assert "germline" not in on_text.lower()
    assert "WordNet" not in on_proteins
    assert "Along the chain" in on_proteins
    for words in (on_text, on_proteins):
        assert "not what the neuron does" in words
        assert words.count(EXACTLY) == 1
    assert labels.help_on("") == labels.how_to_read
