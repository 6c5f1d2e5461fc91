"""Pages open on a model that suits them, and leave alone what a person chooses there."""

import pytest

from neuronlab.models.catalogue import entry
from pages import PAGES

ANTIBODIES, ENGLISH, SEVERAL = "antiberty", "smollm2-135m", "gemma3-270m"


def model_of(app):
    return app.at.session_state["model"]


def test_the_models_a_page_names_suit_it():
    named = [page for page in PAGES if page.models]
    assert len(named) >= 7
    for page in named:
        for name in page.models:
            model = entry(name)
            assert page.alphabet in ("", model.alphabet)
            assert not page.kinds or model.kind in page.kinds


def test_steering_opens_on_a_protein_model_and_says_so(visit, results):
    app = visit("steering", model=ENGLISH)
    assert model_of(app) == ANTIBODIES
    # Not the first that is said: beside where the result is from, and once.
    (told,) = (text for text in app.texts() if "does not suit this page" in text)
    assert told.startswith("Stored example, ")
    assert told.endswith("Opened on AntiBERTy: SmolLM2 135M Instruct does not suit this page.")
    assert app.errors() == []
    assert app.charts()


def test_a_language_page_takes_the_last_language_model(visit, results):
    app = visit("methods", model=ENGLISH)
    assert not app.says("does not suit this page")
    app.choose_model(ANTIBODIES)  # on the page itself: it stays, and the page says what it needs
    assert model_of(app) == ANTIBODIES
    app.go("methods")
    assert model_of(app) == ANTIBODIES
    app.go("runs")
    assert model_of(app) == ANTIBODIES
    app.go("methods")
    assert model_of(app) == ENGLISH
    assert app.says("does not suit this page")
    app.go("home")
    assert not app.says("does not suit this page")


@pytest.mark.parametrize("name", [ENGLISH, ANTIBODIES])
def test_a_page_for_all_models_keeps_any(visit, results, name):
    app = visit("attribution", model=name)
    assert model_of(app) == name


def test_a_model_that_is_not_in_the_catalogue_stays(visit, results):
    app = visit("steering", model="nobody/nothing")
    assert model_of(app) == "nobody/nothing"


@pytest.fixture
def without_gemma(home, monkeypatch):
    """A home of the models that set-up fetches, alone."""
    folder = home / "models"
    fetched = folder.resolve()
    folder.unlink()
    folder.mkdir()
    for path in fetched.iterdir():
        if path.name != SEVERAL:
            (folder / path.name).symlink_to(path)


def test_languages_open_on_a_model_that_knows_several_also_where_it_is_not_fetched(
    visit, without_gemma
):
    app = visit("languages", model=ENGLISH)
    assert app.errors() == []
    assert model_of(app) == SEVERAL
    for view, chart in (("language_independent", "sets"), ("cross_lingual_editing", "edit_matrix")):
        app.at.button_group(key="view").set_value(view)
        app.run()
        assert app.errors() == []
        assert any("not on this machine: fetch it" in each.label for each in app.at.expander)
        assert app.says("Stored example, computed on 20")
        assert f"chart_{chart}" in app.charts()
        assert any("accept" in button.label.lower() for button in app.at.button)
    # A fact goes by its answers.
    app.at.button_group(key="view").set_value("language_independent")
    app.run()
    (facts,) = (box for box in app.at.selectbox if box.label == "Fact to look at")
    assert facts.options[0] == "Paris · 巴黎 (capital/france)"


@pytest.mark.parametrize("page", ["methods", "attribution"])
def test_a_model_that_is_not_fetched_is_no_dead_end_elsewhere(visit, without_gemma, page):
    app = visit("languages", model=ENGLISH)
    assert model_of(app) == SEVERAL
    app.go(page)
    assert model_of(app) == ENGLISH
    assert app.says("Opened on SmolLM2 135M Instruct: Gemma 3 270M is not on this machine.")
    assert not app.says("is not on this machine yet")
    # Whoever chooses it there is offered to fetch it.
    app.choose_model(SEVERAL)
    assert model_of(app) == SEVERAL
    assert app.says("Gemma 3 270M is not on this machine yet.")
