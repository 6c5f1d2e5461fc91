"""Many languages, backup neurons and fact-checking in a browser."""

import pytest

from neuronlab.figures.degenerate import pair_graph
from neuronlab.studies.degenerate_pairs import published


def result(one):
    return one.server.result(one.query("run"))


@pytest.fixture
def languages(tab):
    one = tab().open("languages")
    one.page.get_by_text("Copy as command").wait_for()
    return one.idle().healthy()


def test_shared_neurons_go_into_the_basket_and_edits_are_one_click_away(languages):
    one = languages
    one.field("shared").wait_for()
    one.page.get_by_role("button", name="Add the first").first.click()
    one.idle().healthy()
    assert "Basket: 0 " not in one.page.locator('[data-testid="stSidebar"]').inner_text()
    one.look("Edit in one, measure in all")
    one.page.get_by_text("Higher is more specific").wait_for()
    one.idle().healthy()
    table = result(one).tables["matrix"].set_index(["edit", "change", "about", "language"])
    row = table.loc[("language-independent", "suppress", "fact", "fr")]
    assert f"{row['relative']:+.0%} in French" in one.text()
    one.look("Enhanced (× 2)")
    one.idle().healthy()
    row = table.loc[("language-independent", "enhance", "fact", "fr")]
    assert f"{row['relative']:+.0%} in French" in one.text()


def test_a_click_on_a_neuron_of_the_pairs_opens_its_card(tab):
    one = tab().open("degenerate")
    one.page.get_by_text("Copy as command").wait_for()
    one.idle().healthy()
    numbers, tables = result(one).numbers, result(one).tables
    pairs = published(tables["all_pairs"], numbers["p0"])
    grid = pair_graph(pairs.head(60))
    cell = grid.cells.iloc[-1]
    one.click_node("backs", grid, len(grid.cells) - 1)
    one.page.wait_for_url(f"**neuron={cell['layer']}.ffn.{cell['neuron']}*")
    one.idle().healthy()
    assert one.card() == (cell["layer"], "ffn", cell["neuron"])


def test_facts_are_checked_at_any_threshold(tab):
    one = tab().open("degenerate")
    one.page.get_by_text("Copy as command").wait_for()
    one.idle()
    one.look("Fact-checking")
    one.page.get_by_text("F1 on the test part").wait_for()
    one.idle().healthy()
    scorers = result(one).tables["scorers"].set_index("scorer")
    headline = (
        f"Degenerate neurons, judging one candidate: F1 {scorers.loc['degenerate', 'f1']:.2f}"
    )
    assert headline in one.text()
    slider = one.field("checking_lambda")
    before = slider.inner_text()
    slider.get_by_role("slider").press("ArrowRight")
    one.idle().healthy()
    assert slider.inner_text() != before
    assert one.overflowing() == []
