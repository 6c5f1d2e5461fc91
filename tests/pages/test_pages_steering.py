"""The page of steering, on the embedded antibody model."""

import json
import shutil

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from neuronlab import examples
from neuronlab.models.catalogue import entry
from neuronlab.neurons.effect import CONTROLS
from neuronlab.proteins import secondary
from neuronlab.proteins.antibodies import imgt_numbers
from neuronlab.proteins.backbones import backbone
from neuronlab.runs import Context, Store, run_study
from neuronlab.steering.chains import median_chain
from neuronlab.studies.steering import SteeringSpec, SteeringStudy
from neuronlab.widgets import services
from neuronlab.widgets.guard import plain
from pages.steering.findings import beside_unsteered, times, verdict
from pages.steering.form import places, ranges

MODEL = "antiberty"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


EXAMPLE = SteeringStudy.example


def few_steps(study, model):
    few = {"steps": 2, "chains": 2, "free": (27, 52, 100), "predictor": ""}
    return EXAMPLE(study, model).model_copy(update=few)


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    """Very few steps, so that a first visit takes seconds."""
    monkeypatch.setattr(SteeringStudy, "example", few_steps)


@pytest.fixture(scope="module")
def finished(finished, tmp_path_factory):
    """With one result more, once for all tests here; a folder of its own, not that of others."""
    folder = tmp_path_factory.mktemp("steering") / "runs"
    shutil.copytree(finished, folder)
    study = SteeringStudy()
    store, spec = Store(folder), few_steps(study, entry(MODEL))
    store.save(spec, run_study(study, spec, store, Context()), seconds=1.0)
    return folder


@pytest.fixture
def steered(visit, results):
    page = visit("steering", model=MODEL)
    assert page.errors() == []
    return page


def test_the_steered_result_stands_beside_its_controls(steered, results):
    result = steered.result(results)
    numbers = result.numbers
    assert steered.says(f"{numbers['steered']['mean']:+.3g}")
    assert steered.says(CONTROLS[numbers["control"]])
    costs = result.tables["finals"].groupby("condition")["perplexity"].mean()
    assert steered.says(
        f"pseudo-perplexity of **{costs['steered']:.3g}** instead of {costs['unsteered']:.3g}"
    )
    shift = numbers["steered"]["mean"] - numbers["unsteered"]["mean"]
    assert steered.says(f"{shift:+.3g}, 2 chains are too few for an interval")
    assert steered.says(f"p = {numbers['p_value']:.2g}, and can be no smaller than 0.048")
    (rows,) = (d.value for d in steered.at.dataframe if "sd between sets" in d.value)
    assert rows["mean"].tolist() == [
        numbers["start"],
        *(numbers[name]["mean"] for name in ("unsteered", "steered", "random", "as active")),
    ]
    for column, key in (("p", "p_value"), ("sd between sets", "between"), ("sd within", "within")):
        assert rows[column].tolist()[3:] == [numbers[c][key] for c in CONTROLS]
    assert {
        "chart_trajectories",
        "chart_finals",
        "chart_costs",
        "chart_residues",
    } <= steered.charts()
    assert result.tables["finals"]["condition"].value_counts()["random"] == 40
    assert steered.says("No structure that comes with the app is of the start: start from a prot")
    assert "chart_predicted_secondary" in steered.charts()
    start = SteeringStudy().example(entry(MODEL)).sequence
    assert all(
        [a for i, a in enumerate(s) if i not in (27, 52, 100)]
        == [a for i, a in enumerate(start) if i not in (27, 52, 100)]
        for s in result.tables["finals"]["sequence"]
    )
    steered.section("Neurons")
    steered.at.button(key="steer_basket").click()
    steered.run()
    assert "100 neurons" in steered.basket()


def outcome(**changes):
    goal = {"p_value": 1 / 21, "floor": 1 / 21, "direction": "up", "shift_interval": [0.1, 0.5]}
    goal |= {"start": 0.2, "unsteered": {"mean": 0.1}, "steered": {"mean": 0.15}}
    return verdict(goal | {"control": "as active"} | changes)


def test_the_verdict_says_what_moved_the_other_way():
    below = {"steered": {"mean": 0.0}, "p_value": 1.0}
    words = outcome(**below)
    assert "**the other way than asked**, below the start and unsteered ones. **Not" in words
    assert "other way than asked" not in outcome(**below, direction="down")
    above = outcome(steered={"mean": 0.3}, p_value=1.0, direction="down")
    assert "**the other way than asked**, above the start" in above
    assert "other way than asked" not in outcome()


def test_ratios_above_one_are_no_percentages():
    assert times(5.63) == "5.6 times"
    assert times(0.98) == "98%"
    assert times(1.001) == "100%"


