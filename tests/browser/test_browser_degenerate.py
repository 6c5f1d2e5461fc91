"""Backup neurons and fact-checking in a browser."""

import pytest

from neuronlab.figures.degenerate import pair_graph
from neuronlab.studies.degenerate_pairs import published


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_click_on_a_neuron_of_the_pairs_opens_its_card(tab):
    one = tab().open("degenerate")
    one.finished()
    numbers, tables = one.result().numbers, one.result().tables
    pairs = published(tables["all_pairs"], numbers["p0"])
    grid = pair_graph(pairs.head(60))
    cell = grid.cells.iloc[-1]
    one.look("Graph")
    one.click_node("backs", grid, len(grid.cells) - 1)
    one.page.wait_for_url(f"**neuron={cell['layer']}.ffn.{cell['neuron']}*")
    one.idle().healthy()
    assert one.card() == (cell["layer"], "ffn", cell["neuron"])


@pytest.mark.slow  # with others, to keep `make test` short
def test_facts_are_checked_at_any_threshold(tab):
    one = tab().open("degenerate")
    one.page.get_by_text("Copy as command").wait_for()
    one.idle()
    one.look("Fact-checking")
    one.page.get_by_text("F1 on the test part").wait_for()
    one.idle().healthy()
    scorers = one.result().tables["scorers"].set_index("scorer")
    headline = (
        f"Degenerate neurons, judging one candidate: F1 {scorers.loc['degenerate', 'f1']:.2f}"
    )
    assert headline in one.text()
    one.look("Threshold")
    slider = one.field("checking_lambda")
    before = slider.inner_text()
    slider.get_by_role("slider").press("ArrowRight")
    one.idle().healthy()
    assert slider.inner_text() != before
    assert one.overflowing() == []
