"""LoRA adapters: what they and their base say together, by hooks, and by peft where it is."""

import copy
import json
import math

import pytest
import torch
from safetensors.torch import save_file
from tiny_models import plain, text_tokenizer

import neuronlab as nl

PROMPT = nl.Prompt("the quick brown fox is the capital of")
RANK, ALPHA = 3, 6
TARGETS = {
    "llama": ("self_attn.q_proj", "mlp.down_proj"),
    "gpt2": ("attn.c_attn", "mlp.c_proj"),  # whose weights are stored the other way round
}


def saved_base(model_type, folder, head="causal"):
    """A base in a folder, as transformers' model."""
    tokenizer = text_tokenizer(model_type)
    hf = plain(model_type, head, tokenizer).eval()
    hf.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    return hf


def written(folder, weights, **settings):
    """An adapter's folder beside the base's."""
    (folder / "mine").mkdir(exist_ok=True)
    usual = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": str(folder / "base"),
        "r": RANK,
        "lora_alpha": ALPHA,
        "inference_mode": True,
    }
    (folder / "mine" / "adapter_config.json").write_text(json.dumps(usual | settings))
    named = {f"base_model.model.{name}": tensor for name, tensor in weights.items()}
    save_file(named, folder / "mine" / "adapter_model.safetensors")
    return str(folder / "mine")


def drawn(hf, model_type):
    """Weights of an adapter for two layers of each block."""
    generator = torch.Generator().manual_seed(5)
    weights = {}
    for name, module in hf.named_modules():
        if name.endswith(TARGETS[model_type]):
            width, height = module.weight.shape
            if model_type != "gpt2":
                width, height = height, width
            for half, shape in (("A", (RANK, width)), ("B", (height, RANK))):
                draw = torch.randn(shape, generator=generator)
                weights[f"{name}.lora_{half}.weight"] = 0.3 * draw
    return weights


def beside(hf, weights, scale):
    """The base with the adapter's way beside each of its layers: y + s B (A x)."""

    def hook(down, up):
        return lambda module, inputs, output: output + scale(down) * (inputs[0] @ down.T @ up.T)

    for name, module in hf.named_modules():
        if (down := weights.get(f"{name}.lora_A.weight")) is not None:
            module.register_forward_hook(hook(down, weights[f"{name}.lora_B.weight"]))
    return hf


def logits(hf, ids):
    with torch.no_grad():
        return hf(input_ids=ids).logits[0, -1]


@pytest.mark.parametrize("model_type", TARGETS)
@pytest.mark.parametrize("rslora", [False, True], ids=["lora", "rslora"])
def test_an_adapter_in_a_folder_is_merged_into_its_base(model_type, rslora, tmp_path):
    hf = saved_base(model_type, tmp_path)
    weights = drawn(hf, model_type)
    path = written(tmp_path, weights, use_rslora=rslora, fan_in_fan_out=model_type == "gpt2")
    model = nl.load(path, device="cpu")
    base = nl.load(str(tmp_path / "base"), device="cpu")
    assert model.title == "mine (adapter merged into base)"
    assert repr(model).endswith("cpu) Its adapter is merged into 'base'.")
    assert model.revision.startswith("merged:")
    found = nl.predict(model, PROMPT).logits
    assert not torch.allclose(found, nl.predict(base, PROMPT).logits, atol=0.1)
    ids = model.encode(PROMPT).input_ids
    divisor = math.sqrt(RANK) if rslora else RANK
    expected = logits(beside(hf, weights, lambda down: ALPHA / divisor), ids)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_layers_may_have_ranks_and_factors_of_their_own(tmp_path):
    hf = saved_base("llama", tmp_path)
    weights = drawn(hf, "llama")
    wide = "model.layers.1.self_attn.q_proj"
    weights |= {
        f"{wide}.lora_A.weight": torch.randn(5, 32, generator=torch.Generator().manual_seed(1)),
        f"{wide}.lora_B.weight": torch.randn(32, 5, generator=torch.Generator().manual_seed(2)),
    }
    own = {"rank_pattern": {"layers.1.self_attn.q_proj": 5}, "alpha_pattern": {"1.*q_proj": 2}}
    model = nl.load(written(tmp_path, weights, **own), device="cpu")
    expected = logits(
        beside(hf, weights, lambda down: 2 / 5 if len(down) == 5 else ALPHA / RANK),
        model.encode(PROMPT).input_ids,
    )
    torch.testing.assert_close(nl.predict(model, PROMPT).logits, expected, atol=1e-4, rtol=1e-4)


