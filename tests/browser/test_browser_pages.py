"""Every page by its own address, at two widths and in both themes, without barriers."""

import pytest

from pages import HOME, PAGES

# Their first visit shows an example, which set-up has computed or the visit does.
ONE_PROMPT = ("attribution", "value_query")
SHARED = ("methods", "knowledge_types", "languages", "degenerate")


def test_the_first_request_of_a_server_may_be_a_deep_address(server):
    title, model_boxes = server.first_look
    assert "Which neurons" in title
    assert model_boxes == 1


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_opens_and_fits(tab, page):
    one = tab(768).open("" if page is HOME else page.name)
    if page.name in ONE_PROMPT:
        one.results()
    if page.name in SHARED:
        one.page.get_by_text("Copy as command").wait_for()
        one.idle()
    if page is HOME:
        one.page.get_by_text("Switch off 10 of").wait_for()
        one.idle()
    one.healthy()
    assert one.page.title() == ("NeuronLab" if page is HOME else f"{page.title} · NeuronLab")
    assert one.page.locator(".st-key-model").count() == 1
    assert one.overflowing() == []
    one.page.set_viewport_size({"width": 1280, "height": 900})
    one.idle().healthy()
    assert one.overflowing() == []
    assert one.barriers() == []
    one.page.emulate_media(color_scheme="dark")
    one.idle().healthy()
    ground = one.page.get_by_test_id("stApp").evaluate("e => getComputedStyle(e).backgroundColor")
    assert ground == "rgb(18, 22, 29)"
    assert one.barriers() == []


@pytest.mark.slow  # with others, to keep `make test` short
def test_moving_between_pages_keeps_the_model_box(tab):
    one = tab().open()
    for name in (
        "Writing and waking neurons",
        "Runs",
        "Models",
        "Which neurons made it say that?",
        "Home",
    ):
        one.page.get_by_test_id("stSidebarNav").get_by_text(name, exact=True).click()
        one.idle().healthy()
        assert one.page.locator(".st-key-model").count() == 1


def test_home_has_an_address_of_its_name(tab):
    one = tab().open("home")
    one.page.get_by_text("Which neurons made the model say that?").wait_for()
    assert one.page.get_by_text("Page not found").count() == 0
    one.healthy()


def test_an_address_without_a_page_is_said_on_home(tab):
    one = tab().open("nonsense")
    one.page.get_by_text("There is no page “nonsense” here").wait_for()
    assert one.page.get_by_text("Page not found").count() == 0
    assert one.page.url == f"{one.server.url}/"
    one.press("Dismiss").idle().healthy()


@pytest.mark.parametrize("page", [page for page in PAGES if page.former], ids=lambda p: p.former)
def test_a_former_address_leads_to_its_page(tab, page):
    one = tab()
    # Only the address: to open every page takes long, and other tests do.
    answer = one.page.request.get(f"{one.server.url}/{page.former}?view=abc")
    assert answer.ok
    assert answer.url == f"{one.server.url}/{page.name}?view=abc"
