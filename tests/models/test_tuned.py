"""Tuned models: whole or absent, part of the catalogue, and the same model when loaded again."""

from pathlib import Path

import pytest
import torch

import neuronlab as nl
from neuronlab.models import sharing, tuned
from neuronlab.models.catalogue import CATALOGUE, available, entry
from neuronlab.models.entries import Entry

SEQUENCE = "MKTAYIAKQRLEDS"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def card_of(name, revision="sha256:abc", **changes):
    place = Entry(
        name=name,
        title=f"Title of {name}",
        what="A test.",
        kind="classifier",
        alphabet="protein",
        family="esm",
        licence="MIT",
        parameters=1,
        download_bytes=0,
        tuned=revision,
    )
    settings = {"base": {"name": "x", "revision": "y"}, "key": "k", "data": "own proteins"}
    return tuned.Card(entry=place, **settings, sizes={"train": 7}, metrics={"auc": 0.75}, **changes)


def writes(text):
    return lambda folder: (folder / "model.safetensors").write_text(text)


def keep(name, text="weights"):
    return tuned.save(name, writes(text), lambda revision: card_of(name, revision))


def content(name):
    return (tuned.folder(name) / "model.safetensors").read_text()


def left_behind(home):
    return sorted(path.name for path in (home / "tuned").iterdir())


@pytest.fixture
def saved(tiny):
    """Save a tiny ESM classifier under a name."""

    def save(name, model=None):
        model = model or tiny("esm", "classifier")

        def write(folder):
            model.hf.save_pretrained(folder)
            model.tokenizer.save_pretrained(folder)

        return tuned.save(name, write, lambda revision: card_of(name, revision))

    return save


def test_what_is_saved_is_listed_with_its_card(home):
    assert tuned.entries() == []
    kept = keep("b-model")
    keep("a.model2")
    assert tuned.card("b-model") == kept
    assert tuned.card("b-model").sizes == {"train": 7}
    assert tuned.card("b-model").metrics == {"auc": 0.75}
    assert [e.name for e in tuned.entries()] == ["a.model2", "b-model"]
    assert left_behind(home) == ["a.model2", "b-model"]
    assert content("b-model") == "weights"


def test_it_joins_the_catalogue_before_the_hub():
    before = [e.name for e in available()]
    assert entry("mine") is None
    keep("mine")
    assert entry("mine") == tuned.card("mine").entry
    assert entry("mine").source == "tuned on this machine"
    assert entry("mine").revision == tuned.card("mine").entry.tuned
    after = [e.name for e in available()]
    assert set(after) - set(before) == {"mine"}
    embedded = [e.name for e in CATALOGUE if e.embedded]
    assert after[: len(embedded) + 1] == [*embedded, "mine"]


def test_a_name_of_the_catalogue_is_the_catalogues():
    keep("esm2-8m-enzyme")  # as version 0.1 called it
    assert [e.tuned for e in available() if e.name == "esm2-8m-enzyme"] == [""]
    assert entry("esm2-8m-enzyme").trained


def test_a_removed_model_is_gone_and_the_others_stay(home):
    keep("mine")
    keep("other")
    tuned.remove("mine")
    assert tuned.card("mine") is None
    assert entry("mine") is None
    assert left_behind(home) == ["other"]
    tuned.remove("mine")  # again: there is none
    tuned.remove("../other")
    assert left_behind(home) == ["other"]
    keep("mine", "again")
    tuned.remove("mine")
    assert left_behind(home) == ["other"]


