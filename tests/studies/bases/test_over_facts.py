"""What studies over facts share: which facts, and statistics checked by hand or exactly."""

import gc
import random
import weakref
from collections import Counter
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from contexts import run

from neuronlab.facts import SETS, Fact
from neuronlab.runs import read_spec
from neuronlab.studies.bases.over_facts import FactsSpec, Questions, left_out, metrics
from neuronlab.studies.knowledge_types import KnowledgeTypesSpec
from neuronlab.studies.method_comparison import MethodComparisonSpec
from neuronlab.studies.stability import StabilitySpec

SPECS = {spec.study: spec for spec in (MethodComparisonSpec, KnowledgeTypesSpec, StabilitySpec)}
NAMES = ["mrr", "probability", "log_probability"]


class Spec(FactsSpec):
    study = "facts_alone"


def fact(relation, name, wording=0, answer="Paris"):
    return Fact(f"{relation} {name} {wording} is", (answer,), relation, name)


# Two relations; the first fact of each has two wordings.
OWN = tuple(
    fact(relation, name, wording)
    for relation, count in (("capital", 5), ("colour", 3))
    for name in map(str, range(count))
    for wording in range(2 if name == "0" else 1)
)


def own(**changes):
    return Spec(facts="own", own=OWN, **changes)


# --- Which facts ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SETS)
def test_without_a_limit_all_facts_of_a_set_are_asked(name):
    for paraphrases in (False, True):
        expected = SETS[name].facts(paraphrases=paraphrases)
        assert Spec(facts=name).chosen(paraphrases=paraphrases) == expected


@pytest.mark.parametrize("limit", [1, 2, 7, 10_000])
@pytest.mark.parametrize("name", SETS)
def test_at_most_as_many_of_each_relation_are_drawn(name, limit):
    everything = SETS[name].facts()
    there = Counter(one.relation for one in everything)
    chosen = Spec(facts=name, per_relation=limit).chosen()
    found = Counter(one.relation for one in chosen)
    assert found == {relation: min(limit, count) for relation, count in there.items()}
    assert len(set(chosen)) == len(chosen)
    assert [one for one in everything if one in set(chosen)] == chosen  # in the set's order


def test_the_seed_decides_what_is_drawn():
    def drawn(seed):
        return Spec(facts="knowledge_types", per_relation=3, seed=seed).chosen()

    assert drawn(4) == drawn(4)
    assert len({tuple(drawn(seed)) for seed in range(8)}) > 4
    # and in the long run every fact comes up
    seen = Counter(one for seed in range(200) for one in own(per_relation=2, seed=seed).chosen())
    assert set(seen) == set(own().chosen())
    for one, count in seen.items():
        assert count / 200 == pytest.approx(2 / {"capital": 5, "colour": 3}[one.relation], abs=0.15)


def test_a_draw_takes_all_wordings_of_a_fact():
    for seed in range(5):
        spec = Spec(facts="knowledge_types", per_relation=4, seed=seed)
        alone, worded = spec.chosen(), spec.chosen(paraphrases=True)
        drawn = {one.name for one in alone}
        assert {one.name for one in worded} == drawn
        whole = SETS["knowledge_types"].facts(paraphrases=True)
        assert worded == [one for one in whole if one.name in drawn]


def test_wordings_of_a_fact_follow_each_other():
    for spec in (Spec(facts="knowledge_types"), own(), own(per_relation=2)):
        order = [(one.relation, one.name) for one in spec.chosen(paraphrases=True)]
        runs = [at for i, at in enumerate(order) if i == 0 or order[i - 1] != at]
        assert len(runs) == len(set(runs))
        assert len(order) > len(runs)


def test_scattered_wordings_of_own_facts_follow_each_other_too():
    scattered = (fact("capital", "a", 0), fact("capital", "b", 0), fact("capital", "a", 1))
    chosen = Spec(facts="own", own=scattered).chosen(paraphrases=True)
    names = [one.name for one in chosen]
    assert sorted(chosen, key=lambda one: names.index(one.name)) == chosen


