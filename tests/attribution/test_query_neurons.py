"""Query neurons against the formulas of arXiv 2312.12141, computed with plain hooks."""

import pytest
import torch

import neuronlab as nl
from neuronlab.attribution.query_neurons import GUARD, ValueNeuron, query_scores, shares
from neuronlab.models.components import SUBLAYERS

PRE_NORM = ("llama", "mistral", "qwen2", "qwen3", "gpt2")
# Module names of what attention and FFN add, the norms in front of them, and the FFN's inputs.
_NAMES = {
    "llama": ("self_attn", "mlp", "input_layernorm", "post_attention_layernorm"),
    "gpt2": ("attn", "mlp", "ln_1", "ln_2"),
}


def recorded(model, encoded):
    """What each block's attention and FFN put out, its FFN's neurons and its input, per token."""
    seen = {}
    attention, mlp, *_ = _NAMES.get(model.hf.config.model_type, _NAMES["llama"])
    handles = []
    for layer, block in enumerate(model.blocks):

        def keep(name, layer=layer):
            def hook(module, args, output):
                seen[name, layer] = (output[0] if isinstance(output, tuple) else output)[0]

            return hook

        handles += [
            block.register_forward_pre_hook(
                lambda m, args, layer=layer: seen.update({("input", layer): args[0][0]})
            ),
            getattr(block, attention).register_forward_hook(keep("attention")),
            getattr(block, mlp).register_forward_hook(keep("ffn")),
        ]
    with torch.no_grad():
        model.hf(input_ids=encoded.input_ids)
    for handle in handles:
        handle.remove()
    return seen


def keys_of(model, value):
    """Subkeys by hand: rows of the input projections times the weight of the block's norm."""
    block, kind = model.blocks[value.layer], model.hf.config.model_type
    if kind == "gpt2":
        if value.sublayer == "ffn":
            return {"input": block.mlp.c_fc.weight[:, value.index] * block.ln_2.weight}
        column = 2 * model.hf.config.n_embd + value.index
        return {"value": block.attn.c_attn.weight[:, column] * block.ln_1.weight}
    config = model.hf.config
    if value.sublayer == "ffn":
        scale = block.post_attention_layernorm.weight
        return {
            "gate": block.mlp.gate_proj.weight[value.index] * scale,
            "up": block.mlp.up_proj.weight[value.index] * scale,
        }
    size = config.head_dim
    head, dimension = divmod(value.index, size)
    shared = head // (config.num_attention_heads // config.num_key_value_heads)
    return {
        "value": block.self_attn.v_proj.weight[shared * size + dimension]
        * block.input_layernorm.weight
    }


@pytest.mark.parametrize("name", PRE_NORM)
@pytest.mark.parametrize("sublayer", SUBLAYERS)
def test_shares_are_those_of_the_formula(tiny, asked, name, sublayer):
    model = tiny(name)
    encoded = model.encode(asked(model))
    in_ffn = sublayer == "ffn"
    position = encoded.position if in_ffn else 2
    value = ValueNeuron(2, sublayer, 29, position)
    result = shares(model, encoded, [value])
    seen = recorded(model, encoded)
    neurons = {
        layer: nl_neurons[0, position]
        for (layer, _), nl_neurons in model.read(encoded, ("ffn",)).items()
    }
    keys = keys_of(model, value)
    assert result.subkey == list(keys)
    for row, key in enumerate(keys.values()):
        stream = seen["input", 2][position] + (seen["attention", 2][position] if in_ffn else 0)
        whole = float(stream @ key)
        assert bool(result.trusted[row])
        embedding = seen["input", 0][position] @ key / whole
        assert float(result.start[row]) == pytest.approx(float(embedding), abs=1e-5)
        total = float(result.start[row] + result.biases[row])
        for layer in range(3):
            for kind, name in enumerate(SUBLAYERS):
                total += float(result.layers[row, layer, kind])
                bias = model.output_bias(layer, name)
                part = seen[name, layer][position]
                part = part if bias is None else part - bias
                below = 2 * layer + kind < 4 + in_ffn
                expected = float(part @ key) / whole if below else 0.0
                assert float(result.layers[row, layer, kind]) == pytest.approx(expected, abs=1e-5)
            vectors = model.family.ffn_vectors(model.blocks[layer])
            expected = neurons[layer] * (vectors @ key) / whole * (layer < 2)
            assert torch.allclose(result.ffn[row, layer], expected, atol=1e-5)
        assert total == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("sublayer", SUBLAYERS)
def test_shares_add_up_to_one_in_every_family(language, asked, sublayer):
    encoded = language.encode(asked(language))
    values = [
        ValueNeuron(layer, sublayer, index, encoded.position if sublayer == "ffn" else position)
        for layer, index, position in ((0, 3, 1), (1, 7, 0), (2, 29, 3), (2, 11, 1))
    ]
    result = shares(language, encoded, values)
    parts = result.start + result.biases + result.layers.sum((1, 2))
    assert result.trusted.any()
    assert torch.allclose(parts, result.trusted.float(), atol=1e-3)
    for row, number in enumerate(result.value):
        reads = language.read_state(values[number].layer, sublayer)
        for layer in range(language.layers):  # what comes later has no share
            if 2 * layer >= reads:
                assert not result.attention[row, layer].any()
            if 2 * layer + 1 >= reads:
                assert not result.ffn[row, layer].any()


