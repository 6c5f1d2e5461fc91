"""What loading is said to take is what it takes, and what does not fit is refused, not killed."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import transformers
from tiny_models import text_tokenizer

import neuronlab as nl
from neuronlab.models.catalogue import EMBEDDED, entry
from neuronlab.models.footprint import footprint

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_files_of_another_type_are_read_beside_the_weights(tiny, tmp_path, stored, dtype):
    hf = tiny("llama", tie_word_embeddings=True).hf
    numbers = {weight.data_ptr(): weight.numel() for weight in hf.parameters()}
    numbers = sum(numbers.values())  # the embedding is the head, too, and counts once
    transformers.AutoModelForCausalLM.from_config(hf.config).to(stored).save_pretrained(tmp_path)
    takes = footprint(hf, dtype, str(tmp_path))
    buffers = sum(buffer.numel() * buffer.element_size() for buffer in hf.buffers())
    assert takes.weights == numbers * dtype.itemsize + buffers
    size = (tmp_path / "model.safetensors").stat().st_size
    assert takes.files == (0 if stored == dtype else size)
    assert takes.peak == takes.weights + takes.files
    assert footprint(hf, dtype, "some/model").files == 0  # of the hub's cache


SEVEN_BILLION = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "intermediate_size": 11_008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "vocab_size": 32_000,
    "tie_word_embeddings": False,
    "dtype": "bfloat16",
}
PARAMETERS = 6_738_415_616


@pytest.mark.parametrize(
    ("free", "dtype", "expected"),
    [
        (4 * PARAMETERS + 2e9, "auto", torch.float32),
        (4 * PARAMETERS, "auto", torch.bfloat16),
        (2 * PARAMETERS + 2e9, "auto", torch.bfloat16),
        (2 * PARAMETERS + 2e9, "float32", None),
        (2 * PARAMETERS, "auto", None),
        (2 * PARAMETERS, "bfloat16", None),
    ],
)
def test_seven_billion_parameters_are_loaded_as_they_fit_or_refused(
    free, dtype, expected, tmp_path, monkeypatch
):
    """From the shapes alone; no weight is read."""
    (tmp_path / "config.json").write_text(json.dumps(SEVEN_BILLION))
    monkeypatch.setattr(
        "neuronlab.models.device.psutil.virtual_memory",
        lambda: SimpleNamespace(available=int(free)),
    )
    asked = []

    def read(source, *, dtype, **rest):
        asked.append(dtype)
        raise nl.UserError("Its weights would be read now.")

    monkeypatch.setattr("transformers.AutoModelForCausalLM.from_pretrained", read)
    with pytest.raises(nl.UserError) as caught:
        nl.load(str(tmp_path), device="cpu", dtype=dtype)
    assert asked == ([expected] if expected else [])
    if not expected:
        assert "does not fit" in str(caught.value)
        needed = PARAMETERS * (4 if dtype == "float32" else 2)
        assert f"{(needed + 1e9) / 1e9:.1f} GB in" in str(caught.value)
        smaller = "load it in bfloat16, in 14.5 GB." if dtype == "float32" else "a smaller model."
        assert str(caught.value).endswith(smaller)
        assert f"weights take {needed / 1e9:.1f} GB" in caught.value.details


def test_one_file_that_is_larger_than_the_memory_is_refused_as_many_are(
    tmp_path, monkeypatch, sentence
):
    """Its header alone is read: a file of that size may not be mapped."""
    header = {"lm_head.weight": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}
    written = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.write(len(written).to_bytes(8, "little") + written)
        file.truncate(2 * PARAMETERS)
    (tmp_path / "config.json").write_text(json.dumps(SEVEN_BILLION))
    monkeypatch.setattr(
        "neuronlab.models.device.psutil.virtual_memory", lambda: SimpleNamespace(available=10**10)
    )
    monkeypatch.setattr("safetensors.safe_open", None)
    sentence(nl.load, str(tmp_path), device="cpu", says=["does not fit", "14.5 GB in bfloat16"])


MEASURED = """
import sys
from neuronlab.models import loading
from neuronlab.models.footprint import footprint
from transformers import AutoConfig, AutoTokenizer

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

name, kind = sys.argv[1:]
loading.load("esm2-8m-enzyme", device="cpu")  # with all that is imported on the way
source = loading._source(name)
empty = loading._empty(AutoConfig.from_pretrained(source), kind)
AutoTokenizer.from_pretrained(source)
takes = footprint(empty, loading._DTYPES["float32"], source)
with open("/proc/self/clear_refs", "w") as refs:
    refs.write("5")  # the peak from here on
before = resident("VmRSS")
loading.load(name, device="cpu")
print(takes.peak, resident("VmHWM") - before)
"""


# Gemma 3 270M is fetched by those who accept its terms, which no test can do: this is its shape, in
# the type of its files, with random weights.
GEMMA = {
    "hidden_size": 640,
    "intermediate_size": 2048,
    "num_hidden_layers": 18,
    "num_attention_heads": 4,
    "num_key_value_heads": 1,
    "head_dim": 256,
    "vocab_size": 262_144,
    "bos_token_id": None,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
ITS_SHAPE = "gemma3-270m's shape"


@pytest.mark.slow
@pytest.mark.fetched
@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read as Linux tells it")
@pytest.mark.parametrize("name", [*(e.name for e in EMBEDDED if e.default), ITS_SHAPE])
def test_the_estimate_is_near_the_measured_peak(name, tmp_path):
    source, kind = name, "causal"
    if name == ITS_SHAPE:
        source = str(tmp_path)
        hf = transformers.Gemma3ForCausalLM(transformers.Gemma3TextConfig(**GEMMA))
        hf.to(torch.bfloat16).save_pretrained(source)
        text_tokenizer("gemma3_text").save_pretrained(source)
    else:
        kind = entry(name).kind
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, source, kind],
        env={**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    told, measured = map(int, done.stdout.split())
    print(name, told, measured)
    assert told == pytest.approx(measured, rel=0.2)