def test_of_own_facts_the_first_wording_stands_for_the_fact():
    assert own().chosen(paraphrases=True) == list(OWN)
    first = [one for one in OWN if " 0 is" in one.prompt]
    assert sorted(own().chosen(), key=OWN.index) == first
    assert len(first) == len(OWN) - 2
    scattered = (fact("r", "a", 0), fact("r", "b", 0), fact("r", "a", 1))
    assert set(Spec(facts="own", own=scattered).chosen()) == set(scattered[:2])


def test_own_facts_are_drawn_by_relation_too():
    found = Counter(one.relation for one in own(per_relation=4).chosen())
    assert found == {"capital": 4, "colour": 3}
    # the same name in two relations is two facts
    both = (fact("r", "a"), fact("s", "a"))
    assert len(Spec(facts="own", own=both).chosen()) == 2


def test_own_facts_without_names_are_told_apart_by_their_prompts():
    nameless = tuple(Fact(f"the {letter}", ("Paris",), "r") for letter in "uvwxyz")
    assert set(Spec(facts="own", own=nameless).chosen()) == set(nameless)


def test_own_facts_without_names_are_drawn_by_relation_too():
    nameless = tuple(Fact(f"the {letter}", ("Paris",), "r") for letter in "uvwxyz")
    assert len(Spec(facts="own", own=nameless, per_relation=2).chosen()) == 2


def test_no_facts_of_ones_own_is_one_sentence(sentence):
    sentence(Spec(facts="own").chosen, says="no facts")


@pytest.mark.parametrize(
    "wrong",
    [{"facts": "seven_languages"}, {"per_relation": 0}, {"own": OWN * 1000}],
    ids=lambda wrong: next(iter(wrong)),
)
def test_a_spec_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Spec(**wrong)


# --- Keys ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("facts", ["own", "english_misc"])
def test_a_spec_goes_through_its_json(name, facts):
    asked = (*OWN, Fact("法国的首都是", ("巴黎", "巴黎市"), 'a "b"', "c/d", "zh", ""))
    spec = SPECS[name](
        model="x", facts=facts, own=asked, per_relation=2, filtered=False, seed=3, revision="r"
    )
    if name == "method_comparison":
        spec = MethodComparisonSpec(**dict(spec) | {"methods": ("norm", "activation")})
    again = read_spec(spec.to_json(), SPECS)
    assert type(again) is SPECS[name]
    assert again == spec
    assert again.key == spec.key
    assert again.own == asked
    assert again.chosen() == spec.chosen()


@pytest.mark.parametrize("name", SPECS)
def test_the_default_spec_goes_through_its_json(name):
    spec = SPECS[name]()
    again = read_spec(spec.to_json(), SPECS)
    assert again == spec
    assert again.key == spec.key


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": "other"},
        {"answers": ("Paris", "x")},
        {"relation": "other"},
        {"name": "other"},
        {"language": "fr"},
        {"joiner": ""},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_about_an_own_fact_changes_the_key(change):
    plain = {"prompt": "p", "answers": ("Paris",), "relation": "r", "name": "n"}
    keys = {Spec(facts="own", own=(Fact(**(plain | more)),)).key for more in ({}, change)}
    assert len(keys) == 2


def test_what_decides_the_facts_changes_the_key():
    others = (
        {},
        {"facts": "english_misc"},
        {"facts": "own", "own": OWN},
        {"facts": "own", "own": OWN[::-1]},
        {"facts": "own", "own": OWN[:-1]},
        {"per_relation": 3},
        {"filtered": False},
        {"seed": 1},
        {"model": "other"},
        {"revision": "other"},
    )
    assert len({Spec(**change).key for change in others}) == len(others)
    assert own().key == Spec(facts="own", own=list(OWN)).key
    assert len({SPECS[name](facts="own", own=OWN).key for name in SPECS}) == len(SPECS)


