import io
import json
import os
import shutil
import threading
import time
import zipfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import psutil
import pytest
from runs_toys import ToySpec, full_result

from neuronlab.runs import MissingResult, Result, Store, UnreadableResult, UserError

SPEC = ToySpec()


def overwrite(name, content):
    def damage(folder):
        (folder / name).write_bytes(content)

    return damage


def edit(name, old, new):
    """Of the same length, as a careful hand would do it."""

    def damage(folder):
        text = (folder / name).read_text()
        assert text.count(old) == 1
        assert len(old) == len(new)
        (folder / name).write_text(text.replace(old, new))

    return damage


def move_to_another_key(folder):
    """What another spec gave, under the key of this one."""
    other = ToySpec(text="other")
    store = Store(folder.parent)
    store.save(other, Result(), seconds=1)
    shutil.rmtree(folder)
    store.path(other.key).rename(folder)


def link_to_the_same(name):
    def damage(folder):
        (folder / name).rename(folder.parent / "moved")
        (folder / name).symlink_to(folder.parent / "moved")

    return damage


def flip_a_byte(name):
    def damage(folder):
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 0xFF
        (folder / name).write_bytes(data)

    return damage


def truncate(name):
    def damage(folder):
        (folder / name).write_bytes((folder / name).read_bytes()[:-20])

    return damage


def remove(name):
    return lambda folder: (folder / name).unlink()


def replace_by_folder(name):
    def damage(folder):
        (folder / name).unlink()
        (folder / name).mkdir()

    return damage


def point_outside(folder):
    (folder.parent / "secret").write_text("secret")
    summary = {"numbers": {}, "contents": {"files/../../secret": {"bytes": 6, "sha256": ""}}}
    (folder / "result.json").write_text(json.dumps(summary))


def test_numbers_are_the_whole_of_result_json(store):
    store.save(SPEC, full_result(), seconds=1)
    written = json.loads((store.path(SPEC.key) / "result.json").read_text())
    assert written == store.load(SPEC.key)[1].numbers


@pytest.mark.parametrize("together", [False, True])
def test_results_of_earlier_versions_still_open(store, tmp_path, together):
    """Their contents listed no JSON file, and at first were in one file with the numbers."""
    store.save(SPEC, full_result(), seconds=1)
    folder = store.path(SPEC.key)
    numbers, contents = (folder / "result.json", folder / "contents.json")
    listed = json.loads(contents.read_text())["files"]
    listed = {name: facts for name, facts in listed.items() if not name.endswith(".json")}
    if together:
        both = {"numbers": json.loads(numbers.read_text()), "contents": listed}
        numbers.write_text(json.dumps(both))
        contents.unlink()
    else:
        contents.write_text(json.dumps(listed))
    spec, found = store.load(SPEC.key)
    assert spec["text"] == SPEC.text
    assert found.numbers == store.load(SPEC.key)[1].numbers == {**full_result().numbers, "count": 3}
    assert found.tables.keys() == full_result().tables.keys()
    (record,) = store.history()
    assert record.readable
    with zipfile.ZipFile(io.BytesIO(store.export(SPEC.key))) as archive:
        archive.extractall(tmp_path / "unpacked")
    assert Store(tmp_path / "unpacked").load(SPEC.key)[1].files == full_result().files


def test_an_exported_result_is_adopted_with_its_provenance(store, tmp_path):
    made = {"created": "2026-11-28T00:00:00+00:00", "example": "NeuronLab 1"}
    store.save(SPEC, full_result(), seconds=7.5, provenance=made)
    archive = tmp_path / "archive.zip"
    archive.write_bytes(store.export(SPEC.key))
    other = Store(tmp_path / "other")
    other.adopt(SPEC.key, archive)
    assert other.provenance(SPEC.key) == {"seconds": 7.5, **made}
    (record,) = other.history()
    assert (record.key, record.readable, record.created.year) == (SPEC.key, True, 2026)
    assert other.load(SPEC.key)[1].files == full_result().files
    assert other.export(SPEC.key) == archive.read_bytes()
    # One that is there stays, and nothing is left of the second try.
    other.adopt(SPEC.key, archive)
    assert [path.name for path in other.root.iterdir() if path.name == SPEC.key] == [SPEC.key]


