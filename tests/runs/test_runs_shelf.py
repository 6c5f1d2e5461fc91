"""Names, notes and collections: kept beside results, and taken to another store."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from runs_toys import ToySpec, full_result

from neuronlab.runs import Result, Shelf, Store, UserError, shelf

SPECS = [ToySpec(text=word) for word in ("one", "two", "three")]
KEYS = [spec.key for spec in SPECS]


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "runs")
    for spec in SPECS:
        made.save(spec, full_result(), seconds=1.5)
    return made


@pytest.fixture
def other(tmp_path):
    return Store(tmp_path / "other")


def packed(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def card(name="mine"):
    return f'{{"name": "{name}", "about": {{}}}}'


def test_names_and_notes_are_kept_and_taken_away(store):
    one = Shelf(store)
    assert one.read().of(KEYS[0]).name == ""
    one.describe(KEYS[0], "  Paris ", "for <b>Monday</b>")
    again = Shelf(Store(store.root)).read().of(KEYS[0])
    assert (again.name, again.note) == ("Paris", "for <b>Monday</b>")
    one.describe(KEYS[0], "", "")
    assert one.read().of(KEYS[0]) == one.read().of(KEYS[1])
    with pytest.raises(UserError, match="at most 100 letters"):
        one.describe(KEYS[0], "x" * 101, "")


def test_a_collection_keeps_its_order_and_holds_each_once(store):
    one = Shelf(store)
    one.collect("my lecture", [KEYS[2], KEYS[0]])
    one.collect("my lecture", [KEYS[0], KEYS[1]])
    assert one.read().collections == {"my lecture": (KEYS[2], KEYS[0], KEYS[1])}
    one.discard("my lecture")
    assert one.read().collections == {}
    assert store.has(KEYS[0])
    for bad in ("", "   ", "x" * 101):
        with pytest.raises(UserError, match="name"):
            one.collect(bad, KEYS)


def test_a_collection_opens_on_another_server(store, other):
    one, two = Shelf(store), Shelf(other)
    one.collect("my lecture", KEYS)
    one.describe(KEYS[1], "the second", "why")
    store.delete(KEYS[2])
    assert two.unpack("mine.zip", one.pack("my lecture")) == "my lecture"
    assert two.read().collections == {"my lecture": tuple(KEYS[:2])}
    assert two.read().of(KEYS[1]) == one.read().of(KEYS[1])
    for key in KEYS[:2]:
        spec, result = other.load(key)
        assert spec == store.load(key)[0]
        assert result.numbers == store.load(key)[1].numbers
        assert other.provenance(key) == store.provenance(key)
    # Again: what is here stays, and nothing is there twice.
    two.unpack("mine.zip", one.pack("my lecture"))
    assert two.read().collections == {"my lecture": tuple(KEYS[:2])}


def test_what_is_no_collection_is_refused_and_leaves_nothing(store, other, monkeypatch):
    whole = store.export(KEYS[0])
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 255
    bad = {
        "no zip": b"nothing",
        "no card": packed(**{f"{KEYS[0]}.zip": whole}),
        "no key": packed(**{"collection.json": card(), "../up.zip": whole}),
        "another key": packed(**{"collection.json": card(), f"{KEYS[1]}.zip": whole}),
        "no result": packed(**{"collection.json": card(), f"{KEYS[0]}.zip": b"x"}),
        "damaged": packed(**{"collection.json": card(), f"{KEYS[0]}.zip": bytes(flipped)}),
        "a way out": packed(
            **{"collection.json": card(), f"{KEYS[0]}.zip": packed(**{"../../evil": b"x"})}
        ),
        "a folder": packed(
            **{"collection.json": card(), f"{KEYS[0]}.zip": packed(**{f"{KEYS[0]}/a/b": b"x"})}
        ),
        "a damaged card": packed(**{"collection.json": "{", f"{KEYS[0]}.zip": whole}),
        "no name": packed(**{"collection.json": card("")}),
    }
    for what, data in bad.items():
        with pytest.raises(UserError) as caught:
            Shelf(other).unpack("mine.zip", data)
        assert "mine.zip" in str(caught.value), what
        assert Shelf(other).read().collections == {}, what
        assert not other.has(KEYS[1]), what
    assert sorted(path.name for path in other.root.parent.iterdir()) == ["other", "runs"]
    fresh = Store(other.root.parent / "fresh")
    bad_size = packed(**{"collection.json": card(), f"{KEYS[0]}.zip": whole})
    monkeypatch.setattr(shelf, "_MAX_UNPACKED", 100)
    with pytest.raises(UserError, match="larger than"):
        Shelf(fresh).unpack("mine.zip", bad_size)
    assert not fresh.has(KEYS[0])
    monkeypatch.setattr(shelf, "MAX_BYTES", 100)
    with pytest.raises(UserError, match="larger than"):
        Shelf(fresh).unpack("mine.zip", b"x" * 101)


def test_what_unpacks_to_more_than_there_may_be_is_refused(store, other, monkeypatch):
    big = ToySpec(text="big")
    texts = pd.DataFrame({"text": ["x" * 10_000] * 5_000})  # 50 MB of one text
    results = {
        "arrays": Result(arrays={"zeros": np.zeros(5_000_000)}),
        "tables": Result(tables={"texts": texts}),
    }
    monkeypatch.setattr(shelf, "_MAX_UNPACKED", 20_000_000)
    for what, result in results.items():
        store.save(big, result, seconds=1)
        whole = store.export(big.key)
        assert len(whole) < 1_000_000, what
        with pytest.raises(UserError, match=r"mine\.zip, unpacked, is larger than 20 MB"):
            Shelf(other).unpack(
                "mine.zip", packed(**{"collection.json": card(), f"{big.key}.zip": whole})
            )
        assert not other.has(big.key), what
        store.delete(big.key)


def test_a_damaged_shelf_is_an_empty_one(store):
    (store.root / shelf.FILE).write_text("{")
    assert Shelf(store).read().collections == {}
    Shelf(store).collect("mine", KEYS)
    assert Shelf(store).read().collections == {"mine": tuple(KEYS)}
    assert len(store.history()) == 3
