"""A GGUF file as llama.cpp keeps models, tiny and with random weights."""

import gguf
import numpy as np

LAYERS, HIDDEN, FFN, HEADS, KV_HEADS = 2, 16, 24, 2, 1


def write(path):
    """A Llama with random weights and a byte-pair tokenizer; its tensors by name."""
    tokens, merges = ["<|end|>", *map(chr, range(33, 127)), "Ġ"], []
    for word in ("the", "capital", "of", "France", "is", "Paris"):
        left = "Ġ"
        for letter in word:
            merges.append(f"{left} {letter}")
            left += letter
            tokens.append(left)
    merges, tokens = list(dict.fromkeys(merges)), list(dict.fromkeys(tokens))
    draw, size = np.random.default_rng(0), HIDDEN // HEADS
    shapes = {
        "attn_norm": (HIDDEN,),
        "ffn_norm": (HIDDEN,),
        "attn_q": (HIDDEN, HIDDEN),
        "attn_k": (KV_HEADS * size, HIDDEN),
        "attn_v": (KV_HEADS * size, HIDDEN),
        "attn_output": (HIDDEN, HIDDEN),
        "ffn_gate": (FFN, HIDDEN),
        "ffn_up": (FFN, HIDDEN),
        "ffn_down": (HIDDEN, FFN),
    }
    every = {f"blk.{i}.{name}": shape for i in range(LAYERS) for name, shape in shapes.items()}
    every |= {"token_embd": (len(tokens), HIDDEN), "output": (len(tokens), HIDDEN)}
    every["output_norm"] = (HIDDEN,)
    tensors = {
        name: (draw.normal(size=shape) * 0.25 + (len(shape) == 1)).astype(np.float32)
        for name, shape in every.items()
    }
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(size)
    writer.add_rope_freq_base(10_000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_merges(merges)
    writer.add_token_types([1] * len(tokens))
    for add in (writer.add_bos_token_id, writer.add_eos_token_id, writer.add_unk_token_id):
        add(0)
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors
