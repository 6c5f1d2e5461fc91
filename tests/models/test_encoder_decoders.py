"""What an encoder-decoder is asked, and which of its tokens a layer has neurons at."""

import pytest
import torch
import transformers
from tiny_models import plain, question, text_tokenizer

import neuronlab as nl
from neuronlab.attribution.amig import mean_baseline
from neuronlab.attribution.rescaling import rescaled
from neuronlab.models import CROSS
from neuronlab.models.stream import read_stream
from neuronlab.neurons import Neuron, NeuronSet, neuron_card


@pytest.fixture(params=["t5", "bart"])
def model(request, tiny):
    return tiny(request.param, "seq2seq")


@pytest.fixture
def t5(tiny):
    return tiny("t5", "seq2seq")


@pytest.fixture
def bart(tiny):
    return tiny("bart", "seq2seq")


def read_by(model, prompt):
    """What the encoder and the decoder read, as people read tokens."""
    encoded = model.encode(prompt)
    texts = encoded.input_ids, encoded.prefix
    pieces = [model.tokenizer.convert_ids_to_tokens(ids[0].tolist()) for ids in texts]
    assert encoded.tokens == tuple(pieces[0] + pieces[1])
    assert encoded.position == encoded.length - 1 == len(encoded.tokens) - 1
    return [" ".join(each) for each in pieces]


def test_a_text_with_a_sentinel_is_asked_for_what_fills_it(t5):
    prompt = nl.Prompt("the capital of <extra_id_0> is <extra_id_1>", target="France")
    text = "the capital of <extra_id_0> is <extra_id_1> <|end|>"
    assert read_by(t5, prompt) == [text, "<pad> <extra_id_0>"]
    assert t5.token(t5.encode(prompt).target) == "France"
    # By hand, on the modelling code alone.
    ids, start, sentinel = t5.encode(prompt).input_ids, 0, t5.tokenizer.vocab["<extra_id_0>"]
    with torch.no_grad():
        logits = t5.hf(input_ids=ids, decoder_input_ids=torch.tensor([[start, sentinel]])).logits
    torch.testing.assert_close(nl.predict(t5, prompt).logits, logits[0, -1])


def test_any_other_text_is_asked_for_the_first_token_of_the_decoder(t5, bart):
    prompt = nl.Prompt("the capital of France")
    assert read_by(t5, prompt) == ["the capital of France <|end|>", "<pad>"]
    # The tokenizer begins every text, also that of a decoder, with a token.
    assert read_by(bart, prompt) == ["<s> the capital of France </s>", "<pad> <s>"]


def test_a_mask_is_what_each_type_has_for_it(t5, bart, tiny):
    prompt = nl.Prompt("the capital of [MASK] is Paris", target="France")
    sentinel = "the capital of <extra_id_0> is Paris <|end|>"
    assert read_by(t5, prompt) == [sentinel, "<pad> <extra_id_0>"]
    # It says all of the text anew: what is before the mask it has said already.
    anew = "<s> the capital of <mask> is Paris </s>"
    assert read_by(bart, prompt) == [anew, "<pad> <s> the capital of"]
    assert read_by(bart, nl.Prompt("<mask> is Paris")) == ["<s> <mask> is Paris </s>", "<pad> <s>"]


def test_what_the_decoder_has_said_can_be_said(model):
    prompt = nl.Prompt("the capital of France", target="Paris", prefix="the quick")
    text, said = read_by(model, prompt)
    assert said.endswith("the quick")
    assert "the capital of France" in text
    assert model.token(model.encode(prompt).target) == "Paris"


def test_words_that_no_token_stands_for_are_told_in_either_text(t5):
    known = nl.Prompt("the capital of France", prefix="the quick")
    assert t5.encode(known).note == ""
    said = nl.Prompt("the capital of France", prefix="the zzz qqq")
    assert "2 of the 4 tokens of the prefix are <unk>:" in t5.encode(said).note
    read = nl.Prompt("the zzz of France", prefix="the quick")
    assert "1 of the 5 tokens of the prompt are <unk>:" in t5.encode(read).note
    typed = nl.Prompt("the <unk> of France", prefix="the quick")
    assert t5.encode(typed).note == ""


