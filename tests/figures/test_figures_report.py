"""A result as one page."""

from functools import partial

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from neuronlab.figures.charts import standalone
from neuronlab.figures.colours import DIVERGING, SEQUENTIAL
from neuronlab.figures.heatmaps import by_layer, still, strip
from neuronlab.figures.report import ROWS, Part, report
from neuronlab.neurons import Neuron, NeuronScores

TABLE = pd.DataFrame({"token": ["<b>", " is"], "score": [0.123456789, 2.0]})


def test_a_report_is_whole_and_text_is_text():
    figure = go.Figure(go.Bar(x=[1, 2], y=[3, 4]))
    parts = [
        Part("Bars of <i>two</i>.", lambda: figure, TABLE),
        Part("Again.", lambda: figure, pd.concat([TABLE] * ROWS)),
    ]
    html = report("A <title>", {"asked": "<script>1</script>"}, parts, {"Python": "a < b"})
    assert "<h1>A &lt;title&gt;</h1>" in html
    assert "&lt;script&gt;1&lt;/script&gt;" in html
    assert "Bars of &lt;i&gt;two&lt;/i&gt;." in html
    assert "&lt;b&gt;" in html
    assert "<pre>a &lt; b</pre>" in html
    assert html.count("plotly.js v") == 1  # the script itself, once, and no address of it
    assert "cdn.plot.ly/plotly" not in html.split("</script>")[-1]
    assert f"the first {ROWS} of {2 * ROWS} rows" in html


def test_a_report_holds_sentences_tables_and_calls_without_a_figure():
    parts = [
        Part("What was found", text="**77 %** of \\*all\\* <i>\\_x\\_</i>.\n\nA *second* one."),
        Part("Random sets", table=TABLE, code="nl.predict(a < b)"),
        Part("Bars.", lambda: go.Figure(go.Bar(x=[1], y=[3])), TABLE),
    ]
    html = report("x", {}, parts, {})
    assert "<p><b>77 %</b> of &#42;all&#42; &lt;i&gt;&#95;x&#95;&lt;/i&gt;.</p>" in html
    assert "<p>A <i>second</i> one.</p>" in html
    assert "<summary>Python</summary><pre>nl.predict(a &lt; b)</pre>" in html
    assert html.count("plotly.js v") == 1  # with the first figure, whatever stands before it


@pytest.mark.parametrize(
    ("low", "colours"), [(0, (SEQUENTIAL[0], SEQUENTIAL[-1])), (-2, (DIVERGING[0], DIVERGING[-1]))]
)
def test_outside_the_app_a_map_has_colours_of_its_own(low, colours):
    figure = go.Figure(go.Heatmap(z=[[low, 2]], zmin=low, zmax=2))
    alone = standalone(figure)
    assert not alone.layout.template.data.heatmap
    scale = alone.layout.template.layout.colorscale
    used = scale.diverging if low < 0 else scale.sequential
    assert (used[0][1], used[-1][1]) == colours
    assert "#0000" not in alone.to_json()
    assert alone.data[0].autocolorscale  # else plotly draws with scales of its own
    figure.update_traces(colorscale="Viridis")
    assert not standalone(figure).data[0].autocolorscale


def test_maps_of_a_report_hold_every_cell():
    scores = NeuronScores(
        {
            "query": np.arange(12, dtype=np.float32).reshape(2, 6),
            "ffn": -np.arange(10, dtype=np.float32).reshape(2, 5),
        }
    )
    maps = by_layer(scores)
    figure = still(maps)
    assert [trace.zmax for trace in figure.data] == [11.0, 11.0]
    np.testing.assert_array_equal(np.array(figure.data[0].z), scores["query"])
    np.testing.assert_array_equal(np.array(figure.data[1].z), scores["ffn"])
    assert report("x", {}, [Part("Maps.", partial(still, maps), maps.cells)], {})


def test_maps_of_a_report_say_which_neurons_they_are_of():
    scores = NeuronScores({"ffn": np.arange(600, dtype=np.float32).reshape(2, 300)})
    maps = by_layer(scores)
    assert maps.words == "Scores of every layer's neurons, the strongest of each bin: FFN."
    figure = still(maps)
    assert figure.data[0].text[1][0] == "layer 1, FFN, neurons 0 to 3, strongest 3"
    assert figure.layout.yaxis.title.text == "layer"
    one_bin = strip(scores, Neuron(1, "ffn", 41))
    assert one_bin.words == "Scores of layer 1, FFN, neurons 40 to 43, one by one."
    figure = still(one_bin)
    assert figure.data[0].text[0][1] == "layer 1, FFN, neuron 41"
    assert list(figure.layout.yaxis.ticktext) == ["40"]
