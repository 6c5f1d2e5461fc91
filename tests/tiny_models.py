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
SAID = "the quick brown fox"  # by a decoder
RESIDUES = "LAGVSERTIDPKQNFYMHWCXBUZO"
SENTINELS = ["<extra_id_0>", "<extra_id_1>"]
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
        encoder: path of the blocks of an encoder; the others are then its decoder's.
        encoder_down: what reads the FFN's neurons there, where that is elsewhere.
        cross: projections of cross-attention.
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
    encoder: str = ""
    encoder_down: str = ""
    cross: tuple[str, ...] = ()


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


# One row a model type. Of these every test of the package runs on each.
USUAL = {
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


_CLASSES = {"num_labels": 3, "id2label": _COMMON["id2label"]}
_BOTH = ("causal", "classifier")
# Windows are shorter than the prompts, and not in every layer.
_WINDOWS = {
    "sliding_window": 4,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
}


def _llama(heads: tuple[str, ...] = _BOTH, *, down: str = "mlp.down_proj", **changes: Any) -> Row:
    biases = {"attention_bias": True, "mlp_bias": True, "use_bias": True}
    return Row(_COMMON | _GROUPED | biases | changes, heads, down=down)


def _side_by_side(part: int) -> slice:
    """Four query heads, then two of key and two of value."""
    return (slice(0, 32), slice(32, 48), slice(48, 64))[part]


def _beside(part: int) -> torch.Tensor:
    """Per head its query, its key and its value."""
    return torch.arange(3 * HIDDEN).view(HEADS, 3, HEAD)[:, part].flatten()


def _thirds(part: int) -> slice:
    return slice(part * HIDDEN, (part + 1) * HIDDEN)


def _codegen(part: int) -> torch.Tensor:
    """Of each quarter of the heads, one here: query, then value, then key."""
    return torch.cat([torch.arange(8) + 24 * head + 8 * (0, 2, 1)[part] for head in range(HEADS)])


def _falcon(part: int) -> torch.Tensor:
    """Per key-value head: its two query heads, its key, its value."""
    heads = ((0, 1, 4, 5), (2, 6), (3, 7))[part]
    return torch.cat([torch.arange(8) + 8 * head for head in heads])


def _one_for_all(part: int) -> slice:
    """Four query heads, one key head, one value head."""
    return (slice(0, 32), slice(32, 40), slice(40, 48))[part]


_OF_GPT2 = {
    "n_embd": HIDDEN,
    "n_inner": FFN,
    "n_layer": LAYERS,
    "n_head": HEADS,
    "n_positions": 64,
    "rotary_dim": 4,
    **_CLASSES,
}
_EXPERTS = {
    "num_experts": 4,
    "num_local_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 12,
    "shared_expert_intermediate_size": 20,
    "norm_topk_prob": True,
    "decoder_sparse_step": 1,
}
_FAIRSEQ = {"mixed": "self_attn.out_proj", "down": "fc2"}


def _t5(**changes: Any) -> Row:
    """Two layers of an encoder and three of a decoder; heads that are wider than the stream's."""
    sizes = {"d_model": HIDDEN, "d_kv": 16, "d_ff": FFN, "num_heads": HEADS, "num_layers": 2}
    config = sizes | {"num_decoder_layers": LAYERS, "dropout_rate": 0.0}
    return Row(
        config | changes,
        ("seq2seq",),
        encoder="encoder.block",
        blocks="decoder.block",
        projections=tuple(f"layer.0.SelfAttention.{letter}" for letter in "qkv"),
        cross=tuple(f"layer.1.EncDecAttention.{letter}" for letter in "qkv"),
        mixed="layer.0.SelfAttention.o",
        encoder_down="layer.1.DenseReluDense.wo",
        down="layer.2.DenseReluDense.wo",
    )


def _bart(special: tuple[str, ...] = (), **changes: Any) -> Row:
    """Layers as in ``_t5``."""
    config = {"d_model": HIDDEN, "max_position_embeddings": 64, "dropout": 0.0}
    for stack, layers in {"encoder": 2, "decoder": LAYERS}.items():
        sizes = {"layers": layers, "attention_heads": HEADS, "ffn_dim": FFN}
        config |= {f"{stack}_{name}": size for name, size in sizes.items()}
    return Row(
        config | {"scale_embedding": True} | changes,
        ("seq2seq",),
        special,
        encoder="model.encoder.layers",
        blocks="model.decoder.layers",
        cross=tuple(f"encoder_attn.{letter}_proj" for letter in "qkv"),
        **_FAIRSEQ,
    )


def _bert(name: str, trunk: str, special: tuple[str, ...] = _BERT_SPECIAL, **changes: Any) -> Row:
    return _encoder(name, special, **changes)._replace(blocks=f"{trunk}.encoder.layer")


_ROBERTA = {"special": USUAL["roberta"].special, "max_position_embeddings": 66}
# Of these the adapters alone are checked, on each.
MORE = {
    "cwm": _llama(("causal",), bos_token_id=0, **_WINDOWS),
    "ernie4_5": _llama(("causal",)),
    "helium": _llama(),
    "hunyuan_v1_dense": _llama(),
    "ministral": _llama(**_WINDOWS),
    "ministral3": _llama(sliding_window=4),
    "seed_oss": _llama(attention_out_bias=True),
    "smollm3": _llama(no_rope_layers=[1, 0, 1], **_WINDOWS, use_sliding_window=True),
    "gemma": _llama(tie_word_embeddings=True, head_dim=16),
    "gemma2": _llama(
        query_pre_attn_scalar=HEAD,
        final_logit_softcapping=5.0,
        attn_logit_softcapping=2.0,
        **_WINDOWS,
    ),
    "glm": _llama(partial_rotary_factor=0.5),
    "glm4": _llama(partial_rotary_factor=0.5),
    "arcee": _llama(),
    "jais2": _llama(("causal",)),
    "apertus": _llama(("causal",)),
    "nemotron": _llama(partial_rotary_factor=0.5, hidden_act="relu2"),
    "starcoder2": _llama(down="mlp.c_proj", sliding_window=4),
    "stablelm": _llama(use_qkv_bias=True, qk_layernorm=True, use_parallel_residual=False),
    "olmo": _llama(clip_qkv=0.5),
    "olmo2": _llama(),
    "olmo3": _llama(**_WINDOWS),
    "exaone4": _llama(**_WINDOWS),
    "granite": _llama(
        ("causal",),
        residual_multiplier=0.6,
        logits_scaling=3.0,
        embedding_multiplier=2.0,
        attention_multiplier=0.3,
    ),
    "cohere": _llama(("causal",), logit_scale=0.3, use_qk_norm=True),
    "cohere2": _llama(("causal",), logit_scale=0.3, **_WINDOWS),
    "phi": _llama(qk_layernorm=True, partial_rotary_factor=0.5, down="mlp.fc2")._replace(
        mixed="self_attn.dense"
    ),
    "phi3": _llama(sliding_window=4)._replace(
        projections=("self_attn.qkv_proj",) * 3, columns=_side_by_side
    ),
    "gpt_neo": Row(
        {
            "hidden_size": HIDDEN,
            "intermediate_size": FFN,
            "num_layers": LAYERS,
            "num_heads": HEADS,
            "max_position_embeddings": 64,
            "attention_types": [[["global", "local", "global"], 1]],
            "window_size": 4,
            **_CLASSES,
        },
        _BOTH,
        blocks="transformer.h",
        projections=tuple(f"attn.attention.{letter}_proj" for letter in "qkv"),
        mixed="attn.attention.out_proj",
        down="mlp.c_proj",
    ),
    "gptj": Row(
        _OF_GPT2,
        _BOTH,
        blocks="transformer.h",
        projections=tuple(f"attn.{letter}_proj" for letter in "qkv"),
        mixed="attn.out_proj",
        down="mlp.fc_out",
    ),
    "codegen": Row(
        _OF_GPT2,
        blocks="transformer.h",
        projections=("attn.qkv_proj",) * 3,
        columns=_codegen,
        mixed="attn.out_proj",
        down="mlp.fc_out",
    ),
    "gpt_bigcode": Row(
        _OF_GPT2 | {"multi_query": True},
        _BOTH,
        blocks="transformer.h",
        projections=("attn.c_attn",) * 3,
        columns=_one_for_all,
        mixed="attn.c_proj",
        down="mlp.c_proj",
    ),
    "bloom": Row(
        {"hidden_size": HIDDEN, "n_layer": LAYERS, "n_head": HEADS, **_CLASSES},
        _BOTH,
        blocks="transformer.h",
        projections=("self_attention.query_key_value",) * 3,
        columns=_beside,
        mixed="self_attention.dense",
        down="mlp.dense_4h_to_h",
    ),
    "falcon": Row(
        _COMMON
        | {"new_decoder_architecture": True, "num_kv_heads": KV_HEADS, "ffn_hidden_size": FFN},
        _BOTH,
        blocks="transformer.h",
        projections=("self_attention.query_key_value",) * 3,
        columns=_falcon,
        mixed="self_attention.dense",
        down="mlp.dense_4h_to_h",
    ),
    "mpt": Row(
        {
            "d_model": HIDDEN,
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "max_seq_len": 64,
            "attn_config": {"clip_qkv": 1.5},
            **_CLASSES,
        },
        _BOTH,
        blocks="transformer.blocks",
        projections=("attn.Wqkv",) * 3,
        columns=_thirds,
        mixed="attn.out_proj",
        down="ffn.down_proj",
    ),
    "opt": Row(
        _COMMON | {"ffn_dim": FFN, "word_embed_proj_dim": HIDDEN, "dropout": 0.0},
        _BOTH,
        blocks="model.decoder.layers",
        **_FAIRSEQ,
    ),
    "xglm": Row(
        {
            "d_model": HIDDEN,
            "ffn_dim": FFN,
            "num_layers": LAYERS,
            "attention_heads": HEADS,
            "max_position_embeddings": 64,
            "dropout": 0.0,
        },
        **_FAIRSEQ,
    ),
    "biogpt": Row(_COMMON, _BOTH, blocks="biogpt.layers", **_FAIRSEQ),
    "mixtral": _llama(down="mlp.units", **_EXPERTS, sliding_window=4),
    "olmoe": _llama(("causal",), down="mlp.units", **_EXPERTS),
    "phimoe": _llama(down="mlp.units", **_EXPERTS),
    "qwen2_moe": _llama(down="mlp.units", **_EXPERTS),
    "qwen3_moe": _llama(down="mlp.units", **_EXPERTS),
    "flex_olmo": _llama(("causal",), down="mlp.units", **_EXPERTS),
    "ernie": _bert("ernie", "ernie"),
    "electra": _bert("electra", "electra", embedding_size=16),
    "xlm-roberta": _bert(
        "roberta", "roberta", USUAL["roberta"].special, max_position_embeddings=66
    ),
    "camembert": _bert(
        "camembert", "roberta", USUAL["roberta"].special, max_position_embeddings=66
    ),
    "data2vec-text": _bert("x", "data2vec_text", **_ROBERTA),
    "esmc": Row(
        _COMMON | {"num_key_value_heads": HEADS, "attention_bias": True, "mlp_bias": True},
        ("masked", "classifier"),
        protein=True,
        blocks="esmc.layers",
    ),
    "xlm-roberta-xl": _bert("x", "roberta", **_ROBERTA),
    "roberta-prelayernorm": _bert("x", "roberta_prelayernorm", **_ROBERTA),
    "mpnet": _bert("mpnet", "mpnet", max_position_embeddings=66)._replace(
        projections=tuple(f"attention.attn.{letter}" for letter in "qkv"),
        mixed="attention.attn.o",
    ),
    "distilbert": Row(
        {
            "dim": HIDDEN,
            "hidden_dim": FFN,
            "n_layers": LAYERS,
            "n_heads": HEADS,
            "max_position_embeddings": 64,
            **_CLASSES,
        },
        ("masked", "classifier"),
        _BERT_SPECIAL,
        blocks="distilbert.transformer.layer",
        projections=tuple(f"attention.{letter}_lin" for letter in "qkv"),
        mixed="attention.out_lin",
        down="ffn.lin2",
    ),
    "deberta": _bert(
        "deberta", "deberta", relative_attention=True, pos_att_type=["c2p", "p2c"]
    )._replace(projections=("attention.self.in_proj",) * 3, columns=_beside),
    "deberta-v2": _bert(
        "deberta",
        "deberta",
        relative_attention=True,
        pos_att_type=["c2p", "p2c"],
        position_buckets=4,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
    )._replace(
        projections=tuple(f"attention.self.{part}_proj" for part in ("query", "key", "value"))
    ),
    "modernbert": Row(
        _COMMON
        | {
            "global_attn_every_n_layers": 2,
            "local_attention": 4,
            "classifier_pooling": "cls",
            "attention_bias": True,
            "mlp_bias": True,
            "norm_bias": True,
        },
        ("masked", "classifier"),
        _BERT_SPECIAL,
        projections=("attn.Wqkv",) * 3,
        columns=_thirds,
        mixed="attn.Wo",
        down="mlp.Wo",
    ),
    "albert": Row(
        _COMMON | {"embedding_size": 16, "num_hidden_groups": 1, "inner_group_num": 1},
        ("masked", "classifier"),
        _BERT_SPECIAL,
        blocks="albert.encoder.albert_layer_groups",
        projections=tuple(
            f"albert_layers.0.attention.{part}" for part in ("query", "key", "value")
        ),
        mixed="albert_layers.0.attention.dense",
        down="albert_layers.0.ffn_output",
    ),
    "t5": _t5(),
    "mt5": _t5(feed_forward_proj="gated-gelu"),
    "umt5": _t5(feed_forward_proj="gated-gelu"),
    "bart": _bart(("<s>", "</s>", "<mask>")),
    "mbart": _bart(("<s>", "</s>", "<mask>")),
    "pegasus": _bart(),
}
ROWS = USUAL | MORE
TINY = [(name, head) for name, row in USUAL.items() for head in row.heads]
LANGUAGE = [pair for pair in TINY if pair[1] != "classifier"]
# With heads that the other tests leave out.
EVERY = [(name, head) for name, row in ROWS.items() for head in row.heads] + [
    (name, "classifier") for name in ("mistral", "qwen2", "qwen3", "gemma3_text", "gpt_neox")
]
AUTO = {
    "causal": transformers.AutoModelForCausalLM,
    "masked": transformers.AutoModelForMaskedLM,
    "classifier": transformers.AutoModelForSequenceClassification,
    "seq2seq": transformers.AutoModelForSeq2SeqLM,
    "encoder": transformers.AutoModelForTextEncoding,
}


def block_of(hf, layer):
    """A layer's module, and whether it is an encoder's before a decoder."""
    row = ROWS[hf.config.model_type]
    first = len(hf.get_submodule(row.encoder)) if row.encoder else 0
    if layer < first:
        return hf.get_submodule(f"{row.encoder}.{layer}"), True
    return hf.get_submodule(f"{row.blocks}.{layer - first}"), False


def text_tokenizer(model_type, words=WORDS):
    """A word-level tokenizer with the special tokens that the family's own tokenizer has."""
    special, first = ROWS[model_type].special, ["<pad>", "<unk>", "<|end|>"]
    if special:
        cls, sep, mask = special
        first = [cls, "<pad>", sep, "<unk>", mask]
    elif ROWS[model_type].encoder:  # as T5's: an end, and sentinels
        first += SENTINELS
    vocabulary = {token: i for i, token in enumerate([*first, *words.split()])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    names = {"eos_token": "<|end|>"}
    if special:
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"{cls} $A {sep}", special_tokens=[(t, vocabulary[t]) for t in (cls, sep)]
        )
        names = {"cls_token": cls, "sep_token": sep, "mask_token": mask, "eos_token": sep}
    elif ROWS[model_type].encoder:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A <|end|>", special_tokens=[("<|end|>", vocabulary["<|end|>"])]
        )
        names["additional_special_tokens"] = SENTINELS
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", pad_token="<pad>", **names
    )


