"""Folders by name: any on one's own machine, and on a server for others those that are listed."""

import os

import pytest

import neuronlab as nl
from neuronlab import home
from neuronlab.labels import longformer
from neuronlab.models import folders, loading


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A listed folder and another beside it, each with a model's folder."""
    for place in ("listed/mine", "listed-not/secret", "home/simulators/one"):
        (tmp_path / place).mkdir(parents=True)
    (tmp_path / "listed/way_out").symlink_to(tmp_path / "listed-not")
    (tmp_path / "listed/loop").symlink_to(tmp_path / "listed/loop")
    (tmp_path / "other_name").symlink_to(tmp_path / "listed")
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HOME", str(tmp_path / "listed-not"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.delenv(folders.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path / "listed-not")
    return tmp_path


def test_any_folder_on_ones_own_machine(machine):
    assert folders.named(str(machine / "listed-not/secret")) == machine / "listed-not/secret"
    assert folders.named("~/secret") == folders.named("secret") == machine / "listed-not/secret"
    assert folders.named("absent") is None


@pytest.mark.parametrize("variable", ["listed", "other_name"])
def test_what_is_listed_can_be_named(machine, monkeypatch, variable):
    monkeypatch.setenv(folders.VARIABLE, os.pathsep.join(["", str(machine / variable)]))
    for place in ("listed", "listed/mine", "listed/../listed/mine", "other_name/mine"):
        expected = (machine / place).resolve()
        reachable = variable == "other_name" or not place.startswith("other_name")
        # By another name only where that is the one that is listed.
        assert folders.named(str(machine / place)) == (expected if reachable else None)
    made = home.folder() / "simulators/one"
    assert folders.named(str(made)) == made


# Outside, there or not: through "..", links, the home folder and the folder of the server.
OUTSIDE = [
    ("{}/listed-not/secret", "{}/listed-not/absent"),
    ("{}/listed/../listed-not/secret", "{}/listed/../listed-not/absent"),
    ("{}/listed/way_out/secret", "{}/listed/way_out/absent"),
    ("{}/listed/loop", "{}/listed/absent"),
    ("{}", "{}/absent"),
    ("/", "/absent"),
    ("~/secret", "~/absent"),
    ("~root", "~nobody-of-that-name"),
    ("secret", "absent"),
    ("./secret", "./absent"),
    ("../listed-not/secret", "../listed-not/absent"),
]


@pytest.mark.parametrize("listed", ["", "listed"])
@pytest.mark.parametrize("pair", OUTSIDE)
def test_outside_of_the_list_nothing_tells_what_is_there(machine, monkeypatch, pair, listed):
    monkeypatch.setenv(folders.VARIABLE, str(machine / listed) if listed else "")
    monkeypatch.setattr(loading, "hub_reachable", lambda: False)
    for load in (nl.load, longformer.load):
        answers = set()
        for name in pair:
            name = name.format(machine)
            assert folders.named(name) is None
            with pytest.raises(nl.UserError) as caught:
                load(name)
            said = f"{caught.value} {caught.value.details}"
            answers.add(said.replace(repr(name), "NAME"))
        assert len(answers) == 1


def test_a_hub_id_that_is_a_folder_of_the_server_is_not_read(machine, monkeypatch, tiny):
    model = tiny("llama")
    model.hf.save_pretrained(machine / "listed-not/secret")
    model.tokenizer.save_pretrained(machine / "listed-not/secret")
    assert nl.load("secret", device="cpu").kind == "causal"
    monkeypatch.setenv(folders.VARIABLE, "")
    with pytest.raises(nl.UserError, match="not on this machine"):
        nl.load("secret", device="cpu")


NAMES = ["x" * 300, f"{'x' * 300}/y", "~nobody", "~\0", "a\0b", "a\ud800b", "", " ", "a b", "a\nb"]


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_what_is_no_name_is_one_sentence(machine, monkeypatch, sentence, name, limited):
    if limited:
        monkeypatch.setenv(folders.VARIABLE, str(machine / "listed"))
    said = sentence(nl.load, name, says="no model folder")
    assert said.isprintable()
    assert sentence(longformer.load, name, says="no simulator").isprintable()
    monkeypatch.setattr(longformer, "hub_reachable", lambda: False)
    sentence(longformer.untrained, name, longformer.Settings(), "cpu")
