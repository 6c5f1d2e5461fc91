"""Explanations of one neuron by a chat server in this process, against the numbers behind them."""

import json

import numpy as np
import pytest
from chat_endpoint import completion, naming_a_token
from contexts import context_with, run
from pydantic import ValidationError

from neuronlab.labels import chat_server, endpoint
from neuronlab.labels.contexts import activations
from neuronlab.runs import Cancelled
from neuronlab.studies.context_explanation import (
    ContextExplanationSpec,
    ContextExplanationStudy,
)

KEY = "sk-very-secret"


@pytest.fixture(autouse=True)
def at_home(texts, monkeypatch, tmp_path):
    """Answers are kept in a home of the test's own, and asked for again at once."""
    monkeypatch.setattr(chat_server, "FIRST_WAIT", 0.01)
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "home"))


@pytest.fixture
def model(tiny):
    return tiny("llama", "causal")


@pytest.fixture
def spec(server):
    server.script = naming_a_token
    return ContextExplanationSpec(
        model="x", layer=1, neuron=3, address=server.address, answers_by="tiny", strongest=4
    )


def test_what_is_foretold_is_compared_with_the_model_on_texts_kept_apart(
    spec, model, tmp_path, texts, server
):
    endpoint.keep_key(spec.key, KEY)
    result = run(model, spec, tmp_path)
    tokens, explanations, n = (
        *(result.tables[k] for k in ("tokens", "explanations")),
        result.numbers,
    )
    assert len(server.requests) == spec.requests == 4 * 9
    assert {headers["authorization"] for _, headers, _ in server.requests} == {f"Bearer {KEY}"}
    assert KEY not in json.dumps(n) + tokens.to_json() + explanations.to_json() + spec.to_json()
    # The texts are those that judge, the first half those that drive the neuron most.
    held = [texts[i] for i in np.flatnonzero(spec.judging(len(texts)))]
    seen = activations(model, held, "ffn", 1, 3)
    best = sorted((float(values[1:].max()) for _, values in seen), reverse=True)
    most = tokens.groupby("text")["activation"].max()
    assert most[:4].tolist() == pytest.approx(best[:4])
    assert tokens.groupby("text")["strongest"].all().tolist() == [True] * 4 + [False] * 4
    known = {tuple(t[1:]): values[1:] for t, values in seen}
    for _, rows in tokens.groupby("text"):
        assert rows["activation"].tolist() == pytest.approx(known[tuple(rows["token"])].tolist())
        assert rows["place"].tolist() == list(range(len(rows)))
    # Who explains names a token, and foretells the most activity there and none elsewhere.
    (named,) = {
        text.removeprefix("It is active at ").rstrip(".") for text in explanations["text"][:1]
    }
    assert tokens["foretold"].eq(10).tolist() == tokens["token"].str.strip().eq(named).tolist()
    assert explanations["neuron"].tolist()[0] == 3
    assert explanations["neuron"].nunique() == 4
    assert n["correlation"] == explanations["correlation"][0]
    r = np.corrcoef(tokens["foretold"], tokens["activation"])[0, 1]
    assert n["correlation"] == pytest.approx(r)
    assert n["control_correlation"] == pytest.approx(explanations["correlation"][1:].mean())
    assert n["unread"] == 0


def test_the_control_is_of_the_layers_other_neurons_on_the_same_texts(spec, model, tmp_path):
    result = run(model, spec, tmp_path)
    tokens, explanations = result.tables["tokens"], result.tables["explanations"]
    alone = []
    for text in explanations["text"][1:]:
        named = text.removeprefix("It is active at ").rstrip(".")
        foretold = 10.0 * tokens["token"].str.strip().eq(named)
        alone.append(foretold)
        r = np.corrcoef(foretold, tokens["activation"])[0, 1] if foretold.any() else 0.0
        row = explanations.index[explanations["text"] == text][-1]
        assert explanations["correlation"][row] == pytest.approx(r)
    assert tokens["control"].tolist() == pytest.approx(np.mean(alone, axis=0).tolist())


def test_answers_that_cannot_be_read_are_left_out_and_counted(spec, model, tmp_path, server):
    def script(request, number):
        answer = naming_a_token(request, number)
        of_text = "Tokens:" in request["messages"][1]["content"]
        return completion("Sorry.") if of_text and "is brown" in _text(request) else answer

    server.script = script
    result = run(model, spec, tmp_path)
    tokens = result.tables["tokens"]
    unread = tokens[tokens["foretold"].isna()]
    brown = tokens[tokens["token"].str.strip() == "brown"]["text"].unique()
    assert len(brown)
    assert unread["text"].unique().tolist() == brown.tolist()
    assert result.numbers["unread"] == 4 * len(brown)
    known = tokens.dropna(subset=["foretold"])
    r = np.corrcoef(known["foretold"], known["activation"])[0, 1]
    assert result.numbers["correlation"] == pytest.approx(np.nan_to_num(r))


def _text(request):
    rows = request["messages"][1]["content"].split("Tokens:\n")[1].split("\n")
    return " ".join(row.split(": ", 1)[1] for row in rows)


@pytest.mark.parametrize(
    ("simulation", "r"), [("none", 0.0), ("I do not know.", float("nan"))], ids=["none", "silent"]
)
def test_who_foretells_nothing_has_no_correlation(spec, model, tmp_path, server, simulation, r):
    server.script = lambda request, number: (
        completion(simulation)
        if "Tokens:" in request["messages"][1]["content"]
        else completion("Dogs.")
    )
    numbers = run(model, spec, tmp_path).numbers
    assert numbers["correlation"] == pytest.approx(r, nan_ok=True)
    assert numbers["control_correlation"] == pytest.approx(r, nan_ok=True)


def test_what_cannot_be_asked_ends_in_a_sentence(spec, model, tmp_path, sentence, server):
    def of(**changes):
        return spec.model_copy(update=changes)

    sentence(run, model, of(address=""), tmp_path, says="address must begin with http")
    sentence(run, model, of(answers_by=""), tmp_path, says="needs the name of a model")
    sentence(run, model, of(component="value"), tmp_path, says="add the component")
    sentence(run, model, of(layer=99), tmp_path, says="has no such neuron")
    server.script = lambda request, number: completion("...")
    sentence(run, model, spec, tmp_path, says="said nothing of use")
    with pytest.raises(ValidationError, match="must hold no password") as caught:
        ContextExplanationSpec(address="https://me:hunter2@host/v1")
    assert "hunter2" not in str(caught.value)


def test_a_run_can_be_cancelled_while_it_asks(spec, model, tmp_path, server):
    def cancelled():
        return len(server.requests) > 3

    with pytest.raises(Cancelled):
        run(model, spec, tmp_path, cancelled=cancelled)
    assert len(server.requests) < spec.requests


def test_the_environments_endpoint_is_the_default_and_no_model_has_an_example(model, monkeypatch):
    study = ContextExplanationStudy()
    assert study.default().address == ""
    monkeypatch.setenv(endpoint.ADDRESS, "http://127.0.0.1:9/v1")
    monkeypatch.setenv(endpoint.MODEL, "tiny")
    preset = study.default()
    assert (preset.address, preset.answers_by) == ("http://127.0.0.1:9/v1", "tiny")
    assert study.example(model) is None
    assert "44 answers" in study.cost(preset, context_with(model)).sentence