def esm_tokenizer(folder):
    vocabulary = ["<cls>", "<pad>", "<eos>", "<unk>", *RESIDUES, ".", "-", "<null_1>", "<mask>"]
    path = folder / "vocab.txt"
    path.write_text("\n".join(vocabulary))
    return transformers.EsmTokenizer(str(path))


def protein_encoder(word_start):
    """An encoder of T5 alone, and its tokenizer: residues, as words of one letter, and an end.

    Args:
        word_start: before each, "▁" as in ProtT5's vocabulary or nothing as in Ankh's.
    """
    pieces = [f"{word_start}{letter}" for letter in RESIDUES]
    names = ["<pad>", "</s>", "<unk>", *pieces, *(f"<extra_id_{at}>" for at in range(40))]
    vocabulary = {piece: at for at, piece in enumerate(names)}
    model = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words = pre_tokenizers.Metaspace, pre_tokenizers.WhitespaceSplit
    model.pre_tokenizer = words[not word_start]()
    model.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, unk_token="<unk>", pad_token="<pad>", eos_token="</s>"
    )
    sizes = {"d_model": HIDDEN, "d_kv": HEAD, "d_ff": FFN, "num_heads": HEADS, "num_layers": 2}
    hf = transformers.T5EncoderModel(transformers.T5Config(vocab_size=len(names), **sizes))
    randomise(hf, 0)
    return hf.eval(), tokenizer