# --- What the model says -------------------------------------------------------------------------

PLACES = tuple(
    Fact(prompt, (answer,), "r", prompt)
    for prompt, answer in (
        ("the capital of France is", "Paris"),
        ("the quick brown", "fox"),
        ("the capital of London is", "Berlin"),
        ("the lazy", "dog"),
        ("a", "x"),
        ("w x y", "z"),
        ("the [MASK] dog", "lazy"),
    )
)


def plain_logits(model, prompt):
    ids = model.tokenizer(prompt, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        return model.hf(input_ids=ids).logits[0, -1]


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_facts_the_model_does_not_know_are_left_out(tiny, name):
    model = tiny(name)
    spec = Spec(facts="own", own=PLACES)
    filtered = Questions(model, spec)
    every = Questions(model, Spec(facts="own", own=PLACES, filtered=False))
    golds = {word: model.tokenizer.get_vocab()[word] for word in ("Paris", "fox", "dog", "x", "z")}
    chosen, states = spec.chosen(), []
    for number, one in enumerate(chosen):
        word = one.answers[0]
        if word not in golds:
            expected = "impossible"
        else:
            logits = plain_logits(model, one.prompt)
            order = logits.argsort(descending=True).tolist()
            first = min(golds.values(), key=order.index) == golds[word]
            expected = "used" if first and order.index(golds[word]) < 10 else "unknown"
        found, without = filtered.answer(model, number), every.answer(model, number)
        states.append(found if isinstance(found, str) else "used")
        assert states[-1] == expected
        assert without == "impossible" if expected == "impossible" else without[0].fact == one
    assert states.count("impossible") == 2
    assert states.count("unknown") > 0


def test_questions_are_made_once_for_all_shards(tiny):
    model = tiny("llama")
    spec = Spec(facts="own", own=PLACES)
    assert Questions.of(model, spec) is Questions.of(model, Spec(facts="own", own=PLACES))
    other = Questions.of(model, Spec(facts="own", own=PLACES[:2]))
    assert len(other.asked) == 2
    assert len(Questions.of(model, spec).asked) == len(PLACES)
    assert Questions.of(tiny("gpt2"), spec) is not Questions.of(model, spec)


def test_questions_in_every_wording_are_others(tiny):
    model, spec = tiny("gpt2"), Spec(facts="own", own=PLACES)
    twice = (*PLACES, replace(PLACES[0], prompt="Paris, the capital of"))
    spec = Spec(facts="own", own=twice)
    counts = [len(Questions.of(model, spec, paraphrases=p).asked) for p in (False, True, False)]
    assert counts == [len(PLACES), len(twice), len(PLACES)]


def test_questions_do_not_keep_a_model_in_memory(tiny, twin):
    model = twin(tiny("llama"))
    Questions.of(model, Spec(facts="own", own=PLACES)).answer(model, 0)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("states", "says"),
    [
        ([], []),
        (["used"] * 3, []),
        (["used", "unknown", "unknown"], ["2 that the model does not know"]),
        (["impossible"], ["1 that it cannot be asked"]),
        (
            ["unknown", "impossible", "used", "impossible", "unknown", "unknown"],
            ["3 that the model does not know and 2 that it cannot be asked"],
        ),
    ],
    ids=["none", "all-used", "unknown", "impossible", "both"],
)
def test_what_was_left_out_is_one_sentence_with_counts(states, says):
    text = left_out(states)
    assert bool(text) == bool(says)
    if text:
        assert text.startswith("Left out: ")
        assert text.endswith(".")
        assert text.count(".") == 1
    assert all(part in text for part in says)
    assert ("does not know" in text) == ("unknown" in states)
    assert ("cannot be asked" in text) == ("impossible" in states)