def test_a_prefix_is_of_a_decoder(tiny, sentence):
    prompt = nl.Prompt("the capital of France", prefix="the")
    sentence(nl.predict, tiny("llama"), prompt, says="no decoder")
    with pytest.raises(TypeError, match="prefix"):
        nl.Prompt("the", prefix=3)


def test_what_is_too_long_or_empty_is_refused_in_either_text(model, sentence):
    sentence(model.encode, nl.Prompt(" "), says="empty")
    sentence(model.encode, nl.Prompt("[MASK] is <mask>"), says="once")
    many = "fox " * (model.max_tokens + 1)
    sentence(model.encode, nl.Prompt(many), says="The prompt has")
    sentence(model.encode, nl.Prompt("fox", prefix=many), says="The prefix has")


def test_layers_are_counted_on_from_the_encoder_to_the_decoder(model):
    assert model.stacks == {"encoder": range(2), "decoder": range(2, 5)}
    assert model.layer_names == ["encoder 0", "encoder 1", "decoder 0", "decoder 1", "decoder 2"]
    assert set(model.components) == {"query", "key", "value", "ffn", *CROSS}
    assert [(at, c) for at, c in model.places(CROSS) if at < 2] == []
    assert len(model.places(CROSS)) == 9


def test_other_models_have_one_stack_whose_layers_are_numbers(tiny):
    llama = tiny("llama")
    assert llama.stacks == {"": range(3)}
    assert llama.layer_names == ["0", "1", "2"]
    assert llama.places(CROSS) == []


def test_a_neuron_that_a_layer_does_not_have_is_refused(model, tiny, sentence):
    in_encoder = NeuronSet([(1, "cross_query", 0)])
    sentence(
        nl.predict, model, question(model), intervention=nl.Suppress(in_encoder), says="1.cross"
    )
    llama = tiny("llama")
    change = nl.Suppress(NeuronSet([(1, "cross_value", 0)]))
    sentence(nl.predict, llama, question(llama), intervention=change, says="not in")


@pytest.mark.parametrize(
    "at", [(0, "ffn"), (1, "value"), (2, "query"), (3, "ffn"), (3, "cross_query"), (4, "cross_key")]
)
@pytest.mark.parametrize("positions", ["all", "predicted", (2, 11), (3,)])
def test_suppression_is_that_of_a_hook_on_the_modelling_code(model, at, positions, oracle):
    """Tokens are counted on from the text to the prefix; each place has those of one of them."""
    prompt = question(model)
    encoded = model.encode(prompt)
    chosen = [1, 4, 7]
    of_text = at[0] < 2 or at[1] == "cross_key"
    first = 0 if of_text else encoded.input_ids.shape[1]
    count = encoded.input_ids.shape[1] if of_text else encoded.prefix.shape[1]
    if positions == "all" or (positions == "predicted" and of_text):
        tokens = list(range(count))
    elif positions == "predicted":
        tokens = [count - 1]
    else:
        tokens = [token - first for token in positions if 0 <= token - first < count]

    def silence(neurons):
        changed = neurons.clone()
        for token in tokens:
            changed[:, token, chosen] = 0
        return changed

    with torch.no_grad(), oracle.hooked(model.hf, *at, silence):
        expected = oracle.logits(model.hf, encoded.input_ids, encoded.position)[0]
    neurons = NeuronSet([(*at, index) for index in chosen])
    found = nl.predict(model, prompt, intervention=nl.Suppress(neurons, positions))
    torch.testing.assert_close(found.logits, expected)
    clean = nl.predict(model, prompt).logits
    assert torch.equal(found.logits, clean) == (not tokens)