def test_the_verdict_is_the_rank_among_the_stronger_controls_sets():
    assert "as asked, more than random neurons of the same layers, matched in" in outcome()
    assert "as asked, more" in outcome(direction="down", shift_interval=[-0.5, -0.1])
    assert "same layers, matched" not in outcome(control="random")
    assert "Not as asked" in outcome(shift_interval=[-0.5, -0.1])
    assert "Not as asked" in outcome(direction="down")
    assert "not told apart from unsteered" in outcome(shift_interval=[-0.1, 0.5])
    for ends in ([-0.5, -0.1], [0.1, 0.5]):
        assert "Not clearly further than random" in outcome(p_value=2 / 21, shift_interval=ends)
    assert "Not clearly further than random" in outcome(p_value=0.05, floor=0.05)


@pytest.mark.parametrize(
    ("sequence", "words"),
    [(UBIQUITIN, "does not look like an antibody"), ("MKJ7", "Character 3"), (" ", "empty")],
)
def test_what_is_no_antibody_is_one_sentence(steered, sequence, words):
    steered.at.button_group(key="steer_free_True").set_value("regions")
    steered.at.text_area(key=f"steer_sequence_{MODEL}").set_value(sequence)
    steered.run()
    steered.one_error(words)
    assert steered.at.button(key="run").disabled


@pytest.mark.parametrize("words", ["0-3", "5-2", "1000", "loop", ""])
def test_residues_are_given_as_ranges(steered, words):
    steered.at.button_group(key="steer_free_True").set_value("own")
    steered.run()
    steered.at.text_input(key="steer_places").set_value(words)
    steered.run()
    steered.one_error("residue" if words else "set some free")


def test_each_step_shows_its_own_sequence(steered, results):
    result = steered.result(results)
    path = result.tables["path"]
    finals = result.tables["finals"]
    median = finals.loc[median_chain(finals, "steered", "gravy")]
    assert path["step"].tolist() == [0, 1, 2]
    assert path["sequence"].iloc[-1] == median["sequence"]
    (slider,) = (s for s in steered.at.slider if s.key.startswith("steer_step"))
    slider.set_value(0)
    steered.run()
    assert steered.errors() == []
    assert steered.says("after step 0, ")
    assert steered.says(": 0 residues of ")


def test_residues_of_an_antibody_have_imgts_numbers_where_asked(steered, results):
    result = steered.result(results)
    finals, path = result.tables["finals"], result.tables["path"]
    start, end = path.loc[path["step"] == 0, "sequence"].iloc[0], path["sequence"].iloc[-1]
    assert end in set(finals["sequence"])
    place = next(i for i, (a, b) in enumerate(zip(start, end, strict=True)) if a != b)
    assert steered.says(f"{start[place]}{place + 1}{end[place]}")
    steered.at.toggle(key="steer_imgt").set_value(True)
    steered.run()
    assert steered.errors() == []
    assert steered.says("IMGT numbers")
    assert steered.says(
        f"{start[place]}{imgt_numbers(start)[place]}{end[place]}".replace(".", "\\.")
    )


def test_a_link_fills_the_form(visit, results):
    spec = few_steps(SteeringStudy(), entry(MODEL))
    page = visit("steering", run=spec.key)
    assert page.errors() == []
    assert page.at.text_input(key="steer_places").value == "28, 53, 101"
    assert page.at.number_input(key="steer_steps").value == 2
    # The form stands for what is shown: nothing says that it is another run.
    assert not page.says("Press Run for the form above")
    page.at.number_input(key="steer_steps").set_value(3)
    page.run()
    assert page.at.number_input(key="steer_steps").value == 3
    assert page.says("Press Run for the form above")


@pytest.mark.parametrize("words", ["1", "1-3", "3, 5-9, 20-21, 30"])
def test_ranges_are_read_as_they_are_written(words):
    assert ranges(places(words, 30)) == words


def steering_form(model):
    """The form alone."""
    from neuronlab.studies.steering import SteeringStudy
    from pages.steering.form import fill, form

    first = SteeringStudy().example(model)
    fill(first, keep=True)
    form(model, first)


def test_it_starts_from_a_protein_people_know(tiny, steered):
    # A model of antibodies has no use for them.
    assert not [each for each in steered.at.selectbox if each.key.startswith("known_")]
    model = tiny("esm", "masked")
    at = AppTest.from_function(steering_form, args=(model,)).run()
    at.selectbox(key=f"known_{model.name}").set_value("2VB1_A").run()
    assert not at.exception
    assert not at.error
    assert at.text_area(key=f"steer_sequence_{model.name}").value == backbone("2VB1_A").sequence


def test_neurons_from_an_empty_basket_or_without_labels_are_one_sentence(steered):
    steered.at.selectbox(key="steer_choose").set_value("basket")
    steered.run()
    steered.one_error("basket is empty")
    steered.at.selectbox(key="steer_choose").set_value("labels")
    steered.run()
    words = next(w for w in steered.at.text_input if w.key.startswith("steer_words"))
    words.set_value("nothinglikethis")
    steered.run()
    steered.one_error("No neuron has such a label")