@pytest.mark.parametrize("error", [RuntimeError("no"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_nothing(home, error):
    def write(folder):
        writes("half")(folder)
        raise error

    with pytest.raises(type(error)):
        tuned.save("mine", write, lambda revision: card_of("mine", revision))
    assert left_behind(home) == []
    keep("mine", "old")
    with pytest.raises(type(error)):
        tuned.save("mine", write, lambda revision: card_of("mine", revision))
    assert content("mine") == "old"
    assert left_behind(home) == ["mine"]


def test_a_card_that_fails_leaves_the_older_model():
    old = keep("mine", "old")

    def describe(revision):
        raise ValueError("no card")

    with pytest.raises(ValueError, match="no card"):
        tuned.save("mine", writes("new"), describe)
    assert content("mine") == "old"
    assert tuned.card("mine") == old


def test_a_refusing_disk_is_one_sentence(home, sentence):
    def full(folder):
        raise OSError(28, "No space left on device")

    sentence(tuned.save, "mine", full, card_of, says=["free disk space", "mine"])
    assert left_behind(home) == []


def test_the_older_model_survives_when_the_new_one_cannot_take_its_place(monkeypatch, sentence):
    keep("mine", "old")

    def replace(self, target):
        raise PermissionError(13, "denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", replace)
        sentence(keep, "mine", "new", says="cannot be written")
    assert tuned.card("mine") is not None
    assert content("mine") == "old"


def test_a_newer_model_replaces_one_of_the_same_name(home):
    first = keep("mine", "old")
    second = keep("mine", "new")
    assert content("mine") == "new"
    assert tuned.card("mine") == second != first
    assert left_behind(home) == ["mine"]


NO_TEXT = pytest.param(
    b"\xff\xfe\x00",
    id="no text",
)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[]", b'{"entry": {"name": "mine"}}', None, NO_TEXT]
)
def test_a_damaged_card_is_no_model(damage):
    keep("mine")
    keep("other")
    path = tuned.folder("mine") / tuned.CARD
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    assert tuned.card("mine") is None
    assert entry("mine") is None
    assert tuned.spec_of("mine") == {}
    names = [e.name for e in available()]
    assert "mine" not in names
    assert "other" in names


def test_other_things_in_the_folder_are_no_models(home):
    keep("mine")
    (home / "tuned" / "notes.txt").write_text("mine")
    (home / "tuned" / "empty").mkdir()
    (home / "tuned" / "Upper Case").mkdir()
    assert [e.name for e in tuned.entries()] == ["mine"]


def test_a_damaged_spec_is_an_empty_one():
    keep("mine")
    assert tuned.spec_of("mine") == {}
    path = tuned.folder("mine") / tuned.SPEC
    path.write_text('{"data": "own"}')
    assert tuned.spec_of("mine") == {"data": "own"}
    for damage in (b"{", b"\xff\xfe"):
        path.write_bytes(damage)
        assert tuned.spec_of("mine") == {}


@pytest.mark.parametrize(
    "name", ["", "Mine", "my model", "../mine", "a/b", ".hidden", "-x", "ü", "a" * 61]
)
def test_what_is_no_name_is_one_sentence(home, name, sentence):
    asked = []
    sentence(tuned.save, name, asked.append, card_of, says="cannot name a model")
    assert asked == []
    assert tuned.card(name) is None
    assert not (home / "tuned").exists()


def test_a_tuned_model_loads_as_it_was(tiny, saved):
    model = tiny("esm", "classifier")
    kept = saved("mine")
    again = nl.load("mine", device="cpu")
    prompt = nl.Prompt(SEQUENCE, target=1)
    before, after = model.hf.state_dict(), again.hf.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    # Where tensors lie in memory decides the last bit.
    logits = nl.predict(model, prompt).logits
    assert torch.allclose(nl.predict(again, prompt).logits, logits, rtol=0, atol=1e-5)
    assert (again.name, again.title) == ("mine", "Title of mine")
    assert (again.kind, again.alphabet) == ("classifier", "protein")
    assert again.labels == model.labels
    assert again.revision == kept.entry.tuned
    assert torch.equal(again.encode(prompt).input_ids, model.encode(prompt).input_ids)


def test_the_revision_is_that_of_the_weights(tiny, twin, saved):
    model = tiny("esm", "classifier")
    other = twin(model)
    with torch.no_grad():
        other.hf.classifier.out_proj.bias[0] += 1e-3
    first, same, changed = saved("one"), saved("two"), saved("three", other)
    assert first.entry.tuned == same.entry.tuned
    assert changed.entry.tuned != first.entry.tuned
    assert saved("one", other).entry.revision == changed.entry.revision
    assert nl.load("one", device="cpu").revision == changed.entry.tuned


def test_shared_models_are_loaded_anew_once_forgotten(tiny, twin, saved, monkeypatch):
    monkeypatch.setattr(sharing, "_shared", type(sharing._shared)())
    saved("mine")
    saved("other")
    first, untouched = sharing.shared("mine", "cpu"), sharing.shared("other", "cpu")
    changed = twin(tiny("esm", "classifier"))
    with torch.no_grad():
        changed.hf.classifier.out_proj.bias[0] += 1.0
    saved("mine", changed)
    assert sharing.shared("mine", "cpu") is first
    sharing.forget("mine")
    second = sharing.shared("mine", "cpu")
    assert second is not first
    prompt = nl.Prompt(SEQUENCE, target=0)
    difference = nl.predict(second, prompt).logits - nl.predict(first, prompt).logits
    assert difference.tolist() == pytest.approx([1, 0, 0], abs=1e-5)
    assert sharing.shared("other", "cpu") is untouched
    sharing.forget("nobody")
