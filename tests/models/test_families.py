"""Every adapter against the weights and the layout of the checkpoints."""

from contextlib import ExitStack

import pytest
import torch
import transformers
from tiny_models import AUTO, HEAD, ROWS, block_of, text_tokenizer
from transformers.pytorch_utils import Conv1D

import neuronlab as nl
from neuronlab.errors import UserError
from neuronlab.models import COMPONENTS, READABLE
from neuronlab.models.families import FAMILIES, check, family_of
from neuronlab.neurons import NeuronSet, Suppress, applied


def head_output_module(hf, layer):
    """The projection after attention: its input is the heads' outputs side by side."""
    return block_of(hf, layer)[0].get_submodule(ROWS[hf.config.model_type].mixed)


def captured(module, run, side="input"):
    """What enters or leaves a module during ``run``."""
    seen = []
    if side == "input":
        handle = module.register_forward_pre_hook(lambda m, args: seen.append(args[0].clone()))
    else:
        handle = module.register_forward_hook(lambda m, args, out: seen.append(out.clone()))
    with torch.no_grad():
        run()
    handle.remove()
    return seen[0]


def head_size(hf):
    return getattr(hf.config, "head_dim", None) or HEAD


def visible(model, layer, position, length):
    """The positions that attention may look at from ``position``."""
    config = model.hf.config
    if not model.family.causal:
        return slice(0, length)
    window = getattr(config, "sliding_window", None)
    types = getattr(config, "layer_types", None)
    sliding = window and (not types or types[layer] == "sliding_attention")
    return slice(max(0, position + 1 - window) if sliding else 0, position + 1)


def places_of(model, components=READABLE):
    """All layers with the components, those of cross-attention in a decoder alone."""
    decodes = [not block_of(model.hf, layer)[1] for layer in range(model.layers)]
    cross = bool(ROWS[model.hf.config.model_type].encoder)
    return [
        (layer, c)
        for layer in range(model.layers)
        for c in components
        if not c.startswith("cross_") or (cross and decodes[layer])
    ]


def shape_of(model, encoded, at):
    """(token, neuron) of a place: an encoder, and what is made of its states, reads the text."""
    layer, component = at
    tokens = encoded.input_ids.shape[1]
    of_text = block_of(model.hf, layer)[1] or component in ("cross_key", "cross_value")
    if ROWS[model.hf.config.model_type].encoder and not of_text:
        tokens = encoded.prefix.shape[1]
    return tokens, model.sizes[component]


def test_writing_back_what_was_read_changes_no_bit(model, asked):
    encoded = model.encode(asked(model))
    ids = encoded.input_ids
    with torch.no_grad():
        before = model.hf(input_ids=ids).logits
        places = places_of(model)
        reads = dict.fromkeys(places, 0)

        def clone_at(at):
            def function(neurons):
                reads[at] += 1
                assert neurons.shape == (1, *shape_of(model, encoded, at))
                return neurons.clone()

            return function

        with model.edit({at: clone_at(at) for at in places}):
            after = model.hf(input_ids=ids).logits
    assert set(reads.values()) == {1}
    assert torch.equal(before, after)


def test_a_residual_unit_is_a_dimension_of_a_layers_output(model, asked):
    encoded = model.encode(asked(model))
    with torch.no_grad():
        output = model.hf(input_ids=encoded.input_ids, output_hidden_states=True)
    stacks = (
        [output.hidden_states]
        if model.kind != "seq2seq"
        else [output.encoder_hidden_states, output.decoder_hidden_states]
    )
    seen = model.read(encoded, ("residual",))
    first = 0
    for states in stacks:
        blocks = len(states) - 1
        for layer in range(blocks - 1):  # transformers norms the last one where there is a norm
            found = seen[first + layer, "residual"]
            torch.testing.assert_close(found, states[layer + 1], rtol=0, atol=0)
        assert model.sizes["residual"] == states[0].shape[-1]
        first += blocks
    assert first == model.layers


def test_an_edit_of_any_single_neuron_group_reaches_the_logits(model, asked):
    """The counterpart of the parity test: an edit that did nothing would pass that one too."""
    encoded = model.encode(asked(model))
    with torch.no_grad():
        before = model.hf(input_ids=encoded.input_ids).logits
        for at in places_of(model):
            with model.edit({at: lambda neurons: neurons.roll(1, -1)}):
                after = model.hf(input_ids=encoded.input_ids).logits
            assert not torch.equal(before, after), at


