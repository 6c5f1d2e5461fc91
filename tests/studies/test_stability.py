"""Do neurons stay the same: pairs and Jaccard indices by hand, and a model beside its twin."""

import json
from functools import partial
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from contexts import context_with, run
from scipy.stats import t

import neuronlab as nl
from neuronlab.facts import Fact
from neuronlab.runs import Result, Store, run_study, running
from neuronlab.studies import stability
from neuronlab.studies.stability import KS, PAIRS, StabilitySpec, StabilityStudy

STUDY = StabilityStudy()
FACTS = tuple(
    Fact(prompt, (answer,), relation, name)
    for relation, name, answer, prompts in (
        ("place", "france", "Paris", ("the capital of France is", "of France the capital is")),
        ("place", "london", "London", ("is the capital",)),
        ("animal", "fox", "fox", ("the quick brown", "a quick brown", "quick")),
        # another fact of the same name in another relation
        ("letter", "fox", "z", ("w x y",)),
    )
    for prompt in prompts
)


spec = partial(
    StabilitySpec, model="own", facts="own", own=FACTS, filtered=False, per_relation=None
)


def jaccard(a, b):
    a, b = set(map(int, a)), set(map(int, b))
    return len(a & b) / len(a | b)


def kind_of(a, b):
    if a["relation"] != b["relation"]:
        return "other relation"
    return "same fact, other words" if a["name"] == b["name"] else "other fact, same relation"


# --- Pairs of hand-made parts --------------------------------------------------------------------


@pytest.fixture
def parts():
    """Rankings of 144 neurons, close to each other where facts are."""
    rng = np.random.default_rng(0)
    found = []
    for fact in FACTS:
        order = rng.permutation(144)[:100]
        numbers = {
            "state": "used",
            "relation": fact.relation,
            "name": fact.name,
            "prompt": fact.prompt,
            "gold": fact.answers[0],
        }
        other = np.concatenate([order[:50], rng.permutation(np.setdiff1d(range(144), order))])
        found.append(Result(numbers, arrays={"own": order, "other": other[:90]}))
    return found


def by_hand(parts, k):
    """All Jaccard indices of each kind of pair."""
    found = {kind: [] for kind in PAIRS}
    for a, b in combinations(parts, 2):
        kind = kind_of(a.numbers, b.numbers)
        found[kind].append(jaccard(a.arrays["own"][:k], b.arrays["own"][:k]))
    for part in parts:
        both = (part.arrays[name][:k] for name in ("own", "other"))
        found["same prompt, other model"].append(jaccard(*both))
    return found


def test_pairs_are_told_by_what_they_share(tiny, parts):
    models = {"own": tiny("llama"), "other": tiny("llama")}
    parts.append(Result(numbers={"state": "unknown"}))
    found = STUDY.merge(spec(other="other"), parts, context_with(models))
    table = found.tables["overlap"].set_index(["pair", "k"])
    assert not table.index.duplicated().any()
    for k in KS:
        expected = by_hand(parts[:-1], k)
        for kind in ("same fact, other words", "other fact, same relation", "other relation"):
            row = table.loc[kind, k]
            assert row["pairs"] == len(expected[kind])
            assert row["jaccard"] == pytest.approx(np.mean(expected[kind]))
            if kind == "other fact, same relation":  # all of one pair of facts
                assert row[["jaccard_low", "jaccard_high"]].isna().all()
                continue
            assert 0 <= row["jaccard_low"] < row["jaccard"] < row["jaccard_high"] <= 1
        row = table.loc["same prompt, other model", k]
        assert row["pairs"] == len(FACTS)
        assert row["jaccard"] == pytest.approx(np.mean(expected["same prompt, other model"]))
    counts = table["pairs"].xs(KS[0], level="k")
    # one pair of wordings of France, three of the fox; two wordings of France with London
    assert counts["same fact, other words"] == 1 + 3
    assert counts["other fact, same relation"] == 2
    assert counts["other relation"] == 7 * 6 / 2 - 4 - 2
    assert counts["other fact, other model"] == 7 * 6 / 2 - 4
    assert found.numbers["left_out"] == "Left out: 1 that the model does not know."
    assert found.numbers["comparable"]


