"""The glossary: a page of its own, whose address carries what is looked for."""

import re

from neuronlab.widgets.page import GLOSSARY
from pages.learn.lesson import lessons


def test_the_glossary_is_found_by_words(visit, results):
    page = visit("glossary")
    assert all(page.says(f"**{term}.**") for term in GLOSSARY)
    page.at.text_input(key="glossary_words").set_value("HYDROPHOBIC")
    page.run()
    assert page.says("**GRAVY.**")
    assert not page.says("**Basket.**")
    page.at.text_input(key="glossary_words").set_value("nothinglikethis")
    page.run()
    assert page.says("No word has that in it")


def test_an_address_leads_to_a_word(visit, results):
    page = visit("glossary", word="logit lens")
    assert page.says("**Logit lens.**")
    assert not page.says("**Basket.**")
    page.at.text_input(key="glossary_words").set_value("basket")
    page.run()
    assert page.says("**Basket.**")
    assert page.query("word") == "basket"


def test_the_word_itself_comes_before_those_that_mention_it(visit, results):
    page = visit("glossary", word="stream")
    terms = [text for text in page.texts() if text.startswith("**")]
    assert terms[0].startswith("**Stream.**")
    assert len(terms) > 2


def test_lessons_lead_to_it(visit, results):
    assert "glossary" in [link.proto.page for link in visit("learn").at.get("page_link")]


def test_the_words_of_the_first_lesson_have_entries():
    bold = {
        word.lower().removesuffix("s")
        for step in lessons()[0].steps
        for word in re.findall(r"\*\*(\w+)\*\*", step.text + step.reveal)
    }
    assert {"query", "stream", "neuron", "logit"} <= bold
    assert bold <= {word for term in GLOSSARY for word in term.lower().split(", ")}
    assert set(lessons()[0].terms) <= GLOSSARY.keys()


def test_the_first_words_are_plain():
    for term in ("Neuron", "Activation", "Score", "Stream", "Query, key, value"):
        assert not re.search("project|gate|tensor|matrix|vector", GLOSSARY[term])