def test_projections_agree_with_the_weights(model, asked, oracle):
    """x W + b with the slice of W that the checkpoint's layout names."""
    encoded = model.encode(asked(model))
    read = model.read(encoded, READABLE)
    for layer, component in places_of(model):
        if component.removeprefix("cross_") not in ("query", "key", "value"):
            continue
        module, _, columns = oracle.site(model.hf, layer, component)
        x = captured(module, lambda module=module: model.hf(input_ids=encoded.input_ids))
        weight = module.weight.T if isinstance(module, Conv1D) else module.weight
        bias = None if module.bias is None else module.bias[columns]
        expected = torch.nn.functional.linear(x, weight[columns], bias)
        assert torch.allclose(read[layer, component], expected, atol=1e-5), component


def test_sizes_are_those_of_the_configuration(tiny):
    for name in ("llama", "mistral", "qwen2", "gemma3_text"):
        assert tuple(tiny(name).sizes.values()) == (32, 16, 16, 48, 32, 32)
    assert tuple(tiny("qwen3").sizes.values()) == (64, 32, 32, 48, 64, 32)
    for name, kind in (("gpt2", "causal"), ("gpt_neox", "causal"), ("esm", "masked")):
        assert tuple(tiny(name, kind).sizes.values()) == (32, 32, 32, 48, 32, 32)
    assert tuple(tiny("llama").sizes) == ("query", "key", "value", "ffn", "attention", "residual")
    assert all(tiny(name).layers == 3 for name in ("llama", "gpt2", "gpt_neox"))


@pytest.mark.parametrize("component", ["query", "key", "value"])
def test_suppressing_one_head_does_to_attention_what_theory_says(model, asked, component):
    """Zero values: the head puts out nothing. Zero queries or keys: the plain mean of the values.

    All other heads must stay as they are. This pins heads and columns without looking at weights.
    """
    encoded = model.encode(asked(model))
    length = encoded.input_ids.shape[1]
    config, size = model.hf.config, head_size(model.hf)
    heads = config.num_attention_heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    shared = heads // groups
    chosen = 1  # not the first: an off-by-one in the interleaving must show
    own = [chosen] if component == "query" else range(chosen * shared, (chosen + 1) * shared)
    for layer in range(model.layers):
        after = head_output_module(model.hf, layer)
        values = model.read(encoded, ["value"])[layer, "value"][0].view(length, groups, size)
        before = captured(after, lambda: model.hf(input_ids=encoded.input_ids))
        neurons = [(layer, component, chosen * size + i) for i in range(size)]
        with applied(model, encoded, [Suppress(NeuronSet(neurons))]):
            now = captured(after, lambda: model.hf(input_ids=encoded.input_ids))
        before, now = (t.view(length, heads, size) for t in (before, now))
        for head in range(heads):
            if head not in own:
                assert torch.allclose(now[:, head], before[:, head], atol=1e-5)
            elif component == "value":
                assert now[:, head].abs().max() == 0
            else:
                for position in range(length):
                    seen = values[visible(model, layer, position, length), head // shared]
                    assert torch.allclose(now[position, head], seen.mean(0), atol=1e-4)


def test_ffn_neurons_are_what_the_down_projection_adds_up(model, asked):
    encoded = model.encode(asked(model))
    read = model.read(encoded, ["ffn"])
    for layer in range(model.layers):
        module = model.site(layer, "ffn").module
        output = captured(module, lambda: model.hf(input_ids=encoded.input_ids), "output")
        vectors = model.family.ffn_vectors(model.block(layer))
        assert vectors.shape == (model.sizes["ffn"], output.shape[-1])
        bias = 0 if module.bias is None else module.bias
        assert torch.allclose(read[layer, "ffn"] @ vectors + bias, output, atol=1e-4)


def test_sites_agree_with_the_layout_of_the_checkpoint(model, asked, oracle):
    encoded = model.encode(asked(model))
    read = model.read(encoded, model.components)
    assert read.keys() == {at for at in places_of(model) if at[1] not in ("attention", "residual")}
    for (layer, component), neurons in read.items():
        expected = oracle.neurons(model.hf, encoded.input_ids, layer, component)
        assert torch.equal(neurons, expected)


def test_hidden_and_head_give_the_logits_of_transformers(model, asked, oracle):
    encoded = model.encode(asked(model))
    with torch.no_grad():
        expected = oracle.logits(model.hf, encoded.input_ids, encoded.position)
        found = model.logits(model.hidden(encoded.input_ids, encoded.position, encoded.prefix))
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, atol=1e-5)
    width = 3 if model.kind == "classifier" else model.vocabulary
    assert found.shape == (1, width)


