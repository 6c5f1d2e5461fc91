"""A model that is in memory: it stays as it was, and says what the same weights say by name."""

import copy

import numpy as np
import pytest
import torch
import transformers
from tiny_models import ROWS, build, text_tokenizer

import neuronlab as nl
from neuronlab.attribution import attribute


@pytest.fixture(
    params=[("llama", "causal"), ("bert", "masked"), ("gpt2", "classifier")], ids="-".join
)
def saved(request, tmp_path):
    """A folder with a tiny model, and what it is asked."""
    model_type, kind = request.param
    model = build(model_type, kind, tmp_path)
    model.hf.config.architectures = [type(model.hf).__name__]
    model.hf.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")
    texts = {"masked": "Paris is the [MASK] of France", "causal": "the capital of France is"}
    prompt = nl.Prompt(
        texts.get(kind, "the quick brown fox"), target=1 if kind == "classifier" else "Paris"
    )
    heads = {
        "causal": transformers.AutoModelForCausalLM,
        "masked": transformers.AutoModelForMaskedLM,
        "classifier": transformers.AutoModelForSequenceClassification,
    }
    return tmp_path / "model", heads[kind], prompt


def loaded(saved, **options):
    folder, head, _ = saved
    hf = head.from_pretrained(folder, **options)
    return hf, transformers.AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_scores_are_those_of_the_same_weights_by_name(saved, attention):
    folder, _, prompt = saved
    model = nl.load(*loaded(saved, attn_implementation=attention))
    by_name = nl.load(str(folder), device="cpu")
    assert (model.kind, model.alphabet) == (by_name.kind, by_name.alphabet)
    for method in ("gradient_x_activation", "integrated_gradients"):
        scores, expected = (attribute(each, prompt, method=method) for each in (model, by_name))
        for c in expected:
            np.testing.assert_array_equal(scores[c], expected[c])
    assert model.revision.startswith("memory:")


def test_the_original_is_as_it_was(saved):
    hf, tokenizer = loaded(saved, attn_implementation="eager")
    hf.train()
    calls = []
    hook = hf.base_model.register_forward_hook(lambda *_: calls.append(1))
    weights = {name: weight.detach().clone() for name, weight in hf.named_parameters()}
    config = copy.deepcopy(hf.config.to_dict())
    classes = [type(module) for module in hf.modules()]
    model = nl.load(hf, tokenizer)
    attribute(model, saved[2], method="integrated_gradients")
    assert calls == []  # what hangs on the original is none of ours
    assert hf.training
    assert all(weight.requires_grad for weight in hf.parameters())
    assert all(weight.grad is None for weight in hf.parameters())
    assert [type(module) for module in hf.modules()] == classes
    assert hf.config.to_dict() == config
    assert hf.config._attn_implementation == "eager"
    for name, weight in hf.named_parameters():
        assert torch.equal(weight, weights[name])
    hook.remove()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in hf.modules())


def test_weights_are_shared_not_copied(saved):
    hf, tokenizer = loaded(saved)
    model = nl.load(hf, tokenizer)
    own = {weight.data_ptr() for weight in model.hf.parameters()}
    assert own == {weight.data_ptr() for weight in hf.parameters()}
    assert not any(weight.requires_grad for weight in model.hf.parameters())


def test_a_trained_step_is_another_model(saved):
    hf, tokenizer = loaded(saved)
    before = nl.load(hf, tokenizer).revision
    assert nl.load(hf, tokenizer).revision == before
    with torch.no_grad():
        next(hf.parameters()).add_(0.5)
    assert nl.load(hf, tokenizer).revision != before


def test_a_pipeline_has_both(tmp_path):
    model = build("llama", "causal", tmp_path)
    pipe = transformers.pipeline("text-generation", model=model.hf, tokenizer=model.tokenizer)
    assert nl.load(pipe).kind == "causal"
    other = text_tokenizer("gpt2")
    assert nl.load(pipe, other).tokenizer is other


