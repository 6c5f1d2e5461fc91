"""Value and query neurons of one prediction: every table against brute force over the stream."""

import json
from collections import Counter

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_with, watched

import neuronlab as nl
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.attribution.query_neurons import VALUE_NEURONS, ValueNeuron, shares
from neuronlab.figures.charts import visible
from neuronlab.models.components import SUBLAYERS
from neuronlab.models.stream import read_stream
from neuronlab.runs import Cancelled, Store, read_spec, run_study
from neuronlab.statistics import seeds
from neuronlab.studies.value_query import (
    LISTED,
    ValueQuerySpec,
    ValueQueryStudy,
    query_neuron_scores,
    value_scores,
)

STUDY = ValueQueryStudy()
LONG = "the quick brown fox jumps over a lazy dog w x y z two London is " * 3
CLOSE = 5e-5


def spec_of(prompt):
    return ValueQuerySpec(model="tiny", text=prompt.text, target=prompt.target, mask=prompt.mask)


class Case:
    """A finished study, and everything it should say, computed the slow way."""

    def __init__(self, model, prompt):
        self.model = model
        self.prompt = prompt
        self.result = STUDY.run_shard(spec_of(prompt), None, context_with(model))
        self.tables = self.result.tables
        self.numbers = self.result.numbers
        self.target = self.numbers["target"]
        self.encoded = model.encode(prompt)
        self.shares = {}
        self.stream = read_stream(model, self.encoded)
        states = self.stream.states()
        self.ffn, self.attention = [], []
        for layer in range(model.layers):
            parts = self.stream.ffn[layer][:, None] * self.stream.ffn_vectors(layer)
            self.ffn.append(self.increase(states[2 * layer + 1], parts))
            parts = self.stream.attention[layer][..., None] * self.stream.attention_vectors(layer)
            found = self.increase(states[2 * layer], parts.flatten(0, 1))
            self.attention.append(found.view(parts.shape[:2]))
        self.ffn, self.attention = torch.stack(self.ffn), torch.stack(self.attention)

    def log_probability(self, states):
        readout = self.stream.readout
        inner = states.double() @ readout.inner.matrix.double().T + readout.inner.shift.double()
        logits = inner @ readout.unembedding.double().T + readout.bias.double()
        return (logits * readout.scale.double()).log_softmax(-1)[:, self.target]

    def increase(self, state, parts):
        """Two log-softmaxes in float64, no shortcut."""
        found = self.log_probability(torch.cat([state[None], state + parts]))
        return found[1:] - found[0]

    def value_neurons(self, sublayer):
        """The study's own list of value neurons, best first."""
        table = self.tables["neurons"]
        table = table[table["component"] == sublayer].sort_values("rank")
        table = table.head(VALUE_NEURONS)
        positions = table["position"].tolist()
        if sublayer == "ffn":
            positions = [self.encoded.position] * len(table)
        rows = zip(table["layer"], table["neuron"], positions, strict=True)
        values = [ValueNeuron(int(a), sublayer, int(b), int(c)) for a, b, c in rows]
        return values, table["score"].tolist()

    def share_of(self, value):
        """Attention and FFN neurons' shares of a value neuron; the mean over its subkeys."""
        if value not in self.shares:
            values, _ = self.value_neurons(value.sublayer)
            found = shares(self.model, self.encoded, values)
            for number, one in enumerate(values):
                rows = [i for i, of in enumerate(found.value) if of == number]
                self.shares[one] = found.attention[rows].mean(0), found.ffn[rows].mean(0)
        return self.shares[value]


_CASES = {}


@pytest.fixture
def case(language, asked):
    """One run per tiny model that predicts tokens."""
    if language not in _CASES:
        _CASES[language] = Case(language, asked(language))
    return _CASES[language]


@pytest.fixture
def wide(tiny):
    """More neurons, heads and positions than are listed: what is left out must be left out."""
    model = tiny("llama", intermediate_size=300)
    if model not in _CASES:
        _CASES[model] = Case(model, nl.Prompt(LONG, target="Paris"))
    return _CASES[model]


