"""Where each kind of knowledge lives: means by hand, and heads whose parameters are zeroed."""

import copy
import json
import math
from collections import Counter
from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import context_with, like, run, watched
from scipy.stats import kstest

import neuronlab as nl
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.facts import Fact
from neuronlab.models.components import SUBLAYERS
from neuronlab.models.stream import read_stream
from neuronlab.neurons import predict_many
from neuronlab.runs import Result
from neuronlab.studies import knowledge_types
from neuronlab.studies.knowledge_types import (
    RANDOM_SETS,
    SHARED,
    KnowledgeTypesSpec,
    KnowledgeTypesStudy,
    beside_random,
    effects,
)

STUDY = KnowledgeTypesStudy()
FACTS = tuple(
    Fact(prompt, (answer,), relation, prompt)
    for relation, pairs in {
        "place": (
            ("the capital of France is", "Paris"),
            ("is the capital", "London"),
            ("a capital of", "France"),
        ),
        "animal": (("the quick brown", "fox"), ("jumps over the lazy", "dog")),
        "letter": (("w x y", "z"),),
    }.items()
    for prompt, answer in pairs
)
KINDS = {"value_ffn": "FFN value", "value_attention": "attention value", "query_ffn": "FFN query"}


@pytest.fixture
def interventions(monkeypatch):
    """The sets of attention neurons that are switched off, once per fact that is measured."""
    seen = []

    def watched(model, encoded, changes):
        seen.append([change.neurons for change in changes])
        return predict_many(model, encoded, changes)

    monkeypatch.setattr(knowledge_types, "predict_many", watched)
    return seen


spec = partial(KnowledgeTypesSpec, facts="own", own=FACTS, filtered=False)


def part(relation="r", **arrays):
    return Result(numbers={"state": "used", "relation": relation}, arrays=arrays)


# --- Means over facts ----------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize("name", ["llama", "gpt2", "bert"])
def test_value_layers_are_the_means_of_each_facts_layers(tiny, tmp_path, name):
    model = tiny(name, "masked" if name == "bert" else "causal")
    found = run(model, spec(), tmp_path)
    table = found.tables["value_layers"].set_index(["relation", "layer", "part"])["score"]
    assert not table.index.duplicated().any()
    assert len(table) == 3 * model.layers * 2
    for relation in ("place", "animal", "letter"):
        layers = []
        for fact in (fact for fact in FACTS if fact.relation == relation):
            mask = f" {model.tokenizer.mask_token}." if name == "bert" else ""
            encoded = model.encode(prompt_of(fact, mask))
            layers.append(LogProbabilityIncrease(read_stream(model, encoded), encoded.target))
        mean = torch.stack([scorer.layers() for scorer in layers]).mean(0)
        for layer in range(model.layers):
            for i, sublayer in enumerate(SUBLAYERS):
                expected = float(mean[layer, i])
                assert table[relation, layer, sublayer] == pytest.approx(expected, abs=1e-5)


def prompt_of(fact, mask=""):
    return nl.Prompt(f"{fact.prompt}{mask}", target=f" {fact.answers[0]}")


def test_query_layers_by_hand():
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(2, 4, 2)).astype(np.float32) for _ in range(3)]
    parts = [part(query_layers=one) for one in arrays]
    table = knowledge_types._query_layers(parts, {"r": [0, 2], "s": [1]})
    rows = table.set_index(["relation", "of", "layer", "part"])["score"]
    assert len(rows) == 2 * 2 * 4 * 2
    for relation, mean in {"r": (arrays[0] + arrays[2]) / 2, "s": arrays[1]}.items():
        for o, of in enumerate(SUBLAYERS):
            for layer in range(4):
                for i, sublayer in enumerate(SUBLAYERS):
                    expected = pytest.approx(float(mean[o, layer, i]), abs=1e-6)
                    assert rows[relation, of, layer, sublayer] == expected


# --- Neurons that facts share --------------------------------------------------------------------