def test_the_predicted_position_is_read_from_the_right_token(model, asked):
    """Changing the position would change the answer: the test models do not ignore it."""
    encoded = model.encode(asked(model))
    ids = encoded.input_ids[0]
    if model.kind == "masked":
        assert ids[encoded.position] == model.tokenizer.mask_token_id
    elif model.family.causal or model.kind == "seq2seq":
        assert encoded.position == len(encoded.tokens) - 1
    else:
        assert encoded.position == 0
    with torch.no_grad():
        other = encoded.position + (1 if encoded.position == 0 else -1)
        found, wrong = (
            model.logits(model.hidden(encoded.input_ids, p, encoded.prefix))
            for p in (encoded.position, other)
        )
    assert (found - wrong).abs().max() > 0.01


def test_the_final_norm_maps_the_residual_stream_to_the_normed_state(model, asked):
    norm = model.family.final_norm(model.hf)
    encoded = model.encode(asked(model))
    last = model.block(model.layers - 1)
    seen = []

    def keep(module, args, output):
        seen.append(output[0] if isinstance(output, tuple) else output)

    with ExitStack() as stack, torch.no_grad():
        stack.callback(last.register_forward_hook(keep).remove)
        expected = model.hidden(encoded.input_ids, encoded.position, encoded.prefix)
        read = 0 if encoded.prefix is None else encoded.input_ids.shape[1]
        state = seen[0][:, encoded.position - read]
        normed = state if norm is None else norm(state)
    assert torch.allclose(normed, expected, atol=1e-5)


def test_an_unsupported_family_is_refused_in_one_sentence(sentence):
    text = sentence(family_of, "prophetnet", says=["'prophetnet'", "docs/guide.md"])
    assert text.count(". ") == 0
    with pytest.raises(UserError) as refused:
        family_of("prophetnet")
    for model_type in (each for family in FAMILIES for each in family.model_types):
        assert model_type in refused.value.details


def empty(model_type, kind="causal", **settings):
    """A model without weights."""
    with torch.device("meta"):
        config = transformers.AutoConfig.for_model(model_type, **settings)
        return AUTO[kind].from_config(config)


def test_an_unsupported_type_is_told_what_it_lacks_and_what_it_has(sentence):
    def ask():
        return family_of("minicpm3", lambda: empty("minicpm3", num_hidden_layers=2))

    text = sentence(ask, says=["'minicpm3'", "Llama", "self_attn.q_proj", "mlp.down_proj"])
    lacking, there = text.split("; and these are there: ")
    assert "self_attn.q_proj" in lacking
    assert "mlp.down_proj" in there
    with pytest.raises(UserError, match="nearest") as refused:
        ask()
    assert "self_attn.q_b_proj" in refused.value.details  # what there is instead


def test_an_unsupported_type_with_all_parts_of_another_is_told_so(sentence):
    def ask():
        return family_of("rembert", lambda: empty("rembert", "masked", num_hidden_layers=2))

    sentence(ask, says=["'rembert'", "BERT", "all of whose parts are there", "output.dense"])


SHORT = {"num_hidden_layers": 2}
TRANSLATOR = {"encoder_layers": 2, "decoder_layers": 2}


@pytest.mark.parametrize(
    ("model_type", "kind", "settings", "title"),
    [
        ("vaultgemma", "causal", SHORT, "Gemma 2"),  # StableLM's parts are all there, too
        ("nanochat", "causal", SHORT, "Phi"),
        ("granitemoe", "causal", SHORT, "Mixtral"),
        ("persimmon", "causal", SHORT, "GPT-NeoX"),
        ("m2m_100", "seq2seq", TRANSLATOR, "mBART"),  # BART's parts are all there, too
        ("marian", "seq2seq", TRANSLATOR, "BART"),
        ("led", "seq2seq", TRANSLATOR, "BART"),
    ],
)
def test_the_nearest_family_is_of_its_kind_and_leaves_least_over(
    sentence, model_type, kind, settings, title
):
    def ask():
        return family_of(model_type, lambda: empty(model_type, kind, **settings))

    assert "|" not in sentence(ask, says=f"nearest is {title}")