def test_a_post_norm_model_reads_the_normed_stream(tiny, asked):
    """BERT: from one block's FFN to the next block's attention there is the norm between them."""
    model = tiny("bert", "masked")
    encoded = model.encode(asked(model))
    seen = {}
    norm = model.blocks[0].output.LayerNorm
    handle = norm.register_forward_pre_hook(lambda m, args: seen.update(state=args[0][0, 2]))
    neurons = model.read(encoded, ("ffn",))[0, "ffn"][0, 2]
    handle.remove()
    state = seen["state"]
    deviation = torch.sqrt(state.var(unbiased=False) + norm.eps)
    key = model.blocks[1].attention.self.value.weight[5]
    vectors = model.blocks[0].output.dense.weight.T
    through = norm.weight * (vectors - vectors.mean(1, keepdim=True)) / deviation
    whole = (norm.weight * (state - state.mean()) / deviation + norm.bias) @ key
    result = shares(model, encoded, [ValueNeuron(1, "attention", 5, 2)])
    assert torch.allclose(result.ffn[0, 0], neurons * (through @ key) / whole, atol=1e-5)


def test_gemma_norms_what_the_ffn_puts_out(tiny, asked):
    model = tiny("gemma3_text")
    encoded = model.encode(asked(model))
    seen = {}
    block = model.blocks[0]
    handles = [
        block.mlp.register_forward_hook(lambda m, a, output: seen.update(branch=output[0, 1])),
        model.blocks[1].register_forward_pre_hook(lambda m, a: seen.update(state=a[0][0, 1])),
    ]
    neurons = model.read(encoded, ("ffn",))[0, "ffn"][0, 1]
    for handle in handles:
        handle.remove()
    norm = block.post_feedforward_layernorm
    root = torch.sqrt((seen["branch"] ** 2).mean() + norm.eps)
    middle = model.blocks[1]
    key = middle.self_attn.v_proj.weight[5] * (1 + middle.input_layernorm.weight)
    parts = block.mlp.down_proj.weight.T * (1 + norm.weight) / root
    result = shares(model, encoded, [ValueNeuron(1, "attention", 5, 1)])
    expected = neurons * (parts @ key) / (seen["state"] @ key)
    assert torch.allclose(result.ffn[0, 0], expected, atol=1e-5)


def test_value_rows_are_what_the_head_mixes(language):
    """With a single token, a head puts out its value: that tells which row a neuron comes from."""
    if language.kind == "masked":
        pytest.skip("a masked model's prompt has special tokens")
    norm = language.family.input_norms(language.block(1))[0]
    mixed, entering = [], []
    for word in ("the", "quick"):  # two words, so that biases cancel
        encoded = language.encode(nl.Prompt(word))
        assert encoded.input_ids.shape == (1, 1)
        handle = norm.register_forward_hook(lambda m, a, output: entering.append(output[0, 0]))
        mixed.append(language.read(encoded, ("attention",))[1, "attention"][0, 0])
        handle.remove()
    every = list(range(language.sizes["attention"]))
    rows = language.subkeys(1, "attention", every)["value"] / language.family.norm_scale(norm)
    assert torch.allclose(rows @ (entering[0] - entering[1]), mixed[0] - mixed[1], atol=1e-5)


def test_scores_add_up(language, asked):
    encoded = language.encode(asked(language))
    values = [ValueNeuron(2, "ffn", index, encoded.position) for index in range(20)]
    imp = torch.linspace(1, -0.5, 20).tolist()
    scores = query_scores(shares(language, encoded, values), imp)
    parts = scores.start + scores.biases + scores.layers.sum((1, 2))
    assert torch.allclose(parts, scores.total, atol=1e-3)
    assert torch.allclose(scores.layers[..., 1], scores.ffn.sum(-1), atol=1e-4)
    gated = len(scores.subkeys) == 2
    assert scores.subkeys == (("gate", "up") if gated else ("input",))
    assert all(0 < used <= 20 for used in scores.used)


def test_sums_near_zero_are_left_out(tiny, asked, twin):
    """A subkey made orthogonal to the stream has no shares: they would be without bounds."""
    model = twin(tiny("llama"))
    encoded = model.encode(asked(model))
    value = ValueNeuron(2, "attention", 3, 1)
    seen = recorded(model, encoded)
    state = seen["input", 2][1] * model.blocks[2].input_layernorm.weight
    row = model.blocks[2].self_attn.v_proj.weight
    with torch.no_grad():
        row[3] -= (row[3] @ state) / (state @ state) * state
    result = shares(model, encoded, [value, ValueNeuron(2, "attention", 4, 1)])
    assert result.trusted.tolist() == [False, True]
    assert not result.ffn[0].any()
    scores = query_scores(result, [5.0, 2.0])
    assert scores.used == (1,)
    assert float(scores.total) == pytest.approx(2.0)
    assert 0 < GUARD < 1


def test_a_row_alone_equals_a_row_among_others(language, asked):
    encoded = language.encode(asked(language))
    values = [
        ValueNeuron(1, "attention", 3, 0),
        ValueNeuron(2, "attention", 9, 2),
        ValueNeuron(2, "ffn", 9, 2),
    ]
    together = shares(language, encoded, values)
    for number, value in enumerate(values):
        alone = shares(language, encoded, [value])
        rows = [i for i, v in enumerate(together.value) if v == number]
        assert torch.allclose(together.ffn[rows], alone.ffn, atol=1e-4)
        assert torch.allclose(together.attention[rows], alone.attention, atol=1e-4)
