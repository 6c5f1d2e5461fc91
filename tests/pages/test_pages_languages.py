"""The page of one fact in many languages."""

import pytest

from neuronlab.studies.cross_lingual_editing import stronger
from neuronlab.studies.language_independent import common, select


@pytest.fixture
def page(visit, results):
    app = visit("languages")
    # It opens on a model that knows several, which tests cannot fetch.
    return app.choose_model("smollm2-135m")


def test_it_opens_on_a_finished_example(page, results):
    assert page.errors() == []
    charts = page.charts()
    assert {"chart_sets", "chart_languages_layers", "chart_thresholds"} <= charts
    spec, result = page.stored(results)
    assert spec["languages"] == ["en", "fr", "es"]
    assert page.says(f"**{result.tables['overlap']['shared'].mean():.1f} neurons a fact**")
    assert result.numbers["first_tokens"] == 1
    assert page.says("1 answer is scored by the first of several tokens")


def test_thresholds_are_live(page, results):
    key = page.query("run")
    spec, result = page.stored(results)
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
    spec, result = page.stored(results)
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


def look(page, study):
    page.at.button_group(key="view").set_value(study)
    page.run()


def test_edits_open_on_a_finished_example(page, results):
    look(page, "cross_lingual_editing")
    assert page.errors() == []
    spec, result = page.stored(results)
    assert spec["study"] == "cross_lingual_editing"
    charts = page.charts()
    assert {"chart_edit_matrix", "chart_edit_bars"} <= charts
    table = result.tables["matrix"].set_index(["edit", "change", "about", "language"])
    for change in ("suppress", "enhance"):
        page.at.button_group(key="edit_change").set_value(change)
        page.run()
        row = table.loc[("language-independent", change, "fact", "en")]
        assert page.says(f"**{row['relative']:+.0%} in English** ({row['before']:.1%}")
        null = stronger(row)
        assert page.says(f"{row[null]:+.1%} [no interval]")
    success = next(d.value for d in page.at.dataframe if "success" in d.value)
    assert len(success) == len(result.tables["success"]) == 15


@pytest.mark.slow  # with others, to keep `make test` short
def test_the_edit_has_the_thresholds_of_its_form(page, results):
    look(page, "cross_lingual_editing")
    page.at.button_group(key="languages_smollm2-135m").set_value(["en", "fr"])
    page.run()
    for language in ("en", "fr"):
        page.at.slider(key=f"tau_{language}").set_value(0.5)
    page.press("run")
    assert page.errors() == []
    spec, result = page.stored(results)
    assert spec["taus"] == {"en": 0.5, "fr": 0.5}
    assert result.numbers["taus"] == spec["taus"]


def test_a_file_of_ones_own_in_any_language(page, results):
    page.at.selectbox(key="languages_fact").set_value("own")
    page.run()
    assert page.at.button(key="run").disabled
    rows = (
        "prompt,answer,relation,language,fact\n"
        "The capital of Italy is,Rome,capital,en,italy\n"
        "La capitale dell'Italia è,Roma,capital,it,italy\n"
        "The color of the sky is,blue,color,en,sky\n"
        "Il colore del cielo è il,blu,color,it,sky\n"
    )
    page.at.file_uploader(key="facts_files_False").upload("mine.csv", rows.encode(), "text/csv")
    page.run()
    assert page.errors() == []
    assert page.says(r"Prompts\: 4; kinds\: 2.")
    page.at.toggle(key="languages_filtered_True").set_value(False)
    page.at.multiselect[1].set_value(["capital"])
    page.run()
    page.press("run")
    assert page.errors() == []
    spec, result = page.stored(results)
    assert spec["languages"] == ["en", "it"]
    assert result.tables["facts"]["fact"].tolist() == ["italy", "italy"]
    assert page.says("On 1 fact, English and it share")


def test_a_file_in_one_language_says_what_is_missing(page):
    page.at.selectbox(key="languages_fact").set_value("own")
    page.run()
    rows = "prompt,answer\nThe capital of Italy is,Rome\n"
    page.at.file_uploader(key="facts_files_False").upload("mine.csv", rows.encode(), "text/csv")
    page.run()
    page.one_error("All these facts are in one language (en)")
    assert page.at.button(key="run").disabled


def test_a_broken_line_is_named(page):
    page.at.selectbox(key="languages_fact").set_value("own")
    page.run()
    rows = b'{"sub_label": "Italy", "obj_label": "Rome", "lineid": 1}\n{broken\n'
    page.at.file_uploader(key="facts_files_False").upload("P36.jsonl", rows, "text/plain")
    page.run()
    page.one_error("line 2 of P36.jsonl")


def test_a_protein_model_is_sent_elsewhere(visit, results):
    app = visit("languages")
    app.choose_model("antiberty")
    assert app.errors() == []
    assert app.says("choose a language model")
