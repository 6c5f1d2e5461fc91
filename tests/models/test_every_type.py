"""Every model type there is, against its weights, its layout and plain loops; each is built once.

The types that other tests run on are in ``test_families``, too.
"""

import re
from pathlib import Path as Folder

import pytest
import test_families
import test_stream
import torch
from tiny_models import EVERY, HEADS, MORE, ROWS, TINY, build, plain

import neuronlab as nl
from neuronlab.attribution.growing_batch import GrowingBatch, Path
from neuronlab.models import COMPONENTS
from neuronlab.models.families import FAMILIES, check
from neuronlab.models.stream import read_stream
from neuronlab.neurons import NeuronSet, Suppress, applied
from neuronlab.neurons.generation import end_tokens

FURTHER = [pair for pair in EVERY if pair[0] in MORE and pair[1] != "classifier"]
PREDICTING = [pair for pair in EVERY if pair[1] != "classifier"]
WRITING = [pair for pair in PREDICTING if pair[1] == "causal"]
# Whose answer is a sum over one residual stream.
ONE_STREAM = [pair for pair in PREDICTING if pair[1] != "seq2seq"]
# Classifiers of the usual types are in ``test_families`` alone.
CHECKED = [pair for pair in EVERY if pair in PREDICTING or pair not in TINY]
# A decoder's classifier reads the last token, as its other head does.
ASKED = [pair for pair in CHECKED if pair in PREDICTING or "masked" in ROWS[pair[0]].heads]
EXPERTS = [(name, head) for name, head in EVERY if ROWS[name].down == "mlp.units"]
# Attention adds a bias to the values after what is read.
BIASED = {"deberta"}
# Query and key of all heads share one norm.
NORMED_TOGETHER = {"olmo2", "olmo3", "olmoe", "flex_olmo", "esmc"}
NODES = (0.3, 1.0)
HEADS_TOLD = {
    "causal": "next token",
    "masked": "masked token",
    "classifier": "classes",
    "seq2seq": "a decoder's next token",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """``made(type, head)``: the same call gives the same model."""
    models = {}

    def make(model_type, head):
        if (model_type, head) not in models:
            folder = tmp_path_factory.mktemp("vocabulary")
            models[model_type, head] = build(model_type, head, folder)
        return models[model_type, head]

    return make


@pytest.fixture(params=CHECKED, ids=["-".join(pair) for pair in CHECKED])
def any_model(request, made):
    return made(*request.param)


@pytest.fixture(params=PREDICTING, ids=[name for name, _ in PREDICTING])
def predicting(request, made):
    """With the head that predicts tokens."""
    return made(*request.param)


@pytest.fixture(params=ONE_STREAM, ids=[name for name, _ in ONE_STREAM])
def one_stream(request, made):
    return made(*request.param)


def test_every_type_of_every_family_has_its_row():
    types = [model_type for family in FAMILIES for model_type in family.model_types]
    assert sorted(types) == sorted(ROWS)
    assert len(types) == len(set(types)) >= 60


def check_layout(model, asked, oracle):
    test_families.test_writing_back_what_was_read_changes_no_bit(model, asked)
    test_families.test_sites_agree_with_the_layout_of_the_checkpoint(model, asked, oracle)
    test_families.test_projections_agree_with_the_weights(model, asked, oracle)
    test_families.test_an_edit_of_any_single_neuron_group_reaches_the_logits(model, asked)
    test_families.test_a_residual_unit_is_a_dimension_of_a_layers_output(model, asked)


def test_neurons_are_where_the_layout_says_and_writing_them_back_changes_no_bit(
    predicting, asked, oracle
):
    check_layout(predicting, asked, oracle)


def test_a_head_reads_the_place_that_the_model_means(any_model, asked, oracle):
    test_families.test_writing_back_what_was_read_changes_no_bit(any_model, asked)
    test_families.test_hidden_and_head_give_the_logits_of_transformers(any_model, asked, oracle)
    test_families.test_the_predicted_position_is_read_from_the_right_token(any_model, asked)
    test_families.test_the_final_norm_maps_the_residual_stream_to_the_normed_state(any_model, asked)


@pytest.mark.parametrize("component", ["query", "key", "value"])
def test_a_head_of_neurons_reaches_the_heads_that_use_it_and_no_other(predicting, asked, component):
    encoded, config = predicting.encode(asked(predicting)), predicting.hf.config
    size = test_families.head_size(predicting.hf)
    shared = predicting.sizes["query"] // predicting.sizes[component]
    own = range(shared, 2 * shared) if predicting.sizes[component] > size else range(HEADS)
    for layer in range(predicting.layers):
        entering = test_families.head_output_module(predicting.hf, layer)

        def heads(module=entering):
            ids = encoded.input_ids
            mixed = test_families.captured(module, lambda: predicting.hf(input_ids=ids))
            return mixed[0].unflatten(-1, (-1, size))

        before, first = heads(), min(own) // shared * size
        neurons = [(layer, component, first + i) for i in range(size)]
        with applied(predicting, encoded, [Suppress(NeuronSet(neurons))]):
            now = heads()
        for head in range(before.shape[1]):
            change = float((now[:, head] - before[:, head]).abs().max())
            together = component != "value" and config.model_type in NORMED_TOGETHER
            assert (change > 1e-4) == (head in own or together), (layer, head)
            if component == "value" and head in own:
                silent = config.model_type not in BIASED
                assert (float(now[:, head].abs().max()) < 1e-6) == silent


def test_ffn_neurons_are_what_the_ffn_adds_up(predicting, asked):
    if predicting.hf.config.model_type not in {name for name, _ in EXPERTS}:
        test_families.test_ffn_neurons_are_what_the_down_projection_adds_up(predicting, asked)
    else:
        encoded = predicting.encode(asked(predicting))
        read = predicting.read(encoded, ["ffn"])
        for layer, block in enumerate(predicting.blocks):
            output = test_families.captured(
                block.mlp, lambda: predicting.hf(input_ids=encoded.input_ids), "output"
            )
            vectors = predicting.family.ffn_vectors(block)
            torch.testing.assert_close(read[layer, "ffn"] @ vectors, output)


@pytest.mark.parametrize("pair", [pair for pair in EVERY if pair[0] in MORE], ids="-".join)
def test_what_is_replaced_computes_the_same(pair, made, asked):
    model = made(*pair)
    ids = model.encode(asked(model)).input_ids
    hf = plain(*pair, model.tokenizer).eval()
    check(model.family, "it", hf, model.kind)  # all its parts are there before anything is replaced
    with torch.no_grad():
        expected = hf(input_ids=ids).logits
        torch.testing.assert_close(model.hf(input_ids=ids).logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("pair", EXPERTS, ids="-".join)
def test_a_neuron_of_an_expert_is_its_unit_times_its_share(pair, made, asked):
    """By plain loops over tokens and experts, in a model whose experts are as they were made."""
    model = made(*pair)
    encoded = model.encode(asked(model))
    read = model.read(encoded, ["ffn"])
    hf = plain(*pair, model.tokenizer)
    for layer in range(model.layers):
        mlp = hf.get_submodule(f"model.layers.{layer}.mlp")
        entering = test_families.captured(mlp, lambda: hf(input_ids=encoded.input_ids))[0]
        router = mlp.gate if hasattr(mlp, "gate") else mlp.router
        width = mlp.experts.down_proj.shape[2]
        expected = torch.zeros(len(entering), 4 * width)
        _, shares, chosen = router(entering)
        assert chosen.shape == (len(entering), 2)
        for token, state in enumerate(entering):
            for share, expert in zip(shares[token], chosen[token].tolist(), strict=True):
                weight = mlp.experts.gate_up_proj[expert]
                gate, up = weight[:width] @ state, weight[width:] @ state
                units = share * mlp.experts.act_fn(gate) * up
                expected[token, expert * width : (expert + 1) * width] = units
        seen = read[layer, "ffn"][0]
        torch.testing.assert_close(seen[:, : 4 * width], expected, atol=1e-5, rtol=1e-4)
        assert (seen[:, : 4 * width] == 0).float().mean() >= 0.5  # two of four are chosen
        assert seen.shape[1] == 4 * width + (20 if hasattr(mlp, "shared_expert") else 0)


def check_stream(model, asked):
    encoded = model.encode(asked(model))
    before = model.hf.config._attn_implementation
    found = encoded, read_stream(model, encoded)
    test_stream.test_the_parts_add_up_to_the_final_state(model, found)
    test_stream.test_the_final_state_reads_out_as_the_models_own_logits(model, found)
    test_stream.test_neurons_add_up_to_heads_and_heads_to_layers(model, found)
    test_stream.test_attention_neurons_are_what_enters_the_output_projection(model, found)
    test_stream.test_readout_is_linear(model, found)
    if model.family.stream_norms(model.block(0))[0] is None:
        test_stream.test_states_between_layers_are_the_models_own_where_nothing_norms_the_stream(
            model, found
        )
    assert model.hf.config._attn_implementation == before


def test_parts_of_the_stream_add_up_to_the_logits(one_stream, asked):
    check_stream(one_stream, asked)


def test_subkeys_of_values_give_the_values(predicting, asked):
    """A value neuron is its row times what enters the projection, with its bias."""
    encoded = predicting.encode(asked(predicting))
    for layer, block in enumerate(predicting.blocks):
        module = predicting.site(layer, "value").module
        ids = encoded.input_ids
        entering = test_families.captured(module, lambda ids=ids: predicting.hf(input_ids=ids))
        silent = torch.zeros_like(entering)
        every = torch.arange(predicting.sizes["attention"])
        rows = predicting.family.subkeys(block, "attention", every)["value"]
        read = predicting.read(encoded, ["value"])[layer, "value"]
        site = predicting.site(layer, "value")
        columns = slice(None) if site.columns is None else site.columns
        read = read - module(silent)[..., columns]
        size = test_families.head_size(predicting.hf)
        heads = read.unflatten(-1, (-1, size))
        mixed = heads.repeat_interleave(len(every) // read.shape[-1], dim=-2).flatten(-2)
        torch.testing.assert_close(entering @ rows.T, mixed, atol=1e-4, rtol=1e-4)


def precision(model):
    """What brute force runs in: float64, but where a model has a number that only float32 holds."""
    return torch.float32 if model.family.name == "xglm" else torch.float64


def gradients_at_nodes(hf, encoded, at, span, oracle):
    """Of the target's logit, with respect to the neurons of one place at each node, (node, ...)."""
    clean = oracle.neurons(hf, encoded.input_ids, *at)[:, span]
    moved = (torch.tensor(NODES).to(clean)[:, None, None] * clean).requires_grad_()

    def put(neurons):
        changed = neurons.clone()
        changed[:, span] = moved
        return changed

    with oracle.hooked(hf, *at, put):
        logits = oracle.logits(hf, encoded.input_ids.expand(len(NODES), -1), encoded.position)
    return torch.autograd.grad(logits[:, encoded.target].sum(), moved)[0]


@pytest.mark.parametrize("pair", FURTHER, ids=[name for name, _ in FURTHER])
def test_a_folder_is_loaded_as_it_was_saved(pair, made, asked, tmp_path):
    model = made(*pair)
    plain(*pair, model.tokenizer).save_pretrained(tmp_path)
    model.tokenizer.save_pretrained(tmp_path)
    loaded = nl.load(str(tmp_path), device="cpu", dtype="float32")
    assert (loaded.kind, loaded.sizes, loaded.layers) == (pair[1], model.sizes, model.layers)
    expected = nl.predict(model, asked(model)).logits
    torch.testing.assert_close(nl.predict(loaded, asked(model)).logits, expected)


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param(
            pair,
            id=pair[0],
            # Of the others the gradients, below, and the usual types' integrals say the same.
            marks=[] if pair in EXPERTS or pair[1] == "seq2seq" else pytest.mark.slow,
        )
        for pair in FURTHER
    ],
)
def test_integrated_gradients_equal_brute_force(pair, made, asked, twin, oracle):
    model = made(*pair)
    encoded = model.encode(asked(model))
    exact = twin(model, precision(model)).hf
    components = model.components
    scores = nl.attribute(model, asked(model), components=components, tolerance=1e-3)
    places = [(1, component) for component in COMPONENTS]
    if pair[1] == "seq2seq":  # layer 1 is the encoder's last: and the decoder's middle one
        places += [(3, component) for component in components]
    for layer, component in places:
        expected = oracle.integrated_gradients(
            exact,
            encoded,
            layer,
            component,
            target=encoded.target,
            objective="probability",
            everywhere=False,
        ).sum(0)
        found = torch.from_numpy(scores[component][layer]).to(expected)
        scale = float(expected.abs().max())
        assert scale > 1e-6, component  # or the comparison says nothing
        # Where a router chooses another expert, a path jumps, and no rule is exact.
        within = 0.05 if pair in EXPERTS else 0.02
        assert float((found - expected).abs().max()) <= within * scale + 3e-6, component


def check_gradients(model, everywhere, asked, twin, oracle):
    encoded = model.encode(asked(model))
    exact = twin(model, precision(model))
    places = test_families.places_of(exact, exact.components)
    batch = GrowingBatch(
        exact, encoded, lambda logits: logits[:, encoded.target], everywhere=everywhere
    )
    _, results = batch.run([Path(at, NODES) for at in places])
    for at in places:
        span = oracle.span(exact.hf, encoded, *at, everywhere)
        expected = gradients_at_nodes(exact.hf, encoded, at, span, oracle)
        scale = float(expected.abs().max())
        assert scale > 1e-8, at
        # Heads compute float32 logits.
        assert float((results[at].gradients - expected).abs().max()) <= 1e-4 * scale, at


@pytest.mark.parametrize(
    ("pair", "everywhere"),
    [(pair, False) for pair in ASKED]
    # At every token: with others, to keep `make test` short.
    + [pytest.param(pair, True, marks=pytest.mark.slow) for pair in PREDICTING],
)
def test_gradients_along_paths_equal_a_loop_over_layers_and_nodes(
    pair, everywhere, made, asked, twin, oracle
):
    check_gradients(made(*pair), everywhere, asked, twin, oracle)


# Settings beside those of the table, and what they change in it.
OTHERWISE = {
    "a key-value head for each, after one another": (
        "falcon",
        {
            "new_decoder_architecture": False,
            "multi_query": False,
            "num_kv_heads": HEADS,
            "bias": True,
            "parallel_attn": False,
        },
        lambda part: torch.arange(96).view(HEADS, 3, 8)[:, part].flatten(),
    ),
    "one key-value head": (
        "falcon",
        {"new_decoder_architecture": False, "multi_query": True},
        lambda part: (slice(0, 32), slice(32, 40), slice(40, 48))[part],
    ),
    "a key-value head for each": (
        "gpt_bigcode",
        {"multi_query": False},
        lambda part: torch.arange(96).view(HEADS, 3, 8)[:, part].flatten(),
    ),
    "parallel": ("stablelm", {"use_parallel_residual": True}, None),
    "not parallel": ("gpt_neox", {"use_parallel_residual": False}, None),
    "groups of layers": ("albert", {"num_hidden_layers": 4, "num_hidden_groups": 2}, None),
    "no experts' weights made one": ("qwen3_moe", {"norm_topk_prob": False}, None),
    "norms without weights, no clipping": ("olmo", {"clip_qkv": None}, None),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_other_settings_of_a_type_are_read_as_well(
    name, monkeypatch, asked, twin, oracle, tmp_path
):
    model_type, settings, columns = OTHERWISE[name]
    row = ROWS[model_type]._replace(config=ROWS[model_type].config | settings)
    row = row if columns is None else row._replace(columns=columns)
    monkeypatch.setitem(ROWS, model_type, row)
    pair = model_type, row.heads[0]
    model = build(*pair, tmp_path)
    check_layout(model, asked, oracle)
    check_stream(model, asked)
    for everywhere in (False, True):
        check_gradients(model, everywhere, asked, twin, oracle)
    hf = plain(*pair, model.tokenizer).eval()
    check(model.family, "it", hf, model.kind)
    ids = model.encode(asked(model)).input_ids
    with torch.no_grad():
        torch.testing.assert_close(model.hf(input_ids=ids).logits, hf(input_ids=ids).logits)


def test_every_type_runs_in_half_precision(predicting, asked, twin):
    half = twin(predicting, torch.bfloat16)
    encoded = half.encode(asked(half))
    logits = nl.predict(half, encoded).logits
    if len(half.stacks) == 1:
        assert read_stream(half, encoded).states().isfinite().all()
    exact = nl.predict(predicting, encoded).logits
    assert torch.corrcoef(torch.stack([logits, exact]).flatten(1))[0, 1] > 0.9


def test_the_guide_lists_every_type_with_its_heads():
    table = (Folder(__file__).parents[2] / "docs" / "guide.md").read_text("utf-8")
    rows = [line.split("|")[2:4] for line in table.splitlines() if line.startswith("| ")]
    heads_of = {name: heads for types, heads in rows for name in re.findall(r"`([^`]+)`", types)}
    lacking = ", ".join(sorted(ROWS.keys() - heads_of.keys()))
    assert not lacking, f"The table of types in docs/guide.md has no row for {lacking}: add it."
    for name in ROWS:
        heads = {HEADS_TOLD[head] for model_type, head in EVERY if model_type == name}
        assert heads == set(heads_of[name].strip().split(", ")), name


@pytest.mark.parametrize(
    "pair", [pair for pair in EVERY if pair[1] == "causal"], ids=lambda p: p[0]
)
def test_a_text_goes_on_as_where_all_of_it_is_read_at_every_step(made, pair):
    model = made(*pair)
    ids = model.encode(nl.Prompt("the capital is")).input_ids
    every = NeuronSet([(layer, "ffn", i) for layer in range(2) for i in range(3)])
    change, written = Suppress(every), []
    while len(written) < 6:
        encoded = model.encode(nl.Prompt("the capital is"))
        with torch.no_grad(), applied(model, encoded, [change]):
            written.append(int(model.logits(model.hidden(ids, -1)).argmax()))
        ids = torch.cat([ids, model.ids([written[-1:]])], 1)
    ends = [i for i, token in enumerate(written) if token in end_tokens(model)]
    expected = model.tokenizer.decode(written[: ends[0]] if ends else written)
    assert nl.generate(model, "the capital is", tokens=6, intervention=change) == expected
