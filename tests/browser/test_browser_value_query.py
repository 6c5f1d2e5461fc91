"""Writing and waking neurons in a browser: click heads and neurons, run another prompt."""

import pytest

from neuronlab.figures import value_query
from neuronlab.neurons import Neuron
from neuronlab.studies.value_query import value_scores


@pytest.fixture
def page(tab):
    return tab().open("value_query").results()


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_click_on_a_head_shows_its_positions(page):
    grid = value_query.head_grid(page.result().tables["heads"])
    for index in (0, len(grid.cells) - 1):
        cell = grid.cells.iloc[index]
        page.click_cell("heads", grid, index)
        words = f"Layer {int(cell['layer'])}, head {int(cell['head'])}"
        page.page.get_by_text(words).first.wait_for()
        page.idle().healthy()


def test_a_click_on_a_neuron_of_the_flow_opens_its_card(page):
    tables = page.result().tables
    grid = value_query.flow(tables["flow_nodes"], tables["flow_links"], " Paris")
    page.look("Flow")
    for stage in ("query", "attention", "ffn"):
        index = int(grid.cells.index[grid.cells["stage"] == stage][2])
        cell = grid.cells.iloc[index]
        page.click_node("flow", grid, index)
        neuron = Neuron(int(cell["layer"]), cell["component"], int(cell["neuron"]))
        page.page.wait_for_url(f"**neuron={neuron}*")
        page.idle().healthy()
        assert page.card() == (neuron.layer, neuron.component, neuron.index)


@pytest.mark.slow  # with others, to keep `make test` short
def test_another_prompt_is_run_and_proved(page):
    page.prompt("The opposite of hot is")
    page.run().healthy()
    numbers = page.result().numbers
    assert numbers["target_label"] == " cold"
    assert page.page.get_by_text(f"has {numbers['probability']:.1%}").count() == 1
    assert page.probability() == pytest.approx(100 * numbers["probability_suppressed"], abs=0.01)
    best = value_scores(page.result()).top(1).iloc[0]
    assert page.card() == (best["layer"], best["component"], best["neuron"])
