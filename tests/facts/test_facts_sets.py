"""The sets of facts that come with the app."""

import json
from collections import Counter, defaultdict
from dataclasses import FrozenInstanceError, asdict

import pytest

from neuronlab.facts import MASK, SETS, Fact

LANGUAGES = ("en", "zh", "ja", "fr", "es", "de")
TYPES = ("language", "capital", "country", "color", "number", "month")


def test_a_fact_is_immutable_hashable_and_fits_json():
    fact = Fact("The capital of France is", ("Paris",), "capital", "capital/france")
    with pytest.raises(FrozenInstanceError):
        fact.prompt = "other"
    assert len({fact, Fact(**asdict(fact))}) == 1
    back = json.loads(json.dumps(asdict(fact)))
    assert Fact(**{**back, "answers": tuple(back["answers"])}) == fact


@pytest.mark.parametrize("each", SETS.values(), ids=SETS)
def test_every_set_says_what_it_is_and_holds_sound_facts(each):
    assert SETS[each.name] is each
    assert each.title
    for text in (each.what, each.terms):
        assert text.endswith(".")
    for language in each.languages:
        facts = each.facts(language=language, paraphrases=True)
        assert len({fact.prompt for fact in facts}) == len(facts)
        for fact in facts:
            assert fact.prompt == fact.prompt.strip() != ""
            assert MASK not in fact.prompt
            assert fact.answers
            assert len(set(fact.answers)) == len(fact.answers)
            assert all(answer == answer.strip() != "" for answer in fact.answers)
            assert fact.relation
            assert fact.name
            assert fact.language == language
            unspaced = language in ("zh", "ja") or fact.prompt.endswith("'")
            assert fact.joiner == ("" if unspaced else " ")
        assert not any(fact.prompt.endswith(" ") for fact in facts)
        first = each.facts(language=language)
        assert len({fact.name for fact in first}) == len(first)
        assert {fact.name for fact in first} == {fact.name for fact in facts}


def test_six_languages_has_the_same_facts_in_each():
    facts = SETS["six_languages"]
    assert facts.languages == LANGUAGES
    assert facts.has_two_shot
    assert not facts.has_paraphrases
    names = [fact.name for fact in facts.facts()]
    assert len(names) == 75
    for language in LANGUAGES:
        assert [fact.name for fact in facts.facts(language=language)] == names
    relations = Counter(fact.relation for fact in facts.facts(language="ja"))
    assert relations == {"capital": 25, "official_language": 25, "currency": 25}


@pytest.mark.parametrize("language", LANGUAGES)
def test_two_shot_puts_two_examples_before_the_same_prompt(language):
    plain = SETS["six_languages"].facts(language=language)
    shown = SETS["six_languages"].facts(language=language, two_shot=True)
    for alone, after in zip(plain, shown, strict=True):
        assert after.prompt.endswith(alone.prompt)
        assert len(after.prompt) > 2 * len(alone.prompt)
        assert (after.name, after.answers) == (alone.name, alone.answers)


def test_english_misc_is_numbered():
    facts = SETS["english_misc"].facts()
    assert len(facts) == 33
    assert [fact.name for fact in facts] == [str(number) for number in range(1, 34)]
    assert {fact.relation for fact in facts} == {"misc"}


def test_a_set_says_what_it_lacks(sentence):
    sentence(SETS["six_languages"].facts, language="it", says=["'it'", "en, zh, ja, fr, es, de"])
    sentence(SETS["knowledge_types"].facts, language="zh", says=["'zh'", "en"])
    sentence(SETS["knowledge_types"].facts, two_shot=True, says=["no two-shot", "without"])


@pytest.fixture(scope="module")
def types():
    """The facts of the six types by relation, each with its first prompt."""
    by_relation = defaultdict(list)
    for fact in SETS["knowledge_types"].facts():
        by_relation[fact.relation].append(fact)
    return by_relation


def test_each_type_has_many_facts_and_varied_answers(types):
    assert set(types) == set(TYPES)
    least = {"language": 15, "capital": 40, "country": 40, "color": 8, "number": 10, "month": 12}
    for relation, facts in types.items():
        assert len(facts) >= 45
        gold = Counter(fact.answers[0] for fact in facts)
        assert len(gold) >= least[relation]
        assert max(gold.values()) <= len(facts) / 5
    assert len({fact.answers for fact in types["month"]}) == 12


def test_every_fact_of_a_type_is_asked_in_two_or_three_ways(types):
    facts = SETS["knowledge_types"].facts(paraphrases=True)
    assert SETS["knowledge_types"].has_paraphrases
    assert len({fact.prompt for fact in facts}) == len(facts)
    ways = Counter(fact.name for fact in facts)
    assert set(ways.values()) == {2, 3}
    assert len(ways) == sum(map(len, types.values()))
    assert len({fact.name.lower() for fact in facts}) == len(ways)


def test_no_prompt_gives_its_answer_away(types):
    for facts in types.values():
        for fact in facts:
            words = fact.prompt.replace("'", " ").split()
            assert not set(fact.answers) & set(words), fact


def test_answers_have_their_usual_spellings(types):
    assert all(any(a.replace(",", "").isdigit() for a in f.answers) for f in types["number"])
    assert all(any(not a[0].isdigit() for a in f.answers) for f in types["number"])
    for fact in types["color"]:
        assert ("gray" in fact.answers) == ("grey" in fact.answers)
    for relation in ("language", "capital", "country", "month"):
        assert all(answer.istitle() for fact in types[relation] for answer in fact.answers)
    assert all(" " not in f.answers[0] for r in TYPES if r != "number" for f in types[r])


def test_nothing_stands_between_an_elision_and_its_answer():
    french = SETS["six_languages"].facts(language="fr")
    elided = [fact for fact in french if fact.prompt.endswith("'")]
    assert len(elided) == 16
    assert {fact.joiner for fact in elided} == {""}
    assert {fact.joiner for fact in french if fact not in elided} == {" "}
