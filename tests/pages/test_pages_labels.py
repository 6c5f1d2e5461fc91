"""The page of labels, on the embedded antibody model."""

import shutil
from types import SimpleNamespace

import pandas as pd
import pytest

from neuronlab import examples
from neuronlab.labels.search import search_words
from neuronlab.models.catalogue import entry
from neuronlab.runs import Context, Store, run_study
from neuronlab.studies import STUDIES
from neuronlab.studies.neuron_labels import small
from pages.labels import browse, card, labelling

MODEL = "antiberty"
UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


def few_labels(model, revision):
    # As many are held out as the form says: both start from the same exemplars.
    few = {"limit": 120, "held_out": 400, "per_layer": 8}
    return small(model, revision).model_copy(update=few)


@pytest.fixture(autouse=True)
def _few(monkeypatch):
    """Very few neurons, so that a first visit takes seconds."""
    first = {"first": lambda study, model: few_labels(model.name, model.revision)}
    monkeypatch.setattr(labelling, "examples", SimpleNamespace(**first))


@pytest.fixture(scope="module")
def finished(finished, tmp_path_factory):
    """With one result more, once for all tests here; a folder of its own, not that of others."""
    folder = tmp_path_factory.mktemp("labels") / "runs"
    shutil.copytree(finished, folder)
    store, spec = Store(folder), few_labels(MODEL, entry(MODEL).revision)
    study = STUDIES[spec.study]
    store.save(spec, run_study(study, spec, store, Context()), seconds=1.0)
    return folder


@pytest.fixture
def labels(visit, results):
    page = visit("labels", model=MODEL)
    assert page.errors() == []
    return page


def test_a_link_to_a_neuron_shows_it_or_says_that_it_has_no_label(visit, results):
    spec = few_labels(MODEL, entry(MODEL).revision)
    table = Store(results).load(spec.key)[1].tables["labels"]
    last = table[table["label"] != ""].sort_values("correlation").iloc[0]
    name = f"{last['layer']}.{last['component']}.{last['neuron']}"
    page = visit("labels", model=MODEL, run=spec.key, neuron=name)
    assert page.errors() == []
    assert page.query("neuron") == name
    assert page.run().query("neuron") == name
    unlabelled = table[table["label"] == ""].iloc[0]
    name = f"{unlabelled['layer']}.{unlabelled['component']}.{unlabelled['neuron']}"
    page = visit("labels", model=MODEL, run=spec.key, neuron=name)
    page.one_error("has no label here", "is shown instead")
    instead = page.query("neuron")
    assert instead != name


def test_labels_are_listed_with_their_controls_and_a_card(visit, results):
    labels = visit("labels", model=MODEL, label_query="")
    assert labels.errors() == []
    table = labels.result(results).tables["labels"]
    named = table[table["label"] != ""]
    assert labels.says(f"{len(named)} of {len(table)}")
    assert labels.says(f"its own beats **{named['beaten'].mean():.0%}** of them")
    assert labels.says("0% of the 20 proteins that judge have a relative")
    wrong = int((named["correlation"] < 0).sum())
    assert wrong
    assert labels.says(f"{wrong:,} labels predict the wrong way")
    shown = labels.at.dataframe(key="label_rows").value
    expected = named[~(named["correlation"] < 0)].sort_values("correlation", ascending=False)
    assert shown["label"].tolist() == expected["label"].tolist()
    best = expected.iloc[0]
    assert labels.says(f"Neuron {best['layer']} / FFN / {best['neuron']}")
    assert {"chart_correlations", "chart_feature"} <= labels.charts()
    proteins = [d.value for d in labels.at.dataframe if "protein" in d.value]
    assert {len(table) for table in proteins} == {30}


def test_relatives_and_controls_are_told_where_there_are_any():
    numbers = {
        "related": 0.82, "judged": 200, "related_correlation": 0.368,
        "unrelated_correlation": 0.333, "control_correlation": 0.138, "beaten": 0.835,
    }  # fmt: skip
    relatives = browse._relatives(numbers)
    assert "82% of the 200 proteins" in relatives
    assert relatives.endswith("median correlation 0.37 with one, 0.33 without.")
    few = browse._relatives(numbers | {"related_correlation": float("nan")})
    assert few.endswith("in common).")
    assert "get 0.14, and its own beats **84%**" in card.control(numbers)
    assert card.control(numbers | {"control_correlation": float("nan")}) == ""


def test_labels_are_searched_and_the_search_may_find_nothing(labels, results):
    table = labels.result(results).tables["labels"]
    word = table.loc[table["label"] != "", "label"].iloc[0].split()[-1]
    labels.at.slider(key="label_least").set_value(-1.0)
    labels.at.text_input(key="label_query").set_value(word)
    labels.run()
    hits = labels.at.dataframe(key="label_rows").value["label"]
    assert len(hits)
    assert all(word.lower() in label.lower() for label in hits)
    first = labels.at.dataframe(key="label_rows").value.iloc[0]
    assert labels.says(f"Neuron {first['layer']} / FFN / {first['neuron']}")  # the card follows
    labels.at.text_input(key="label_query").set_value("nothinglikethis")
    labels.run()
    assert labels.errors() == []
    assert labels.says("No neuron has such a label")