def test_an_adapter_brings_its_head(tmp_path):
    """A classifier's: the base has none."""
    base = saved_base("bert", tmp_path, "masked")
    hf = plain("bert", "classifier", text_tokenizer("bert"), seed=3, num_labels=2, id2label=None)
    whole = {
        n: p.detach()
        for n, p in hf.named_parameters()
        if n.startswith(("classifier", "bert.pooler"))
    }
    model = nl.load(written(tmp_path, whole, task_type="SEQ_CLS"), device="cpu")
    assert (model.kind, model.labels) == ("classifier", ["LABEL_0", "LABEL_1"])
    hf.load_state_dict(base.state_dict(), strict=False)
    prompt = nl.Prompt("the quick brown fox")
    with torch.no_grad():
        expected = hf.eval()(input_ids=model.encode(prompt).input_ids).logits[0]
    torch.testing.assert_close(nl.predict(model, prompt).logits, expected, atol=1e-5, rtol=1e-5)


def test_a_changed_adapter_is_another_model(tmp_path):
    hf = saved_base("llama", tmp_path)
    first = nl.load(written(tmp_path, drawn(hf, "llama"))).revision
    assert nl.load(str(tmp_path / "mine")).revision == first
    assert nl.load(written(tmp_path, drawn(hf, "llama"), lora_alpha=32)).revision != first


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"peft_type": "IA3"}, "IA3"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"a_setting_of_tomorrow": 1}, "a_setting_of_tomorrow"),
        ({"base_model_name_or_path": None}, "does not say which model"),
        ({"base_model_name_or_path": ""}, "does not say which model"),
        ({"base_model_name_or_path": "/no/such/folder"}, "needs its base model, and '/no/such"),
        ({"base_model_name_or_path": "no/where"}, "needs its base model, and 'no/where' is not on"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_no_plain_lora_is_refused(settings, says, tmp_path, sentence):
    hf = saved_base("llama", tmp_path)
    sentence(nl.load, written(tmp_path, drawn(hf, "llama"), **settings), says=says)


def test_an_adapter_for_another_base_is_refused(tmp_path, sentence):
    hf = saved_base("llama", tmp_path)
    weights = drawn(hf, "llama")
    name = "model.layers.0.self_attn.q_proj"
    elsewhere = {n.replace("layers.2", "layers.7"): t for n, t in weights.items()}
    sentence(nl.load, written(tmp_path, elsewhere), says=["layers.7", "merge"])
    wide = weights | {f"{name}.lora_A.weight": torch.ones(RANK, 64)}
    sentence(nl.load, written(tmp_path, wide), says=[name, "merge"])
    half = {n: t for n, t in weights.items() if n != f"{name}.lora_B.weight"}
    sentence(nl.load, written(tmp_path, half), says=[name, "merge"])
    magnitude = weights | {f"{name}.lora_magnitude_vector": torch.ones(32)}
    sentence(nl.load, written(tmp_path, magnitude), says="merge")


def cut(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def emptied(folder):
    for file in folder.iterdir():
        file.unlink()


def quantised(folder):
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda base: cut(base / "model.safetensors"),
        lambda base: cut(base / "config.json"),
        emptied,
        quantised,
    ],
    ids=["weights", "configuration", "empty", "quantised"],
)
def test_of_a_base_that_cannot_be_loaded_the_adapter_says_what_the_base_says(
    spoil, tmp_path, sentence
):
    hf = saved_base("llama", tmp_path)
    path = written(tmp_path, drawn(hf, "llama"))
    spoil(tmp_path / "base")
    with pytest.raises(nl.UserError) as alone:
        nl.load(str(tmp_path / "base"))
    of_base = str(alone.value)
    assert str(tmp_path / "base") in of_base
    says = f"The adapter '{path}' needs its base model: {of_base[0].lower()}{of_base[1:]}"
    sentence(nl.load, path, says=says)


def test_a_damaged_adapter_is_not_blamed_on_its_base(tmp_path, sentence):
    path = written(tmp_path, drawn(saved_base("llama", tmp_path), "llama"))
    for file in ("adapter_model.safetensors", "adapter_config.json"):
        whole = (tmp_path / "mine" / file).read_bytes()
        cut(tmp_path / "mine" / file)
        sentence(nl.load, path, says=[f"The folder of '{path}' cannot be loaded", "is damaged"])
        (tmp_path / "mine" / file).write_bytes(b"version https://git-lfs.github.com/spec/v1")
        sentence(nl.load, path, says=[path, file, "git lfs pull"])
        (tmp_path / "mine" / file).write_bytes(whole)


def test_an_adapter_of_an_adapter_is_refused(tmp_path, sentence):
    weights = drawn(saved_base("llama", tmp_path), "llama")
    first = written(tmp_path, weights)
    (tmp_path / "again").mkdir()
    second = written(tmp_path / "again", weights, base_model_name_or_path=first)
    sentence(nl.load, second, says=[second, first, "is an adapter, too", "merge"])


# --- As peft does it -----------------------------------------------------------------------------


def tuned(hf, **settings):
    """A model of peft around a model, with an adapter that says something."""
    peft = pytest.importorskip("peft")
    made = peft.get_peft_model(hf, peft.LoraConfig(**settings)).eval()
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if "lora_B" in name or "modules_to_save" in name:
                parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return made


