"""Log-probability increase against every neuron sent through the unembedding one by one."""

import pytest
import torch

import neuronlab as nl
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.models.stream import read_stream

PROMPT = nl.Prompt("The capital of France is", target=" Paris")


@pytest.fixture
def scored(language, asked):
    encoded = language.encode(asked(language))
    stream = read_stream(language, encoded)
    return stream, LogProbabilityIncrease(stream, encoded.target)


def increase(stream, target, state, parts):
    """Two log-softmaxes in float64, no shortcut."""
    readout = stream.readout
    states = torch.cat([state[None], state + parts])
    inner = states.double() @ readout.inner.matrix.double().T + readout.inner.shift.double()
    logits = inner @ readout.unembedding.double().T + readout.bias.double()
    log_probabilities = (logits * readout.scale.double()).log_softmax(-1)[:, target]
    return log_probabilities[1:] - log_probabilities[0]


def brute_force(stream, target):
    """Every FFN neuron (layer, neuron) and attention neuron (layer, position, neuron)."""
    states = stream.states()
    ffn, attention = [], []
    for layer in range(stream.model.layers):
        parts = stream.ffn[layer][:, None] * stream.ffn_vectors(layer)
        ffn.append(increase(stream, target, states[2 * layer + 1], parts))
        parts = stream.attention[layer][..., None] * stream.attention_vectors(layer)
        increases = increase(stream, target, states[2 * layer], parts.flatten(0, 1))
        attention.append(increases.view(parts.shape[:2]))
    return torch.stack(ffn), torch.stack(attention)


def test_the_bound_is_never_below_the_score_of_any_neuron(scored):
    stream, scores = scored
    ffn, attention = brute_force(stream, scores.target)
    for exact, candidates in ((ffn, scores.ffn_neurons), (attention, scores.attention_neurons)):
        bound = scores.bounds(candidates).view(exact.shape)
        assert float((exact - bound).max()) <= 1e-5
        # and it says something: a neuron of no coefficient has no score
        assert torch.corrcoef(torch.stack([exact.flatten(), bound.double().flatten()]))[0, 1] > 0.5


@pytest.mark.parametrize("count", [1, 10, 60])
@pytest.mark.parametrize("which", ["ffn", "attention", "both"])
def test_no_neuron_outside_the_certified_set_is_better(scored, count, which):
    stream, scores = scored
    ffn, attention = brute_force(stream, scores.target)
    everyone, candidates = {
        "ffn": ([ffn], [scores.ffn_neurons]),
        "attention": ([attention], [scores.attention_neurons]),
        "both": ([ffn, attention], None),
    }[which]
    best = torch.cat([part.flatten() for part in everyone]).topk(count).values
    table = scores.top(count, candidates)
    assert len(table) == count
    assert table["score"].to_numpy() == pytest.approx(best.numpy(), abs=2e-5)
    for row in table.itertuples():
        if row.component == "ffn":
            assert row.position == -1
            expected = ffn[row.layer, row.neuron]
        else:
            expected = attention[row.layer, row.position, row.neuron]
        assert row.score == pytest.approx(float(expected), abs=2e-5)


def test_more_neurons_than_there_are_gives_all(scored):
    stream, scores = scored
    table = scores.top(10**6, [scores.ffn_neurons])
    assert len(table) == table.attrs["rescored"] == stream.ffn.numel()
    assert not table.duplicated(["layer", "neuron"]).any()


def test_heads_positions_and_layers(scored):
    stream, scores = scored
    states, layers = stream.states(), stream.layer_parts()
    of_layers, heads = scores.layers(), scores.heads()
    positions = scores.head_positions().unflatten(0, heads.shape).transpose(1, 2)
    assert (scores.head_position_bounds() >= positions - 2e-5).all()
    last = [(1, heads.shape[1] - 1), (0, 0)]
    assert torch.allclose(scores.head_positions(last)[0], positions[1, :, -1], atol=2e-5)
    for layer in range(stream.model.layers):
        parts = stream.head_parts(layer)
        base = states[2 * layer]
        expected = increase(stream, scores.target, base, parts.flatten(0, 1))
        assert positions[layer].flatten().numpy() == pytest.approx(expected.numpy(), abs=2e-5)
        expected = increase(stream, scores.target, base, parts.sum(0))
        assert heads[layer].numpy() == pytest.approx(expected.numpy(), abs=2e-5)
        for i in (0, 1):
            part = layers[layer, i][None]
            expected = increase(stream, scores.target, states[2 * layer + i], part)
            assert float(of_layers[layer, i]) == pytest.approx(float(expected), abs=2e-5)


def test_the_path_ends_at_the_models_own_log_probability(language, asked, scored):
    _, scores = scored
    log_probability = nl.predict(language, asked(language)).log_probability
    assert float(scores.path[-1]) == pytest.approx(log_probability, abs=1e-4)
    assert len(scores.path) == 2 * language.layers + 1


def test_llama_as_the_authors_write_it(tiny, asked):
    """logits(x) = lm_head(weight * x / sqrt(mean(h^2) + eps)), h the final state."""
    model = tiny("llama")
    hf, encoded = model.hf, model.encode(asked(model))
    seen = {}
    layer = 1
    block = hf.model.layers[layer]
    handles = [
        block.register_forward_pre_hook(lambda m, a: seen.update(entering=a[0][0, -1])),
        block.self_attn.register_forward_hook(lambda m, a, o: seen.update(attention=o[0][0, -1])),
        block.mlp.down_proj.register_forward_pre_hook(lambda m, a: seen.update(ffn=a[0][0, -1])),
        hf.model.norm.register_forward_pre_hook(lambda m, a: seen.update(final=a[0][0, -1])),
    ]
    with torch.no_grad():
        hf(input_ids=encoded.input_ids)
    for handle in handles:
        handle.remove()

    def log_probability(x):
        deviation = torch.sqrt((seen["final"] ** 2).mean() + hf.config.rms_norm_eps)
        return hf.lm_head(hf.model.norm.weight * x / deviation).log_softmax(-1)[encoded.target]

    base = seen["entering"] + seen["attention"]
    expected = [
        float(log_probability(base + m * column) - log_probability(base))
        for m, column in zip(seen["ffn"], block.mlp.down_proj.weight.T, strict=True)
    ]
    scores = LogProbabilityIncrease(read_stream(model, encoded), encoded.target)
    table = scores.top(10**6, [scores.ffn_neurons])
    of_layer = table[table["layer"] == layer].sort_values("neuron")["score"]
    assert of_layer.to_numpy() == pytest.approx(expected, abs=2e-5)


def test_a_search_can_be_stopped(scored):
    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        scored[1].top(5, check=stop)


def test_the_capital_of_france(smollm):
    """Few of the 132,480 neurons have to be rescored to prove the hundred best."""
    encoded = smollm.encode(PROMPT)
    scores = LogProbabilityIncrease(read_stream(smollm, encoded), encoded.target)
    candidates = scores.ffn_neurons, scores.attention_neurons
    assert sum(one.coefficients.numel() for one in candidates) == 132_480
    table = scores.top(100)
    assert table.attrs["rescored"] < 1000
    assert (table["score"] <= table["bound"] + 1e-4).all()
    assert float(scores.path[-1].exp()) == pytest.approx(
        nl.predict(smollm, PROMPT).probability, abs=1e-4
    )