# --- Layers, path, heads -------------------------------------------------------------------------


def test_layers_and_path(case):
    table = case.tables["layers"].set_index(["layer", "part"])
    scorer = LogProbabilityIncrease(case.stream, case.target)
    expected, biases = scorer.layers(), scorer.biases()
    assert len(table) == 2 * case.model.layers
    states, parts = case.stream.states(), case.stream.layer_parts()
    for layer in range(case.model.layers):
        for i, part in enumerate(SUBLAYERS):
            row = table.loc[layer, part]
            assert row["increase"] == pytest.approx(float(expected[layer, i]), abs=1e-6)
            slow = case.increase(states[2 * layer + i], parts[layer, i][None])
            assert row["increase"] == pytest.approx(float(slow), abs=CLOSE)
            bias = float(biases[layer, i]) if case.stream.biases.any() else 0.0
            assert row["bias_increase"] == pytest.approx(bias, abs=1e-6)
    path = case.tables["path"]
    assert path["log_probability"].to_numpy() == pytest.approx(
        case.log_probability(states).numpy(), abs=CLOSE
    )
    assert np.exp(path["log_probability"]).to_numpy() == pytest.approx(path["probability"])
    assert path["state"].tolist()[0] == "embedding"
    layers = range(case.model.layers)
    assert path["state"].tolist()[1:] == [
        f"{part} {layer}" for layer in layers for part in SUBLAYERS
    ]
    own = nl.predict(case.model, case.prompt)
    assert path["log_probability"].iloc[-1] == pytest.approx(own.log_probability, abs=1e-4)


def check_heads(case):
    states = case.stream.states()
    heads = case.tables["heads"].set_index(["layer", "head"])["increase"]
    table = case.tables["head_positions"]
    count, tokens = case.stream.heads, case.encoded.input_ids.shape[1]
    assert len(heads) == case.model.layers * count
    assert len(table) == len(heads) * tokens
    positions = table.set_index(["layer", "head", "position"])
    assert not positions.index.duplicated().any()
    for layer in range(case.model.layers):
        parts = case.stream.head_parts(layer)
        whole = case.increase(states[2 * layer], parts.sum(0))
        single = case.increase(states[2 * layer], parts.flatten(0, 1)).view(parts.shape[:2])
        for head in range(count):
            assert heads[layer, head] == pytest.approx(float(whole[head]), abs=CLOSE)
            own = positions.loc[layer, head].sort_index()
            assert own["attention"].sum() == pytest.approx(1, abs=1e-4)
            if own["exact"].all():
                assert own["increase"].to_numpy() == pytest.approx(single[:, head], abs=CLOSE)
            else:
                assert not own["exact"].any()
                assert (own["increase"].to_numpy() >= single[:, head].numpy() - CLOSE).all()
    assert table["exact"].any()


def test_heads_and_what_they_read_from_each_position(case):
    check_heads(case)


def test_positions_of_the_best_heads_are_exact_and_of_the_others_bounds(wide):
    table = wide.tables["head_positions"]
    exact = table[table["exact"]][["layer", "head"]].drop_duplicates()
    heads = wide.tables["heads"].sort_values("increase", ascending=False)
    assert 0 < len(exact) < len(heads)
    best = set(heads.head(len(exact))[["layer", "head"]].itertuples(index=False, name=None))
    assert set(exact.itertuples(index=False, name=None)) == best


def test_attention_weights_are_the_models_own(wide):
    model = wide.model
    model.hf.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            seen = model.hf(input_ids=wide.encoded.input_ids, output_attentions=True).attentions
    finally:
        model.hf.set_attn_implementation("sdpa")
    table = wide.tables["head_positions"].sort_values(["layer", "head", "position"])
    found = table["attention"].to_numpy().reshape(model.layers, wide.stream.heads, -1)
    expected = torch.stack([layer[0, :, wide.encoded.position] for layer in seen])
    assert found == pytest.approx(expected.numpy(), abs=1e-5)


