"""Tiny seeded models of every family with every head, and prompts that fit them.

Tests build on them, and so does the GPU script of ``benchmarks``, which runs without pytest.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import neuronlab as nl
from neuronlab.models.families import family_of
from neuronlab.models.model import Model

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
_BERT_SPECIAL = ("[CLS]", "[SEP]", "[MASK]")


class Row(NamedTuple):
    """A family's tiny model, and where its checkpoints have what: nothing here asks the adapters.

    Attributes:
        config: settings, the sizes among them; every one that a wrong adapter could overlook
            (grouped queries, biases, tied weights, windows that are shorter than the prompts).
        heads: what it is made with.
        special: the tokens around a text and the mask of an encoder's tokenizer.
        protein: whether it reads proteins alone.
        blocks: path of the blocks; all other paths begin at a block.
        projections: of query, key and value.
        columns: the neurons in what a projection puts out, by 0 (query), 1 (key) or 2 (value).
        mixed: what reads the heads' outputs, side by side.
        down: what reads the FFN's neurons.
    """

    config: dict[str, Any]
    heads: tuple[str, ...] = ("causal",)
    special: tuple[str, ...] = ()
    protein: bool = False
    blocks: str = "model.layers"
    projections: tuple[str, str, str] = tuple(f"self_attn.{letter}_proj" for letter in "qkv")
    columns: Callable[[int], Any] = lambda part: slice(None)
    mixed: str = "self_attn.o_proj"
    down: str = "mlp.down_proj"


def _encoder(name: str, special: tuple[str, ...] = _BERT_SPECIAL, **changes: Any) -> Row:
    dropout = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return Row(
        _COMMON | dropout | changes,
        ("masked", "classifier"),
        special,
        protein=name == "esm",
        blocks=f"{name}.encoder.layer",
        projections=tuple(f"attention.self.{part}" for part in ("query", "key", "value")),
        mixed="attention.output.dense",
        down="output.dense",
    )


# One row a model type.
ROWS = {
    "llama": Row(_COMMON | _GROUPED, ("causal", "classifier")),
    "mistral": Row(_COMMON | _GROUPED | {"sliding_window": 4}),
    "qwen2": Row(_COMMON | _GROUPED | {"use_sliding_window": False}),
    "qwen3": Row(_COMMON | _GROUPED | {"head_dim": 16}),
    "gemma3_text": Row(
        _COMMON
        | _GROUPED
        | {
            "tie_word_embeddings": True,
            "sliding_window": 4,
            "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
            "query_pre_attn_scalar": HEAD,
            "final_logit_softcapping": 5.0,
        }
    ),
    "gpt2": Row(
        {
            "n_embd": HIDDEN,
            "n_inner": FFN,
            "n_layer": LAYERS,
            "n_head": HEADS,
            "n_positions": 64,
            "num_labels": 3,
            "id2label": _COMMON["id2label"],
        },
        ("causal", "classifier"),
        blocks="transformer.h",
        projections=("attn.c_attn",) * 3,
        columns=lambda part: slice(part * HIDDEN, (part + 1) * HIDDEN),
        mixed="attn.c_proj",
        down="mlp.c_proj",
    ),
    "gpt_neox": Row(
        _COMMON | {"use_parallel_residual": True},
        blocks="gpt_neox.layers",
        projections=("attention.query_key_value",) * 3,
        # The fused output is [head][query, key, value][dimension of the head].
        columns=lambda part: torch.arange(3 * HIDDEN).view(HEADS, 3, HEAD)[:, part].flatten(),
        mixed="attention.dense",
        down="mlp.dense_4h_to_h",
    ),
    "bert": _encoder("bert"),
    "roberta": _encoder("roberta", ("<s>", "</s>", "<mask>"), max_position_embeddings=66),
    "esm": _encoder(
        "esm",
        max_position_embeddings=66,
        position_embedding_type="rotary",
        token_dropout=True,
        emb_layer_norm_before=False,
        is_folding_model=False,
    ),
}
TINY = [(name, head) for name, row in ROWS.items() for head in row.heads]
LANGUAGE = [pair for pair in TINY if pair[1] != "classifier"]
_HEADS = {
    "causal": transformers.AutoModelForCausalLM,
    "masked": transformers.AutoModelForMaskedLM,
    "classifier": transformers.AutoModelForSequenceClassification,
}


def text_tokenizer(model_type, words=WORDS):
    """A word-level tokenizer with the special tokens that the family's own tokenizer has."""
    special, first = ROWS[model_type].special, ["<pad>", "<unk>", "<|end|>"]
    if special:
        cls, sep, mask = special
        first = [cls, "<pad>", sep, "<unk>", mask]
    vocabulary = {token: i for i, token in enumerate([*first, *words.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"eos_token": "<|end|>"}
    if special:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}", special_tokens=[(t, vocabulary[t]) for t in (cls, sep)]
        )
        names = {"cls_token": cls, "sep_token": sep, "mask_token": mask}
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", **names
    )


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
    row, words = ROWS[model_type], " ".join(RESIDUES) if protein else WORDS
    tokenizer = esm_tokenizer(folder) if row.protein else text_tokenizer(model_type, words)
    config = transformers.AutoConfig.for_model(
        model_type,
        **{
            **row.config,
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
    alphabet = "protein" if protein or row.protein else "text"
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