def test_other_facts_on_the_other_model_are_paired_across(parts):
    """Each value must be that of a pair of different facts, one ranking of each model."""
    kinds = dict(stability._pairs(parts, 0, same_shape=True))
    across = kinds["other fact, other model"]
    assert all(
        kind_of(parts[i].numbers, parts[j].numbers) != "same fact, other words" for i, j in across
    )
    assert len({frozenset(pair) for pair in across}) == len(across)
    assert kinds["same prompt, other model"] == [(i, i) for i in range(len(parts))]
    for kind in ("same fact, other words", "other fact, same relation", "other relation"):
        for i, j in kinds[kind]:
            assert kind_of(parts[i].numbers, parts[j].numbers) == kind


def test_too_many_pairs_are_drawn_from(parts, monkeypatch):
    monkeypatch.setattr(stability, "_SAMPLE", 3)
    every = dict(stability._pairs(parts, 0, same_shape=False))
    assert max(len(pairs) for pairs in every.values()) == 3
    draws = {
        tuple(dict(stability._pairs(parts, seed, same_shape=False))["other relation"])
        for seed in range(5)
    }
    assert len(draws) > 1  # the seed draws
    assert dict(stability._pairs(parts, 0, same_shape=False)) == every


def of_facts(facts, wordings, seed, *, alike=False, relations=("r",)):
    """Rankings whose best ten are in part of twelve neurons that all facts draw from.

    How many of the ten differs between facts, unless they are alike: pairs with some fact then
    overlap much, and with another little.
    """
    draw = np.random.default_rng(seed)
    parts = []
    for fact in range(facts):
        common = 6 if alike else draw.integers(1, 11)
        for wording in range(wordings):
            alone = 100 * (fact + 1) + draw.permutation(90)
            order = np.concatenate([draw.permutation(12)[:common], alone])
            numbers = {"state": "used", "relation": relations[fact % len(relations)]}
            numbers |= {"name": f"{fact}", "prompt": f"{fact} {wording}", "gold": "g"}
            parts.append(Result(numbers, arrays={"own": order[:100]}))
    return parts


def interval(model, parts, kind, k=10):
    found = STUDY.merge(spec(), parts, context_with(model))
    return found.tables["overlap"].set_index(["pair", "k"]).loc[(kind, k)]


@pytest.mark.long
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("relations", [1, 12])
def test_the_interval_holds_what_other_facts_would_give(tiny, monkeypatch, relations, alike):
    """Facts differ in how much they overlap with any other; pairs that share one are no two."""
    model = tiny("llama")
    monkeypatch.setattr(stability, "KS", (10,))
    kind = "other fact, same relation" if relations == 1 else "other relation"
    names = tuple("abcdefghijkl"[:relations])
    rows = [
        interval(model, of_facts(12, 1, seed, alike=alike, relations=names), kind)
        for seed in range(200)
    ]
    truth = np.mean([row["jaccard"] for row in rows])
    hits = [row["jaccard_low"] <= truth <= row["jaccard_high"] for row in rows]
    assert np.mean(hits) > 0.9  # of 200
    assert all((row["facts"], row["pairs"]) == (12, 66) for row in rows)
    if not alike:
        assert np.mean(hits) < 0.99


def test_more_wordings_of_the_same_facts_are_no_more_facts(tiny, monkeypatch):
    """They make the overlap of a pair of facts exact, and say nothing of other facts."""
    model = tiny("llama")
    monkeypatch.setattr(stability, "KS", (10,))
    kind = "other fact, same relation"
    widths = {
        wordings: np.mean(
            [
                row["jaccard_high"] - row["jaccard_low"]
                for seed in range(5)
                for row in [interval(model, of_facts(8, wordings, seed), kind)]
            ]
        )
        for wordings in (1, 6)
    }
    assert widths[6] > 0.7 * widths[1]  # of pairs that count for themselves it would be a sixth


def test_the_same_prompts_under_another_model_count_once_for_a_fact(tiny, parts):
    """Three wordings of the fox that agree are one fact of four."""
    models = {"own": tiny("llama"), "other": tiny("llama")}
    table = STUDY.merge(spec(other="other"), parts, context_with(models)).tables["overlap"]
    row = table.set_index(["pair", "k"]).loc["same prompt, other model", 100]
    values = [jaccard(part.arrays["own"][:100], part.arrays["other"][:100]) for part in parts]
    units = [(part.numbers["relation"], part.numbers["name"]) for part in parts]
    residual = np.array(values) - np.mean(values)
    sums = [sum(residual[i] for i, u in enumerate(units) if u == unit) for unit in set(units)]
    half = t.ppf(0.975, 3) * np.sqrt(np.square(sums).sum() * 4 / 3) / len(values)
    low, high = np.mean(values) - half, np.mean(values) + half
    assert (row["pairs"], row["facts"]) == (7, 4)
    assert row["jaccard_low"] == pytest.approx(max(low, 0))
    assert row["jaccard_high"] == pytest.approx(min(high, 1))


