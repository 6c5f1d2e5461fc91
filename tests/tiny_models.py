"""Tiny seeded models of every family with every head, and prompts that fit them.

Tests build on them, and so does the GPU script of ``benchmarks``, which runs without pytest.
"""

import copy

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import neuronlab as nl
from neuronlab.models.families import family_of
from neuronlab.models.model import Model

DECODERS = ("llama", "mistral", "qwen2", "qwen3", "gemma3_text", "gpt2", "gpt_neox")
ENCODERS = ("bert", "roberta", "esm")
TINY = [
    *((name, "causal") for name in DECODERS),
    *((name, "masked") for name in ENCODERS),
    *((name, "classifier") for name in (*ENCODERS, "llama", "gpt2")),
]
LANGUAGE = [pair for pair in TINY if pair[1] != "classifier"]
WORDS = "the capital of France is Paris a quick brown fox jumps over lazy dog London two w x y z"
RESIDUES = "LAGVSERTIDPKQNFYMHWCXBUZO"
LAYERS, HIDDEN, FFN, HEADS, KV_HEADS, HEAD = 3, 32, 48, 4, 2, 8

_COMMON = {
    "hidden_size": HIDDEN,
    "intermediate_size": FFN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "max_position_embeddings": 64,
    "num_labels": 3,
    "id2label": {0: "no", 1: "yes", 2: "maybe"},
}
_GROUPED = {"num_key_value_heads": KV_HEADS, "head_dim": HEAD, "tie_word_embeddings": False}
_ENCODER = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
# Every setting that a wrong adapter could overlook: grouped queries, biases, tied weights, windows
# that are shorter than the prompts.
_CONFIGS = {
    "llama": _COMMON | _GROUPED,
    "mistral": _COMMON | _GROUPED | {"sliding_window": 4},
    "qwen2": _COMMON | _GROUPED | {"use_sliding_window": False},
    "qwen3": _COMMON | _GROUPED | {"head_dim": 16},
    "gemma3_text": _COMMON
    | _GROUPED
    | {
        "tie_word_embeddings": True,
        "sliding_window": 4,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "query_pre_attn_scalar": HEAD,
        "final_logit_softcapping": 5.0,
    },
    "gpt2": {
        "n_embd": HIDDEN,
        "n_inner": FFN,
        "n_layer": LAYERS,
        "n_head": HEADS,
        "n_positions": 64,
        "num_labels": 3,
        "id2label": _COMMON["id2label"],
    },
    "gpt_neox": _COMMON | {"use_parallel_residual": True},
    "bert": _COMMON | _ENCODER,
    "roberta": _COMMON | _ENCODER | {"max_position_embeddings": 66},
    "esm": _COMMON
    | _ENCODER
    | {
        "max_position_embeddings": 66,
        "position_embedding_type": "rotary",
        "token_dropout": True,
        "emb_layer_norm_before": False,
        "is_folding_model": False,
    },
}
_HEADS = {
    "causal": transformers.AutoModelForCausalLM,
    "masked": transformers.AutoModelForMaskedLM,
    "classifier": transformers.AutoModelForSequenceClassification,
}


def text_tokenizer(model_type, words=WORDS):
    """A word-level tokenizer with the special tokens that the family's own tokenizer has."""
    decoder = model_type in DECODERS
    cls, sep, mask = ("<s>", "</s>", "<mask>") if model_type == "roberta" else _BERT_SPECIAL
    special = ["<pad>", "<unk>", "<|end|>"] if decoder else [cls, "<pad>", sep, "<unk>", mask]
    vocabulary = {token: i for i, token in enumerate([*special, *words.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"eos_token": "<|end|>"} if decoder else {}
    if not decoder:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}", special_tokens=[(t, vocabulary[t]) for t in (cls, sep)]
        )
        names = {"cls_token": cls, "sep_token": sep, "mask_token": mask}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", **names
    )


_BERT_SPECIAL = ("[CLS]", "[SEP]", "[MASK]")


def esm_tokenizer(folder):
    vocabulary = ["<cls>", "<pad>", "<eos>", "<unk>", *RESIDUES, ".", "-", "<null_1>", "<mask>"]
    path = folder / "vocab.txt"
    path.write_text("\n".join(vocabulary))
    return transformers.EsmTokenizer(str(path))


def randomise(hf, seed):
    """Weights large enough for effects far above rounding (the usual .02 gives almost none)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in hf.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() > 1:
                parameter.copy_(0.25 * noise)
            else:  # biases around 0, scales of norms around 1
                parameter.add_(0.15 * noise)


def build(model_type, kind, folder, *, seed=0, title="", protein=False, **settings):
    """A tiny seeded model with its tokenizer; ``settings`` override the configuration."""
    words = " ".join(RESIDUES) if protein else WORDS
    tokenizer = esm_tokenizer(folder) if model_type == "esm" else text_tokenizer(model_type, words)
    config = transformers.AutoConfig.for_model(
        model_type,
        **{
            **_CONFIGS[model_type],
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "mask_token_id": tokenizer.mask_token_id,
            **settings,
        },
    )
    hf = _HEADS[kind].from_config(config, attn_implementation="sdpa")
    randomise(hf, seed)
    alphabet = "protein" if protein or model_type == "esm" else "text"
    return wrap(hf, tokenizer, kind, alphabet, title or f"Tiny {model_type}")


def wrap(hf, tokenizer, kind, alphabet, title="Tiny"):
    return Model(
        hf,
        tokenizer,
        family_of(hf.config.model_type),
        name=f"tiny-{hf.config.model_type}",
        title=title,
        kind=kind,
        alphabet=alphabet,
        revision="test",
    )


def twin(model, dtype=torch.float32, device="cpu"):
    """A model of its own with the same weights, to change as one likes."""
    hf = copy.deepcopy(model.hf).to(device, dtype)
    return wrap(hf, model.tokenizer, model.kind, model.alphabet, model.title)


def question(model, target=None):
    """A prompt that fits the model; longer than the windows of the tiny models with windows."""
    if model.alphabet == "protein":
        target = "K" if target is None and model.kind == "masked" else target
        mask = 3 if model.kind == "masked" else None
        return nl.Prompt("MKTAYIAKQR", target=1 if target is None else target, mask=mask)
    if model.kind == "masked":
        return nl.Prompt("the capital of [MASK] is Paris", target=target or "France")
    if model.kind == "classifier":
        return nl.Prompt("the quick brown fox jumps over", 1 if target is None else target)
    return nl.Prompt("the quick brown fox is the capital of", target=target or "France")