def test_a_compiled_model_is_looked_into_as_it_was_before(tmp_path):
    """No graph is made of it: hooks would not be in there."""
    model = build("llama", "causal", tmp_path)
    expected = nl.predict(nl.load(model.hf, model.tokenizer), nl.Prompt("the fox")).logits
    compiled = nl.load(torch.compile(model.hf), model.tokenizer)
    assert compiled.name == "LlamaForCausalLM in memory"
    assert torch.equal(nl.predict(compiled, nl.Prompt("the fox")).logits, expected)
    model.hf.compile()  # in place
    in_place = nl.load(model.hf, model.tokenizer)
    assert torch.equal(nl.predict(in_place, nl.Prompt("the fox")).logits, expected)


def test_a_name_takes_no_tokenizer(sentence):
    sentence(nl.load, "gpt2", text_tokenizer("gpt2"), says="'gpt2' is loaded with its own tokeniz")


@pytest.mark.parametrize("model_type", ["bert", "ernie", "albert"])
def test_of_two_heads_that_a_model_was_pretrained_with_one_is_asked(model_type, tmp_path):
    model = build(model_type, "masked", tmp_path)
    hf = transformers.AutoModelForPreTraining.from_config(model.hf.config)
    both = nl.load(hf, model.tokenizer)
    ids = torch.tensor([[3, 5, 4, 9]])
    with torch.no_grad():
        expected = hf(input_ids=ids).prediction_logits
    assert both.kind == "masked"
    found = both.logits(both.hidden(ids, slice(None))[0])
    torch.testing.assert_close(found, expected[0], atol=1e-5, rtol=1e-4)


def test_what_cannot_be_looked_into_is_told(tmp_path, sentence):
    model = build("llama", "causal", tmp_path)
    sentence(nl.load, model.hf, says="needs its tokenizer")
    sentence(nl.load, model.hf.model, model.tokenizer, says="no head to explain")
    with torch.device("meta"):
        empty = transformers.AutoModelForCausalLM.from_config(model.hf.config)
    sentence(nl.load, empty, model.tokenizer, says=["without weights", "from_pretrained"])
    with pytest.raises(TypeError, match=r"changed places: nl.load\(model, tokenizer\)"):
        nl.load(model.tokenizer, model.hf)
    whisper = transformers.WhisperConfig(
        d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8, vocab_size=20,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    other = transformers.WhisperForCausalLM(whisper)
    sentence(nl.load, other, model.tokenizer, says="'whisper' are not supported")
    sizes = {"encoder_layers": 1, "decoder_layers": 1, "d_model": 8, "vocab_size": 20}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2, "pad_token_id": 1}
    marian = transformers.MarianMTModel(transformers.MarianConfig(**sizes, **heads))
    sentence(nl.load, marian, model.tokenizer, says=["'marian' are not supported", "BART"])
    with pytest.raises(TypeError, match="a model one of transformers, not int"):
        nl.load(3)


@pytest.mark.parametrize("model_type", ["gemma2", "xglm", "deberta-v2", "albert", "mixtral"])
def test_types_with_ways_of_their_own_are_looked_into(model_type, tmp_path):
    """Attention that is not sdpa, and modules that are put in place of others."""
    kind = ROWS[model_type].heads[0]
    hf = build(model_type, kind, tmp_path).hf
    original = copy.deepcopy(hf)
    model = nl.load(hf, text_tokenizer(model_type))
    ids = torch.tensor([[3, 5, 7, 9]])
    with torch.no_grad():
        expected = original(input_ids=ids).logits
        assert model.logits(model.hidden(ids, slice(None))[0]) == pytest.approx(
            expected[0], abs=1e-4
        )
        assert torch.equal(hf(input_ids=ids).logits, expected)


def test_a_type_of_weights_that_it_has_not_is_refused(saved, sentence):
    hf, tokenizer = loaded(saved)
    assert nl.load(hf, tokenizer, dtype="float32").dtype == torch.float32
    sentence(lambda: nl.load(hf, tokenizer, dtype="bfloat16"), says="give one that is bfloat16")
