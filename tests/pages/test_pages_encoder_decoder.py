"""An encoder-decoder of one's own on the page of attributions: both stacks, by their names."""

import json

import pytest
from tiny_models import plain, text_tokenizer

from neuronlab.widgets import heatmaps


@pytest.fixture
def folder(tmp_path):
    """A tiny random T5 as ``save_pretrained`` leaves it."""
    path, tokenizer = tmp_path / "tiny-t5", text_tokenizer("t5")
    plain("t5", "seq2seq", tokenizer).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return str(path)


@pytest.fixture
def drawn(monkeypatch):
    """What the maps are given, by the name of the widget."""
    seen = {}
    monkeypatch.setattr(heatmaps, "_mount", lambda key, data, **more: seen.update({key: data}))
    return seen


def test_the_maps_show_both_stacks_and_name_their_layers(visit, folder, drawn, home):
    page = visit(model=folder)
    page.prompt("the capital of <extra_id_0> is Paris")
    (text,) = [each for each in page.at.text_input if each.label == "The decoder has said"]
    assert text.value == ""
    page.press("run")
    assert not page.errors()
    spec, result = page.stored(home / "runs")
    assert spec["text"] == "the capital of <extra_id_0> is Paris"
    assert "prefix" not in spec  # written as before there were any
    assert set(spec["components"]) > {"query", "cross_query"}
    assert result.numbers["stacks"] == {"encoder": 2, "decoder": 3}
    both = ["encoder 0", "encoder 1", "decoder 0", "decoder 1", "decoder 2"]
    panels = {panel["title"]: panel for panel in drawn["map_layers"]["panels"]}
    assert panels["Query"]["names"] == panels["FFN"]["names"] == both
    assert panels["Cross query"]["names"] == both[2:]
    assert panels["Cross value"]["rows"] == 3
    assert panels["FFN"]["places"][3] == "layer decoder 1, FFN"
    json.dumps(drawn["map_layers"], allow_nan=False)  # a browser takes no NaN
    # The neuron that the page looks at is called by its stack, in the ranking as on its card.
    layer = page.query("neuron").partition(".")[0]
    assert page.says(f"**Neuron {both[int(layer)]} / ")
    ranked = page.at.dataframe(key="ranked").value
    assert set(ranked["layer"]) <= set(both)
    assert page.says("are what the decoder reads")
    # A link to the run brings the prefix along.
    said = next(each for each in page.at.text_input if each.label == "The decoder has said")
    said.set_value("the quick")
    page.run()
    page.press("run")
    spec, _ = page.stored(home / "runs")
    assert spec["prefix"] == "the quick"
    other = visit(run=page.query("run"))
    (text,) = [each for each in other.at.text_input if each.label == "The decoder has said"]
    assert text.value == "the quick"
    assert any("prefix='the quick'" in code for code in other.texts_of_code())
    assert any("--prefix 'the quick'" in code for code in other.texts_of_code())
