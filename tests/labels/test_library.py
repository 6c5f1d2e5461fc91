"""Sets of labels: what goes out comes back, searches by hand, and files that mean harm."""

import io
import itertools
import json
import struct
import threading
import zipfile
from contextlib import suppress

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from archives import packed

from neuronlab import spreadsheets
from neuronlab.errors import UserError
from neuronlab.labels import label_files, label_set, library, search
from neuronlab.labels.label_files import export, read
from neuronlab.labels.label_set import COLUMNS, REQUIRED, LabelSet
from neuronlab.labels.library import Library
from neuronlab.labels.search import search_meaning, search_words
from neuronlab.models import sentences, weights
from neuronlab.neurons import Neuron

SPEC = {"study": "neuron_labels", "version": 1, "model": "antiberty", "limit": None, "seed": 3}
HOSTILE = "<script>alert(1)</script> & =cmd|' /C calc'!A0"
WORDS = ("", "beta sheet", 'zinc "finger"', "α-helix, long", HOSTILE)


def labels(count=60, seed=0, **columns):
    """A table as the study of labels makes it, in no order."""
    draw = np.random.default_rng(seed)
    places = list(itertools.product(range(3), ("residual", "ffn"), range(count)))
    table = pd.DataFrame(
        [places[i] for i in draw.permutation(len(places))[:count]],
        columns=["layer", "component", "neuron"],
    )
    table.insert(0, "model", "antiberty")
    table["label"] = draw.choice(WORDS, count)
    table["source"] = "statistics"
    known = (table["label"] != "").to_numpy()
    for name in ("correlation", "control_correlation", "beaten", "effect", "q"):
        table[name] = np.where(known, draw.random(count), np.nan)
    table["concept"] = np.where(known, "Sheet", "")
    table["group"] = np.where(known, "structure", "")
    return table.assign(**columns)


def made(**columns):
    return LabelSet.of(SPEC, labels(**columns), created="2026-05-01T00:00:00+00:00")


def csv(table):
    return table.to_csv(index=False).encode()


def parquet(table):
    file = io.BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()


def small(**changes):
    row = {"model": "m", "layer": 0, "component": "ffn", "neuron": 4, "label": "kinase"}
    return pd.DataFrame([row | changes])


# --- One set -------------------------------------------------------------------------------------


def test_every_neuron_has_its_row_and_no_other():
    table = labels()
    found = LabelSet.of(SPEC, table)
    expected = {(r.layer, r.component, r.neuron): r.label for r in table.itertuples() if r.label}
    for place in itertools.product(range(4), ("residual", "ffn", "key"), range(61)):
        row = found.label_of(Neuron(*place))
        assert (None if row is None else row["label"]) == expected.get(place)
    assert found.label_of(Neuron(-1, "ffn", -1)) is None
    assert found.card["labelled"] == len(expected)
    assert (found.model, found.source, found.card["neurons"]) == ("antiberty", "statistics", 60)


def test_rows_are_chosen_as_a_loop_would():
    found = made()
    for layer, component, least in itertools.product((None, 1), (None, "ffn"), (None, 0.5)):
        expected = [
            (r.layer, r.component, r.neuron)
            for r in found.rows.itertuples()
            if layer in (None, r.layer)
            and component in (None, r.component)
            and (least is None or r.correlation >= least)
        ]
        own = found.where(layer, component, least)
        assert list(own[["layer", "component", "neuron"]].itertuples(index=False)) == expected
        assert expected


def test_the_key_is_the_content_and_not_the_order():
    one = made()
    shuffled = labels().sample(frac=1, random_state=1)
    assert LabelSet.of(dict(reversed(SPEC.items())), shuffled).key == one.key
    others = [
        LabelSet.of(SPEC | {"seed": 4}, labels()),
        made(label="other"),
        made(correlation=0.5),
        made(source="endpoint: x"),
    ]
    assert len({one.key, *(other.key for other in others)}) == 5


def test_the_control_of_an_older_file_is_not_read():
    """It had no direction, so that its mean was 0 whatever the labels."""
    told = made()
    older = dict(told.card) | {"versions": {"neuronlab": "0", "schema": 1}}
    found = read("old.zip", export(LabelSet(told.rows, older)))
    assert found.rows["control_correlation"].isna().all()
    pd.testing.assert_series_equal(found.rows["correlation"], told.rows["correlation"])
    again = read("new.zip", export(told))
    pd.testing.assert_frame_equal(again.rows, told.rows)