def test_a_result_of_another_version_of_its_study_opens_by_its_own_key(store, monkeypatch):
    store.save(SPEC, full_result(), seconds=1)
    key = SPEC.key
    monkeypatch.setattr(ToySpec, "version", 2)
    assert SPEC.key != key
    spec, found = store.load(key)
    assert (spec["version"], found.files) == (1, full_result().files)
    assert store.history()[0].readable


def test_round_trip(store):
    before = full_result()
    store.save(SPEC, before, seconds=2.5)
    spec, after = store.load(SPEC.key)
    assert spec == json.loads(SPEC.to_json())
    assert after.numbers == {"score": 0.25, "count": 3, "names": ["x"]}
    pd.testing.assert_frame_equal(after.tables["top"], before.tables["top"])
    assert list(after.arrays) == ["file", "mask"]
    for name, array in before.arrays.items():
        np.testing.assert_array_equal(after.arrays[name], array)
        assert after.arrays[name].dtype == array.dtype
    assert after.files == before.files


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (Result(arrays={"a": np.array([{}], dtype=object)}), ValueError),
        (Result(files={"../up": ""}), ValueError),
        (Result(files={"a/b": ""}), ValueError),
        (Result(files={"result.json": ""}), ValueError),
        (Result(files={"x.parquet": ""}), ValueError),
        (Result(tables={"..": pd.DataFrame()}), ValueError),
        (Result(numbers={"a": object()}), TypeError),
    ],
)
def test_what_cannot_be_stored_is_refused_and_leaves_nothing(store, result, error):
    with pytest.raises(error):
        store.save(SPEC, result, seconds=1)
    assert list(store.root.iterdir()) == []


@pytest.mark.parametrize(
    "key",
    ["", "..", "../../etc/passwd", "0" * 15, "0" * 17, "G" * 16, "A" * 16, "0" * 16 + "\n", 7],
)
def test_only_keys_make_paths(store, key, without_type_checks):
    for method in (store.path, store.has, store.load, store.delete, store.export):
        with pytest.raises(ValueError, match="not the key"):
            method(key)
    for method in (store.finished_shards, store.clear_shards, store.unmark_pending):
        with pytest.raises(ValueError, match="not the key"):
            method(key)
    with pytest.raises(ValueError, match="not the key"):
        store.shard_path(key, 0)


def test_missing_result(store):
    with pytest.raises(MissingResult) as caught:
        store.load(SPEC.key)
    assert str(caught.value) == f"There is no stored result {SPEC.key}."
    assert isinstance(caught.value, KeyError)
    with pytest.raises(MissingResult):
        store.export(SPEC.key)


def test_saving_a_stored_key_changes_nothing(store):
    store.save(SPEC, Result(numbers={"a": 1}), seconds=1)
    store.save(SPEC, Result(numbers={"a": 2}), seconds=1)
    assert store.load(SPEC.key)[1].numbers == {"a": 1}


def test_saving_forgets_the_shards(store):
    store.save_shard(SPEC.key, 0, Result())
    store.save(SPEC, Result(), seconds=1)
    assert store.finished_shards(SPEC.key) == set()


def test_shards(store):
    store.save_shard(SPEC.key, 0, Result(numbers={"a": 1}))
    store.save_shard(SPEC.key, 2, full_result())
    store.save_shard(SPEC.key, 0, Result(numbers={"a": 2}))
    assert store.finished_shards(SPEC.key) == {0, 2}
    assert store.load_shard(SPEC.key, 0).numbers == {"a": 2}
    with pytest.raises(UnreadableResult):
        store.load_shard(SPEC.key, 1)
    assert store.history() == []
    store.clear_shards(SPEC.key)
    assert store.finished_shards(SPEC.key) == set()


def test_history_is_newest_first(store):
    specs = [ToySpec(text=text) for text in "abc"]
    for spec in specs:
        store.save(spec, full_result(), seconds=1.5)
        time.sleep(0.002)
    records = store.history()
    assert [record.key for record in records] == [spec.key for spec in reversed(specs)]
    newest = records[0]
    assert (newest.study, newest.spec["text"], newest.seconds) == ("toy", "c", 1.5)
    assert (newest.readable, newest.problem) == (True, "")
    assert abs(datetime.now(UTC) - newest.created) < timedelta(seconds=30)
    files = [path for path in store.path(newest.key).rglob("*") if path.is_file()]
    assert newest.bytes == sum(path.stat().st_size for path in files) > 0