# --- Metrics -------------------------------------------------------------------------------------


def rows(*values):
    columns = ["method", "k", "fact", "rank", "probability", "log_probability"]
    return pd.DataFrame(values, columns=columns)


def test_metrics_by_hand():
    table = metrics(
        rows(
            ("b", 1, 0, 1, 0.5, -1.0),
            ("b", 1, 7, 4, 0.1, -3.0),
            ("a", 1, 0, 2, 0.25, -2.0),
            ("a", 5, 0, 10, 0.0, -9.0),
            ("a", 5, 7, 5, 0.2, -1.0),
        ),
        ["method", "k"],
    )
    assert table[["method", "k"]].to_records(index=False).tolist() == [("b", 1), ("a", 1), ("a", 5)]
    assert table["mrr"].tolist() == pytest.approx([(1 + 0.25) / 2, 0.5, (0.1 + 0.2) / 2])
    assert table["probability"].tolist() == pytest.approx([0.3, 0.25, 0.1])
    assert table["log_probability"].tolist() == pytest.approx([-2.0, -2.0, -5.0])
    # of two facts a quarter of the resamples are the lower one twice, a quarter the higher one
    assert table["mrr_low"].tolist() == pytest.approx([0.25, np.nan, 0.1], nan_ok=True)
    assert table["mrr_high"].tolist() == pytest.approx([1.0, np.nan, 0.2], nan_ok=True)
    assert table["log_probability_low"].tolist() == pytest.approx([-3.0, np.nan, -9.0], nan_ok=True)


def test_several_rows_of_a_fact_count_as_one_fact():
    table = metrics(
        rows(
            ("random", 1, 0, 1, 0.8, -0.1),
            ("random", 1, 0, 2, 0.4, -0.5),
            ("random", 1, 0, 4, 0.0, -0.9),
            ("random", 1, 3, 4, 0.1, -2.0),
        ),
        ["method", "k"],
    )
    own = (1 + 1 / 2 + 1 / 4) / 3
    assert table["mrr"].item() == pytest.approx((own + 1 / 4) / 2)
    assert table["probability"].item() == pytest.approx((0.4 + 0.1) / 2)
    assert table["log_probability"].item() == pytest.approx((-0.5 - 2.0) / 2)
    assert table["mrr_low"].item() == pytest.approx(1 / 4)
    assert table["mrr_high"].item() == pytest.approx(own)


def test_metrics_of_many_facts_do_not_depend_on_the_order_of_rows():
    draw = random.Random(0)
    some = rows(
        *(
            (method, 1, number, draw.randint(1, 50), draw.random(), -draw.random())
            for method in "ab"
            for number in range(12)
            for _ in range(draw.randint(1, 3))
        )
    )
    table = metrics(some, ["method"], seed=2)
    mixed = metrics(some.sample(frac=1, random_state=1), ["method"], seed=2)
    pd.testing.assert_frame_equal(
        table.sort_values("method", ignore_index=True),
        mixed.sort_values("method", ignore_index=True),
    )
    for row in table.itertuples():
        own = some[some["method"] == row.method]
        facts = [1 / own[own["fact"] == number]["rank"] for number in range(12)]
        assert row.mrr == pytest.approx(np.mean([np.mean(f) for f in facts]))
    for name in NAMES:
        assert (table[f"{name}_low"] <= table[name]).all()
        assert (table[name] <= table[f"{name}_high"]).all()
    again = metrics(some, ["method"], seed=2)
    pd.testing.assert_frame_equal(again, table)


@pytest.mark.parametrize("study", SPECS)
def test_a_model_of_two_streams_is_refused_by_studies_of_one(tiny, sentence, tmp_path, study):
    model = tiny("t5", "seq2seq")
    spec = SPECS[study](model="t5", facts="own", own=OWN, filtered=False)
    sentence(run, model, spec, tmp_path, says=["two residual streams", "choose a model"])