# --- Value neurons -------------------------------------------------------------------------------


def check_neurons(case):
    table = case.tables["neurons"]
    for name, everyone in (("attention", case.attention), ("ffn", case.ffn)):
        own = table[table["component"] == name]
        assert own["rank"].tolist() == list(range(1, len(own) + 1))
        assert len(own) == min(LISTED[name], everyone.numel())
        best = everyone.flatten().sort(descending=True).values[: len(own)]
        assert own["score"].to_numpy() == pytest.approx(best.numpy(), abs=CLOSE)
        size = case.model.sizes["attention"] // case.stream.heads
        for row in own.itertuples():
            if name == "ffn":
                exact = everyone[row.layer, row.neuron]
                coefficient = case.stream.ffn[row.layer, row.neuron]
                assert (row.position, row.head) == (-1, -1)
            else:
                exact = everyone[row.layer, row.position, row.neuron]
                coefficient = case.stream.attention[row.layer, row.position, row.neuron]
                assert row.head == row.neuron // size
            assert row.score == pytest.approx(float(exact), abs=CLOSE)
            assert row.bound >= row.score - CLOSE
            assert row.coefficient == pytest.approx(float(coefficient), abs=1e-6)
        keys = ["layer", "neuron"] if name == "ffn" else ["layer", "neuron", "position"]
        assert not own.duplicated(keys).any()


def test_listed_are_the_best_of_all_neurons(case):
    check_neurons(case)
    assert case.numbers["candidates"] == case.ffn.numel() + case.attention.numel()


def test_tokens_are_the_highest_and_lowest_logits_of_the_vector(case):
    """Of one unit, whatever the coefficient's sign: all logits, sorted."""
    table = case.tables["neurons"]
    checked = 0
    for row in table[table["rank"] <= 5].itertuples():
        vectors = (
            case.stream.ffn_vectors(row.layer)
            if row.component == "ffn"
            else case.stream.attention_vectors(row.layer)
        )
        readout = case.stream.readout
        logits = readout.unembedding @ (readout.inner.matrix @ vectors[row.neuron]) * readout.scale
        order = logits.argsort(descending=True).tolist()
        for column, expected in (("promotes", order[:10]), ("suppresses", order[::-1][:10])):
            words = [case.model.token(i).strip() or visible(case.model.token(i)) for i in expected]
            assert getattr(row, column).split("  ") == words
        checked += 1
    assert checked == 10
    without = table[table["rank"] > 50]
    assert (without["promotes"] == "").all()
    assert (without["suppresses"] == "").all()


def test_tokens_of_a_llama_by_its_own_weights(wide):
    hf = wide.model.hf
    row = wide.tables["neurons"].query("component == 'ffn' and rank == 1").iloc[0]
    column = hf.model.layers[row["layer"]].mlp.down_proj.weight[:, row["neuron"]]
    logits = hf.lm_head.weight @ (hf.model.norm.weight * column)
    words = [wide.model.token(i).strip() for i in logits.topk(10).indices.tolist()]
    assert row["promotes"].split("  ") == words


def check_arrays(case):
    ffn, attention = case.result.arrays["ffn"], case.result.arrays["attention"]
    assert (ffn >= case.ffn.numpy() - CLOSE).all()
    states = case.stream.states()
    summed = [
        case.increase(
            states[2 * layer],
            case.stream.attention[layer].sum(0)[:, None] * case.stream.attention_vectors(layer),
        )
        for layer in range(case.model.layers)
    ]
    summed = torch.stack(summed).numpy()
    assert (attention >= summed - CLOSE).all()
    # together: the hundred best of all are proven
    scores = value_scores(case.result)
    everyone = np.concatenate([case.ffn.numpy().ravel(), summed.ravel()])
    top = scores.top(100)
    assert top["score"].to_numpy() == pytest.approx(np.sort(everyone)[::-1][:100], abs=CLOSE)
    exact = {"ffn": case.ffn.numpy(), "attention": summed}
    for row in top.itertuples():
        own = exact[row.component][row.layer, row.neuron]
        assert row.score == pytest.approx(own, abs=CLOSE)
    assert scores.certified == 100