def test_it_opens_on_a_searched_concept_with_its_neurons_on_structures(visit, results):
    spec = examples.large_of(small("esm2-8m", entry("esm2-8m").revision))
    assert examples.adopt(spec.key, Store(results))
    page = visit("labels", run=spec.key)
    assert page.errors() == []
    listed = page.at.dataframe(key="label_rows").value
    assert listed["label"].str.contains("high helix in the known structure").all()
    assert listed["correlation"].iloc[0] > 0.7
    # Its label says what the proteins people know have in common that drive it most.
    (chosen,) = [box for box in page.at.selectbox if box.key == "label_painted"]
    helical = ("Ferritin", "Villin", "Haemoglobin", "Myoglobin", "Leptin", "Erythropoietin")
    assert all(title.startswith(helical) for title in chosen.options[:3])
    page.at.text_input(key="label_query").set_value("")
    page.run()
    assert len(page.at.dataframe(key="label_rows").value) == 2_000
    page = visit("labels", run=spec.key, neuron=page.query("neuron"))  # as a reload does
    assert page.at.text_input(key="label_query").value == ""


def test_antibodies_labels_open_on_a_chain_and_hints_find_something(visit, results):
    spec = small(MODEL, entry(MODEL).revision)
    assert examples.adopt(spec.key, Store(results))
    page = visit("labels", run=spec.key)
    assert page.errors() == []
    query = page.at.text_input(key="label_query")
    assert query.value == '"chain: kappa"'
    assert page.at.dataframe(key="label_rows").value["correlation"].iloc[0] > 0.8
    hints = query.placeholder.split(", ")
    assert "kinase" not in hints
    assert "IGHV3" in hints
    table = Store(results).load(spec.key)[1].tables["labels"]
    assert all(len(search_words(table, hint)) for hint in hints)


def test_the_address_has_the_search(labels, results, visit):
    labels.at.text_input(key="label_query").set_value("low residue")
    labels.run()
    page = visit("labels", model=MODEL, label_query=labels.query("label_query"), label_least="0.2")
    assert page.at.text_input(key="label_query").value == "low residue"
    assert page.at.slider(key="label_least").value == 0.2
    listed = page.at.dataframe(key="label_rows").value
    assert len(listed)
    assert (listed["correlation"] >= 0.2).all()


def test_a_neurons_card_elsewhere_shows_its_label(labels, results, visit):
    best = labels.at.dataframe(key="label_rows").value.iloc[0]
    neuron = f"{best['layer']}.ffn.{best['neuron']}"
    key = next(r.key for r in Store(results).history() if r.spec.get("model") == MODEL
               and r.study == "attribution")  # fmt: skip
    page = visit("attribution", run=key, neuron=neuron)
    assert page.errors() == []
    assert page.says("Label:")


def test_imported_labels_are_shown_and_html_in_them_is_text(labels, results):
    rows = [{"model": MODEL, "layer": 0, "component": "ffn", "neuron": 3, "label": "<b>bold</b>"}]
    data = pd.DataFrame(rows).to_csv(index=False).encode()
    labels.at.file_uploader(key="label_import").upload("mine.csv", data, "text/csv")
    labels.run()
    labels.at.button(key="label_import_go").click()
    labels.run()
    labels.at.toggle(key="label_imported").set_value(True)
    labels.run()
    assert labels.errors() == []
    assert labels.says("1** imported labels")
    assert not [t for t in labels.texts() if "<b>" in t and "\\<b" not in t]


def test_a_corpus_without_annotations_is_taken_and_one_without_proteins_is_not(labels):
    labels.at.selectbox(key="label_corpus_germlines").set_value("own")
    labels.run()
    assert labels.at.button(key="run").disabled
    labels.at.file_uploader(key="label_file").upload("mine.fasta", b">a\nMKJ7\n", "text/plain")
    labels.run()
    labels.one_error("no protein that can be used")
    fasta = "".join(f">p{i}\n{UBIQUITIN[i:]}{UBIQUITIN[:i]}\n" for i in range(70)).encode()
    labels.at.file_uploader(key="label_file").upload("mine.fasta", fasta, "text/plain")
    labels.run()
    assert labels.errors() == []
    assert labels.says("70 proteins, 0 with annotations")
    assert not labels.at.button(key="run").disabled


def test_an_endpoint_needs_an_address_and_its_key_is_in_no_spec(labels, results):
    labels.at.selectbox(key="label_explainer").set_value("endpoint")
    labels.run()
    assert len(labels.errors()) == 1
    labels.at.text_input(key="label_address").set_value("http://127.0.0.1:9/v1")
    labels.at.text_input(key="label_llm").set_value("some-model")
    labels.at.text_input(key="label_key").set_value("secret-key")
    labels.run()
    assert labels.errors() == []
    assert labels.says("requests of about")
    labels.at.number_input(key="label_limit").set_value(120)
    labels.press("run")
    labels.one_error("127.0.0.1")
    assert not [p for p in results.rglob("*.json") if "secret-key" in p.read_text()]


@pytest.mark.slow  # with others, to keep `make test` short
def test_labels_that_came_alone_find_their_proteins(labels, results, visit):
    spec = few_labels(MODEL, entry(MODEL).revision).exemplars
    Store(results).delete(spec.key)
    page = visit("labels", model=MODEL)
    assert page.says("Labels alone are stored here")
    assert not [d for d in page.at.dataframe if "protein" in d.value]
    page.press("label_exemplars")
    assert page.errors() == []
    assert not page.says("Labels alone are stored here")
    assert [d for d in page.at.dataframe if "protein" in d.value]