def randomise(hf, seed):
    """Weights large enough for effects far above rounding (the usual .02 gives almost none)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in hf.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if name.endswith("Attention.q.weight"):
                noise /= 4  # T5's attention divides by nothing: its queries are small
            if parameter.dim() > 1:
                parameter.copy_(0.25 * noise)
            else:  # biases around 0, scales of norms around 1
                parameter.add_(0.15 * noise)
        for name, buffer in hf.named_buffers():
            if name == "final_logits_bias":
                buffer.copy_(torch.randn(buffer.shape, generator=generator))


def plain(model_type, kind, tokenizer, *, seed=0, **settings):
    """A tiny seeded model as transformers makes it; ``settings`` override the configuration."""
    row = ROWS[model_type]
    config = transformers.AutoConfig.for_model(
        model_type,
        **{
            "vocab_size": len(tokenizer),
            "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "mask_token_id": tokenizer.mask_token_id,
            **({"decoder_start_token_id": tokenizer.pad_token_id} if row.encoder else {}),
            **row.config,
            **settings,
        },
    )
    hf = AUTO[kind].from_config(config)
    randomise(hf, seed)
    if kind == "seq2seq":
        hf.register_forward_pre_hook(_decoding(tokenizer), with_kwargs=True)
    return hf


def _decoding(tokenizer):
    """Gives a decoder what ``question`` has it read, where it is not said what it reads."""
    before = [] if tokenizer.cls_token_id is None else [tokenizer.cls_token_id]
    words = tokenizer(SAID, add_special_tokens=False)["input_ids"]
    ids = torch.tensor([[tokenizer.pad_token_id, *before, *words]])

    def hook(module, args, kwargs):
        rows = len(kwargs["input_ids"])
        read = ids.to(kwargs["input_ids"].device).expand(rows, -1)
        return args, {"decoder_input_ids": read} | kwargs

    return hook


def build(model_type, kind, folder, *, title="", protein=False, **settings):
    """The same with its tokenizer; of the types of ``MORE`` as it is when it is loaded."""
    row, words = ROWS[model_type], " ".join(RESIDUES) if protein else WORDS
    tokenizer = esm_tokenizer(folder) if row.protein else text_tokenizer(model_type, words)
    hf = plain(model_type, kind, tokenizer, **settings)
    if model_type in MORE:
        family_of(model_type).fuse(hf)
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
    if model.kind == "seq2seq":
        text = "the capital of the fox is Paris"
        return nl.Prompt(text, target=target or "France", prefix=SAID)
    if model.kind == "masked":
        return nl.Prompt("the capital of [MASK] is Paris", target=target or "France")
    if model.kind == "classifier":
        return nl.Prompt("the quick brown fox jumps over", 1 if target is None else target)
    return nl.Prompt("the quick brown fox is the capital of", target=target or "France")