def test_a_language_model_is_sent_to_a_protein_model(visit, results):
    page = visit("steering")
    page.choose_model("smollm2-135m")
    assert page.errors() == []
    assert page.says("no masked protein model")
    page.press(f"use_{MODEL}")
    assert page.errors() == []
    assert "chart_trajectories" in page.charts()


def test_the_command_is_the_spec(steered, results):
    command = next(code for code in steered.texts_of_code() if code.startswith("printf"))
    spec = json.loads(command.split("'")[1])
    assert spec["steps"] == 2
    assert spec["free"] == [27, 52, 100]


def test_the_page_opens_on_the_stored_example_and_computes_nothing(visit, monkeypatch):
    monkeypatch.setattr(SteeringStudy, "example", EXAMPLE)
    page = visit("steering", model="esm2-8m")
    assert page.errors() == []
    assert page.query("run") == examples.first("steering", entry("esm2-8m")).key
    assert page.query("run") in examples.stored_keys()
    assert page.says("Stored example")
    assert page.says(plain("The start: 76 residues; this model knows any protein"))
    assert not page.says("Nothing was computed here yet")
    assert not services.queue().runs()
    # The form stands for that example, its doses included, and comes back as it is.
    for _ in range(2):
        assert page.at.selectbox(key="steer_goal_1").value == "predicted_helix"
        assert page.at.slider(key="steer_a").value == 2
        assert page.at.slider(key="steer_b").value == 0.5
        assert page.at.number_input(key="steer_steps").value == 15
        assert page.says("Now: 8 chains of 15 steps, 100 random sets of either kind")
        assert not page.says("The form above starts other runs")
        assert not page.says("Press Run for the form above")
        page.go("glossary")
        page.go("steering")
    page.press("steer_preset_Quick")
    assert page.says("Now: 2 chains of 15 steps, 20 random sets of either kind")
    assert page.says("Press Run for the form above")
    page.press("steer_preset_Full")
    assert page.at.number_input(key="steer_random").value == 100
    assert page.at.toggle(key="steer_dose").value
    assert not services.queue().runs()
    # The form of another model begins with its own example.
    page.choose_model(MODEL)
    assert page.at.selectbox(key="steer_goal_1").value == "gravy"
    assert page.at.slider(key="steer_a").value == 3
    assert page.at.number_input(key="steer_steps").value == 5
    assert not page.says("The form above starts other runs")


@pytest.mark.slow  # with others, to keep `make test` short
def test_any_protein_is_steered_and_shown_on_its_own_backbone(
    visit, results, monkeypatch, nothing_stored
):
    few = {"steps": 2, "chains": 2, "goals": ({"property": "predicted_helix", "direction": "up"},)}
    monkeypatch.setattr(
        SteeringStudy,
        "example",
        lambda study, model: SteeringSpec(**{**EXAMPLE(study, model).model_dump(), **few}),
    )
    page = visit("steering", model="esm2-8m")
    assert page.errors() == []
    charts = page.charts()
    assert {"chart_trajectories", "chart_predicted_secondary"} <= charts
    assert {"chart_contacts", "chart_contact_changes"} <= charts
    assert page.says("Helix, predicted")
    finals = page.result(results).tables["finals"]
    steered = finals.loc[median_chain(finals, "steered", "predicted_helix"), "sequence"]
    changes = sum(a != b for a, b in zip(steered, UBIQUITIN, strict=True))
    assert page.says("PDB 5NVG chain A, Ubiquitin")
    assert page.says(f"with the {changes} residues marked")
    helix = [secondary.predicted([s])[0].probabilities[:, 0].mean() for s in finals["sequence"]]
    # The mean of the last tenth of two steps is the last one.
    assert finals["predicted_helix"].to_numpy() == pytest.approx(helix, abs=1e-5)


def test_the_goal_of_a_stretch_is_one_range(steered):
    steered.at.selectbox(key="steer_goal_1").set_value("predicted_helix")
    steered.run()
    assert steered.errors() == []
    steered.at.text_input(key="steer_stretch_1").set_value("10-20, 30")
    steered.run()
    steered.one_error("one range")
    steered.at.text_input(key="steer_stretch_1").set_value("10-20")
    steered.run()
    assert steered.errors() == []


def test_more_than_two_chains_have_an_interval():
    finals = pd.DataFrame({"condition": ["unsteered", "steered"] * 3, "perplexity": 12.0})
    goal = {"shift_interval": [0.1, 0.5], "steered": {"mean": 0.4}, "unsteered": {"mean": 0.1}}
    words = beside_unsteered(goal, finals)
    assert "+0.3, 95 % interval over chains +0.1 to +0.5." in words
