"""Value and query neurons in a browser: click heads and neurons, run another prompt."""

import pytest

from neuronlab.neurons import Neuron
from neuronlab.studies.value_query import value_scores


@pytest.fixture
def page(tab):
    return tab().open("value_query").results()


def result(one):
    return one.server.result(one.query("run"))


def test_a_click_on_a_head_shows_its_positions(page):
    grid = circuit.head_grid(result(page).tables["heads"])
    for index in (0, len(grid.cells) - 1):
        cell = grid.cells.iloc[index]
        page.click_cell("heads", grid, index)
        words = f"Layer {int(cell['layer'])}, head {int(cell['head'])}"
        page.page.get_by_text(words).first.wait_for()
        page.idle().healthy()


def test_a_click_on_a_neuron_of_the_flow_opens_its_card(page):
    tables = result(page).tables
    grid = circuit.flow(tables["flow_nodes"], tables["flow_links"], " Paris")
    for stage in ("query", "attention", "ffn"):
        index = int(grid.cells.index[grid.cells["stage"] == stage][2])
        cell = grid.cells.iloc[index]
        page.click_node("flow", grid, index)
        neuron = Neuron(int(cell["layer"]), cell["component"], int(cell["neuron"]))
        page.page.wait_for_url(f"**neuron={neuron}*")
        page.idle().healthy()
        assert page.card() == (neuron.layer, neuron.component, neuron.index)


def test_another_prompt_is_run_and_proved(page):
    page.prompt("The opposite of hot is")
    page.run().healthy()
    numbers = result(page).numbers
    assert numbers["target_label"] == " cold"
    assert page.page.get_by_text(f"has {numbers['probability']:.1%}").count() == 1
    assert page.probability() == pytest.approx(100 * numbers["probability_suppressed"], abs=0.01)
    best = value_scores(result(page)).top(1).iloc[0]
    assert page.card() == (best["layer"], best["component"], best["neuron"])


def test_methods_are_compared_cancelled_and_resumed(tab):
    one = tab().open("methods")
    one.page.get_by_text("Copy as command").wait_for(timeout=240_000)
    one.idle().healthy()
    for name in ("Rank", "Coefficient x rank", "Integrated gradients", "Norm", "Coefficient"):
        one.field("compared").get_by_role("button", name=name, exact=True).click()
        one.idle()
    one.field("run").get_by_role("button").click()
    main = one.page.get_by_test_id("stMain")
    cancel = main.get_by_role("button", name="Cancel")
    cancel.wait_for()
    key = one.query("run")
    one.wait_until(lambda: one.server.shards(key))
    cancel.click()
    one.page.get_by_text("This run was cancelled").wait_for()
    finished = one.server.shards(key)
    assert 0 < finished < 75
    # Starting again goes on from there.
    one.idle()
    one.field("run").get_by_role("button").click()
    cancel.wait_for()
    one.wait_until(lambda: one.server.shards(key) > finished)
    assert one.query("run") == key
    cancel.click()
    one.page.get_by_text("This run was cancelled").wait_for()
    one.healthy()