def shared_parts():
    """Four facts of one type and two of another, each with lists of a few neurons."""
    lists = [(1, 2, 3, 4), (1, 2, 3, 9), (1, 2, 8, 9), (1, 5, 6, 7), (1, 2, 50, 51), (60, 61)]
    arrays = [np.array(one) for one in lists]
    parts = [part(value_ffn=a, value_attention=a, query_ffn=a) for a in arrays]
    return parts, {"r": [0, 1, 2, 3], "s": [4, 5]}, [set(one) for one in lists]


def test_common_neurons_are_those_of_more_than_half_of_the_facts(tiny):
    parts, members, _ = shared_parts()
    table = knowledge_types._sharing(parts, members, tiny("llama"))
    assert set(table["neurons"]) == set(KINDS.values())
    own = table[table["relation"] == "r"]
    # 1 in four facts, 2 in three; 3 and 9 in two of four, which is no more than half
    assert (own["common"] == 2).all()
    assert (own["facts"] == 4).all()
    assert own["fraction"].tolist() == pytest.approx([2 / 4] * 3)
    other = table[table["relation"] == "s"]
    assert (other["common"] == 0).all()
    assert (other["fraction"] == 0).all()


def test_one_fact_alone_shares_nothing_that_could_be_counted(tiny):
    parts, _, _ = shared_parts()
    table = knowledge_types._sharing(parts, {"r": [2]}, tiny("llama"))
    assert table["common"].isna().all()
    assert table["fraction"].isna().all()


def test_overlap_is_the_mean_over_pairs_of_different_facts(tiny):
    parts, members, lists = shared_parts()
    model = tiny("llama")
    table = knowledge_types._overlap(parts, members, model)
    sizes = {"FFN value": "ffn", "attention value": "attention", "FFN query": "ffn"}
    assert len(table) == 3 * 2 * 2
    for row in table.itertuples():
        pairs = [
            len(lists[i] & lists[j]) / math.sqrt(len(lists[i]) * len(lists[j]))
            for i in members[row.relation]
            for j in members[row.other]
            if i != j
        ]
        assert row.overlap == pytest.approx(np.mean(pairs))
        everyone = model.layers * model.sizes[sizes[row.neurons]]
        listed = np.mean([len(one) for one in lists])
        assert row.chance == pytest.approx(listed / everyone)
    square = table[table["neurons"] == "FFN value"].pivot(
        index="relation", columns="other", values="overlap"
    )
    np.testing.assert_allclose(square, square.T)


def test_facts_with_the_same_neurons_overlap_wholly_and_one_fact_with_nobody(tiny):
    same = np.arange(10)
    arrays = {"value_ffn": same, "value_attention": same, "query_ffn": same}
    parts = [part(**arrays), part(**arrays)]
    table = knowledge_types._overlap(parts, {"r": [0], "s": [1]}, tiny("llama"))
    apart = table["relation"] != table["other"]
    assert table[apart]["overlap"].tolist() == pytest.approx([1.0] * 6)
    assert table[~apart]["overlap"].isna().all()


def test_the_listed_neurons_are_the_best_and_each_counts_once(tiny, monkeypatch):
    """An attention neuron is among the best at several positions, but it is one neuron."""
    model = tiny("llama")
    for listed in (SHARED, 20):
        monkeypatch.setattr(knowledge_types, "SHARED", listed)
        found = STUDY.run_shard(spec(), 0, context_with(model))
        encoded = model.encode(prompt_of(FACTS[0]))
        scorer = LogProbabilityIncrease(read_stream(model, encoded), encoded.target)
        for name, candidates in (
            ("value_ffn", scorer.ffn_neurons),
            ("value_attention", scorer.attention_neurons),
        ):
            own = found.arrays[name]
            assert len(set(own.tolist())) == len(own)
            every = scorer.top(10**6, [candidates]).head(listed)
            size = model.sizes[every["component"][0]]
            best = set((every["layer"] * size + every["neuron"]).tolist())
            assert set(own.tolist()) == best
        assert len(found.arrays["query_ffn"]) == min(listed, model.layers * model.sizes["ffn"])


