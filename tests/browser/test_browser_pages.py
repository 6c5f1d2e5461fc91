"""Every page by its own address, at two widths and in both themes."""

import pytest

ADDRESSES = {
    "": "NeuronLab",
    "neurons": "Which neurons",
    "writers": "Value and query neurons",
    "compare": "Which method",
    "kinds": "Where does each kind",
    "tongues": "One fact, many languages",
    "pairs": "Backup neurons",
    "enzymes": "Knowledge neurons of a protein classifier",
    "known": "What does each neuron know",
    "steer": "Steer a protein",
    "history": "Runs",
    "catalogue": "Models",
}


def test_the_first_request_of_a_server_may_be_a_deep_address(server):
    title, model_boxes = server.first_look
    assert "Which neurons" in title
    assert model_boxes == 1


@pytest.mark.parametrize("address", ADDRESSES)
def test_a_page_opens_and_fits(tab, address):
    one = tab(768).open(address)
    if address in ("neurons", "writers"):
        one.results()
    if address in ("compare", "kinds", "tongues", "pairs"):  # the first visit computes the example
        one.page.get_by_text("Copy as command").wait_for()
        one.idle()
    if address == "":
        one.page.get_by_text("Switch off its").wait_for()
        one.idle()
    one.healthy()
    assert ADDRESSES[address] in one.page.title()
    assert one.page.locator(".st-key-model").count() == 1
    assert one.overflowing() == []
    one.page.set_viewport_size({"width": 1280, "height": 900})
    one.idle().healthy()
    assert one.overflowing() == []


@pytest.mark.parametrize("address", ["", "neurons"])
def test_the_dark_theme(tab, address):
    one = tab(color_scheme="dark").open(address)
    if address:
        one.results()
    one.healthy()
    ground = one.page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor")
    channels = [int(n) for n in ground.removeprefix("rgb(").rstrip(")").split(",")]
    assert max(channels) < 100


def test_moving_between_pages_keeps_the_model_box(tab):
    one = tab().open()
    for name in (
        "Value and query neurons",
        "Runs",
        "Models",
        "Which neurons made it say that?",
        "Home",
    ):
        one.page.get_by_test_id("stSidebarNav").get_by_text(name, exact=True).click()
        one.idle().healthy()
        assert one.page.locator(".st-key-model").count() == 1