def test_chance_is_what_random_rankings_share(tiny):
    model = tiny("llama")
    rng = np.random.default_rng(1)
    size = model.layers * model.sizes["ffn"]
    parts = [
        Result(
            {"state": "used", "relation": str(i), "name": str(i), "prompt": "p", "gold": "g"},
            arrays={"own": rng.permutation(size)[:100]},
        )
        for i in range(60)
    ]
    table = STUDY.merge(spec(), parts, context_with(model)).tables["overlap"]
    assert set(table["pair"]) == {"other relation"}
    assert table["k"].tolist() == list(KS)
    for row in table.itertuples():
        assert row.jaccard == pytest.approx(row.chance, rel=0.1)


def test_jaccard_is_that_of_sets():
    rng = np.random.default_rng(2)
    for _ in range(50):
        a, b = (rng.permutation(30)[: rng.integers(1, 25)] for _ in range(2))
        assert stability._jaccard(a, b) == pytest.approx(jaccard(a, b))
    same = np.arange(5)
    assert stability._jaccard(same, same[::-1]) == 1
    assert stability._jaccard(same, same + 5) == 0


def test_profiles_are_fractions_by_relative_depth(tiny):
    neurons = np.array([0, 5, 47, 48, 95, 96, 143, 100, 101, 102])
    profile = stability._profile(neurons, (3, 48))
    # three layers have their middles at 1/6, 1/2 and 5/6
    assert profile.tolist() == pytest.approx([0, 0.3, 0, 0, 0, 0.2, 0, 0, 0.5, 0])
    deep = stability._profile(np.arange(300), (30, 10))
    assert deep.tolist() == pytest.approx([0.1] * 10)
    assert stability._profile(np.arange(7), (1, 10)).sum() == pytest.approx(1)