# --- Heads ---------------------------------------------------------------------------------------


def test_heads_are_chosen_by_every_second_fact():
    rng = np.random.default_rng(1)
    arrays = [rng.normal(size=(20, 12)).astype(np.float32) for _ in range(5)]
    parts = [part(heads=one) for one in arrays]
    table = knowledge_types._heads(parts, {"r": [0, 1, 2, 4], "s": [3]})
    for relation, mean in {"r": (arrays[0] + arrays[2]) / 2, "s": arrays[3]}.items():
        own = table[table["relation"] == relation]
        assert own["rank"].tolist() == [1, 2, 3]  # one per cent of 240, rounded up
        best = np.argsort(-mean.ravel())[:3]
        assert (own["layer"] * 12 + own["head"]).tolist() == best.tolist()
        assert own["increase"].tolist() == pytest.approx(mean.ravel()[best].tolist())


OUTPUTS = {
    "llama": lambda hf, layer: hf.model.layers[layer].self_attn.o_proj,
    "qwen3": lambda hf, layer: hf.model.layers[layer].self_attn.o_proj,
    "gpt2": lambda hf, layer: hf.transformer.h[layer].attn.c_proj,
    "bert": lambda hf, layer: hf.bert.encoder.layer[layer].attention.output.dense,
}


def without_heads(model, heads):
    """A copy in which the heads' columns of the attention's output projection are zero."""
    hf = copy.deepcopy(model.hf)
    kind = hf.config.model_type
    count = hf.config.num_attention_heads
    for layer, head in heads:
        weight = OUTPUTS[kind](hf, layer).weight.data
        weight = weight.T if kind == "gpt2" else weight  # (out, in)
        size = weight.shape[1] // count
        weight[:, head * size : (head + 1) * size] = 0
    return hf


def plain_row(model, hf, fact):
    """Probability and rank of the gold token by the transformers model alone."""
    ids, place = model.tokenizer(fact.prompt)["input_ids"], -1
    if model.kind == "masked":
        ids = model.tokenizer(f"{fact.prompt} {model.tokenizer.mask_token}.")["input_ids"]
        place = ids.index(model.tokenizer.mask_token_id)
    with torch.no_grad():
        logits = hf(input_ids=torch.tensor([ids])).logits[0, place].double()
    gold = model.tokenizer.get_vocab()[fact.answers[0]]
    rank = int((logits > logits[gold]).sum()) + 1
    return float(logits.softmax(-1)[gold]), 1 / rank


@pytest.mark.parametrize(
    ("name", "share"),
    [("llama", 0.01), ("llama", 0.2), ("qwen3", 0.2), ("gpt2", 0.2), ("bert", 0.2)],
)
def test_switching_heads_off_is_zeroing_their_columns(tiny, tmp_path, monkeypatch, name, share):
    model = tiny(name, "masked" if name == "bert" else "causal")
    monkeypatch.setattr(knowledge_types, "HEADS", share)
    found = run(model, spec(), tmp_path)
    heads = found.tables["heads"]
    assert (heads["relation"].value_counts() == math.ceil(share * 12)).all()
    assert found.numbers["heads_off"] == math.ceil(share * 12)
    table = found.tables["effects"].set_index(["off", "relation"])
    assert not table.index.duplicated().any()
    # a type's first, third, ... facts chose the heads: the others are measured
    measured = {"place": [FACTS[1]], "animal": [FACTS[4]]}
    assert set(table.index) == set(product(measured, measured))
    for off in measured:
        own = heads[heads["relation"] == off][["layer", "head"]].itertuples(index=False, name=None)
        changed = without_heads(model, own)
        for relation, facts in measured.items():
            row = table.loc[off, relation]
            before = np.mean([plain_row(model, model.hf, fact) for fact in facts], axis=0)
            after = np.mean([plain_row(model, changed, fact) for fact in facts], axis=0)
            assert row[["before", "mrr_before"]].tolist() == pytest.approx(before, abs=1e-5)
            assert row[["after", "mrr_after"]].tolist() == pytest.approx(after, abs=1e-5)
            assert row["change"] == pytest.approx(after[0] - before[0], abs=1e-5)
            assert abs(row["after"] - row["before"]) > 1e-6