@pytest.mark.parametrize(
    ("model_type", "kind", "missing"),
    [
        ("squeezebert", "masked", "attention.output.dense"),
        ("rwkv", "causal", "attn.out_proj"),
        ("mamba", "causal", "self_attn.q_proj"),
    ],
)
def test_no_family_is_near_that_shares_less_than_half(sentence, model_type, kind, missing):
    def ask():
        return family_of(model_type, lambda: empty(model_type, kind, **SHORT))

    text = sentence(ask, says=["none of those that are (docs/guide.md) is built like it", missing])
    assert "nearest" not in text
    assert "these parts are missing" in text
    with pytest.raises(UserError, match="not supported") as refused:
        ask()
    assert "Its own parts are" in refused.value.details


def test_a_type_that_makes_no_such_model_is_refused_without_its_parts(sentence):
    sentence(family_of, "prophetnet", lambda: empty("prophetnet", "masked"), says="docs/guide.md")


@pytest.mark.parametrize(
    ("model_type", "kind", "settings", "says"),
    [
        ("qwen3_moe", "causal", {"mlp_only_layers": [1]}, "mlp.experts.down_proj"),
        ("opt", "causal", {"do_layer_norm_before": False}, "do_layer_norm_before"),
        ("opt", "causal", {"word_embed_proj_dim": 8}, "word_embed_proj_dim"),
        ("bloom", "causal", {"apply_residual_connection_post_layernorm": True}, "residual"),
        ("falcon", "causal", {"alibi": True}, "alibi"),
        ("modernbert", "classifier", {"classifier_pooling": "mean"}, "classifier_pooling"),
        ("deberta", "masked", {"legacy": False}, "legacy"),
        ("deberta-v2", "masked", {"conv_kernel_size": 3}, "conv_kernel_size"),
        ("bart", "seq2seq", {"encoder_ffn_dim": 40}, "encoder_ffn_dim"),
    ],
)
def test_a_setting_that_is_not_covered_is_refused(sentence, model_type, kind, settings, says):
    config = ROWS[model_type].config | settings
    hf = empty(model_type, kind, **config)
    sentence(check, family_of(model_type), "it", hf, kind, says=says)


@pytest.mark.parametrize(
    ("model_type", "kind", "offered"),
    [
        ("bart", "classifier", "a decoder's next token"),
        ("t5", "classifier", "a decoder's next token"),
        ("mt5", "classifier", "a decoder's next token"),
        ("bart", "causal", "a decoder's next token"),
        ("bert", "causal", "a masked token or a class"),
        ("xlm-roberta", "causal", "a masked token or a class"),
    ],
)
def test_a_head_that_is_not_offered_is_refused_by_what_it_predicts(
    sentence, model_type, kind, offered, tmp_path
):
    predicted = {"classifier": "a class", "causal": "the next token"}[kind]
    says = [f"predicts {predicted}, which is not offered", f"that predicts {offered}."]
    hf = AUTO[kind].from_config(
        transformers.AutoConfig.for_model(
            model_type, **{"vocab_size": 40, **ROWS[model_type].config}, pad_token_id=1
        )
    )
    sentence(nl.load, hf, text_tokenizer(model_type), says=says)
    hf.save_pretrained(tmp_path)
    sentence(nl.load, str(tmp_path), says=says)


def test_real_models_keep_every_bit(smollm, hemopi, asked):
    prompts = {smollm: nl.Prompt("The capital of France is"), hemopi: nl.Prompt("GIGAVLKVLTTG")}
    for model, prompt in prompts.items():
        ids = model.encode(prompt).input_ids
        places = [(layer, c) for layer in range(model.layers) for c in COMPONENTS]
        with torch.no_grad():
            before = model.hf(input_ids=ids).logits
            with model.edit(dict.fromkeys(places, torch.clone)):
                after = model.hf(input_ids=ids).logits
        assert torch.equal(before, after)


def test_a_fused_model_computes_the_same_with_the_same_parameters(model, asked, twin):
    fused = twin(model)
    fused.family.fuse(fused.hf)
    ids = model.encode(asked(model)).input_ids
    with torch.no_grad():
        assert torch.allclose(
            fused.hf(input_ids=ids).logits, model.hf(input_ids=ids).logits, atol=1e-6
        )
    assert fused.hf.state_dict().keys() == model.hf.state_dict().keys()


def test_esm_is_loaded_with_the_fused_gelu(hemopi):
    assert {type(block.intermediate).__name__ for block in hemopi.blocks} == {"FusedIntermediate"}