# --- Searches ------------------------------------------------------------------------------------

LABELS = (
    "high sheet propensity",
    "worksheet",
    "Beta-Sheets in the structure",
    "sheet of beta strands",
    "not chain: heavy",
    "ligase activity (ATP)",
    "",
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sheet", {0, 2, 3}),
        ("SHEETS", {2}),
        ("beta sheet", {2, 3}),
        ("sheet beta", {2, 3}),
        ("beta-sheet", {2}),
        ('"beta sheets"', {2}),
        ('"beta sheet"', set()),
        ('"sheet"', {0, 3}),
        ("sheet -beta", {0}),
        ('-"beta sheets" beta', {3}),
        ("-sheet", {1, 4, 5}),
        ("work", {1}),
        ("heavy chain", {4}),
        ("(atp)", {5}),
        (".*", {0, 1, 2, 3, 4, 5}),
        ("", {0, 1, 2, 3, 4, 5}),
        ('"', {0, 1, 2, 3, 4, 5}),
        ('"beta sh', set()),
        ("ligase kinase", set()),
        ("ﬁnger", set()),
    ],
)
def test_words(query, expected):
    rows = pd.DataFrame({"label": LABELS})
    assert set(search_words(rows, query)["label"]) == {LABELS[i] for i in expected}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("GO:0016787", {0, 1}),
        ("go:0016787 acting", {1}),
        ('"GO:0016787" -ester', {0}),
        ("-GO:0016787", {2, 3, 4}),
        ("GO:0016787 GO:0005524", set()),
        ("GO:9999999", set()),  # no term that comes with the app
        ("GO:00167871", set()),
    ],
)
def test_an_accession_finds_the_labels_of_its_term(query, expected):
    labels = [
        "function: hydrolase activity",
        "not function: hydrolase activity, acting on ester bonds",
        "function: ATP binding",
        "process: hydrolase activity regulation",
        "high hydropathy",
    ]
    rows = search_words(pd.DataFrame({"label": labels}), query)
    assert set(rows["label"]) == {labels[i] for i in expected}


def test_words_keep_rows_and_their_order():
    rows = made().rows
    found = search_words(rows, "ZINC")
    expected = rows[rows["label"] == 'zinc "finger"']
    pd.testing.assert_frame_equal(found, expected.reset_index(drop=True))
    assert len(found) > 1


@pytest.fixture
def embedded(monkeypatch):
    """An encoder whose vectors are counts of letters; the texts it was given."""
    asked = []

    def embed(texts):
        asked.extend(texts)
        vectors = np.full((len(texts), sentences.DIMENSIONS), 1e-3, np.float32)
        for row, text in zip(vectors, texts, strict=True):
            for letter in text.encode():
                row[letter] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    monkeypatch.setattr(sentences, "embed", embed)
    monkeypatch.setattr(search, "_vectors", {})
    embed.asked = asked
    return embed


def test_meaning_ranks_all_rows_by_the_cosine(embedded):
    rows = made().rows
    found = search_meaning(rows, "  zinc ", 10_000)
    vector = embedded(["zinc"])[0]
    expected = sorted(
        (-float(embedded([r.label])[0] @ vector), -r.correlation) for r in rows.itertuples()
        if r.label
    )  # fmt: skip
    got = list(zip(-found["likeness"], -found["correlation"], strict=True))
    np.testing.assert_allclose(got, expected, atol=1e-5)  # float32
    assert len(search_meaning(rows, "zinc", 7)) == 7
    pd.testing.assert_frame_equal(search_meaning(rows, "zinc", 7), found.head(7))