def test_a_token_that_is_in_neither_text_is_refused(model, sentence):
    prompt = question(model)
    beyond = nl.Suppress(NeuronSet([(0, "ffn", 1)]), (model.encode(prompt).length,))
    sentence(nl.predict, model, prompt, intervention=beyond, says="tokens")


def test_keeping_only_some_neurons_leaves_the_means_of_each_text(model, oracle):
    prompt = question(model)
    encoded = model.encode(prompt)
    keep = nl.KeepOnly.at_means(NeuronSet([(0, "ffn", 3)]), model, prompt, components=("ffn",))
    special = set(model.tokenizer.all_special_ids) - {model.tokenizer.mask_token_id}
    with torch.no_grad():
        clean = {at: oracle.neurons(model.hf, encoded.input_ids, at, "ffn")[0] for at in range(5)}
    seen = {}

    def note(at):
        def function(neurons):
            seen[at] = neurons[0].clone()
            return neurons

        return function

    edits = keep.coefficients(model), keep.token_shifts(model)
    for layer in range(5):
        ids = (encoded.input_ids if layer < 2 else encoded.prefix)[0].tolist()
        inner = [t for t in range(len(ids)) if t not in (0, len(ids) - 1) or ids[t] not in special]
        mean = clean[layer][inner].mean(0)
        kept = torch.zeros(48)
        if layer == 0:
            kept[3], mean[3] = 1, 0
        scale, shift = edits[0][layer, "ffn"]
        torch.testing.assert_close(scale, kept)
        torch.testing.assert_close(shift, mean)
    assert nl.predict(model, prompt, intervention=keep).probability > 0


def test_methods_of_one_stream_are_refused(model, sentence):
    for method in ("log_probability_increase", "coefficient", "rank"):
        sentence(nl.attribute, model, question(model), method=method, says="two residual streams")
    sentence(read_stream, model, model.encode(question(model)), says="two residual streams")


def test_scores_of_cross_attention_are_of_the_decoders_layers(model):
    scores = nl.attribute(model, question(model), method="gradient_x_activation", components=CROSS)
    for component in CROSS:
        array = torch.from_numpy(scores[component])
        assert array.isnan().all(1).tolist() == [True, True, False, False, False]
    every = 3 * sum(model.sizes[c] for c in CROSS)
    assert len(scores.top(10**6)) == len(scores.to_frame()) == every
    assert len(scores.select(threshold=0.0)) <= every
    scores.select(top=5).check(model)


def test_scores_at_all_tokens_add_up_text_by_text(model):
    scores = nl.attribute(
        model,
        question(model),
        method="gradient_x_activation",
        components=model.components,
        positions="all",
    )
    encoded = model.encode(question(model))
    totals, length = scores.token_totals, encoded.input_ids.shape[1]
    assert totals["text"].tolist() == list(encoded.tokens)
    assert (totals["cross_key"][length:] == 0).all()
    assert (totals["cross_query"][:length] == 0).all()
    assert (totals[["ffn", "value"]] != 0).all(axis=None)
    for component in model.components:
        array = torch.from_numpy(scores[component]).nansum()
        assert totals[component].sum() == pytest.approx(float(array), rel=1e-4, abs=1e-7)
    first = scores.tokens.iloc[0]
    values = first[[str(at) for at in range(encoded.length)]]
    best = scores.score(Neuron(first["layer"], first["component"], first["neuron"]))
    assert values.sum() == pytest.approx(best, rel=1e-4)


