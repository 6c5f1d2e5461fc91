"""Fact-checking on tiny models, against the method retold; ``facts/`` has tests of its measures."""

import json
from collections import Counter
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from contexts import run
from sklearn import metrics as sk

import neuronlab as nl
from neuronlab import statistics
from neuronlab.facts import Fact, checking
from neuronlab.facts.checking import decide, measured, scores_of
from neuronlab.neurons.activity import Activity
from neuronlab.runs import Context, read_spec
from neuronlab.studies import fact_checking as study
from neuronlab.studies.fact_checking import FactCheckingSpec, FactCheckingStudy

STUDY = FactCheckingStudy()
MEASURES = list(checking.JUDGED)
SCORERS = list(checking.SCORERS)
ALONE = [scorer for scorer in SCORERS if scorer not in checking.DRAWN]
FACTS = tuple(
    Fact(prompt, tuple(answers.split("|")), relation, prompt)
    for relation, pairs in {
        "capital": (
            ("London is the capital of", "jumps"),
            ("the quick fox jumps over", "fox"),
            ("the capital of France is", "Paris"),
            ("the capital of two is", "London"),
            ("x y of the dog", "France|two"),
            ("lazy dog is", "brown"),
        ),
        "animal": (
            ("the dog jumps over a", "Paris"),
            ("the w of", "fox|dog"),
            ("a quick lazy fox", "dog"),
            ("a brown fox is", "lazy"),
            ("quick dog is over", "jumps"),
        ),
        "letter": (("w x y", "z"),),
    }.items()
    for prompt, answers in pairs
)
CANDIDATES = 8


def spec(own=FACTS, **changes):
    settings = {"model": "x", "facts": "own", "own": own, "test": 0.3}
    settings |= {"candidates": CANDIDATES, "random_sets": 2}
    return FactCheckingSpec(**settings | changes)


def some(relation, count=None):
    return tuple(fact for fact in FACTS if fact.relation == relation)[:count]


@pytest.fixture(scope="module")
def small(llama, tmp_path_factory):
    """One relation: three facts to train on and one to test."""
    asked = spec(some("animal", 4), candidates=3)
    return run(llama, asked, tmp_path_factory.mktemp("runs"))


# --- A run on a tiny model, against the method retold ---------------------------------------------


@pytest.fixture(scope="module", params=["llama", "bert"])
def ran(request, tiny, tmp_path_factory):
    model = tiny(request.param, "masked" if request.param == "bert" else "causal")
    random, controls = [], study._controls

    def watched(kind, places, *arguments):
        random.append((kind, places, controls(kind, places, *arguments)))
        return random[-1][2]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(study, "_controls", watched)
        found = run(model, spec(), tmp_path_factory.mktemp("runs"))
    rows = found.tables["candidates"]
    scored = {
        (row.prompt, row.true): attributed(model, row.prompt, row.candidate)
        for row in rows.itertuples()
    }
    pairs = {
        row.prompt: pairs_of(model, row.prompt, row.candidate, scored[row.prompt, True])
        for row in rows[rows["true"] & ~rows["test"]].itertuples()
    }
    return SimpleNamespace(
        model=model, found=found, rows=rows, random=random, scored=scored, pairs=pairs
    )


def prompt_of(model, text, answer):
    return nl.Prompt(f"{text} [MASK]." if model.kind == "masked" else text, target=answer)


def attributed(model, text, answer):
    prompt = prompt_of(model, text, answer)
    return nl.attribute(model, prompt, method="amig", components=("ffn",))["ffn"].ravel()