# --- Runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_compared_are_the_best_ffn_neurons(tiny, tmp_path, name):
    model = tiny(name)
    found = run(model, spec(), tmp_path)
    best = []
    for fact in FACTS:
        prompt = nl.Prompt(fact.prompt, target=f" {fact.answers[0]}")
        top = nl.attribute(model, prompt, method="log_probability_increase").top(100)
        best.append((top["layer"] * model.sizes["ffn"] + top["neuron"]).to_numpy())
    table = found.tables["overlap"].set_index(["pair", "k"])
    for k in KS:
        expected = {}
        for i, j in combinations(range(len(FACTS)), 2):
            kind = kind_of(
                *({"relation": FACTS[n].relation, "name": FACTS[n].name} for n in (i, j))
            )
            expected.setdefault(kind, []).append(jaccard(best[i][:k], best[j][:k]))
        assert set(table.xs(k, level="k").index) == set(expected)
        for kind, values in expected.items():
            assert table.loc[kind, k]["jaccard"] == pytest.approx(np.mean(values), abs=0.02)
    layers = [np.bincount(one // model.sizes["ffn"], minlength=3) / 100 for one in best]
    profiles = found.arrays["profiles"]
    assert profiles.shape == (1, len(FACTS), 10)
    assert profiles[0][:, [1, 5, 8]] == pytest.approx(np.array(layers))
    assert found.tables["facts"]["prompt"].tolist() == [fact.prompt for fact in FACTS]
    assert found.numbers["prompts"] == len(FACTS)
    json.dumps(found.numbers)


@pytest.mark.parametrize(("name", "kind"), [("llama", "causal"), ("bert", "masked")])
def test_an_identical_twin_has_the_same_neurons(tiny, twin, tmp_path, name, kind):
    model = tiny(name, kind)
    found = run({"own": model, "other": twin(model)}, spec(other="other"), tmp_path)
    table = found.tables["overlap"].set_index(["pair", "k"])
    for k in KS:
        row = table.loc["same prompt, other model", k]
        assert row[["jaccard", "jaccard_low", "jaccard_high"]].tolist() == pytest.approx([1.0] * 3)
        assert row["pairs"] == len(FACTS)
        other = table.loc["other fact, other model", k]
        one, two = (table.loc[kind, k] for kind in ("other fact, same relation", "other relation"))
        assert other["pairs"] == one["pairs"] + two["pairs"]
        mean = (one["pairs"] * one["jaccard"] + two["pairs"] * two["jaccard"]) / other["pairs"]
        assert other["jaccard"] == pytest.approx(mean)
        assert other["jaccard"] < 1
    assert np.array_equal(*found.arrays["profiles"])
    assert found.numbers["profile_correlation"] == pytest.approx(1)


def test_models_of_other_shapes_are_compared_by_depth_alone(tiny, tmp_path):
    other = tiny("llama", num_hidden_layers=5, intermediate_size=40)
    found = run({"own": tiny("llama"), "other": other}, spec(other="other"), tmp_path)
    assert found.numbers["comparable"] is False
    assert not any("other model" in kind for kind in found.tables["overlap"]["pair"])
    profiles = found.arrays["profiles"]
    assert profiles.shape == (2, len(FACTS), 10)
    assert profiles.sum(-1) == pytest.approx(np.ones((2, len(FACTS))))
    expected = np.corrcoef(profiles[0].mean(0), profiles[1].mean(0))[0, 1]
    assert found.numbers["profile_correlation"] == pytest.approx(expected)


def test_without_another_model_nothing_is_said_of_it(tiny, tmp_path):
    model = tiny("llama")
    found = run(model, spec(), tmp_path)
    assert "profile_correlation" not in found.numbers
    assert found.numbers["comparable"]
    assert not any("other model" in kind for kind in found.tables["overlap"]["pair"])


@pytest.mark.long
def test_a_fact_that_the_other_model_cannot_be_asked_is_left_out(tiny, tmp_path):
    """Causal models cannot fill in what masked ones can."""
    middle = Fact("the [MASK] fox", ("quick",), "animal", "middle")
    models = {"own": tiny("bert", "masked"), "other": tiny("gpt2")}
    found = run(models, spec(own=(*FACTS, middle), other="other"), tmp_path / "both")
    assert middle.prompt not in set(found.tables["facts"]["prompt"])
    assert "1 that it cannot be asked" in found.numbers["left_out"]
    alone = run(models, spec(own=(*FACTS, middle)), tmp_path / "alone")
    assert middle.prompt in set(alone.tables["facts"]["prompt"])


def test_fewer_than_two_prompts_are_one_sentence(tiny, tmp_path, sentence):
    model = tiny("llama")
    few = (FACTS[0], Fact("the capital is", ("Berlin",), "place", "b"))
    sentence(run, model, spec(own=few), tmp_path, says="fewer than two")
    sentence(run, model, spec(own=few[1:]), tmp_path, says="Berlin")
    model = tiny("esm", "masked")
    sentence(run, model, spec(), tmp_path, says="does not continue text")


def test_the_same_spec_gives_the_same_result_and_leaves_no_hooks(tiny, tmp_path, hooks_of):
    model = tiny("qwen2")
    hooks = hooks_of(model)
    first, second = (run(model, spec(), tmp_path / name) for name in "ab")
    assert first.numbers == second.numbers
    for name, table in first.tables.items():
        pd.testing.assert_frame_equal(table, second.tables[name])
    assert np.array_equal(first.arrays["profiles"], second.arrays["profiles"])
    assert hooks_of(model) == hooks


def test_the_other_model_changes_the_key():
    keys = {
        StabilitySpec(**change).key
        for change in ({}, {"other": "x"}, {"other": "y"}, {"other": "x", "other_revision": "1"})
    }
    assert len(keys) == 4


# --- While it runs -------------------------------------------------------------------------------


def test_previews_are_results_of_the_facts_so_far(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_BETWEEN_PREVIEWS", 0.0)
    monkeypatch.setattr(running, "_PREVIEWING", np.inf)
    model, previews = tiny("llama"), []
    context = context_with(model, on_preview=previews.append)
    run_study(STUDY, spec(), Store(tmp_path), context)
    # One prompt alone is compared with nothing.
    counts = range(2, len(FACTS))
    assert [each.words for each in previews] == [f"{i} of {len(FACTS)} prompts" for i in counts]
    for count, each in zip(counts, previews, strict=True):
        alone = run(model, spec(own=FACTS[:count]), tmp_path)
        assert each.result.numbers == alone.numbers
        for name, table in alone.tables.items():
            pd.testing.assert_frame_equal(each.result.tables[name], table)
