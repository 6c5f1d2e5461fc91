"""The page of one fact in many languages."""

import pytest

from neuronlab.runs import Store
from neuronlab.studies.language_independent import common, select


@pytest.fixture
def page(visit, results):
    return visit("languages")


def stored(app, results):
    return Store(results).load(app.query("run"))


def test_it_opens_on_a_finished_example(page, results):
    assert page.errors() == []
    charts = {element.key for element in page.at.get("plotly_chart")}
    assert {"chart_sets", "chart_languages_layers", "chart_thresholds"} <= charts
    spec, result = stored(page, results)
    assert spec["languages"] == ["en", "fr", "es"]
    assert page.says(f"**{result.tables['overlap']['shared'].mean():.1f} neurons a fact**")


def test_thresholds_are_live(page, results):
    key = page.query("run")
    spec, result = stored(page, results)
    for value in (0.05, 0.5):
        for language in spec["languages"]:
            page.at.slider(key=f"tau_{language}").set_value(value)
        page.run()
        assert page.errors() == []
        sets = select(result.tables["neurons"], dict.fromkeys(spec["languages"], value))
        expected = common(sets, spec["languages"], ["capital/france"] * 3)
        assert page.says(f"{len(expected)} in all languages")
        assert page.says("None at these thresholds") == (not expected)
        if expected:
            assert len(page.at.dataframe(key="shared").value) == len(expected)
            table = next(d.value for d in page.at.dataframe if "before %" in d.value)
            assert table["language"].tolist() == ["English", "French", "Spanish"]
        else:
            assert page.says("nearest to it") or page.says("No neuron is above")
    assert page.query("run") == key


def test_a_fact_of_ones_own_is_typed_and_run(page, results):
    page.at.selectbox(key="languages_fact").set_value("typed")
    page.run()
    assert page.at.button(key="run").disabled
    page.at.button_group(key="languages_smollm2-135m").set_value(["en", "fr"])
    page.run()
    for language, prompt, answer in (
        ("en", "The capital of Italy is", "Rome"),
        ("fr", "La capitale de l'Italie est", "Rome"),
    ):
        page.at.text_input(key=f"typed_prompt_{language}").set_value(prompt)
        page.at.text_input(key=f"typed_answer_{language}").set_value(answer)
    page.run()
    page.press("run")
    assert page.errors() == []
    spec, result = stored(page, results)
    assert [fact["prompt"] for fact in spec["own"]] == [
        "The capital of Italy is",
        "La capitale de l'Italie est",
    ]
    assert result.numbers["facts"] == 1


def test_one_language_is_too_few(page):
    page.at.button_group(key="languages_smollm2-135m").set_value(["en"])
    page.run()
    page.one_error("at least two languages")
    assert page.at.button(key="run").disabled


def test_a_protein_model_is_sent_elsewhere(visit, results):
    app = visit("languages", model="antiberty")
    assert app.errors() == []
    assert app.says("choose a language model")