def test_arrays_are_scores_of_the_best_and_bounds_of_the_others(case):
    check_arrays(case)


def check_histogram(case):
    table = case.tables["histogram"]
    before = case.log_probability(case.stream.states()).exp()
    layers = torch.arange(case.model.layers)
    in_probability = before[2 * layers + 1][:, None] * case.ffn.expm1()
    for column, scores in (
        ("log_probability_increase", case.ffn),
        ("probability_increase", in_probability),
    ):
        best = scores.flatten().topk(100).indices // scores.shape[1]
        expected = torch.bincount(best, minlength=case.model.layers)
        assert table[column].sum() == 100
        # a neuron at the edge may change places with one that is as good
        assert abs(table[column].to_numpy() - expected.numpy()).sum() <= 2
    assert table["layer"].tolist() == layers.tolist()


def test_the_histogram_counts_the_best_hundred_of_either_kind(case):
    check_histogram(case)


# --- Query neurons -------------------------------------------------------------------------------


def query_scores_by_hand(case, sublayer):
    """Sum over value neurons of increase times share, one value neuron at a time."""
    values, scores = case.value_neurons(sublayer)
    ffn = torch.zeros(case.model.layers, case.model.sizes["ffn"])
    layers = torch.zeros(case.model.layers, 2)
    for value, score in zip(values, scores, strict=True):
        of_attention, of_ffn = case.share_of(value)
        ffn += score * of_ffn
        layers += score * torch.stack([of_attention.sum(-1), of_ffn.sum(-1)], -1)
    return ffn, layers


def check_query_scores(case):
    for of in SUBLAYERS:
        ffn, layers = query_scores_by_hand(case, of)
        scale = float(ffn.abs().max())
        found = case.result.arrays[f"query_{of}"]
        assert found == pytest.approx(ffn.numpy(), abs=1e-3 * max(1.0, scale))
        table = case.tables["query_layers"]
        table = table[table["of"] == of].set_index(["layer", "part"])["score"]
        for layer in range(case.model.layers):
            for h, part in enumerate(SUBLAYERS):
                expected = pytest.approx(float(layers[layer, h]), abs=2e-3 * max(1.0, scale))
                assert table[layer, part] == expected
        neurons = case.tables["query_neurons"]
        neurons = neurons[neurons["of"] == of]
        best = np.sort(found.ravel())[::-1][: len(neurons)]
        assert len(neurons) == min(LISTED["ffn"], found.size)
        assert neurons["rank"].tolist() == list(range(1, len(neurons) + 1))
        assert neurons["score"].to_numpy() == pytest.approx(best, abs=1e-6)
        for row in neurons.itertuples():
            assert row.score == pytest.approx(float(found[row.layer, row.neuron]), abs=1e-6)
        if "gate" in neurons and of == "ffn":  # two subkeys, whose mean the score is
            mean = neurons[["gate", "up"]].mean(axis=1)
            assert neurons["score"].to_numpy() == pytest.approx(mean.to_numpy(), abs=1e-5)
        top = query_neuron_scores(case.result, of).top(5)
        assert top["neuron"].tolist() == neurons["neuron"].head(5).tolist()


def test_query_scores_are_sums_of_shares(case):
    check_query_scores(case)


