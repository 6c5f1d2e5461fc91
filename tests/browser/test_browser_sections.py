"""Sections of long pages in a browser: addresses, Back, what widgets say, and a phone."""

import pytest

GAP = "Completeness: the largest gap"
PROOF = "matched random sets of either kind"


def test_a_section_has_an_address_and_back_leads_to_the_one_before(tab):
    one = tab().open("attribution").results()
    entries = one.page.evaluate("history.length")
    one.look("Affine").look("Completeness")
    one.page.get_by_text(GAP).wait_for()
    assert one.query("section") == "completeness"
    assert one.page.get_by_text(PROOF).count() == 0
    assert one.page.evaluate("history.length") == entries + 1
    # A click on something else is no entry.
    one.page.locator(".st-key-strip_tokens").get_by_role("button").nth(3).click()
    one.press("Show all").idle()
    assert one.page.evaluate("history.length") == entries + 1
    neuron = one.query("neuron")
    one.page.reload()
    one.page.get_by_text(GAP).wait_for()
    assert one.idle().query("section") == "completeness"
    other = tab().open(one.page.url)
    other.page.get_by_text(GAP).wait_for()
    assert other.idle().healthy().query("neuron") == neuron
    one.page.go_back()
    one.page.get_by_text(PROOF).wait_for()
    assert one.idle().healthy().query("section") == "proof"


@pytest.mark.slow  # with others, to keep `make test` short
def test_what_widgets_say_is_kept_while_their_section_is_not_drawn(tab):
    one = tab().open("attribution").results()
    one.look("Affine").look("Completeness")
    one.page.get_by_text(GAP).wait_for()
    one.look("Proof")
    one.page.get_by_text("a in a·h + b").wait_for()
    one.idle().healthy()


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_view_has_an_address_and_back_leads_to_the_one_before(tab):
    one = tab().open("degenerate").finished()
    one.look("Fact-checking")
    one.page.get_by_text("F1 on the test part").wait_for()
    one.idle()
    assert one.query("view") == "fact_checking"
    checked = one.query("run")
    one.page.go_back()
    one.page.get_by_text("Candidates: the best FFN neurons").wait_for()
    assert one.finished().query("view") == "degenerate_pairs"
    one.page.go_forward()
    one.page.get_by_text("F1 on the test part").wait_for()
    assert one.idle().healthy().query("run") == checked


@pytest.mark.parametrize(
    "address",
    [
        "steering",
        *(
            pytest.param(other, marks=pytest.mark.slow)
            for other in ("attribution", "knowledge_types", "classifier")
        ),
    ],
)
def test_no_title_of_a_section_is_cut_on_a_phone(tab, address):
    one = tab(390).open(address)
    buttons = one.page.locator(".st-key-section button")
    buttons.first.wait_for()
    one.idle()
    for button in buttons.all():
        box = button.bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 390
        assert button.evaluate(
            "b => [...b.querySelectorAll('*')].every(e => e.scrollWidth <= e.clientWidth + 1)"
        )
    assert one.overflowing() == []
