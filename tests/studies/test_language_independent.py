"""Language-independent neurons: sets and intersections by hand, scores by the method itself."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from contexts import run
from tiny_models import plain, text_tokenizer

import neuronlab as nl
from neuronlab.facts import Fact
from neuronlab.runs import read_spec
from neuronlab.studies import language_independent as study
from neuronlab.studies.bases.in_languages import common, default_taus, neuron_set, select
from neuronlab.studies.language_independent import (
    LanguageIndependentSpec,
    LanguageIndependentStudy,
    expected_overlap,
    overlap,
    sensitivity,
)

STUDY = LanguageIndependentStudy()
SHAPE = (3, 100)
OWN = (
    Fact("the capital of France is", ("Paris",), "capital", "france", "en"),
    Fact("a brown fox is", ("Paris",), "capital", "france", "xx"),
    Fact("the quick fox jumps over", ("London",), "capital", "london", "en"),
    Fact("lazy dog is", ("London",), "capital", "london", "xx"),
    Fact("a lazy dog over", ("fox",), "animal", "dog", "en"),
    Fact("quick dog is over", ("fox",), "animal", "dog", "xx"),
)


@pytest.fixture
def model(tiny):
    return tiny("llama")


spec = partial(
    LanguageIndependentSpec, model="x", facts="own", own=OWN, languages=("en", "xx"), filtered=False
)


def table(shares):
    """``{(fact, language): {place: share}}`` as the table of a result."""
    rows = [
        (fact, language, place // SHAPE[1], place % SHAPE[1], place, share)
        for (fact, language), own in shares.items()
        for place, share in own.items()
    ]
    columns = ["fact", "language", "layer", "neuron", "place", "share"]
    return pd.DataFrame(rows, columns=columns)


HAND = {
    ("a", "en"): {1: 1.0, 2: 0.5, 150: 0.35, 299: 0.31, 7: 0.25},
    ("a", "zh"): {1: 0.21, 2: 0.19, 150: 1.0, 299: 0.9},
    ("b", "en"): {1: 1.0, 5: 0.9},
    ("b", "zh"): {1: 1.0, 150: 0.5, 6: 0.4},
    ("c", "en"): {9: 1.0},
    ("c", "zh"): {2: 1.0, 299: 0.3},
}
RELATIONS = {"a": "r", "b": "r", "c": "s"}


def test_thresholds_are_each_languages_own():
    assert default_taus(("en", "zh", "fr")) == {"en": 0.3, "zh": 0.2, "fr": 0.2}
    sets = select(table(HAND), {"en": 0.3, "zh": 0.2})
    assert sets["a", "en"] == {1, 2, 150, 299}
    assert sets["a", "zh"] == {1, 150, 299}
    # Above, not at, the threshold; a set may be empty.
    assert select(table(HAND), {"en": 1.0, "zh": 0.5})["c", "en"] == frozenset()
    assert select(table(HAND), {"en": 0.3, "zh": 0.5})["b", "zh"] == {1}


def test_overlaps_by_hand():
    sets = select(table(HAND), {"en": 0.3, "zh": 0.2})
    found = overlap(sets, RELATIONS, ("en", "zh"), SHAPE).set_index("fact")
    assert found["shared"].to_dict() == {"a": 3, "b": 1, "c": 0}
    assert found.loc["a", ["en", "zh"]].tolist() == [4, 3]
    # English of a, Chinese of b: 1 and 150; of c: 2 and 299.
    assert found.loc["a", "same_relation"] == 2
    assert found.loc["a", "other_relation"] == 2
    assert found.loc["b", "same_relation"] == 1
    assert found.loc["b", "other_relation"] == 0
    assert np.isnan(found.loc["c", "same_relation"])
    assert found.loc["c", "other_relation"] == 0
    # Layers 0, 1 and 2: 2 x 1, 1 x 1, 1 x 1 of 100 each.
    assert found.loc["a", "expected"] == pytest.approx(0.04)
    assert found.loc["a", "p"] < 0.001
    assert found.loc["c", "p"] == 1.0


def test_the_expectation_is_that_of_random_sets():
    draw = np.random.default_rng(1)
    counts = np.array([[10, 30, 0], [20, 40, 5], [50, 25, 9]])
    total = 0
    rounds = 4000
    for _ in range(rounds):
        for layer in range(3):
            own = [set(draw.choice(100, n, replace=False)) for n in counts[:, layer]]
            total += len(set.intersection(*own))
    expected = expected_overlap(counts, 100)
    assert expected == pytest.approx(total / rounds, rel=0.05)
    random = study._random_overlap(counts, 100, np.random.default_rng(0))
    assert random.mean() == pytest.approx(expected, rel=0.05)


def test_three_languages_take_the_rest_of_another_fact():
    shares = {("a", k): {1: 1.0, 2: 1.0, 3: 1.0} for k in ("en", "zh", "fr")}
    shares |= {("b", "en"): {9: 1.0}, ("b", "zh"): {1: 1.0, 2: 1.0}, ("b", "fr"): {2: 1.0, 3: 1.0}}
    sets = select(table(shares), dict.fromkeys(("en", "zh", "fr"), 0.2))
    assert common(sets, ("en", "zh", "fr"), ("a", "a", "b")) == {2, 3}
    found = overlap(sets, {"a": "r", "b": "r"}, ("en", "zh", "fr"), SHAPE).set_index("fact")
    assert found["shared"].tolist() == [3, 0]
    assert found["same_relation"].tolist() == [1, 0]  # {1, 2, 3} and what b has in zh and fr


def test_a_higher_threshold_never_shares_more():
    draw = np.random.default_rng(0)
    shares = {
        (fact, language): dict(
            zip(
                draw.choice(300, 60, replace=False).tolist(), draw.uniform(0.05, 1, 60), strict=True
            )
        )
        for fact in "abc"
        for language in ("en", "zh")
    }
    found = sensitivity(table(shares), RELATIONS, ("en", "zh"), SHAPE)
    assert found["tau"].tolist() == list(study.TAUS)
    assert found["shared"].is_monotonic_decreasing
    assert found["expected"].is_monotonic_decreasing
    assert found["empty"].is_monotonic_increasing


def test_a_set_becomes_neurons():
    neurons = neuron_set(frozenset({0, 101, 299}), 100, "shared")
    assert list(neurons) == [(0, "ffn", 0), (1, "ffn", 1), (2, "ffn", 99)]


def checked_shares(neurons, fact, scores):
    """The shares of a fact's neurons, by place, in the table's order: those of its scores."""
    rows = neurons[(neurons["fact"] == fact.name) & (neurons["language"] == fact.language)]
    expected = {
        (layer, neuron): score / scores.max()
        for (layer, neuron), score in np.ndenumerate(scores)
        if score > 0.05 * scores.max()
    }
    shares = {(r.layer, r.neuron): r.share for r in rows.itertuples()}
    assert shares.keys() == expected.keys()
    assert [shares[k] for k in expected] == pytest.approx(list(expected.values()), abs=1e-5)
    return shares


def test_shares_are_scores_over_the_highest(model, tmp_path):
    found = run(model, spec(), tmp_path)
    neurons = found.tables["neurons"]
    for fact in (OWN[0], OWN[5]):
        prompt = nl.Prompt(fact.prompt, target=fact.answers[0])
        scores = nl.attribute(model, prompt, method="amig", components=("ffn",))["ffn"]
        shares = checked_shares(neurons, fact, scores)
        assert next(iter(shares.values())) == 1.0
    assert found.numbers["facts"] == 3
    assert (found.numbers["layers"], found.numbers["size"]) == scores.shape
    assert found.numbers["shared"] == pytest.approx(found.tables["overlap"]["shared"].mean())


def test_an_encoder_decoder_is_asked_what_fills_the_gap(tmp_path):
    """Of a model in memory; its neurons are those of both stacks, at all tokens of the text."""
    tokenizer = text_tokenizer("mt5")
    model = nl.load(plain("mt5", "seq2seq", tokenizer), tokenizer)
    found = run(model, spec(), tmp_path)
    assert (found.numbers["layers"], found.numbers["size"]) == (5, model.sizes["ffn"])
    neurons = found.tables["neurons"]
    fact = OWN[0]
    text = f"{fact.prompt} <extra_id_0>."
    prompt = nl.Prompt(text, target=fact.answers[0], prefix="<extra_id_0>")
    encoded = model.encode(prompt)
    scores = nl.attribute(model, prompt, method="amig", components=("ffn",))["ffn"]
    shares = checked_shares(neurons, fact, scores)
    assert {layer < 2 for layer, _ in shares} == {True, False}
    assert encoded.tokens[-1] == "<extra_id_0>"


@pytest.mark.long
def test_the_order_of_languages_does_not_change_what_is_shared(model, tmp_path):
    one = run(model, spec(), tmp_path / "one").tables["overlap"]
    taus = default_taus(("en", "xx"))
    other = run(model, spec(languages=("xx", "en")), tmp_path / "other")
    two = overlap(
        select(other.tables["neurons"], taus),
        dict.fromkeys(("france", "london", "dog"), "r"),
        ("xx", "en"),
        (other.numbers["layers"], other.numbers["size"]),
    )
    assert one["shared"].tolist() == two["shared"].tolist()


def test_groups_are_complete_and_limited():
    more = (*OWN, Fact("alone", ("Paris",), "capital", "alone", "en"))
    assert [g["en"][0].name for g in spec(own=more).groups()] == ["france", "london", "dog"]
    assert [g["en"][0].name for g in spec(per_relation=1).groups()] == ["france", "dog"]
    assert [g["xx"][0].name for g in spec(fact="dog").groups()] == ["dog"]
    six = LanguageIndependentSpec(languages=("en", "zh", "ja", "fr", "es", "de"))
    groups = six.groups()
    assert len(groups) == 75
    assert all(len(group) == 6 for group in groups)
    plain = LanguageIndependentSpec(two_shot=False).groups()[0]["en"][0].prompt
    assert LanguageIndependentSpec().groups()[0]["en"][0].prompt.endswith(plain)
    assert len(LanguageIndependentSpec().groups()[0]["en"][0].prompt) > len(plain)


def test_a_spec_goes_through_its_json():
    for one in (spec(), LanguageIndependentSpec(fact="capital/france")):
        again = read_spec(one.to_json(), {"language_independent": LanguageIndependentSpec})
        assert again.key == one.key
    assert spec(languages=("xx", "en")).key != spec().key


@pytest.mark.parametrize("languages", [("en",), ("en", "en"), tuple("abcdefg")])
def test_two_to_six_different_languages(languages):
    with pytest.raises(ValueError, match="language"):
        spec(languages=languages)


def test_what_cannot_be_is_one_sentence(model, tmp_path, sentence):
    sentence(spec(languages=("en", "yy")).groups, says="yy")
    sentence(spec(fact="rome").groups, says="rome")
    lost = tuple(Fact(f.prompt, ("Berlin",), f.relation, f.name, f.language) for f in OWN)
    sentence(run, model, spec(own=lost), tmp_path, says="in the vocabulary")


def test_facts_missing_in_one_language_are_left_out(model, tmp_path):
    own = (*OWN[:5], Fact("quick dog is over", ("Berlin",), "animal", "dog", "xx"))
    found = run(model, spec(own=own), tmp_path)
    assert found.numbers["facts"] == 2
    assert "1 that it cannot be asked" in found.numbers["left_out"]
    assert set(found.tables["neurons"]["fact"]) == {"france", "london"}
    states = found.tables["facts"].set_index(["fact", "language"])["state"]
    assert states["dog", "xx"] == "impossible"
    assert states["dog", "en"] == "used"


def test_unknown_facts_are_left_out_by_the_filter(model, tmp_path, sentence):
    found = run(model, spec(), tmp_path / "all").tables["facts"]
    if (found["rank"] > 10).any(axis=None):
        known = found.groupby("fact")["rank"].max() <= 10
        if known.any():
            kept = run(model, spec(filtered=True), tmp_path / "known")
            assert kept.numbers["facts"] == int(known.sum())
        else:
            sentence(run, model, spec(filtered=True), tmp_path / "none", says="knows none")