def test_tables_of_scores_name_the_stack_of_each_layer(model, tiny, tmp_path):
    settings = {"positions": "all", "components": ("value", "cross_key")}
    scores = nl.attribute(model, question(model), **settings)
    scores.save(tmp_path / "scores.parquet")
    again = nl.NeuronScores.load(tmp_path / "scores.parquet")
    tables = scores.top(200), scores.to_frame(), scores.quality, scores.tokens, again.quality
    for table in (*tables, again.tokens, again.to_frame()):
        assert list(table).index("layer_name") == list(table).index("layer") + 1
        assert table["layer_name"].tolist() == [model.layer_names[at] for at in table["layer"]]
    assert "decoder 0" in scores._repr_html_() or "encoder 0" in scores._repr_html_()
    encoded = model.encode(question(model))
    read, said = encoded.input_ids.shape[1], encoded.prefix.shape[1]
    assert scores.token_totals["stack"].tolist() == ["encoder"] * read + ["decoder"] * said
    # Of one stack they are as they were.
    llama = tiny("llama")
    plain = nl.attribute(llama, question(llama), positions="all")
    assert list(plain.top(3)) == ["rank", "layer", "component", "neuron", "score"]
    for table in (plain.top(3), plain.quality, plain.tokens, plain.token_totals):
        assert not {"layer_name", "stack"} & {*table}


def test_cross_attention_is_scored_where_nothing_else_is_said(model, tiny):
    """As in the app; of other models what is scored stays as it was."""
    scores = nl.attribute(model, question(model), method="gradient_x_activation")
    assert scores.components == model.components
    llama = tiny("llama")
    plain = nl.attribute(llama, question(llama), method="gradient_x_activation")
    assert plain.components == ("query", "key", "value", "ffn")


def test_gradient_x_activation_is_the_product(model, oracle):
    encoded = model.encode(question(model))
    scores = nl.attribute(
        model,
        question(model),
        method="gradient_x_activation",
        components=model.components,
        objective="logit",
    )
    for layer, component in model.places(model.components):
        span = oracle.span(model.hf, encoded, layer, component, False)
        kept = []

        def keep(neurons, kept=kept):
            kept.append(neurons.detach().requires_grad_())
            return kept[-1]

        with oracle.hooked(model.hf, layer, component, keep):
            logits = oracle.logits(model.hf, encoded.input_ids, encoded.position)
        gradient = torch.autograd.grad(logits[0, encoded.target], kept[0])[0]
        expected = (kept[0] * gradient)[0, span].sum(0).detach()
        found = torch.from_numpy(scores[component][layer])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-3)


def test_sets_that_are_rescaled_together_are_as_each_alone(model):
    """Rows that join in the encoder go on into the decoder, and others join there."""
    encoded = model.encode(question(model))
    sets = [
        NeuronSet([(3, "ffn", 1), (4, "cross_key", 3)]),
        NeuronSet([(0, "value", 2), (2, "query", 5), (2, "cross_value", 5)]),
        NeuronSet(),
        NeuronSet([(1, "ffn", i) for i in range(9)]),
        NeuronSet([(4, "cross_query", i) for i in range(9)]),
    ]
    found = rescaled(model, encoded, sets, 0.3)
    for one, probability in zip(sets, found.tolist(), strict=True):
        change = nl.Amplify(one, "predicted", factor=0.3)
        alone = nl.predict(model, encoded, intervention=change).probability
        assert probability == pytest.approx(alone, rel=1e-4)


def test_a_baseline_of_the_mean_is_over_texts_in_which_a_token_is_replaced(t5, oracle):
    """What the decoder has said stays; T5 has no mask, and the end says nothing."""
    encoded = t5.encode(question(t5))
    ids, end = encoded.input_ids, t5.tokenizer.eos_token_id
    means = mean_baseline(t5, encoded, ("ffn", "cross_key"))
    for at, mean in means.items():
        rows = []
        for token in range(ids.shape[1]):
            replaced = ids.clone()
            replaced[0, token] = end
            rows.append(oracle.neurons(t5.hf, replaced, *at)[0])
        torch.testing.assert_close(mean[0], torch.stack(rows).mean(0), atol=1e-5, rtol=1e-4)
    assert {layer for layer, _ in means} == set(range(5))