def check_roles(case):
    values = case.tables["neurons"]
    values = values[values["component"] == "ffn"]
    writes = {(r.layer, r.neuron): r.score for r in values.itertuples()}
    for of in SUBLAYERS:
        queries = case.tables["query_neurons"]
        queries = queries[queries["of"] == of]
        wakes = {(r.layer, r.neuron): r.score for r in queries.itertuples()}
        roles = case.tables["roles"]
        roles = roles[roles["of"] == of]
        found = {
            role: set(own[["layer", "neuron"]].itertuples(index=False, name=None))
            for role, own in roles.groupby("role")
        }
        query_only, both, value_only = (
            found.get(role, set()) for role in ("query only", "both", "value only")
        )
        assert query_only | both == set(wakes)
        assert value_only | both == set(writes)
        assert both == set(wakes) & set(writes)
        assert len(roles) == len(wakes.keys() | writes.keys())
        counts = Counter(roles["role"])
        assert counts["query only"] + counts["both"] == len(queries)
        assert counts["value only"] + counts["both"] == len(values)
        for row in roles.itertuples():
            at = row.layer, row.neuron
            for score, known in ((row.query_score, wakes), (row.value_score, writes)):
                if at in known:
                    assert score == pytest.approx(known[at])
                else:
                    assert np.isnan(score)


def test_roles_are_those_of_the_two_lists(case):
    check_roles(case)


# --- The flow ------------------------------------------------------------------------------------


