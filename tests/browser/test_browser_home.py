"""The first minute: a sentence, a switch, and what lies behind the pages."""

import re

import pytest

from neuronlab.examples import DEFAULT_MODEL, example
from neuronlab.figures import heatmaps
from neuronlab.neurons import Neuron, NeuronScores
from neuronlab.studies.attribution import scores_of


@pytest.fixture
def home(tab):
    one = tab().open()
    one.page.locator(".st-key-bars_bystanders [role=listitem]").first.wait_for()
    return one.idle()


def percent(one, bars, row):
    """What a bar says, which its length must follow."""
    line = one.page.locator(f".st-key-bars_{bars} [role=listitem]").nth(row)
    line.scroll_into_view_if_needed()
    one.page.wait_for_timeout(900)  # it moves
    shown = float(line.locator(".value").inner_text().rstrip("%"))
    wide = line.locator(".bar").bounding_box()["width"]
    track = line.locator(".track").bounding_box()["width"]
    assert wide / track == pytest.approx(max(shown / 100, 0.004), abs=0.01)
    return shown


def test_the_switch_moves_the_answer_more_than_random_neurons(home):
    numbers = home.server.result(example(DEFAULT_MODEL).key).numbers
    assert percent(home, "choices", 0) == pytest.approx(100 * numbers["probability"], abs=0.1)
    bystander = percent(home, "bystanders", 0)
    home.page.locator(".st-key-home_off label").first.click()
    home.page.get_by_text("without them").wait_for()
    after = percent(home, "choices", 0)
    assert after == pytest.approx(100 * numbers["probability_suppressed"], abs=0.1)
    assert percent(home, "random", 0) > after + 20
    assert percent(home, "bystanders", 0) < bystander
    home.healthy()


def test_the_sentence_is_there_as_tokens(home):
    buttons = home.page.locator(".st-key-strip_home button")
    assert [text.strip() for text in buttons.all_inner_texts()] == [
        "The", "capital", "of", "France", "is", "Paris",
    ]  # fmt: skip
    key = home.page.locator(".st-key-strip_home")
    assert key.get_by_text("against Paris").is_visible()
    assert key.get_by_text("Beyond the scale of the others: The, score").is_visible()


def test_a_cell_leads_to_its_neuron(home):
    result = home.server.result(example(DEFAULT_MODEL).key)
    maps = heatmaps.by_layer(NeuronScores({"ffn": scores_of(result)["ffn"]}))
    home.click_map("home", maps, 500)
    cell = maps.cells.iloc[500]
    neuron = Neuron(int(cell["layer"]), "ffn", int(cell["strongest"]))
    home.page.wait_for_url(f"**/attribution?*neuron={neuron}*")
    home.results().healthy()


def test_a_steered_protein_turns_beside_its_start(home):
    view = home.page.frame_locator("iframe").frame_locator("iframe").first
    view.get_by_text(re.compile(r"\d+ changed")).wait_for()
    home.press("Open this steering")
    home.page.wait_for_url("**/steering?run=*")


@pytest.mark.slow  # with others, to keep `make test` short
@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_it_stands_still_for_whom_motion_is_too_much(tab, motion):
    one = tab(reduced_motion=motion).open()
    one.page.frame_locator("iframe").frame_locator("iframe").get_by_text("changed").first.wait_for()
    frame = one.page.frames[-1]
    frame.wait_for_function("() => window.viewer_structures")
    # Out of view a frame draws nothing, and is not told how much motion is wanted.
    element = one.page.locator("iframe").first
    element.scroll_into_view_if_needed()
    frame.wait_for_function(
        "reduced => matchMedia('(prefers-reduced-motion: reduce)').matches === reduced",
        arg=motion == "reduce",
    )
    one.page.wait_for_timeout(300)
    turned = []
    for _ in range(2):
        turned.append(frame.evaluate("() => viewer_structures.getView()"))
        one.page.wait_for_timeout(1000)
    assert (turned[0] == turned[1]) == (motion == "reduce")
    box = element.bounding_box()
    half = box["width"] / 2
    for left in (box["x"], box["x"] + half):  # start and steered, each in its panel
        panel = {"x": left, "y": box["y"] + 100, "width": half, "height": 120}
        pictures = [one.page.screenshot(clip=panel)]
        one.page.wait_for_timeout(1000)
        pictures.append(one.page.screenshot(clip=panel))
        assert (pictures[0] == pictures[1]) == (motion == "reduce")


@pytest.mark.parametrize("width", [1280, 390])
def test_no_title_is_cut(tab, width):
    one = tab(width=width).open()
    one.page.get_by_text("Steer a protein").last.wait_for()
    one.idle()
    cut = one.page.evaluate(
        """() => [...document.querySelectorAll(
        '[data-testid=stSidebarNavLink] span, .stPageLink p')].filter(
        e => e.clientWidth && e.scrollWidth > e.clientWidth + 1).map(e => e.innerText)"""
    )
    assert cut == []
    assert one.overflowing() == []
