"""The stream's parts against the model itself."""

import pytest
import torch

import neuronlab as nl
from neuronlab.models.stream import read_stream


def close(found, expected, within=2e-5):
    scale = float(expected.abs().max())
    assert float((found - expected).abs().max()) <= within * scale


@pytest.fixture
def stream(language, asked):
    encoded = language.encode(asked(language))
    return encoded, read_stream(language, encoded)


def states_of(model, encoded):
    """What leaves each block at the predicted position, by hooks of our own."""
    seen = []

    def keep(module, args, output):
        output = output[0] if isinstance(output, tuple) else output
        seen.append(output[0, encoded.position])

    handles = [block.register_forward_hook(keep) for block in model.blocks]
    with torch.no_grad():
        logits = model.hf(input_ids=encoded.input_ids).logits[0, encoded.position]
    for handle in handles:
        handle.remove()
    return seen, logits


def test_the_parts_add_up_to_the_final_state(language, stream):
    encoded, found = stream
    blocks, _ = states_of(language, encoded)
    close(found.states()[-1], blocks[-1])


def test_the_final_state_reads_out_as_the_models_own_logits(language, stream):
    encoded, found = stream
    _, logits = states_of(language, encoded)
    close(found.readout.logits(found.states()[-1:])[0], logits, within=1e-4)


def test_states_between_layers_are_the_models_own_where_nothing_norms_the_stream(language, stream):
    encoded, found = stream
    if language.family.stream_norms(language.block(0))[0] is not None:
        pytest.skip("a norm after each sublayer: states are in the last block's coordinates")
    blocks, _ = states_of(language, encoded)
    states = found.states()
    assert len(states) == 2 * language.layers + 1
    for layer, expected in enumerate(blocks):
        close(states[2 * layer + 2], expected)


def test_neurons_add_up_to_heads_and_heads_to_layers(language, stream):
    _, found = stream
    layers = found.layer_parts()
    for layer in range(language.layers):
        vectors = found.attention_vectors(layer)
        neurons = found.attention[layer][..., None] * vectors
        heads = found.head_parts(layer)
        size = vectors.shape[0] // found.heads
        close(neurons.unflatten(1, (found.heads, size)).sum(2), heads)
        close(heads.sum((0, 1)), layers[layer, 0])
        close(found.ffn[layer] @ found.ffn_vectors(layer), layers[layer, 1])


def test_attention_neurons_are_what_enters_the_output_projection(language, stream):
    encoded, found = stream
    seen = {}
    handles = [
        language.family.attention_output(block).register_forward_pre_hook(
            lambda module, args, layer=layer: seen.update({layer: args[0][0, encoded.position]})
        )
        for layer, block in enumerate(language.blocks)
    ]
    nl.predict(language, encoded)
    for handle in handles:
        handle.remove()
    for layer in range(language.layers):
        close(found.attention[layer].sum(0), seen[layer])


def test_readout_is_linear(language, stream):
    _, found = stream
    states = found.states()
    parts = states.diff(dim=0)
    readout = found.readout
    close(readout.logits(states[1:]) - readout.logits(states[:-1]), readout.change(parts), 1e-3)
    weights = torch.randn(len(parts), len(readout.bias))
    slopes = (readout.gradient(weights) * parts).sum(1)
    close(slopes, (weights * readout.change(parts)).sum(1), 1e-3)


def test_nothing_is_left_behind(language, asked):
    before = nl.predict(language, asked(language)).logits
    implementation = language.hf.config._attn_implementation
    read_stream(language, language.encode(asked(language)))
    assert language.hf.config._attn_implementation == implementation
    assert all(not m._forward_pre_hooks for m in language.hf.modules())
    assert torch.equal(nl.predict(language, asked(language)).logits, before)
