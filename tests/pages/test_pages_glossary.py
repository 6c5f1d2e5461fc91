"""The glossary: a page of its own, whose address carries what is looked for."""

from neuronlab.widgets.page import GLOSSARY


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


def test_lessons_lead_to_it(visit, results):
    assert "glossary" in [link.proto.page for link in visit("learn").at.get("page_link")]
