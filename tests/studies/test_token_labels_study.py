"""Places and labels of a small corpus: one pass, many portions, and what is refused."""

import numpy as np
import pytest
from contexts import context_with, like, run

from neuronlab.attribution import estimate
from neuronlab.labels.contexts import contexts, token_ids, words
from neuronlab.labels.token_labels import ROLES
from neuronlab.runs import Context
from neuronlab.studies import contexts as study
from neuronlab.studies.contexts import ContextsSpec
from neuronlab.studies.token_labels import TokenLabelsSpec, TokenLabelsStudy, _promoted

pytestmark = pytest.mark.usefixtures("texts")


@pytest.fixture
def model(tiny):
    return tiny("llama", "causal")


def test_portions_give_what_one_pass_gives(model, tmp_path, monkeypatch, texts):
    monkeypatch.setattr(study, "PORTION", 50)
    spec = ContextsSpec(model="x", keep=4)
    result = run(model, spec, tmp_path)
    numbers = np.flatnonzero(~spec.judging(len(texts))).tolist()
    assert result.numbers["texts"] == len(numbers) == 216
    ids = token_ids(model, [texts[i] for i in numbers])
    whole = contexts(model, ids, numbers, ("ffn",), 4)["ffn"].arrays("ffn")
    named = result.tables["texts"]["text"].to_numpy()
    assert not {texts[i] for i in np.flatnonzero(spec.judging(len(texts)))} & set(named)
    for end in ("top", "bottom"):
        value = result.arrays[f"{end}_value.ffn"]
        assert value == pytest.approx(whole[f"{end}_value.ffn"], rel=2e-3)
        same = named[result.arrays[f"{end}_text.ffn"]] == np.array(texts)[whole[f"{end}_text.ffn"]]
        assert same.mean() > 0.9  # of equal values, which of them does not matter


def test_labels_are_judged_on_texts_that_drove_no_neuron(model, tmp_path, texts):
    spec = TokenLabelsSpec(model="x")
    result = run(model, spec, tmp_path)
    table, n = result.tables["labels"], result.numbers
    assert len(table) == n["neurons"] == model.layers * model.sizes["ffn"]
    assert n["judged"] == 24
    labelled = table[table["label"] != ""]
    assert n["labelled"] == len(labelled) > 10
    assert labelled["role"].isin(list(ROLES)).all()
    assert (labelled["p"] < 0.05).all()
    # Every label that is judged has the control beside it, but where it is alone in its layer.
    judged = labelled[labelled["correlation"].notna()]
    assert judged["control_correlation"].notna().all()
    assert n["predicting"] == (judged["correlation"] > 0.2).sum()
    assert table.loc[table["label"] == "", "correlation"].isna().all()
    # A word that stands where a neuron is most active predicts it elsewhere, another's does not.
    assert n["correlation"] > n["control_correlation"] + 0.1
    assert table["promotes"].str.count("“").eq(2).all()
    vocabulary, _ = words(model)
    assert set(" ".join(table["peaks"]).split()) <= set(vocabulary)


def test_the_cost_and_the_bar_have_what_neurons_write(model, monkeypatch):
    monkeypatch.setattr(estimate, "_rate", lambda device: 1e3)
    costs = [
        TokenLabelsStudy().cost(TokenLabelsSpec(model="x", components=of), context_with(model))
        for of in (("query",), ("ffn",))
    ]
    writing = 2 * model.layers * model.sizes["ffn"] * model.vocabulary * model.hf.config.hidden_size
    assert costs[1].seconds - costs[0].seconds == pytest.approx(writing / 1e3)
    fractions = []
    context = Context(on_progress=lambda done, message: fractions.append(done))
    _promoted(model, context.part(0.6, 0.4))
    assert fractions == pytest.approx([0.6 + 0.4 * i / model.layers for i in range(model.layers)])


def test_the_same_spec_gives_the_same_labels(model, tmp_path):
    spec = TokenLabelsSpec(model="x", components=("ffn", "value"), limit=120)
    one, other = (run(model, spec, tmp_path / name) for name in "ab")
    like(one, other)
    assert set(one.tables["labels"]["component"]) == {"ffn", "value"}
    assert one.numbers["judged"] == 12


def test_masked_models_have_labels_and_nothing_that_is_promoted(tiny, tmp_path):
    result = run(tiny("bert", "masked"), TokenLabelsSpec(model="x"), tmp_path)
    assert result.numbers["labelled"] > 0
    assert (result.tables["labels"]["promotes"] == "").all()


def test_a_protein_model_reads_no_texts(tiny, tmp_path, sentence):
    esm = tiny("esm", "masked")
    sentence(run, esm, ContextsSpec(model="x"), tmp_path, says="reads no texts")
    assert TokenLabelsStudy().example(esm) is None


def test_what_a_run_costs_is_said_beforehand(model):
    cost = TokenLabelsStudy().cost(TokenLabelsSpec(model="x"), context_with(model))
    assert cost.seconds > 0
    assert "kept" in cost.sentence
