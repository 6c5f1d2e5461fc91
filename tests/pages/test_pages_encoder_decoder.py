"""An encoder-decoder of one's own on the page of attributions: both stacks, by their names."""

import json

import pytest
from tiny_models import WORDS, plain, protein_encoder, text_tokenizer

from neuronlab.widgets import heatmaps
from pages.labels import labelling


@pytest.fixture
def folder(tmp_path):
    """A tiny random T5 as ``save_pretrained`` leaves it."""
    path, tokenizer = tmp_path / "tiny-t5", text_tokenizer("t5")
    few = {"num_layers": 1, "num_decoder_layers": 2}
    plain("t5", "seq2seq", tokenizer, **few).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture
def drawn(monkeypatch):
    """What the maps are given, by the name of the widget."""
    seen = {}
    monkeypatch.setattr(heatmaps, "_mount", lambda key, data, **more: seen.update({key: data}))
    return seen


def said_in(page):
    (field,) = [each for each in page.at.text_input if each.label == "The decoder has said"]
    return field


def test_the_maps_show_both_stacks_and_name_their_layers(visit, folder, drawn, home):
    page = visit(model=folder)  # its first example
    spec, result = page.stored(home / "runs")
    assert spec["text"] == "The capital of France is [MASK]."
    assert "prefix" not in spec  # written as before there were any
    assert set(spec["components"]) > {"query", "cross_query"}
    assert result.numbers["stacks"] == {"encoder": 1, "decoder": 2}
    both = ["encoder 0", "decoder 0", "decoder 1"]
    panels = {panel["title"]: panel for panel in drawn["map_layers"]["panels"]}
    assert panels["Query"]["names"] == panels["FFN"]["names"] == both
    assert panels["Cross query"]["names"] == both[1:]
    assert panels["Cross value"]["rows"] == 2
    assert panels["FFN"]["places"][2] == "layer decoder 1, FFN"
    json.dumps(drawn["map_layers"], allow_nan=False)  # a browser takes no NaN
    # The neuron that the page looks at is called by its stack, on its card as in the ranking.
    layer = page.query("neuron").partition(".")[0]
    assert page.says(f"**Neuron {both[int(layer)]} / ")
    ranked = page.at.dataframe(key="ranked").value
    assert set(ranked["layer"]) <= set(both)
    assert page.says("are what the decoder reads")
    (colour,) = [each for each in page.at.button_group if each.key == "strip_colour"]
    index = both[int(layer)], *page.query("neuron").split(".")[1:]
    assert f"activation of {'.'.join(index)}" in colour.options
    page.section("Completeness")
    worst = result.tables["quality"].set_index(["layer", "component"])["gap"].idxmax()
    assert page.says(f"(layer {both[worst[0]]}, {worst[1]})")


def test_the_strip_has_every_component_after_a_model_that_has_fewer(visit, folder, results):
    page = visit(model="smollm2-135m")
    few = set(strip_components(page))
    assert few == {"query", "key", "value", "ffn"}
    page.choose_model(folder)
    assert set(strip_components(page)) - few == {"cross_query", "cross_key", "cross_value"}


def strip_components(page):
    (pills,) = [e for e in page.at.button_group if e.key.startswith("token_components")]
    return pills.value


@pytest.mark.parametrize("page", ["attribution", "degenerate"])
def test_of_an_example_whose_answer_is_no_word_of_the_model_another_is_chosen(
    visit, tmp_path, home, page
):
    folder, words = tmp_path / "no-paris", WORDS.replace("Paris ", "")
    tokenizer = text_tokenizer("t5", words)
    few = {"num_layers": 1, "num_decoder_layers": 1}
    plain("t5", "seq2seq", tokenizer, **few).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    seen = visit(page, model=str(folder))
    assert not seen.errors()
    target = seen.widget("selectbox", "target")
    assert "Paris" not in " ".join(target.options)
    target.set_value("fox")
    seen.run()
    assert not seen.errors()
    assert seen.widget("selectbox", "target").value == "fox"
    assert not seen.says("0 of 0")  # none of its examples can be asked


def test_what_the_decoder_has_said_is_asked_for_and_comes_along(visit, folder, home):
    page = visit(model=folder)
    assert said_in(page).value == ""
    page.prompt("the capital of <extra_id_0> is Paris")
    page.set("selectbox", "method", "gradient_x_activation")
    said_in(page).set_value("the quick")
    page.run()
    page.press("run")
    spec, _ = page.stored(home / "runs")
    assert (spec["text"], spec["prefix"]) == ("the capital of <extra_id_0> is Paris", "the quick")
    other = visit(run=page.query("run"))
    assert said_in(other).value == "the quick"
    assert any("prefix='the quick'" in code for code in other.texts_of_code())
    assert any("--prefix 'the quick'" in code for code in other.texts_of_code())


@pytest.mark.parametrize(
    ("page", "why"),
    [
        ("value_query", "has two, an encoder's and a decoder's"),
        ("methods", "has two, an encoder's and a decoder's"),
        ("knowledge_types", "has two, an encoder's and a decoder's"),
        ("labels", "reads what it has said itself"),
    ],
)
def test_a_page_that_is_not_for_it_says_so_before_anything_runs(visit, folder, home, page, why):
    seen = visit(page, model=folder)
    assert not seen.errors()
    assert seen.says(why)
    assert seen.says("in the sidebar")
    assert not list((home / "runs").glob("*/spec.json"))


def test_an_encoder_alone_is_labelled_and_asked_nothing(visit, tmp_path, monkeypatch):
    offered = []
    monkeypatch.setattr(labelling, "draw", lambda: offered.append(True))
    hf, tokenizer = protein_encoder("▁")
    hf.save_pretrained(tmp_path / "encoder")
    tokenizer.save_pretrained(tmp_path / "encoder")
    page = visit("labels", model=str(tmp_path / "encoder"))
    assert not page.errors()
    assert offered
    page.go("attribution")
    page.one_error("predicts nothing")