@pytest.mark.long
@pytest.mark.parametrize("positions", ["predicted", "all"])
def test_captum_gives_the_same_scores(t5, positions):
    settings = {"components": ("ffn", "cross_value"), "positions": positions}
    fast = nl.attribute(t5, question(t5), tolerance=5e-3, **settings)
    captum = nl.attribute(t5, question(t5), engine="captum", steps=100, **settings)
    for component in settings["components"]:
        ours, theirs = (torch.from_numpy(s[component]).nan_to_num() for s in (fast, captum))
        assert float((ours - theirs).abs().max()) < 0.05 * float(theirs.abs().max())


def test_a_random_score_favours_no_text(model):
    for positions in ("predicted", "all"):
        scores = nl.attribute(
            model,
            question(model),
            method="random",
            components=model.components,
            positions=positions,
        )
        for component in scores:
            values = torch.from_numpy(scores[component])
            assert float(values.nan_to_num().max()) <= 1
            means = values[~values.isnan().any(1)].mean(1)
            assert ((means > 0.3) & (means < 0.7)).all()


def test_a_card_shows_the_tokens_that_a_neuron_is_at(model):
    encoded = model.encode(question(model))
    length = encoded.input_ids.shape[1]
    for at, tokens in (
        ((0, "ffn"), range(length)),
        ((4, "cross_value"), range(length)),
        ((4, "ffn"), range(length, encoded.length)),
    ):
        card = neuron_card(model, question(model), Neuron(*at, 5))
        assert card.activations["token"].tolist() == list(tokens)
        assert card.activations["text"].tolist() == list(encoded.tokens[tokens.start : tokens.stop])
        # An encoder writes to a stream of its own, from which no token is read.
        assert (len(card.promotes) > 0) == (at == (4, "ffn"))


def test_the_direct_effect_of_a_decoders_neuron_is_the_slope_of_the_logits(t5, oracle):
    prompt, neuron = question(t5), Neuron(3, "ffn", 5)
    encoded = t5.encode(prompt)
    card = neuron_card(t5, prompt, neuron, count=len(t5.tokenizer))
    activation = card.activations["activation"].iloc[-1]
    vector = t5.hf.decoder.block[1].layer[2].DenseReluDense.wo.weight[:, neuron.index]
    logits = []
    for sign in (1, -1):
        step = sign * 1e-2 * activation * vector

        def move(module, args, step=step):
            moved = args[0].clone()
            moved[:, -1] += step
            return (moved,)

        handle = t5.hf.decoder.final_layer_norm.register_forward_pre_hook(move)
        with torch.no_grad():
            logits.append(oracle.logits(t5.hf, encoded.input_ids, encoded.position)[0])
        handle.remove()
    slope = (logits[0] - logits[1]) / 2e-2
    effects = torch.tensor(card.promotes["effect"].tolist())
    torch.testing.assert_close(effects, slope.sort(descending=True)[0], atol=1e-4, rtol=1e-2)
    assert effects.abs().max() > 1e-3


def test_what_is_loaded_has_a_decoders_start(tmp_path, sentence):
    tokenizer = text_tokenizer("t5")
    hf = plain("t5", "seq2seq", tokenizer, decoder_start_token_id=None)
    hf.generation_config.decoder_start_token_id = None
    sentence(nl.load, hf, tokenizer, says="decoder_start_token_id")


def test_a_model_in_memory_is_read_as_one_of_a_folder(tmp_path):
    tokenizer = text_tokenizer("mt5")
    hf = plain("mt5", "seq2seq", tokenizer)
    adopted = nl.load(hf, tokenizer)
    assert isinstance(adopted.hf, transformers.MT5ForConditionalGeneration)
    assert (adopted.kind, adopted.alphabet) == ("seq2seq", "text")
    prompt = nl.Prompt("the capital of <extra_id_0> is Paris", target="France")
    hf.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = nl.load(str(tmp_path), device="cpu")
    expected = nl.predict(adopted, prompt).logits
    torch.testing.assert_close(nl.predict(loaded, prompt).logits, expected)
