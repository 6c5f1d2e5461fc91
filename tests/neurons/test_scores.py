"""Scores: the ranking, the selection, and the file."""

import numpy as np
import pandas as pd
import pytest

import neuronlab as nl
from neuronlab.neurons import Neuron, NeuronScores, NeuronSet

QUERY = np.array([[0.1, -0.9, 0.3], [0.0, 0.2, 0.3]], np.float32)
FFN = np.array([[0.5, -0.2, 0.3, 0.0], [0.4, 0.05, -1.0, 0.25]], np.float32)


@pytest.fixture
def scores():
    return NeuronScores(
        {"ffn": FFN, "query": QUERY},
        provenance={"model": "toy", "prompt": "α “quoted”", "settings": {"objective": "logit"}},
        quality=pd.DataFrame({"layer": [0], "component": ["ffn"], "gap": [1e-4], "nodes": [8]}),
        tokens=pd.DataFrame({"layer": [0], "component": ["ffn"], "neuron": [0], "0": [0.5]}),
    )


def rows(table):
    return list(zip(table["layer"], table["component"], table["neuron"], strict=True))


def by_brute_force(magnitude=False):
    """All neurons, best first; ties by layer, component, neuron."""
    everyone = [
        (layer, component, i, float(array[layer, i]))
        for component, array in (("query", QUERY), ("ffn", FFN))
        for layer in range(2)
        for i in range(array.shape[1])
    ]
    return sorted(everyone, key=lambda n: (-abs(n[3]) if magnitude else -n[3], n[0], n[1], n[2]))


@pytest.mark.parametrize("magnitude", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5, 14, 100])
def test_top_is_the_sorted_list(scores, count, magnitude):
    table = scores.top(count, magnitude=magnitude)
    expected = by_brute_force(magnitude)[:count]
    assert table["score"].tolist() == pytest.approx([n[3] for n in expected])
    assert list(table.columns) == ["rank", "layer", "component", "neuron", "score"]
    assert table["rank"].tolist() == list(range(1, len(expected) + 1))
    if count in (1, 2, 14, 100):  # the other cuts pass through a tie
        assert rows(table) == [n[:3] for n in expected]


def test_the_parts_of_the_scores(scores):
    assert scores.components == ("query", "ffn")  # the order of the components, not of the dict
    assert scores["ffn"] is FFN
    assert scores.score(Neuron(1, "ffn", 2)) == -1.0
    with pytest.raises(KeyError):
        scores["key"]


def test_select_by_number(scores):
    chosen = scores.select(top=2)
    assert set(chosen) == {Neuron(0, "ffn", 0), Neuron(1, "ffn", 0)}
    assert isinstance(next(iter(chosen)).index, int)
    assert NeuronSet.from_json(chosen.to_json()) == chosen


def test_select_by_fraction_of_the_maximum(scores):
    """Dai et al.: strictly more than the fraction of the highest score of all components."""
    assert set(scores.select(threshold=0.7)) == {Neuron(0, "ffn", 0), Neuron(1, "ffn", 0)}
    above = {Neuron(*n[:3]) for n in by_brute_force() if n[3] > 0.5 * 0.5}
    assert set(scores.select(threshold=0.5)) == above
    assert len(scores.select(threshold=1.0)) == 0


def test_select_finds_nothing_where_nothing_speaks_for_the_target():
    scores = NeuronScores({"ffn": -np.ones((2, 3), np.float32)})
    assert len(scores.select(threshold=0.2)) == 0
    assert len(scores.select(top=2)) == 2


def test_select_needs_one_rule(scores, sentence):
    sentence(scores.select, says=["top", "threshold"])
    sentence(scores.select, top=3, threshold=0.2, says=["top", "threshold"])


def test_the_frame_holds_every_neuron(scores):
    frame = scores.to_frame()
    assert list(frame.columns) == ["layer", "component", "neuron", "score"]
    assert len(frame) == QUERY.size + FFN.size
    for layer, component, neuron, score in frame.itertuples(index=False):
        assert scores[component][layer, neuron] == score


def test_a_file_holds_all_of_it(scores, tmp_path):
    path = tmp_path / "scores.parquet"
    scores.save(path)
    again = NeuronScores.load(path)
    assert again.components == scores.components
    for component in scores:
        assert again[component].dtype == np.float32
        assert np.array_equal(again[component], scores[component])
    assert again.provenance == scores.provenance
    pd.testing.assert_frame_equal(again.quality, scores.quality)
    pd.testing.assert_frame_equal(again.tokens, scores.tokens)
    # The file is plain parquet for other tools, too.
    assert len(pd.read_parquet(path)) == QUERY.size + FFN.size


def test_real_scores_go_through_a_file(tiny, asked, tmp_path):
    model = tiny("llama")
    scores = nl.attribute(model, asked(model), positions="all")
    scores.save(tmp_path / "scores.parquet")
    again = NeuronScores.load(str(tmp_path / "scores.parquet"))
    for component in scores:
        assert np.array_equal(again[component], scores[component])
    assert again.provenance == dict(scores.provenance)
    pd.testing.assert_frame_equal(again.quality, scores.quality)
    pd.testing.assert_frame_equal(again.tokens, scores.tokens, check_dtype=False)
    assert again.select(top=10) == scores.select(top=10)


def bad_files(folder):
    (folder / "text").write_text("no parquet")
    (folder / "empty").write_bytes(b"")
    pd.DataFrame({"a": [1]}).to_parquet(folder / "other.parquet")
    pd.DataFrame({"layer": [0], "component": ["ffn"], "neuron": [0], "score": [1.0]}).to_parquet(
        folder / "no-provenance.parquet"
    )
    for name, note in (("list", "[]"), ("number", "3"), ("lacking", "{}"), ("no-json", "{")):
        frame = pd.DataFrame({"layer": [0], "component": ["ffn"], "neuron": [0], "score": [1.0]})
        frame.attrs["neuronlab"] = note
        frame.to_parquet(folder / f"{name}.parquet")
    (folder / "folder").mkdir()
    return ["absent", *sorted(p.name for p in folder.iterdir())]


def test_files_that_hold_no_scores(tmp_path, sentence):
    refused = {}
    for name in bad_files(tmp_path):
        try:
            sentence(NeuronScores.load, tmp_path / name, says="no neuron scores")
        except Exception as error:
            refused[name] = f"{type(error).__name__}: {error}"
    assert refused == {}


def test_a_notebook_shows_the_ten_best():
    scores = NeuronScores({"ffn": np.arange(24, dtype=np.float32).reshape(2, 12)})
    shown = scores._repr_html_()
    places = [shown.index(f"<td>{score}.0</td>") for score in range(23, 13, -1)]
    assert places == sorted(places)
    assert "<td>13.0</td>" not in shown