def test_each_label_is_encoded_once_even_from_several_threads(embedded):
    rows = made().rows
    threads = [threading.Thread(target=search_meaning, args=(rows, f"query {i}")) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counts = pd.Series(embedded.asked).value_counts()
    assert (counts[[word for word in WORDS if word]] == 1).all()
    assert counts.filter(like="query").sum() == 8


def test_what_is_remembered_has_an_end(embedded, monkeypatch):
    monkeypatch.setattr(search, "MAX_MEANT", 6)
    for start in range(0, 20, 5):
        rows = pd.DataFrame({"label": [f"label {i}" for i in range(start, start + 5)]})
        search_meaning(rows.assign(correlation=np.nan), "query")
        assert len(search._vectors) <= 6


def test_a_search_by_meaning_says_what_it_lacks(sentence, embedded, monkeypatch):
    rows = made().rows
    sentence(search_meaning, rows, "  ", says="few words")
    assert len(search_meaning(rows[rows["label"] == ""], "zinc")) == 0
    monkeypatch.setattr(search, "MAX_MEANT", 2)
    sentence(search_meaning, rows, "zinc", says="4 different labels")
    monkeypatch.undo()
    monkeypatch.setattr(weights, "installed", lambda name: False)
    sentences._encoder.cache_clear()
    monkeypatch.setattr(search, "_vectors", {})
    sentence(search_meaning, rows, "zinc", says="fetch")


def test_the_real_encoder_finds_another_word_for_it():
    if not weights.installed(sentences.NAME):
        pytest.skip("the sentence encoder has not been fetched")
    rows = pd.DataFrame({"label": ["glucose metabolism", "zinc finger", "heavy chain"]})
    found = search_meaning(rows.assign(correlation=np.nan), "breakdown of sugar")
    assert found["label"].iloc[0] == "glucose metabolism"


# --- Files ---------------------------------------------------------------------------------------


def test_an_export_comes_back_as_it_was():
    one = made()
    back = read("labels.zip", export(one))
    pd.testing.assert_frame_equal(back.rows, one.rows, check_exact=True)
    assert back.card == one.card
    assert back.key == one.key
    assert HOSTILE in set(back.rows["label"])  # text stays the text it is


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf", b"\r\n\n"])
def test_tables_of_text_are_read_exactly(delimiter, start):
    one = made()
    table = labels().rename(columns=str.upper).assign(other="x")
    data = start + table.to_csv(index=False, sep=delimiter, lineterminator="\r\n").encode()
    pd.testing.assert_frame_equal(read("x.csv", data).rows, one.rows, check_exact=True)


def test_an_exported_table_comes_back_without_its_apostrophes():
    table = labels(label="-1 =beta", concept="@Sheet")
    data = spreadsheets.csv(table).encode()
    assert b"'-1 =beta" in data
    expected = LabelSet.of(SPEC, table, created="2026-05-01T00:00:00+00:00").rows
    pd.testing.assert_frame_equal(read("x.csv", data).rows, expected, check_exact=True)


def test_tables_of_parquet_are_read_whatever_their_types():
    one = made()
    table = labels()
    wide = table.astype({"layer": "int8", "neuron": "float32", "label": "category"})
    pd.testing.assert_frame_equal(read("x.parquet", parquet(wide)).rows, one.rows)
    file = io.BytesIO()
    pq.write_table(pa.Table.from_pandas(table, preserve_index=False), file, row_group_size=7)
    pd.testing.assert_frame_equal(read("x", file.getvalue()).rows, one.rows)


def test_only_five_columns_are_needed():
    found = read("mine.csv", csv(small()))
    assert list(found.rows) == list(COLUMNS)
    assert found.source == label_files.IMPORTED
    row = found.label_of(Neuron(0, "ffn", 4))
    assert row["label"] == "kinase"
    assert row[["correlation", "control_correlation", "beaten", "effect", "q"]].isna().all()
    assert (row["concept"], row["group"]) == ("", "")
    assert found.card["spec"] == {}


def test_rounding_beyond_a_correlation_of_one_is_forgiven():
    (row,) = read("x.csv", csv(small(correlation=1 + 5e-7, q=-1e-9))).rows.itertuples()
    assert (row.correlation, row.q) == (1, 0)


def test_what_cannot_be_seen_is_no_part_of_a_label():
    unseen = "zinc\u202e\n\tfin\x00ger\u200b " + "x" * 5_000
    (label,) = read("x.csv", csv(small(label=unseen))).rows["label"]
    assert label.startswith("zinc finger xxx")
    assert label.isprintable()
    assert len(label) == label_set.MAX_TEXT
    ours = LabelSet.of(SPEC, labels(label=unseen))
    assert read("x.zip", export(ours)).key == ours.key


MISTAKES = {
    "empty": (b" \n", "empty"),
    "columns": (b"model,layer\nm,1\n", "no column component and no neuron and no label"),
    "no rows": (csv(small().head(0)), "no rows"),
    "twice": (b"model,layer,component,neuron,label,label\nm,1,ffn,2,a,b\n", "2 columns 'label'"),
    "two models": (csv(pd.concat([small(), small(model="n", neuron=5)])), "more than one model"),
    "no model": (csv(small(model="")), "no model"),
    "component": (csv(small(component="<b>mlp</b>")), "component '<b>mlp</b>'"),
    "again": (csv(pd.concat([small(), small(label="other")])), "Row 2 of"),
    "no labels": (csv(small(label="")), "no labels"),
    "negative": (csv(small(layer=-1)), "from 0 to 9,999"),
    "fraction": (csv(small(neuron=1.5)), "whole numbers"),
    "word": (csv(small(layer="one")), "no numbers"),
    "missing": (csv(small(neuron="")), "Row 1 of"),
    "huge": (csv(small(neuron="9" * 400)), "neuron"),
    "infinite": (csv(small(layer="inf")), "layer"),
    "correlation": (csv(small(correlation=7)), "correlation"),
    "infinite correlation": (csv(small(correlation="-inf")), "correlation"),
    "q": (csv(small(q=-0.5)), "q that cannot be"),
    "cells": (csv(small()) + b"m,1,ffn,2,a,b,c\n", "quotation marks"),
    "bytes": (bytes(range(256)), "cannot be read"),
    "damaged parquet": (parquet(small())[:-9], "cannot be read"),
    "parquet of bytes": (b"PAR1" + bytes(100) + b"PAR1", "cannot be read"),
    "wide parquet": (parquet(small(neuron=2**63 - 1)), "neuron"),
    "wrong numbers": (parquet(small(layer=True)), "does not hold numbers"),
    "wrong text": (parquet(small(label=3)), "does not hold text"),
    "lists": (parquet(small(label=[["a"]])), "cannot be read"),
    "damaged zip": (export(LabelSet.of({}, labels()))[:-30], "damaged"),
    "another zip": (packed({"a.csv": csv(small())}), "no exported labels"),
    "table only": (packed({"labels.parquet": parquet(small())}), "no exported labels"),
    "list as card": (
        packed({"labels.parquet": parquet(small()), "card.json": "[1]"}),
        "no exported labels",
    ),
    "text as spec": (
        packed({"labels.parquet": parquet(small()), "card.json": '{"spec": "x"}'}),
        "no exported labels",
    ),
    "deep card": (
        packed({"labels.parquet": parquet(small()), "card.json": "[" * 90_000}),
        "no exported labels",
    ),
    "newer": (
        packed(
            {"labels.parquet": parquet(small()), "card.json": '{"versions": {"schema": 99}}'}
        ),
        "newer NeuronLab",
    ),
    "other compression": (
        packed({"labels.parquet": parquet(small()), "card.json": "{}"}, zipfile.ZIP_BZIP2),
        "no exported labels",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_sentence_for_every_mistake(sentence, mistake):
    data, says = MISTAKES[mistake]
    text = sentence(read, "../../etc/labels of <b>me</b>.csv", data, says=says)
    assert ".." not in text


def test_any_damage_is_a_sentence_or_harmless():
    draw = np.random.default_rng(0)
    whole = {"zip": export(made()), "parquet": parquet(labels()), "csv": csv(labels())}
    for name, data in whole.items():
        for _ in range(60):
            damaged = bytearray(data)
            for at in draw.integers(len(data), size=draw.integers(1, 20)):
                damaged[at] = draw.integers(256)
            cut = bytes(damaged[: draw.integers(len(data)) or None])
            for hurt in (bytes(damaged), cut):
                with suppress(UserError):  # nothing else may come of it
                    assert set(REQUIRED) <= set(read(f"x.{name}", hurt).rows)


def test_limits_hold_before_anything_is_unpacked(sentence, monkeypatch):
    monkeypatch.setattr(label_files, "MAX_ROWS", 50)
    for name, data in (("x.csv", csv(labels())), ("x.parquet", parquet(labels()))):
        sentence(read, name, data, says="more than 50 neurons")
    monkeypatch.setattr(label_files, "MAX_BYTES", 1_000)
    sentence(read, "x.csv", csv(labels()), says="larger than 0.001 MB")


def test_a_zip_that_unpacks_to_too_much_is_not_unpacked(sentence, monkeypatch):
    monkeypatch.setattr(label_files, "MAX_UNPACKED", 100_000)
    bomb = packed({"labels.parquet": bytes(10_000_000), "card.json": "{}"})
    assert len(bomb) < 20_000
    sentence(read, "x.zip", bomb, says="larger than 0.1 MB")
    # The same with a lie about its size, in the header and in the directory.
    size = struct.pack("<I", 10_000_000)
    assert bomb.count(size) == 2
    sentence(read, "x.zip", bomb.replace(size, struct.pack("<I", 10)), says=".")
    card = packed({"labels.parquet": parquet(small()), "card.json": " " * 10_000_000})
    sentence(read, "x.zip", card, says="larger than 0.1 MB")


def test_a_parquet_that_repeats_a_long_text_is_refused(sentence, monkeypatch):
    monkeypatch.setattr(label_files, "MAX_UNPACKED", 1_000_000)
    rows = 20_000
    table = pd.DataFrame({"model": "m", "layer": 0, "component": "ffn", "neuron": range(rows)})
    data = parquet(table.assign(label="x" * 900))
    assert len(data) < 200_000
    sentence(read, "x.parquet", data, says="larger than 1 MB")


def test_nothing_outside_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one = made()
    with zipfile.ZipFile(io.BytesIO(export(one))) as archive:
        own = {name: archive.read(name) for name in archive.namelist()}
    data = packed({"../../evil.txt": "x", "/abs": "x", **own})
    assert read("../x.zip", data).key == one.key
    assert list(tmp_path.iterdir()) == []


def test_a_card_cannot_contradict_the_rows():
    card = {"model": "<b>", "labelled": 10**9, "source": "me", "created": "x\n" * 99, "more": 1}
    found = read(
        "x.zip", packed({"labels.parquet": parquet(small()), "card.json": json.dumps(card)})
    )
    assert set(found.card) == set(library.CARD)
    assert (found.model, found.card["labelled"], found.source) == ("m", 1, label_files.IMPORTED)
    assert len(found.card["created"]) <= 40
    assert "\n" not in found.card["created"]


# --- The folder ----------------------------------------------------------------------------------


def test_sets_are_kept_once_found_again_and_removed(tmp_path):
    shelf = Library(tmp_path / "labels")
    assert shelf.sets() == {}
    one = made()
    other = LabelSet.of(SPEC, labels(seed=1), created="2026-06-01T00:00:00+00:00")
    assert [shelf.add(s) for s in (one, other, one)] == [one.key, other.key, one.key]
    assert shelf.sets() == {other.key: other.card, one.key: one.card}
    assert list(shelf.sets()) == [other.key, one.key]  # the newest first
    pd.testing.assert_frame_equal(Library(tmp_path / "labels").load(one.key).rows, one.rows)
    assert len(list((tmp_path / "labels").iterdir())) == 2
    shelf.remove(one.key)
    shelf.remove(one.key)
    assert list(shelf.sets()) == [other.key]


def test_the_folder_is_that_of_everything_else(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    key = Library().add(made())
    assert [path.name for path in (tmp_path / "labels").iterdir()] == [f"{key}.zip"]


def test_a_set_is_whole_or_not_there(tmp_path, monkeypatch, sentence):
    shelf = Library(tmp_path)

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    sentence(shelf.add, made(), says="No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_what_is_damaged_hides_nothing_else(tmp_path, sentence):
    shelf = Library(tmp_path)
    key = shelf.add(made())
    for name, content in (("0" * 16, b"x"), ("1" * 16, packed({"card.json": "[]"})), ("x", b"")):
        (tmp_path / f"{name}.zip").write_bytes(content)
    assert list(shelf.sets()) == [key]
    sentence(shelf.load, "0" * 16)
    sentence(shelf.load, "2" * 16, says="import them first")


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 16, "0" * 15, "0" * 16 + "\n"])
def test_a_key_leads_nowhere_else(tmp_path, key):
    for action in (Library(tmp_path).load, Library(tmp_path).remove):
        with pytest.raises(ValueError, match="not the key"):
            action(key)