BY_PEFT = {
    "llama": {"task_type": "CAUSAL_LM", "target_modules": ["q_proj", "down_proj"]},
    "patterns": {
        "task_type": "CAUSAL_LM",
        "target_modules": "all-linear",
        "rank_pattern": {"layers.1.self_attn.q_proj": 2},
        "alpha_pattern": {"mlp.up_proj": 3},
    },
    "rslora": {"task_type": "CAUSAL_LM", "target_modules": ["v_proj"], "use_rslora": True},
    "biases": {"task_type": "CAUSAL_LM", "target_modules": ["c_attn"], "bias": "all"},
    "gpt2": {
        "task_type": "CAUSAL_LM",
        "target_modules": ["c_attn", "mlp.c_proj"],
        "fan_in_fan_out": True,
    },
    "bert": {"task_type": "SEQ_CLS", "target_modules": ["query"]},
}
TYPES = {"patterns": "llama", "rslora": "llama", "biases": "gpt2"}


@pytest.mark.parametrize("name", BY_PEFT)
def test_what_peft_makes_says_the_same_merged(name, tmp_path):
    """From its folder, and in memory, where the original stays as it was."""
    model_type = TYPES.get(name, name)
    head = "classifier" if name == "bert" else "causal"
    tokenizer = text_tokenizer(model_type)
    made = tuned(saved_base(model_type, tmp_path, head), r=RANK, **BY_PEFT[name])
    made.peft_config["default"].base_model_name_or_path = str(tmp_path / "base")
    made.save_pretrained(tmp_path / "mine")
    by_name = nl.load(str(tmp_path / "mine"), device="cpu")
    before = {n: p.detach().clone() for n, p in made.named_parameters()}
    in_memory = nl.load(made, tokenizer)
    ids = by_name.encode(PROMPT).input_ids
    with torch.no_grad():
        expected = made(input_ids=ids).logits
    expected = expected[0] if head == "classifier" else expected[0, -1]
    assert in_memory.note == "Its adapter is merged into its weights."
    for model in (by_name, in_memory):
        assert model.kind == head
        found = nl.predict(model, PROMPT).logits
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
        nl.attribute(model, nl.Prompt(PROMPT.text, target=1), method="gradient_x_activation")
    assert {n for n, _ in made.named_parameters()} == before.keys()
    assert all(torch.equal(p, before[n]) for n, p in made.named_parameters())


@pytest.mark.parametrize("merged", [False, True])
@pytest.mark.parametrize("name", ["llama", "gpt2", "bert"])
def test_an_adapter_that_is_switched_off_stays_out(name, merged, tmp_path):
    """Also one that peft has merged, and a head of its own."""
    head = "classifier" if name == "bert" else "causal"
    hf, tokenizer = saved_base(name, tmp_path, head), text_tokenizer(name)
    base = nl.predict(nl.load(str(tmp_path / "base"), device="cpu"), PROMPT).logits
    made = tuned(hf, r=RANK, **BY_PEFT[name])
    adapted = nl.predict(nl.load(made, tokenizer), PROMPT).logits
    if merged:
        made.merge_adapter()
    with made.disable_adapter():
        off = nl.predict(nl.load(made, tokenizer), PROMPT).logits
        assert nl.load(made, tokenizer).note == "Its adapter is switched off, and left out."
    torch.testing.assert_close(off, base, atol=1e-5, rtol=1e-5)
    assert (adapted - base).abs().max() > 1e-2
    on = nl.predict(nl.load(made, tokenizer), PROMPT).logits
    torch.testing.assert_close(on, adapted, atol=1e-4, rtol=1e-4)


def test_layers_whose_adapter_is_switched_off_stay_as_they_were(tmp_path):
    hf, tokenizer = saved_base("llama", tmp_path), text_tokenizer("llama")
    made = tuned(hf, r=RANK, **BY_PEFT["llama"])
    made.base_model.model.model.layers[0].mlp.down_proj.enable_adapters(False)
    found = nl.load(made, tokenizer)
    with torch.no_grad():
        expected = made(input_ids=found.encode(PROMPT).input_ids).logits[0, -1]
    torch.testing.assert_close(nl.predict(found, PROMPT).logits, expected, atol=1e-4, rtol=1e-4)


def test_adapters_that_cannot_be_merged_are_refused(tmp_path, sentence):
    peft = pytest.importorskip("peft")
    hf, tokenizer = saved_base("llama", tmp_path), text_tokenizer("llama")
    prefix = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)
    made = peft.get_peft_model(copy.deepcopy(hf), prefix)
    sentence(nl.load, made, tokenizer, says="cannot be merged")
    made.save_pretrained(tmp_path / "mine")
    sentence(nl.load, str(tmp_path / "mine"), says="PREFIX_TUNING")
    hf.add_adapter(peft.LoraConfig(target_modules=["q_proj"]))
    sentence(nl.load, hf, tokenizer, says="cannot be merged")