def check_flow(case):
    links, nodes = case.tables["flow_links"], case.tables["flow_nodes"]
    attention, attention_scores = case.value_neurons("attention")
    ffn, ffn_scores = case.value_neurons("ffn")
    summed = {}
    for value, score in zip(attention, attention_scores, strict=True):
        at = value.layer, value.index
        summed[at] = summed.get(at, 0.0) + score
    best = dict(sorted(summed.items(), key=lambda item: -item[1])[:8])
    best_ffn = {(v.layer, v.index): s for v, s in list(zip(ffn, ffn_scores, strict=True))[:8]}
    found = {}
    for r in links.itertuples():
        at = (r.source, r.source_layer, r.source_neuron, r.target, r.target_layer, r.target_neuron)
        assert at not in found
        found[at] = r.weight

    def weights(source, target):
        return {at: w for at, w in found.items() if (at[0], at[3]) == (source, target)}

    # attention -> target: increases over all positions it reads from; FFN -> target: its increase
    for stage, expected in (("attention", best), ("ffn", best_ffn)):
        own = {at[1:3]: w for at, w in weights(stage, "target").items()}
        assert own == {at: pytest.approx(score, abs=1e-5) for at, score in expected.items()}
    # attention -> FFN: the FFN neuron's increase times the attention neuron's share of it
    own = weights("attention", "ffn")
    assert len(own) == len(best) * len(best_ffn)
    for at, score in best_ffn.items():
        value = next(v for v in ffn if (v.layer, v.index) == at)
        share, _ = case.share_of(value)
        for source in best:
            expected = score * float(share[source])
            assert own["attention", *source, "ffn", *at] == pytest.approx(expected, abs=1e-3)
    # query -> attention: the attention neuron's increases times the query neuron's shares
    wakes = {at: torch.zeros(case.model.layers, case.model.sizes["ffn"]) for at in best}
    for value, score in zip(attention, attention_scores, strict=True):
        if (value.layer, value.index) in wakes:
            wakes[value.layer, value.index] += score * case.share_of(value)[1]
    own = weights("query", "attention")
    assert len(own) == 8 * len(best)
    for at, weight in own.items():
        assert weight == pytest.approx(float(wakes[at[4:6]][at[1:3]]), abs=1e-3)
    total = sum(wakes.values())
    chosen = {at[1:3] for at in own}
    lowest = min(float(total[at]) for at in chosen)
    assert lowest == pytest.approx(float(total.flatten().topk(8).values[-1]), abs=1e-3)
    assert len(found) == len(best) * (1 + len(best_ffn) + 8) + len(best_ffn)
    # the nodes are the ends of the links, each once
    ends = {at[0:3] for at in found} | {at[3:6] for at in found}
    listed = list(nodes[["stage", "layer", "neuron"]].itertuples(index=False, name=None))
    assert set(listed) == ends
    assert len(listed) == len(ends)
    size = case.model.sizes["attention"] // case.stream.heads
    for row in nodes.itertuples():
        if row.stage == "attention":
            assert (row.component, row.head) == ("attention", row.neuron // size)
        elif row.stage == "target":
            assert (row.layer, row.neuron) == (-1, -1)
        else:
            assert (row.component, row.head) == ("ffn", -1)


def test_the_flow_is_made_of_increases_and_shares(case):
    check_flow(case)


def test_the_flow_adds_up_the_positions_of_an_attention_neuron(wide):
    values, _ = wide.value_neurons("attention")
    counts = Counter((value.layer, value.index) for value in values)
    assert max(counts.values()) > 1


@pytest.mark.parametrize(
    "check",
    [
        check_heads,
        check_neurons,
        check_arrays,
        check_histogram,
        check_query_scores,
        check_roles,
        check_flow,
    ],
    ids=lambda check: check.__name__.removeprefix("check_"),
)
def test_the_same_holds_where_not_all_neurons_are_listed(wide, check):
    assert wide.ffn.numel() > LISTED["ffn"]
    assert wide.attention.numel() > LISTED["attention"]
    assert len(set(wide.tables["roles"]["role"])) == 3
    check(wide)


# --- The proof -----------------------------------------------------------------------------------


def test_the_effect_is_that_of_suppressing_the_ten_best(case):
    chosen = value_scores(case.result).select(top=10)
    assert len(chosen) == case.numbers["suppressed"] == 10
    before, after = nl.predict_many(case.model, case.prompt, [None, nl.Suppress(chosen)])
    numbers = case.numbers
    assert numbers["probability"] == pytest.approx(before.probability, abs=1e-6)
    assert numbers["probability_suppressed"] == pytest.approx(after.probability, abs=1e-6)
    assert (numbers["rank"], numbers["rank_suppressed"]) == (before.rank, after.rank)
    assert numbers["target_label"] == before.label
    controls = [nl.Suppress(chosen.matched_random(case.model.sizes, s)) for s in seeds(0, 20)]
    random = [p.probability for p in nl.predict_many(case.model, case.prompt, controls)]
    random_sets = case.tables["random_sets"].groupby("control")["probability"]
    assert list(random_sets.get_group("random")) == pytest.approx(random, abs=1e-6)
    assert len(random_sets.get_group("as active")) == 20
    assert numbers["probability_random_mean"] == pytest.approx(np.mean(random), abs=1e-6)
    for row in case.tables["suppressed"].itertuples():
        assert row.before == pytest.approx(float(before.probabilities[row.index]), abs=1e-6)
        assert row.after == pytest.approx(float(after.probabilities[row.index]), abs=1e-6)


def test_suppressing_the_ten_best_lowers_the_target(case):
    """They are chosen for what they write themselves: without them there is less of it."""
    assert case.numbers["probability_suppressed"] < case.numbers["probability_random_mean"]


# --- The run -------------------------------------------------------------------------------------


def test_without_a_target_the_first_choice_is_explained(case):
    model = case.model
    prompt = nl.Prompt(case.prompt.text, mask=case.prompt.mask)
    numbers = STUDY.run_shard(spec_of(prompt), None, context_with(model)).numbers
    expected = nl.predict(model, prompt)
    assert (numbers["target"], numbers["rank"]) == (expected.target, 1)
    assert numbers["target_label"] == expected.label


def test_the_preview_has_layers_and_heads(tiny, asked, tmp_path):
    model = tiny("llama")
    result, (preview,) = watched(model, spec_of(asked(model)), tmp_path)
    assert preview.result.tables.keys() == {"layers", "path", "heads", "head_positions"}
    for name, table in preview.result.tables.items():
        pd.testing.assert_frame_equal(table, result.tables[name])
    for name, value in preview.result.numbers.items():
        assert result.numbers[name] == value


def test_a_hidden_residue_is_explained(tiny):
    model = tiny("esm", "masked")
    prompt = nl.Prompt("MKTAYIAKQRQISF", target="A", mask=6)
    numbers = STUDY.run_shard(spec_of(prompt), None, context_with(model)).numbers
    assert numbers["target_label"] == "A"
    assert numbers["position"] == 7  # after the token that begins a sequence
    ids = model.tokenizer("MKTAYI<mask>KQRQISF", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = model.hf(input_ids=ids).logits[0, 7]
    target = model.tokenizer.get_vocab()["A"]
    assert numbers["target"] == target
    assert numbers["probability"] == pytest.approx(float(logits.softmax(-1)[target]), abs=1e-5)


@pytest.mark.parametrize("name", ["bert", "esm", "llama"])
def test_a_classifier_is_one_sentence(tiny, asked, sentence, name):
    model = tiny(name, "classifier")
    sentence(
        STUDY.run_shard, spec_of(asked(model)), None, context_with(model), says="predicts tokens"
    )


@pytest.mark.parametrize(
    "changes",
    [{"text": ""}, {"target": "Berlin"}, {"target": 10**6}, {"text": "the " * 100}],
    ids=["empty", "word", "number", "long"],
)
def test_what_a_person_got_wrong_is_one_sentence(tiny, sentence, changes):
    model = tiny("llama")
    wrong = ValueQuerySpec(**{"model": "tiny", "text": "the capital is", "target": "w"} | changes)
    sentence(STUDY.run_shard, wrong, None, context_with(model))


def test_a_result_goes_through_the_store(wide, tmp_path):
    store = Store(tmp_path)
    spec = spec_of(wide.prompt)
    store.save(spec, wide.result, seconds=1.0)
    _, again = store.load(spec.key)
    assert again.numbers == json.loads(json.dumps(wide.numbers))
    assert again.tables.keys() == wide.tables.keys()
    for name, table in wide.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], table, check_dtype=False)
    top = value_scores(again).top(10)
    pd.testing.assert_frame_equal(top, value_scores(wide.result).top(10))
    assert read_spec(spec.to_json(), {"value_query": ValueQuerySpec}) == spec


