"""The labels of a language model: what the page says is what is stored, and the card follows."""

import numpy as np
import pandas as pd
import pytest
from chat_endpoint import completion
from streamlit.testing.v1 import AppTest

from neuronlab.cost import Cost
from neuronlab.examples import example
from neuronlab.neurons import Neuron
from neuronlab.runs import Queue, Store
from neuronlab.studies import context_explanation
from neuronlab.studies.token_labels import TokenLabelsSpec, TokenLabelsStudy
from neuronlab.widgets import runs, services
from pages.labels import search

MODEL = "smollm2-135m"


@pytest.fixture
def page(visit, results):
    page = visit("labels", model=MODEL)
    assert page.errors() == []
    return page


def test_it_opens_on_a_searched_word(page):
    listed = page.at.dataframe(key="context_rows").value
    assert listed["label"].iloc[:3].str.contains("political").all()
    first = listed.iloc[0]
    assert page.says(f"Neuron {first['layer']} / FFN / {first['neuron']}")
    assert first["correlation"] > 0.6


def test_a_view_of_protein_models_is_said_to_be_none_of_this_one(visit, results):
    page = visit("labels", model=MODEL, view="residue_labels")
    assert page.says("“Along the chain” is of protein models of every kind")
    assert page.errors() == []


def test_the_best_labels_are_listed_with_their_control(visit, results):
    page = visit("labels", model=MODEL, context_query="")
    assert page.errors() == []
    spec, result = page.stored(results)
    assert (spec["study"], spec["model"]) == ("token_labels", MODEL)
    table, n = result.tables["labels"], result.numbers
    labelled = table[table["label"] != ""].sort_values("correlation", ascending=False)
    rare = labelled[labelled["bearing"] <= 0.001 * n["tokens"]]
    assert page.says(f"{len(labelled):,} of 46,080** neurons have words, or pieces of words")
    assert page.says(f"{n['predicting']:,} predict the neuron")
    assert page.says(f"{n['correlation']:.2f}** (another neuron's label")
    listed = page.at.dataframe(key="context_rows").value
    assert listed["correlation"].tolist() == rare["correlation"].head(2_000).tolist()
    assert page.says(
        f"{len(labelled) - len(rare):,} neurons are left out here, whose labels are of"
    )
    best = listed.iloc[0]
    assert page.says(f"Neuron {best['layer']} / FFN / {best['neuron']}")
    assert "”, “" in best["promotes"]
    assert page.says(f"{best['bearing']:,} held-out tokens")
    page.at.segmented_control(key="context_frequency").set_value("kept")
    page.run()
    listed = page.at.dataframe(key="context_rows").value
    assert listed["correlation"].tolist() == labelled["correlation"].head(2_000).tolist()
    assert len(rare) < len(labelled)
    assert not page.says("whose labels are of frequent words")


def test_words_find_labels_and_places_and_a_row_opens_its_card(page, results):
    table = page.result(results).tables["labels"]
    page.at.text_input(key="context_query").set_value("music")
    page.run()
    listed = page.at.dataframe(key="context_rows").value
    words = (table["label"] + " " + table["peaks"]).str.lower()
    assert 0 < len(listed) <= words.str.contains("music").sum()
    named = listed["label"].str.contains("music").tolist()
    assert named == sorted(named, reverse=True)  # labels first, then places
    assert page.says(f"{sum(named)} have the words in their label and come first")
    assert page.says(f"{len(named) - sum(named)} have them only at their places")
    assert "words at its places" in listed
    assert (listed["label"] != "").all()
    unlabelled = (listed["label"] == "no label").sum()
    assert unlabelled
    assert page.says(f"{unlabelled} have no label")
    first, second = listed.iloc[0], listed.iloc[1]
    assert page.says(f"Neuron {first['layer']} / FFN / {first['neuron']}")  # the card follows
    page.at.session_state["neurons"] = {
        page.query("run"): Neuron(int(second["layer"]), "ffn", int(second["neuron"]))
    }
    page.run()
    assert page.errors() == []
    assert page.says(f"Neuron {second['layer']} / FFN / {second['neuron']}")
    page.at.text_input(key="context_query").set_value("qqqq")
    page.run()
    assert page.says("No neuron answers to such words")


def test_the_card_of_any_page_shows_two_places(visit, results):
    stored = next(
        record
        for record in Store(results).history()
        if record.study == "token_labels" and record.spec["model"] == MODEL
    )
    table = Store(results).load(stored.key)[1].tables["labels"]
    row = table[table["label"] != ""].iloc[0]
    app = visit("attribution", run=example(MODEL).key, neuron=f"{row['layer']}.ffn.{row['neuron']}")
    assert app.errors() == []
    assert app.says(f"Most positive **{row['label']}**")
    assert app.says("Where in WordNet's definitions it is most")


def test_a_link_to_a_run_opens_its_labels(visit, results):
    stored = next(r for r in Store(results).history() if r.study == "token_labels")
    app = visit("labels", run=stored.key)
    assert app.errors() == []
    assert app.query("run") == stored.key
    fields = {n: v for n, v in stored.spec.items() if n in TokenLabelsSpec.model_fields}
    spec = TokenLabelsSpec(**fields)
    assert spec.key == stored.key