def test_no_fact_tests_the_heads_it_chose(tiny, tmp_path, interventions):
    """The one fact of its type chose its heads: nothing is switched off for it."""
    model = tiny("llama")
    found = run(model, spec(), tmp_path)
    assert found.numbers["untested"] == ["letter"]
    assert "letter" in set(found.tables["heads"]["relation"])
    for name in ("effects", "beside_random"):
        assert set(found.tables[name]["relation"]) == {"place", "animal"}
    assert len(interventions) == 2  # one fact of either


def test_where_every_type_has_one_fact_nothing_is_tested(tiny, tmp_path, interventions):
    model = tiny("llama")
    found = run(model, spec(own=(FACTS[0], FACTS[3], FACTS[5])), tmp_path)
    assert found.numbers["untested"] == ["place", "animal", "letter"]
    assert not found.tables.keys() & {"effects", "beside_random"}
    assert interventions == []


def heads_in(model, neurons):
    """(layer, head) of a set that holds whole heads."""
    count = model.hf.config.num_attention_heads
    size = model.sizes["attention"] // count
    found = Counter((layer, index // size) for layer, component, index in neurons)
    assert {component for _, component, _ in neurons} == {"attention"}
    assert set(found.values()) == {size}
    return set(found)


@pytest.mark.parametrize("share", [0.01, 0.1])
def test_random_heads_are_others_of_the_same_layers(
    tiny, tmp_path, monkeypatch, interventions, share
):
    model = tiny("llama")
    monkeypatch.setattr(knowledge_types, "HEADS", share)
    table = run(model, spec(own=FACTS[:5]), tmp_path).tables["heads"]
    names = ["place", "animal"]
    chosen = [
        set(table[table["relation"] == name][["layer", "head"]].itertuples(index=False, name=None))
        for name in names
    ]
    for sets, own in zip(interventions, chosen, strict=True):
        # the heads of every type, then random ones like those of the fact's own
        assert [heads_in(model, one) for one in sets[:2]] == chosen
        assert len(sets) == 2 + RANDOM_SETS
        for control in sets[2:]:
            drawn = heads_in(model, control)
            assert not drawn & own
            assert Counter(layer for layer, _ in drawn) == Counter(layer for layer, _ in own)
        assert len({frozenset(one) for one in sets[2:]}) > 1


def test_another_seed_draws_other_random_heads_and_each_fact_of_a_type_has_the_same(
    tiny, tmp_path, interventions
):
    model = tiny("llama")
    more = (*FACTS[:3], Fact("of the capital", ("Paris",), "place", "more"))
    for seed in (0, 1):
        run(model, spec(own=more, seed=seed), tmp_path / f"{seed}")
    first, again, other, _ = interventions
    assert first == again
    assert first[0] == other[0]
    assert sum(a == b for a, b in zip(first[1:], other[1:], strict=True)) < RANDOM_SETS / 2


def test_random_heads_are_as_many_as_the_chosen_ones(tiny, tmp_path, monkeypatch, interventions):
    model = tiny("llama")
    monkeypatch.setattr(knowledge_types, "HEADS", 0.3)
    monkeypatch.setattr(knowledge_types, "_heads", lambda parts, members: TWO_IN_A_LAYER)
    run(model, spec(own=FACTS[:3]), tmp_path)
    own, *controls = interventions[0]
    for control in controls:
        assert len(heads_in(model, control)) == len(heads_in(model, own)) == 4


TWO_IN_A_LAYER = pd.DataFrame(
    {
        "relation": "place",
        "rank": [1, 2, 3, 4],
        "layer": [0, 0, 1, 1],
        "head": [0, 1, 2, 3],
        "increase": 1.0,
    }
)


def test_where_a_layer_has_no_other_heads_its_own_are_drawn(
    tiny, tmp_path, monkeypatch, interventions
):
    model = tiny("llama")
    whole = TWO_IN_A_LAYER.assign(layer=0)
    monkeypatch.setattr(knowledge_types, "_heads", lambda parts, members: whole)
    (row,) = run(model, spec(own=FACTS[:3]), tmp_path).tables["beside_random"].to_dict("records")
    assert row["difference"] == pytest.approx(0, abs=1e-7)
    for neurons in interventions[0]:
        assert heads_in(model, neurons) == {(0, head) for head in range(4)}


def test_random_is_the_mean_over_the_draws(tiny, tmp_path, interventions):
    model = tiny("gpt2")
    found = run(model, spec(own=FACTS[:5]), tmp_path).tables["beside_random"].set_index("relation")
    for fact, sets, own in zip((FACTS[1], FACTS[4]), interventions, (0, 1), strict=True):
        after = [
            plain_row(model, without_heads(model, heads_in(model, one)), fact)[0] for one in sets
        ]
        row = found.loc[fact.relation]
        assert row["after"] == pytest.approx(after[own], abs=1e-5)
        assert row["random"] == pytest.approx(np.mean(after[2:]), abs=1e-5)
        assert row["difference"] == pytest.approx(after[own] - np.mean(after[2:]), abs=1e-5)
        as_low = sum(one <= after[own] for one in after[2:])
        assert row["p"] == pytest.approx((1 + as_low) / 21)
        assert row[["difference_low", "difference_high"]].isna().all()  # one fact


@pytest.mark.parametrize("relation", ["capital city", "random 0", "what cats like to eat"])
def test_the_effects_name_the_relation_as_the_facts_do(tiny, tmp_path, relation):
    model = tiny("llama")
    own = tuple(Fact(f.prompt, f.answers, relation, f.name) for f in FACTS[:3])
    tables = run(model, spec(own=own), tmp_path).tables
    assert tables["effects"][["off", "relation"]].values.tolist() == [[relation, relation]]
    assert tables["beside_random"]["relation"].tolist() == [relation]


# --- Claims, on numbers that are drawn -----------------------------------------------------------


def switched_off(draw, facts=30, effect=0.0):
    """Facts of one type: easy and hard ones, heads that matter more or less, and noise.

    The type's own heads are as random ones but for the effect.
    """
    before = draw.uniform(0.3, 0.9, facts)
    of_set = draw.normal(-0.1, 0.05, 1 + RANDOM_SETS)
    of_set[0] += effect
    after = before + of_set[:, None] + draw.normal(0, 0.05, (1 + RANDOM_SETS, facts))
    return pd.DataFrame(
        {
            "off": "r",
            "draw": np.repeat(np.arange(-1, RANDOM_SETS), facts),
            "relation": "r",
            "fact": np.tile(np.arange(facts), 1 + RANDOM_SETS),
            "before": np.tile(before, 1 + RANDOM_SETS),
            "after": after.ravel(),
            "mrr_before": 1.0,
            "mrr_after": 1.0,
        }
    )


@pytest.mark.long
def test_heads_like_random_ones_are_seldom_said_to_matter_more():
    """Though their difference from the mean of random sets is nearly always clear over facts."""
    draw = np.random.default_rng(0)
    rows = [beside_random(switched_off(draw)).iloc[0] for _ in range(400)]
    p = np.array([row["p"] for row in rows])
    assert kstest(p - draw.random(len(p)) / 21, "uniform").pvalue > 0.01
    clear = np.array([row["difference_high"] < 0 for row in rows])
    assert clear.mean() > 0.3
    assert (clear & (p <= 0.05)).mean() < 0.08


def test_heads_that_matter_are_found():
    draw = np.random.default_rng(1)
    rows = [beside_random(switched_off(draw, effect=-0.2)).iloc[0] for _ in range(100)]
    found = [row["difference_high"] < 0 and row["p"] <= 0.05 for row in rows]
    assert np.mean(found) > 0.9


@pytest.mark.slow
def test_the_intervals_hold_what_more_facts_would_give():
    draw = np.random.default_rng(2)
    hits = {"change": [], "difference": []}
    for _ in range(800):
        table = switched_off(draw, facts=20)
        # the sets' own effects are what would be left over many facts
        noise = draw.normal(0, 0.05, (1 + RANDOM_SETS, 20))
        of_set = np.linspace(-0.2, 0.0, 1 + RANDOM_SETS)
        table["after"] = table["before"] + (of_set[:, None] + noise).ravel()
        change, difference = effects(table).iloc[0], beside_random(table).iloc[0]
        hits["change"].append(change["change_low"] <= -0.2 <= change["change_high"])
        truth = of_set[0] - of_set[1:].mean()
        hits["difference"].append(
            difference["difference_low"] <= truth <= difference["difference_high"]
        )
    assert all(0.93 <= np.mean(one) <= 0.97 for one in hits.values())


# --- The run -------------------------------------------------------------------------------------


@pytest.mark.long
def test_facts_left_out_are_counted_and_do_not_enter(tiny, tmp_path):
    model = tiny("llama")
    more = (
        Fact("a capital is", ("Berlin",), "place", "x"),
        Fact("the [MASK] is", ("fox",), "animal", "y"),
    )
    found = run(model, spec(own=(*FACTS[:2], *more, *FACTS[2:])), tmp_path / "more")
    plain = run(model, spec(), tmp_path / "plain")
    assert found.numbers["facts"] == plain.numbers["facts"] == len(FACTS)
    assert found.numbers["per_type"] == {"place": 3, "animal": 2, "letter": 1}
    assert "2 that it cannot be asked" in found.numbers["left_out"]
    assert plain.numbers["left_out"] == ""
    assert found.tables["facts"]["state"].tolist().count("impossible") == 2
    for name in plain.tables.keys() - {"facts"}:
        pd.testing.assert_frame_equal(found.tables[name], plain.tables[name])
    json.dumps(found.numbers)


def test_nothing_left_is_one_sentence(tiny, tmp_path, sentence):
    model = tiny("llama")
    ids = model.tokenizer("w x y", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        last = int(model.hf(input_ids=ids).logits[0, -1].argmin())
    unknown = (
        Fact("w x y", (model.tokenizer.convert_ids_to_tokens(last),), "r", "1"),
        Fact("w [MASK]", ("x",), "r", "2"),
    )
    sentence(run, model, spec(own=unknown, filtered=True), tmp_path, says="knows none")
    model = tiny("bert", "classifier")
    sentence(run, model, spec(), tmp_path, says="does not continue text")


@pytest.mark.long
def test_previews_are_of_the_first_facts_and_switch_nothing_off(tiny, tmp_path, interventions):
    model = tiny("llama")
    _, previews = watched(model, spec(), tmp_path)
    assert interventions[: len(interventions) // 2] == interventions[len(interventions) // 2 :]
    assert [each.words for each in previews] == [f"{i} of 6 facts" for i in range(1, 7)]
    for count in (1, 4, 6):
        shown = previews[count - 1].result
        alone = run(model, spec(own=FACTS[:count]), tmp_path / str(count))
        for name in ("effects", "beside_random"):
            alone.tables.pop(name, None)
        like(shown, alone)


@pytest.mark.long
def test_the_same_spec_gives_the_same_result_and_leaves_no_hooks(tiny, tmp_path, hooks_of):
    model = tiny("llama")
    hooks = hooks_of(model)
    heard = {"a": [], "b": []}
    first, second = (
        run(
            model,
            spec(),
            tmp_path / name,
            on_progress=lambda done, message, own=own: own.append(done),
        )
        for name, own in heard.items()
    )
    assert first.numbers == second.numbers
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])
    assert hooks_of(model) == hooks
    assert heard["a"] == heard["b"] == sorted(heard["a"])
    assert 0.8 < heard["a"][-1] <= 1.0