def test_the_same_spec_gives_the_same_result_and_leaves_no_hooks(tiny, asked, hooks_of):
    model = tiny("qwen3")
    hooks = hooks_of(model)
    first, second = (
        STUDY.run_shard(spec_of(asked(model)), None, context_with(model)) for _ in range(2)
    )
    assert first.numbers == second.numbers
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])
    for name, array in first.arrays.items():
        assert np.array_equal(array, second.arrays[name])
    assert hooks_of(model) == hooks


@pytest.mark.long
def test_a_run_can_be_cancelled_anywhere(tiny, asked, tmp_path, hooks_of):
    model = tiny("llama")
    hooks = hooks_of(model)
    stopped = 0
    for limit in range(0, 60, 7):
        calls = []

        def cancelled(calls=calls, limit=limit):
            calls.append(1)
            return len(calls) > limit

        try:
            context = context_with(model, cancelled=cancelled)
            run_study(STUDY, spec_of(asked(model)), Store(tmp_path), context)
        except Cancelled:
            stopped += 1
        assert hooks_of(model) == hooks
        assert model.hf.config._attn_implementation == "sdpa"
    assert stopped >= 2


def test_the_capital_of_france(smollm):
    """On a model that knows it: the value neurons matter, and the flow ends in Paris."""
    model = smollm
    result = STUDY.run_shard(STUDY.default(), None, context_with(model))
    assert result.numbers["target_label"] == " Paris"
    assert (
        result.numbers["probability_suppressed"] < 0.5 * result.numbers["probability_random_mean"]
    )
    assert result.numbers["rescored"] < 0.05 * result.numbers["candidates"]
    best = result.tables["neurons"].query("component == 'ffn' and rank <= 20")
    raised = best["promotes"].where(best["coefficient"] > 0, best["suppresses"])
    assert raised.str.contains("capitals").any()
