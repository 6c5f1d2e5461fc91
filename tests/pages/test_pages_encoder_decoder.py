"""An encoder-decoder of one's own on the page of attributions: both stacks, by their names."""

import json

import pytest
from tiny_models import WORDS, plain, protein_encoder, text_tokenizer

from neuronlab.figures.languages import layer_counts
from neuronlab.widgets import heatmaps, intervention
from pages.labels import labelling
from pages.languages import shared_neurons


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


def test_pairs_candidates_and_the_basket_name_their_stack(visit, folder, home):
    page = visit("degenerate", model=folder)
    assert not page.errors()
    both = ["encoder 0", "decoder 0", "decoder 1"]
    page.at.slider(key="t_low").set_value(0.5)
    page.at.slider(key="t_high").set_value(0.0)
    page.run()
    pairs = page.at.dataframe(key="pairs").value
    table = page.result(home / "runs").tables["all_pairs"]
    places = {(both[a], both[b]) for a, b in zip(table["layer_a"], table["layer_b"], strict=True)}
    assert len(pairs)
    assert set(zip(pairs["layer_a"], pairs["layer_b"], strict=True)) <= places
    page.press("add_pairs")
    kept = page.at.dataframe(key="basket_table").value
    assert set(kept["layer"]) <= {*pairs["layer_a"], *pairs["layer_b"]}
    page.section("Candidates")
    candidates = page.at.dataframe(key="candidates").value
    layers = page.result(home / "runs").tables["candidates"]["layer"]
    assert candidates["layer"].tolist() == [both[at] for at in layers]
    assert not page.errors()


def test_a_pair_is_asked_about_behind_what_the_decoder_has_said(visit, folder, home, monkeypatch):
    seen = []
    monkeypatch.setattr(intervention, "draw", lambda model, prompt, *more: seen.append(prompt))
    page = visit("degenerate", model=folder)
    page.prompt("the capital of <extra_id_0> is Paris")
    said_in(page).set_value("the quick")
    page.run()
    page.press("run")
    assert not page.errors()
    assert seen[-1].prefix == "the quick"


def test_neurons_that_languages_share_name_their_stack(visit, folder, home, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        shared_neurons, "layer_counts", lambda counts: drawn.append(counts) or layer_counts(counts)
    )
    page = visit("languages", model=folder)
    page.at.selectbox(key="languages_fact").set_value("typed")
    page.at.button_group(key=f"languages_{folder}").set_value(["en", "fr"])
    page.run()
    for language in ("en", "fr"):
        page.at.text_input(key=f"typed_prompt_{language}").set_value("the capital of France is")
        page.at.text_input(key=f"typed_answer_{language}").set_value("Paris")
    page.run()
    page.press("run")
    assert not page.errors()
    both = ["encoder 0", "decoder 0", "decoder 1"]
    assert drawn[-1].index.tolist() == both
    assert (drawn[-1]["shared"] > 0).any()
    assert set(page.at.dataframe(key="shared").value["layer"]) <= set(both)


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