def panel(page):
    """The key of the card's container: on a phone it decides whether the card is in view."""
    keys = {block.proto.id for block in page.at.get("flex_container")}
    (key,) = {key.split("-")[-1] for key in keys if "neuron_panel" in key}
    return key


def test_on_a_phone_the_card_comes_up_when_a_row_is_picked_and_goes(page):
    assert panel(page) == "neuron_panel"
    page.select("context_rows", 3)
    page.at.session_state["neuron_opened"] = True  # as the click on the row does
    page.run()
    assert panel(page) == "neuron_panel_opened"
    page.press("close_neuron")
    assert panel(page) == "neuron_panel"


def test_a_list_says_how_much_of_it_there_is():
    rows = pd.DataFrame({"layer": range(500), "label": "at “sea”", "correlation": 0.5})
    assert search.heading(rows, 2_000).startswith("**500 neurons**. Click")
    assert search.heading(rows, 100).startswith("**500 neurons** (the first 100). Click")
    meant = rows.assign(likeness=np.linspace(0.7, 0.3, 500))
    assert "nearest in meaning (likeness 0.70 to 0.30)." in search.heading(meant, 2_000)
    assert "The **500 neurons** whose labels are nearest" in search.heading(meant, 2_000)
    assert search.heading(meant[:40], 2_000).startswith("**40 neurons**, those nearest")
    rows.loc[:2, "label"], rows.loc[:9, "correlation"] = "", np.nan
    words = search.heading(rows, 2_000)
    assert words.endswith(
        "3 have no label. 7 labels could not be judged (–): too little held out bears them."
    )


def test_a_chat_model_is_asked_about_a_neuron_and_what_it_says_is_text(
    page, results, server, monkeypatch
):
    monkeypatch.setattr(context_explanation, "_SEARCHED", 60)
    server.script = lambda request, number: completion(
        "2=10" if "Tokens:" in request["messages"][1]["content"] else "At <b>bold</b> [words](x)."
    )
    assert page.says("No endpoint is set")
    page.at.text_input(key="context_address").set_value("nowhere")
    page.at.text_input(key="context_llm").set_value("tiny")
    page.run()
    page.one_error("must begin with http")
    page.at.text_input(key="context_address").set_value(server.address)
    page.run()
    assert page.errors() == []
    assert page.says("44 questions")
    assert not server.requests
    page.press("explain")
    assert page.errors() == []
    assert len(server.requests) == 44
    (stored,) = [r for r in Store(results).history() if r.study == "context_explanation"]
    numbers = Store(results).load(stored.key)[1].numbers
    assert page.says(f"Held-out correlation **{numbers['correlation']:.2f}**")
    assert page.says(f"other neurons get **{numbers['control_correlation']:.2f}**")
    assert page.says(r"At \<b\>bold")
    assert not [text for text in page.texts() if "<b>" in text]
    # What was said stays, also for those who have no endpoint.
    for field in ("context_address", "context_llm"):
        page.at.text_input(key=field).set_value("")
    page.run()
    assert page.says("**tiny** was asked before:")
    assert page.says(f"Held-out correlation **{numbers['correlation']:.2f}**")


def test_what_was_seen_comes_back_where_another_run_is_cancelled(page, monkeypatch):
    seen = page.query("run")
    monkeypatch.setattr(Queue, "_start_worker", lambda self, device: None)
    monkeypatch.setattr(runs, "wait", lambda key, *of: runs._cancel(key))
    page.at.number_input(key="context_limit").set_value(500)
    page.at.button(key="run").click()
    page.run()
    assert services.queue().runs()[0].status == "cancelled"
    assert page.query("run") == seen
    assert page.says("words, or pieces of words")


def _first():
    """What a page shows of a model that nobody has asked for anything; AppTest runs its text."""
    import streamlit as st

    from neuronlab.widgets import shown

    first = st.session_state["first"]
    st.session_state["finished"] = shown.finished(first.study, first.model, first, first)


@pytest.mark.parametrize(("seconds", "long"), [(900.0, True), (9.0, False)])
@pytest.mark.parametrize("name", ["nobody/nothing", MODEL])
def test_a_long_run_is_begun_only_when_asked_for(
    home, nothing_stored, monkeypatch, name, seconds, long
):
    monkeypatch.setattr(TokenLabelsStudy, "cost", lambda self, spec, context: Cost(seconds))
    monkeypatch.setattr(Queue, "_start_worker", lambda self, device: None)
    monkeypatch.setattr(runs, "wait", lambda key, *of: None)
    at = AppTest.from_function(_first)
    at.session_state["device"] = "cpu"
    at.session_state["first"] = TokenLabelsSpec(model=name, limit=1_000)
    at.run()
    assert not at.exception
    assert at.session_state["finished"] is None
    assert len(services.queue().runs()) == (0 if long else 1)
    assert ["Nothing was computed here yet" in each.value for each in at.info] == [True] * long
    if long:  # what is offered is begun, and nothing else
        at.button(key="compute").click().run()
        assert [run.key for run in services.queue().runs()] == [at.session_state["first"].key]