@pytest.mark.parametrize(
    ("damage", "seen_in_history"),
    [
        (truncate("arrays.npz"), True),
        (flip_a_byte("arrays.npz"), False),  # found when it is loaded
        (flip_a_byte("top.parquet"), False),
        (flip_a_byte("fold.pdb"), False),
        (remove("arrays.npz"), True),
        (remove("top.parquet"), True),
        (remove("fold.pdb"), True),
        (remove("result.json"), True),
        (remove("spec.json"), True),
        (overwrite("result.json", b"\xff{garbage"), True),
        (overwrite("result.json", b"[]"), True),
        (overwrite("result.json", b'{"numbers": {}, "contents": {"x.parquet": 1}}'), True),
        (overwrite("result.json", b"[" * 100_000), True),
        (remove("contents.json"), True),
        (overwrite("contents.json", b"[]"), True),
        (overwrite("contents.json", b'{"x.parquet": 1}'), True),
        (overwrite("spec.json", b"nonsense"), True),
        (edit("result.json", "0.25", "0.99"), True),
        (edit("spec.json", "hello", "hullo"), True),
        (edit("meta.json", '"seconds": 1', '"seconds": 9'), True),
        (edit("contents.json", '"top.parquet"', '"tip.parquet"'), True),
        (move_to_another_key, True),
        (link_to_the_same("result.json"), True),
        (replace_by_folder("result.json"), True),
        (point_outside, True),
    ],
)
def test_damaged_results_are_listed_and_explained(store, damage, seen_in_history):
    good = ToySpec(text="good")
    store.save(good, Result(), seconds=1)
    store.save(SPEC, full_result(), seconds=1)
    damage(store.path(SPEC.key))
    records = {record.key: record for record in store.history()}
    assert records.keys() == {good.key, SPEC.key}
    assert records[good.key].readable
    with pytest.raises(UnreadableResult) as caught:
        store.load(SPEC.key)
    sentence = str(caught.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert records[SPEC.key].readable != seen_in_history
    if seen_in_history:
        assert records[SPEC.key].problem == sentence
        store.delete(SPEC.key)
        assert not store.has(SPEC.key)


@pytest.mark.parametrize("content", [b"{}", b'{"created": 5, "seconds": 1}', b"?"])
def test_damaged_meta_is_listed(store, content):
    store.save(SPEC, Result(), seconds=1)
    (store.path(SPEC.key) / "meta.json").write_bytes(content)
    (record,) = store.history()
    assert (record.readable, record.study) == (False, "toy")
    assert record.problem == "The file meta.json of the result is damaged."


def test_a_file_in_place_of_a_folder_is_listed(store):
    store.path(SPEC.key).write_text("not a folder")
    (record,) = store.history()
    assert not record.readable
    with pytest.raises(MissingResult):
        store.load(SPEC.key)


def test_forbidden_folder_is_listed_and_can_be_deleted(store):
    store.save(SPEC, full_result(), seconds=1)
    store.path(SPEC.key).chmod(0)
    if os.access(store.path(SPEC.key), os.R_OK):
        pytest.skip("root may read everything")
    (record,) = store.history()
    assert not record.readable
    with pytest.raises(UnreadableResult, match="cannot be read"):
        store.load(SPEC.key)
    store.delete(SPEC.key)
    assert list(store.root.iterdir()) == []


def test_delete_and_delete_again(store):
    store.save(SPEC, full_result(), seconds=1)
    store.delete(SPEC.key)
    assert not store.has(SPEC.key)
    assert [path for path in store.root.iterdir() if path.name.startswith(".tmp")] == []
    store.delete(SPEC.key)


def test_one_part_is_read_without_the_others(store):
    store.save(SPEC, full_result(), seconds=1)
    flip_a_byte("arrays.npz")(store.path(SPEC.key))
    part = store.part(SPEC.key, "top.parquet")
    assert list(part.tables) == ["top"]
    pd.testing.assert_frame_equal(part.tables["top"], full_result().tables["top"])
    assert part.numbers["score"] == 0.25
    assert not part.arrays
    assert not part.files
    with pytest.raises(UnreadableResult):
        store.part(SPEC.key, "arrays.npz")
    with pytest.raises(MissingResult):
        store.part("0" * 16, "top.parquet")


def test_the_history_tells_where_a_result_is_from(store):
    store.save(SPEC, full_result(), seconds=1, provenance={"example": "another machine"})
    store.save(ToySpec(text="other"), Result(), seconds=1)
    said = {record.key: record.provenance for record in store.history()}
    assert said == {SPEC.key: {"example": "another machine"}, ToySpec(text="other").key: {}}


def test_export_can_be_unpacked_and_loaded(store, tmp_path):
    store.save(SPEC, full_result(), seconds=1)
    with zipfile.ZipFile(io.BytesIO(store.export(SPEC.key))) as archive:
        archive.extractall(tmp_path / "unpacked")
    other = Store(tmp_path / "unpacked")
    assert other.load(SPEC.key)[1].files == full_result().files


@pytest.mark.parametrize("name", ["secret.txt", "fold.pdb", "meta.json", "contents.json"])
def test_export_follows_no_link(store, tmp_path, name):
    store.save(SPEC, full_result(), seconds=1)
    secret = tmp_path / "secret"
    secret.write_text('{"created": "2020-01-01", "seconds": 1, "secret": "secret"}')
    link = store.path(SPEC.key) / name
    link.unlink(missing_ok=True)
    link.symlink_to(secret)
    if name == "secret.txt":
        with zipfile.ZipFile(io.BytesIO(store.export(SPEC.key))) as archive:
            assert not [path for path in archive.namelist() if "secret" in path]
    else:
        with pytest.raises(UnreadableResult, match=f"{name} of the result"):
            store.export(SPEC.key)


def test_export_of_an_earlier_version_follows_no_link(store, tmp_path):
    store.save(SPEC, Result(), seconds=1)
    folder = store.path(SPEC.key)
    (folder / "contents.json").write_text("{}")
    shutil.copy(folder / "meta.json", tmp_path / "meta.json")
    (folder / "meta.json").unlink()
    (folder / "meta.json").symlink_to(tmp_path / "meta.json")
    with pytest.raises(UnreadableResult, match=r"meta\.json of the result cannot be read"):
        store.export(SPEC.key)


def test_find(store):
    assert store.find(SPEC.key) is None
    store.save(SPEC, full_result(), seconds=1)
    assert store.find(SPEC.key).files == full_result().files
    edit("result.json", "0.25", "0.99")(store.path(SPEC.key))
    assert store.find(SPEC.key) is None
    assert not store.has(SPEC.key), "it can be stored again"


def test_default_root_follows_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "home"))
    assert Store().root == tmp_path / "home" / "runs"
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