def pairs_of(model, text, answer, scores):
    """Degenerate pairs among the best neurons, each suppressed in a row of its own."""
    size = model.sizes["ffn"]
    best = sorted(range(scores.size), key=lambda i: -scores[i])[:CANDIDATES]
    groups = [(), *((n,) for n in best), *combinations(best, 2)]
    changes = [
        nl.Suppress(nl.NeuronSet([(n // size, "ffn", n % size) for n in group]), "predicted")
        for group in groups
    ]
    prompt = prompt_of(model, text, answer)
    found = nl.neurons.predict_many(model, prompt, changes)
    p = {group: one.probability for group, one in zip(groups, found, strict=True)}
    alone = [n for n in best if p[n,] >= 0.8 * p[()]]
    return [pair for pair in combinations(alone, 2) if p[pair] < 0.75 * p[()]]


def counted(ran, facts):
    """How often each neuron occurs in pairs of the facts, and in how many facts' own neurons."""
    pairs, own = Counter(), Counter()
    for fact in facts:
        pairs.update(n for pair in ran.pairs[fact] for n in pair)
        scores = ran.scored[fact, True]
        own.update(np.flatnonzero(scores > 0.3 * scores.max()).tolist())
    return {"degenerate": pairs, "knowledge": own}


def often(counts):
    return {n for n, count in counts.items() if count > 0.3 * max(counts.values())}


def mean_of(scores, neurons):
    return sum(float(scores[n]) for n in neurons) / max(len(neurons), 1)


def standardised(rows, raw):
    """In standard deviations of the relation's training scores from their mean."""
    known = np.array([value for value, row in zip(raw, rows, strict=True) if not row.test])
    spread = np.sqrt(((known - known.mean()) ** 2).mean())
    return (np.array(raw) - known.mean()) / (spread if spread > 0 else 1.0)


def by_relation(ran):
    for relation, own in ran.rows.groupby("relation", sort=False):
        rows = list(own.itertuples())
        yield relation, rows, list(dict.fromkeys(row.prompt for row in rows if not row.test))


@pytest.mark.long
@pytest.mark.parametrize("kind", ["degenerate", "knowledge"])
def test_a_score_is_the_mean_attribution_of_the_relations_neurons(ran, kind):
    found_some = others_differ = 0
    for _, rows, train in by_relation(ran):
        everyone = often(counted(ran, train)[kind])
        found_some += len(everyone) > 0
        raw = []
        for row in rows:
            neurons = everyone
            if not row.test:  # those of the other training facts
                neurons = often(counted(ran, [f for f in train if f != row.prompt])[kind])
                others_differ += neurons != everyone
            raw.append(mean_of(ran.scored[row.prompt, row.true], neurons))
        expected = standardised(rows, raw)
        assert [getattr(row, kind) for row in rows] == pytest.approx(expected, rel=1e-4, abs=1e-4)
    # In the tiny BERT the facts of one relation have no degenerate pairs.
    assert found_some >= 1
    assert others_differ


def test_neurons_that_occur_often_occur_more_than_a_share_of_the_most():
    assert study._often(Counter({7: 10, 8: 4, 9: 3, 1: 1})) == {7, 8}
    assert study._often(Counter({7: 1, 8: 1})) == {7, 8}
    assert study._often(Counter()) == frozenset()


def test_the_table_of_neurons_counts_pairs_and_facts(ran):
    neurons = ran.found.tables["neurons"]
    for relation, _, train in by_relation(ran):
        for kind, counts in counted(ran, train).items():
            own = neurons[(neurons["relation"] == relation) & (neurons["kind"] == kind)]
            places = own["layer"] * ran.model.sizes["ffn"] + own["neuron"]
            found = dict(zip(places, own["count"], strict=True))
            assert found == {n: counts[n] for n in often(counts)}
            assert own["count"].is_monotonic_decreasing
    assert set(neurons["relation"]) == {"capital", "animal"}


def test_random_neurons_are_as_many_of_the_same_layers(ran):
    size = ran.model.sizes["ffn"]
    calls = iter(ran.random)
    different = set()
    for number, (_, rows, train) in enumerate(by_relation(ran)):
        prompts = [ran.model.encode(prompt_of(ran.model, text, None)) for text in train]
        activity = Activity.of(ran.model, prompts, ("ffn",))
        for kind, counts in counted(ran, train).items():
            everyone = often(counts)
            of_kind, places, sets = next(calls)
            assert (of_kind, places) == (kind, everyone)
            assert list(sets) == [f"{null}_{i}" for i in (0, 1) for null in checking.NULLS[kind]]
            layers = Counter(n // size for n in everyone)
            neurons = nl.NeuronSet((n // size, "ffn", n % size) for n in everyone)
            for column, random in sets.items():
                assert Counter(n // size for n in random) == layers
                if max(layers.values(), default=0) <= size / 2:
                    assert not random & everyone
                different |= {random}
                raw = [mean_of(ran.scored[row.prompt, row.true], random) for row in rows]
                expected = standardised(rows, raw)
                found = [getattr(row, column) for row in rows]
                assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)
            for i, seed in enumerate(statistics.seeds([0, number], 2)):
                drawn = activity.matched(neurons, seed)
                assert sets[f"{checking.NULLS[kind][1]}_{i}"] == {
                    n.layer * size + n.index for n in drawn
                }
    assert next(calls, None) is None
    assert len(different) >= 9


@pytest.mark.long
def test_another_seed_draws_other_random_sets(llama, tmp_path, monkeypatch):
    """Seed 1 repeats the study; it does not share all but one of the sets of seed 0."""
    sets, controls = {}, study._controls

    def watched(*arguments):
        sets[seed].append(controls(*arguments))
        return sets[seed][-1]

    monkeypatch.setattr(study, "_controls", watched)
    for seed in (0, 1):
        sets[seed] = []
        asked = spec(some("animal", 4), candidates=2, random_sets=8, seed=seed)
        run(llama, asked, tmp_path)
    for one, other in zip(*sets.values(), strict=True):
        apart = [n for n in one if one[n]]
        assert not {one[n] for n in apart} & {other[n] for n in apart}


def test_the_scorers_without_neurons(ran):
    for _, rows, _ in by_relation(ran):
        own = {
            (row.prompt, row.true): nl.predict(
                ran.model, prompt_of(ran.model, row.prompt, row.candidate)
            )
            for row in rows
        }
        logs = [own[row.prompt, row.true].log_probability for row in rows]
        expected = standardised(rows, logs)
        assert [row.probability for row in rows] == pytest.approx(expected, abs=1e-4)
        for row in rows:
            assert row.top_1 == -own[row.prompt, row.true].rank
            assert row.always_true == 0.0


def test_every_fact_has_its_answer_and_a_wrong_one_of_its_relation(ran):
    facts = {fact.prompt: fact for fact in FACTS}
    asked = ran.rows.groupby("fact", sort=False)
    assert len(asked) == 11
    for number, own in asked:
        fact = facts[own["prompt"].iloc[0]]
        assert FACTS[number] == fact
        assert own["true"].tolist() == [True, False]
        assert own["test"].nunique() == 1
        assert (own["relation"] == fact.relation).all()
        true, wrong = own["candidate"]
        assert true in fact.answers
        assert wrong not in fact.answers
        assert wrong in {a for f in FACTS if f.relation == fact.relation for a in f.answers}
        # Of several accepted answers the model's own choice stands for the fact.
        p = {a: nl.predict(ran.model, prompt_of(ran.model, fact.prompt, a)) for a in fact.answers}
        assert p[true].rank == min(one.rank for one in p.values())


def test_the_split_is_that_of_the_spec(ran):
    held_out = spec().held_out()
    asked = ran.rows.drop_duplicates("fact")
    assert asked["test"].tolist() == held_out[:11]
    assert asked.groupby("relation")["test"].sum().to_dict() == {"capital": 2, "animal": 2}
    assert ran.found.numbers["facts"] == {"train": 7, "test": 4}


def test_the_numbers_are_those_others_rely_on(ran, tmp_path):
    ran.found.save(tmp_path)
    numbers = json.loads((tmp_path / "result.json").read_text())
    found = ran.found.tables["scorers"].set_index("scorer")
    assert found.index.tolist() == SCORERS
    for scorer in SCORERS:
        for name in MEASURES:
            assert numbers[scorer][name] == pytest.approx(found.loc[scorer, name])
            assert 0 <= numbers[scorer][name] <= 1
    line = [numbers["always_true"][name] for name in MEASURES]
    assert line == pytest.approx([0.5, 1, 2 / 3, 0.5])
    expected, lambdas = measured(ran.rows)
    pd.testing.assert_frame_equal(found.reset_index(), expected)
    pd.testing.assert_frame_equal(
        ran.found.tables["comparisons"], checking.compared(ran.rows, lambdas)
    )
    for scorer in SCORERS[:-1]:
        for name in ("accuracy", "spearman"):
            value = found.loc[scorer, name]
            assert numbers[scorer].get(name, np.nan) == pytest.approx(value, nan_ok=True)


def test_measures_of_the_run_against_scikit_learn(ran):
    numbers, test = ran.found.numbers, ran.rows[ran.rows["test"]]
    for scorer in ALONE:
        said = test[scorer] > numbers[scorer]["lambda"]
        expected = sk.precision_recall_fscore_support(
            test["true"], said, average="binary", zero_division=0
        )
        assert [numbers[scorer][n] for n in MEASURES[:3]] == pytest.approx(expected[:3])
        auc = sk.roc_auc_score(test["true"], test[scorer])
        assert numbers[scorer]["auc"] == pytest.approx(auc)


def test_relations_are_measured_at_the_thresholds_of_all(ran):
    found = ran.found.tables["by_relation"].set_index(["relation", "scorer"])
    assert len(found) == 2 * len(SCORERS)
    for relation, own in ran.rows.groupby("relation"):
        for scorer in ("degenerate", "knowledge", "probability", "top_1"):
            threshold = ran.found.numbers[scorer]["lambda"]
            expected = decide(*scores_of(own[own["test"]], scorer), threshold)
            row = found.loc[(relation, scorer)]
            assert row["lambda"] == threshold
            assert row[MEASURES].to_dict() == pytest.approx(expected)


def test_a_relation_with_one_fact_is_left_out(ran):
    """It has no other whose answer would be wrong."""
    assert "letter" not in set(ran.rows["relation"])
    assert ran.found.numbers["alone"] == 1


def test_a_relation_with_one_fact_is_named(ran):
    assert ran.found.numbers["one_part"] == ["letter"]


# --- Which facts ---------------------------------------------------------------------------------


def nameless(relation, count, language="en"):
    return tuple(
        Fact(f"{relation} {i}", (f"a{i}",), relation, f"{i}", language) for i in range(count)
    )


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.8])
def test_each_relation_is_split_by_itself(share):
    counts = {"r": 20, "s": 7, "t": 2}
    own = [fact for relation, count in counts.items() for fact in nameless(relation, count)]
    held_out = spec(tuple(own), test=share).held_out()
    assert len(held_out) == len(own)
    for relation, count in counts.items():
        test = [held for held, fact in zip(held_out, own, strict=True) if fact.relation == relation]
        assert sum(test) == pytest.approx(max(1, share * count), abs=0.5)
    # The other relations do not matter.
    assert spec(nameless("s", 7), test=share).held_out() == held_out[20:27]


def test_the_split_is_the_same_each_time_and_another_with_another_seed():
    own = nameless("r", 20)
    assert spec(own).held_out() == spec(own).held_out()
    splits = {tuple(spec(own, seed=seed).held_out()) for seed in range(10)}
    assert len(splits) > 5
    # Every fact is in a test part at some time.
    assert np.any(list(splits), axis=0).mean() > 0.8


def test_a_relation_all_in_one_part_is_left_out_and_named(llama, tmp_path):
    letters = tuple(Fact(f"{p} the", (p,), "letter", p) for p in "xyz")
    own = (*some("animal", 3), *letters)
    held_out = spec(own).held_out()[3:]
    lost = tuple(
        Fact(f.prompt, ("Berlin",) if held else f.answers, "letter", f.name)
        for f, held in zip(letters, held_out, strict=True)
    )
    asked = spec((*own[:3], *lost), candidates=2)
    found = run(llama, asked, tmp_path)
    assert found.numbers["one_part"] == ["letter"]
    assert set(found.tables["candidates"]["relation"]) == {"animal"}
    assert "1 that it cannot be asked" in found.numbers["left_out"]
    assert found.numbers["facts"] == {"train": 2, "test": 1}


def test_all_in_one_part_is_one_sentence(llama, tmp_path, sentence):
    two = spec(some("animal", 2), test=0.9, candidates=2)
    assert two.held_out() == [True, True]
    sentence(run, llama, two, tmp_path / "test", says="training")
    sentence(run, llama, spec(some("letter")), tmp_path / "alone", says="facts")


def test_no_fact_that_can_be_asked_is_one_sentence(llama, tmp_path, sentence):
    lost = (Fact("a fox", ("Berlin",), "r", "a"), Fact("a dog", ("Rome",), "r", "b"))
    sentence(run, llama, spec(lost), tmp_path / "lost", says="in the vocabulary")
    sentence(run, llama, spec(language="zh"), tmp_path / "none", says="no facts")


def test_the_language_picks_the_facts():
    both = (*nameless("r", 3), *nameless("r", 4, "xx"))
    assert spec(both).chosen() == list(both[:3])
    assert spec(both, language="xx").chosen() == list(both[3:])
    assert len(STUDY.shards(spec(both, language="xx"), Context())) == 4
    assert len(spec(both, language="xx").held_out()) == 4
    english = FactCheckingSpec(facts="six_languages").chosen()
    chinese = FactCheckingSpec(facts="six_languages", language="zh").chosen()
    assert {fact.language for fact in english} == {"en"}
    assert {fact.language for fact in chinese} == {"zh"}
    assert len(english) == len(chinese) == 75


# --- Repetition ----------------------------------------------------------------------------------


def test_the_same_spec_gives_the_same_result(llama, small, tmp_path):
    again = run(llama, spec(some("animal", 4), candidates=3), tmp_path)
    assert again.numbers == small.numbers
    assert again.tables.keys() == small.tables.keys()
    for name, own in small.tables.items():
        pd.testing.assert_frame_equal(again.tables[name], own)


def test_a_spec_goes_through_its_json():
    for one in (STUDY.default(), spec(), spec(language="xx", seed=3)):
        again = read_spec(one.to_json(), {"fact_checking": FactCheckingSpec})
        assert again == one
        assert again.key == one.key
    assert len({spec(**change).key for change in ({}, {"test": 0.4}, {"language": "xx"})}) == 3


@pytest.mark.parametrize(
    "wrong", [{"test": 0.0}, {"test": 1.0}, {"candidates": 1}, {"random_sets": 0}], ids=str
)
def test_a_spec_refuses_what_cannot_be(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        spec(**wrong)


def test_by_default_facts_are_not_filtered_by_what_the_model_knows():
    """To leave out what it does not know would choose facts by what is tested."""
    assert not STUDY.default().filtered
    assert len(STUDY.shards(STUDY.default(), Context())) == len(STUDY.default().held_out()) > 100