def test_root_that_cannot_be_made_is_explained(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be changed: .*\.$"):
        Store(tmp_path / "file" / "runs")


def test_old_leftovers_are_swept_and_fresh_ones_kept(store):
    old, fresh = store.root / ".a.partial.old", store.root / ".a.partial.new"
    for folder in (old, fresh):
        folder.mkdir()
    os.utime(old, (0, 0))
    forgotten, waiting = ToySpec(text="forgotten"), ToySpec(text="waiting")
    store.mark_pending(waiting, "cpu")
    for spec in (forgotten, waiting, SPEC):
        store.save_shard(spec.key, 0, Result())
    for spec in (forgotten, waiting):
        os.utime(store.shard_path(spec.key, 0).parent, (0, 0))
    Store(store.root)
    assert (old.exists(), fresh.exists()) == (False, True)
    kept = [bool(store.finished_shards(spec.key)) for spec in (forgotten, waiting, SPEC)]
    assert kept == [False, True, True]


def test_markers_of_a_living_process_are_not_interrupted(store):
    store.mark_pending(SPEC, "cpu")
    assert store.interrupted() == []
    store.release_pending(SPEC.key)
    (pending,) = store.interrupted()
    assert (pending.key, pending.study, pending.device) == (SPEC.key, "toy", "cpu")
    store.unmark_pending(SPEC.key)
    assert store.interrupted() == []


@pytest.fixture
def as_another_process(monkeypatch):
    """Within it, notes are of the process that runs these tests' parent."""

    @contextmanager
    def other():
        process = psutil.Process(os.getppid())
        with monkeypatch.context() as patch:
            patch.setattr("neuronlab.runs.store.os.getpid", lambda: process.pid)
            facts = {"pid": process.pid, "started": process.create_time()}
            patch.setattr("neuronlab.runs.store.this_process", lambda: facts)
            yield

    return other


def test_the_marker_of_another_living_process_stays(store, as_another_process):
    with as_another_process():
        store.mark_pending(SPEC, "cpu")
    store.mark_pending(SPEC, "cpu")
    store.unmark_pending(SPEC.key)
    assert len(list((store.root / ".pending").iterdir())) == 1
    store.mark_pending(SPEC, "cpu")
    store.release_pending(SPEC.key)
    assert store.interrupted() == [], "the other process is at work"
    with as_another_process():
        store.release_pending(SPEC.key)
    assert [pending.key for pending in store.interrupted()] == [SPEC.key]
    store.unmark_pending(SPEC.key)
    assert list((store.root / ".pending").iterdir()) == []


def test_markers_of_earlier_versions_are_offered_and_removed(store):
    store.mark_pending(SPEC, "cpu")
    store.release_pending(SPEC.key)
    (path,) = (store.root / ".pending").iterdir()
    path.rename(path.with_name(f"{SPEC.key}.json"))
    assert [pending.key for pending in store.interrupted()] == [SPEC.key]
    store.unmark_pending(SPEC.key)
    assert list((store.root / ".pending").iterdir()) == []


def test_shards_of_the_slower_process_are_removed(store, as_another_process):
    for end in (lambda: store.save(SPEC, Result(), seconds=1), lambda: Store(store.root)):
        store.save(SPEC, Result(), seconds=1)  # by the faster one
        with as_another_process():
            store.mark_pending(SPEC, "cpu")
        store.save_shard(SPEC.key, 0, Result())
        Store(store.root)
        assert store.finished_shards(SPEC.key) == {0}, "the slower one is at work"
        with as_another_process():
            store.release_pending(SPEC.key)
        end()
        assert store.finished_shards(SPEC.key) == set()


def test_a_process_id_used_again_is_not_the_old_process(store):
    store.mark_pending(SPEC, "cpu")
    (path,) = (store.root / ".pending").iterdir()
    marker = json.loads(path.read_text())
    marker["process"]["started"] -= 100
    path.write_text(json.dumps(marker))
    assert [pending.key for pending in store.interrupted()] == [SPEC.key]


def test_unreadable_markers_are_skipped(store):
    store.mark_pending(SPEC, "cpu")
    store.release_pending(SPEC.key)
    for index, text in enumerate(["{", "[]", "{}", '{"process": null}', '{"process": 3}']):
        (store.root / ".pending" / f"{index:016x}.json").write_text(text)
    (store.root / ".pending" / "name.json").write_text("{}")
    assert [pending.key for pending in store.interrupted()] == [SPEC.key]


def test_a_stored_run_is_not_interrupted(store):
    store.mark_pending(SPEC, "cpu")
    store.release_pending(SPEC.key)
    store.save(SPEC, Result(), seconds=1)
    assert store.interrupted() == []


@pytest.mark.parametrize(
    "process", [None, 3, [], {}, {"pid": 1}, *({"pid": pid, "started": 0.0} for pid in (
        float("inf"), float("nan"), -1, 10**30, "x", None, [],
    ))],
)  # fmt: skip
def test_a_note_of_what_is_no_process_is_an_interrupted_run(store, process):
    spec = ToySpec()
    store.mark_pending(spec, "cpu")
    (note,) = (store.root / ".pending").glob("*.json")
    note.write_text(json.dumps(json.loads(note.read_text()) | {"process": process}))
    assert [pending.key for pending in store.interrupted()] == [spec.key]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes among files")
@pytest.mark.parametrize("name", ["spec.json", "meta.json", "result.json", "contents.json"])
def test_a_pipe_in_the_place_of_a_file_hangs_nobody(store, name):
    store.save(SPEC, full_result(), seconds=1.0)
    (store.path(SPEC.key) / name).unlink()
    os.mkfifo(store.path(SPEC.key) / name)
    with pytest.raises(UnreadableResult):
        store.load(SPEC.key)
    store.history()


def test_a_note_of_a_time_beyond_all_times_is_skipped(store):
    store.mark_pending(SPEC, "cpu")
    (note,) = (store.root / ".pending").glob("*.json")
    facts = json.loads(note.read_text()) | {"process": None}
    note.write_text(json.dumps(facts | {"submitted": 10**400}))
    assert store.interrupted() == []


@pytest.mark.long
def test_parts_and_clearings_of_two_at_once_do_not_break_each_other(tmp_path):
    raised = []

    def work(number):
        store = Store(tmp_path / "runs")
        try:
            for _ in range(40):
                store.save_shard(SPEC.key, number, full_result())
                store.clear_shards(SPEC.key)
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert raised == []
