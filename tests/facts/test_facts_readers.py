"""Facts as people upload them: LAMA, ParaRel, tables, zips, and everything that can be wrong."""

import json
import operator
import tracemalloc
import zipfile
from collections import Counter

import pandas as pd
import pytest
from archives import packed

from neuronlab import spreadsheets
from neuronlab.facts import (
    MASK,
    Contents,
    Fact,
    Facts,
    list_facts,
    read_facts,
    readers,
)


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def trex(subject, answer, *sentences, relation="P19"):
    evidence = {"sub_surface": subject, "obj_surface": answer}
    return {
        "uuid": "00000000-0000-0000-0000-000000000000",
        "obj_uri": "Q1",
        "obj_label": answer,
        "sub_uri": "Q2",
        "sub_label": subject,
        "predicate_id": relation,
        "evidences": [{**evidence, "masked_sentence": text} for text in sentences],
    }


RELATIONS = lines(
    {
        "relation": "P19",
        "template": "[X] was born in [Y] .",
        "label": "place of birth",
        "description": "where someone was born",
        "type": "N-1",
    },
    {"relation": "P36", "template": "[Y] is the capital of [X] .", "label": "capital"},
)
PATTERNS = lines(
    {"pattern": "[X] was born in [Y].", "lemma": "born", "extended_lemma": "born", "tense": "past"},
    {"pattern": "[X] is originally from [Y].", "lemma": "from", "tense": "present"},
    {"pattern": "[Y] is where [X] was born.", "lemma": "born", "tense": "past"},
)
VOCABULARY = lines(
    {"sub_label": "Marie Curie", "obj_label": "Warsaw", "uuid": "1"},
    {"sub_label": "Isaac Asimov", "obj_label": "Petrovichi", "uuid": "2"},
)


# --- LAMA ----------------------------------------------------------------------------------------


def test_trex_takes_the_first_sentence_with_one_mask():
    row = trex(
        "Marie Curie",
        "Warsaw",
        "[MASK] saw the birth of Curie, and [MASK] has her museum.",
        "Curie came from [MASK], in Poland.",
        "Curie was born in [MASK].",
    )
    assert read_facts({"P19.jsonl": lines(row)}) == Facts(
        [Fact("Curie came from [MASK], in Poland.", ("Warsaw",), "P19", "P19/Marie Curie/Warsaw")]
    )


@pytest.mark.parametrize(
    ("sentence_", "prompt", "joiner"),
    [
        ("Curie was born in [MASK].", "Curie was born in", " "),
        ("Curie was born in [MASK] . ", "Curie was born in", " "),
        ("  Curie was born in [MASK]", "Curie was born in", " "),
        ('They said: "Curie was born in [MASK]." ', 'They said: "Curie was born in', " "),
        ("Her city of birth ([MASK]).", "Her city of birth (", ""),
        ("Curie was born in [MASK] in 1867.", "Curie was born in [MASK] in 1867.", " "),
        ("[MASK] is where Curie was born.", "[MASK] is where Curie was born.", ""),
    ],
)
def test_the_prompt_ends_where_only_punctuation_follows(sentence_, prompt, joiner):
    (fact,) = read_facts({"P19.jsonl": lines(trex("Curie", "Warsaw", sentence_))}).facts
    assert (fact.prompt, fact.joiner) == (prompt, joiner)


def test_google_re_conceptnet_and_squad():
    google_re = {
        "pred": "/people/person/place_of_birth",
        "sub": "/m/0001",
        "obj": "/m/0002",
        "evidences": [{"url": "u", "snippet": "Curie was born", "considered_sentences": []}],
        "judgments": [{"rater": "1", "judgment": "yes"}],
        "sub_label": "Marie Curie",
        "obj_label": "Warsaw",
        "uuid": "3",
        "masked_sentences": ["Curie was born in [MASK].", "[MASK] and [MASK]", "No mask."],
    }
    concept_net = {
        "sub": "bird",
        "obj": "fly",
        "pred": "CapableOf",
        "masked_sentences": ["Most birds can [MASK].", "A bird likes to [MASK] high."],
        "obj_label": "fly",
        "uuid": "4",
    }
    squad = [
        {"masked_sentences": [text], "obj_label": "blue", "id": number, "sub_label": "Squad"}
        for number, text in (("a_0", "The flag is [MASK]."), ("b_0", "The sign is [MASK]."))
    ]
    given = read_facts(
        {
            "place_of_birth_test.jsonl": lines(google_re),
            "concepts.jsonl": lines(concept_net),
            "squad.jsonl": lines(*squad),
        }
    )
    bird = "CapableOf", "CapableOf/bird/fly"
    assert given.facts == [
        Fact(
            "Curie was born in", ("Warsaw",), "place_of_birth", "place_of_birth/Marie Curie/Warsaw"
        ),
        Fact("Most birds can", ("fly",), *bird),
        Fact("A bird likes to [MASK] high.", ("fly",), *bird),
        Fact("The flag is", ("blue",), "squad", "squad/a_0"),
        Fact("The sign is", ("blue",), "squad", "squad/b_0"),
    ]
    assert given.note == ""


@pytest.mark.parametrize("order", [1, -1])
def test_templates_make_the_prompts_of_their_relations(order):
    files = {
        "relations.jsonl": RELATIONS,
        "P19.jsonl": lines(trex("Marie Curie", "Warsaw", "Curie left [MASK] early.")),
        # Without predicate_id the file is named after the relation.
        "P36.jsonl": lines({"sub_label": "Kenya", "obj_label": "Nairobi"}),
        "P20.jsonl": lines(trex("Curie", "Sancellemoz", "She died in [MASK].", relation="P20")),
    }
    facts = read_facts(dict(list(files.items())[::order])).facts[::order]
    assert facts == [
        Fact("Marie Curie was born in", ("Warsaw",), "P19", "P19/Marie Curie/Warsaw"),
        Fact(
            "[MASK] is the capital of Kenya .", ("Nairobi",), "P36", "P36/Kenya/Nairobi", "en", ""
        ),
        Fact("She died in", ("Sancellemoz",), "P20", "P20/Curie/Sancellemoz"),
    ]


def test_what_is_skipped_is_counted_in_one_sentence():
    good = trex("Curie", "Warsaw", "Curie was born in [MASK].")
    given = read_facts(
        {"P19.jsonl": lines(good, good, trex("Ada", "London", "No place."), trex("Bo", "Oslo"))}
    )
    assert len(given.facts) == 1
    assert given.note == (
        "Skipped: 1 prompt given twice, "
        "2 rows without a prompt (no template, no pattern, no sentence with [MASK] once)."
    )


# --- ParaRel -------------------------------------------------------------------------------------


def test_pararel_in_a_zip_gives_paraphrases_that_share_a_name():
    given = read_facts(
        {
            "pararel.zip": packed(
                {
                    "data/pattern_data/P19.jsonl": PATTERNS,
                    "data/vocabulary/P19.jsonl": VOCABULARY,
                    "data/pattern_data/P19.graph": b"\x80\x04\x95\xff",
                    "README.md": "# Patterns, and more\n",
                    "metadata.json": '{\n  "version": 1\n}\n',
                    "other.jsonl": '{"version": 1}\n',
                    "empty.jsonl": "",
                }
            )
        }
    )
    assert len(given.facts) == 6
    assert given.facts[:3] == [
        Fact("Marie Curie was born in", ("Warsaw",), "P19", "P19/Marie Curie/Warsaw"),
        Fact("Marie Curie is originally from", ("Warsaw",), "P19", "P19/Marie Curie/Warsaw"),
        Fact(
            "[MASK] is where Marie Curie was born.",
            ("Warsaw",),
            "P19",
            "P19/Marie Curie/Warsaw",
            joiner="",
        ),
    ]
    assert given.note == "Skipped: 5 files without facts."


def test_a_vocabulary_that_names_its_relation_needs_no_zip():
    row = {"sub_label": "Curie", "obj_label": "Warsaw", "predicate_id": "P19"}
    facts = read_facts({"P19.jsonl": PATTERNS, "vocabulary.jsonl": lines(row)}).facts
    assert len(facts) == 3
    assert len({fact.name for fact in facts}) == 1


def test_rows_of_a_relation_without_patterns_are_skipped():
    given = read_facts(
        {
            "all.zip": packed(
                {"a/P19.jsonl": PATTERNS, "b/P19.jsonl": VOCABULARY, "b/P20.jsonl": VOCABULARY}
            )
        }
    )
    assert len(given.facts) == 6
    assert given.note.startswith("Skipped: 2 rows without a prompt")


# --- MLAMA and mParaRel --------------------------------------------------------------------------


def mlama(subject, answer, line, **more):
    """A row as published: lines have the same number in all languages."""
    uris = {"sub_uri": "Q1", "obj_uri": "Q2"}
    return {**uris, "obj_label": answer, "sub_label": subject, "lineid": line, **more}


MLAMA = {
    "mlama1.1/en/templates.jsonl": lines(
        {"relation": "P36", "template": "The capital of [X] is [Y] ."},
        {"relation": "place_of_birth", "template": "[X] was born in [Y] ."},
    ),
    "mlama1.1/zh/templates.jsonl": lines({"relation": "P36", "template": "[X]的首都是[Y]。"}),
    "mlama1.1/ja/templates.jsonl": lines({"relation": "P36", "template": "[Y]は[X]の首都である。"}),
    "mlama1.1/en/P36.jsonl": lines(
        mlama("France", "Paris", 3, from_english=False), mlama("Japan", "Tokyo", 8)
    ),
    "mlama1.1/zh/P36.jsonl": lines(
        mlama("法国", "巴黎", 3, from_english=False),
        mlama("Japan", "Tokyo", 8, from_english=True),
    ),
    "mlama1.1/ja/P36.jsonl": lines(mlama("フランス", "パリ", 3, from_english=False)),
    "mlama1.1/en/place_of_birth.jsonl": lines(mlama("Isaac Asimov", "Petrovichi", 1)),
}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("zipped", [True, False])
def test_mlama_has_a_folder_for_each_language(zipped, order):
    files = dict(list(MLAMA.items())[::order])
    found = read_facts({"mlama1.1.zip": packed(files)} if zipped else files)
    assert found.note == "Skipped: 1 row that mLAMA did not translate."
    assert set(found.facts) == {
        Fact("The capital of France is", ("Paris",), "P36", "P36/3", "en"),
        Fact("The capital of Japan is", ("Tokyo",), "P36", "P36/8", "en"),
        Fact("法国的首都是", ("巴黎",), "P36", "P36/3", "zh", ""),
        Fact(f"{MASK}はフランスの首都である。", ("パリ",), "P36", "P36/3", "ja", ""),
        Fact("Isaac Asimov was born in", ("Petrovichi",), *("place_of_birth",), "place_of_birth/1"),
    }


def test_mpararel_has_patterns_and_tuples_of_each_language():
    files = {
        "mpararel/patterns/en/P36.jsonl": lines(
            {"pattern": "The capital of [X] is [Y]", "checked-by-human": True},
            {"pattern": "[X], whose capital is [Y]", "checked-by-human": False},
        ),
        "mpararel/patterns/zh-hans/P36.jsonl": lines({"pattern": "[X]的首都是[Y]"}),
        # A language without subjects and answers yet.
        "mpararel/patterns/af/P36.jsonl": lines({"pattern": "[X] se hoofstad is [Y]"}),
        "mpararel/tuples/en/P36.jsonl": lines(mlama("France", "Paris", 3)),
        "mpararel/tuples/zh-hans/P36.jsonl": lines(mlama("法国", "巴黎", 3)),
    }
    found = read_facts({"mpararel.zip": packed(files)})
    assert set(found.facts) == {
        Fact("The capital of France is", ("Paris",), "P36", "P36/3", "en"),
        Fact("France, whose capital is", ("Paris",), "P36", "P36/3", "en"),
        Fact("法国的首都是", ("巴黎",), "P36", "P36/3", "zh-hans", ""),
    }


BROKEN = MLAMA | {
    "mlama1.1/zh/P36.jsonl": lines(mlama("法国", "巴黎", 3)) + b"{'a': 1}\n",
    "mlama1.1/ja/P36.jsonl": b"\n" + lines(mlama("フランス", "パリ", 3), mlama("日本", "", 8)),
    "mlama1.1/en/templates.jsonl": lines(
        {"relation": "P36", "template": "The capital of [X] is [Y] ."},
        {"relation": "place_of_birth", "template": "[X] was born in Y ."},
    ),
    "mlama1.1/readme.json": b"[" + b"1," * 600_000,
}


@pytest.mark.parametrize("zipped", [True, False])
def test_what_is_broken_is_skipped_and_named(zipped):
    found = read_facts({"mlama1.1.zip": packed(BROKEN)} if zipped else BROKEN)
    assert {(fact.language, fact.answers[0]) for fact in found.facts} == {
        ("en", "Paris"),
        ("en", "Tokyo"),
        ("zh", "巴黎"),
        ("ja", "パリ"),
    }
    for part in (
        "1 template without [X] and [Y] once each (en: line 2 of templates.jsonl)",
        "1 line that is no JSON object (zh: line 2 of P36.jsonl)",
        "1 row without an answer in obj_label (ja: line 3 of P36.jsonl)",
        "1 file with a line of more than 1,000,000 characters (en: readme.json)",
    ):
        assert part in found.note


def test_of_many_broken_places_the_first_are_named():
    broken = {
        f"{code}/templates.jsonl": lines({"relation": "P36", "template": "x"})
        for code in ("af", "ar", "az", "be", "bg")
    }
    note = read_facts(MLAMA | broken).note
    assert "5 templates" in note
    assert "(af: line 1 of templates.jsonl, ar: line 1 of templates.jsonl, " in note
    assert "az: line 1 of templates.jsonl, 2 more)" in note


# --- Choosing ------------------------------------------------------------------------------------


def test_the_contents_are_listed_with_their_prompts():
    assert list_facts(MLAMA) == Contents(
        {("en", "P36"): 2, ("zh", "P36"): 1, ("ja", "P36"): 1, ("en", "place_of_birth"): 1},
        "Skipped: 1 row that mLAMA did not translate.",
    )
    assert list_facts(
        {
            "p.zip": packed({"a/P19.jsonl": PATTERNS, "b/P19.jsonl": VOCABULARY}),
            "t.csv": b"prompt,answer,relation,language\nA is,x,r,fr\nB is,y,r,fr\n",
            "P20.jsonl": lines(trex("A", "B", "In [MASK].", relation="P20")),
        }
    ).prompts == {("en", "P19"): 6, ("fr", "r"): 2, ("en", "P20"): 1}


def test_only_what_is_chosen_is_read(sentence):
    found = read_facts(MLAMA, languages=["zh", "en"], relations=["P36"])
    assert [(fact.language, fact.answers[0]) for fact in found.facts] == [
        ("en", "Paris"),
        ("en", "Tokyo"),
        ("zh", "巴黎"),
    ]
    sentence(read_facts, MLAMA, languages=["ko"], says=["these languages", "choose others"])
    sentence(read_facts, MLAMA, relations=["P1"], says=["these languages", "choose others"])


def test_of_too_many_whole_facts_are_drawn_of_each_relation_alike():
    files = {
        f"{code}/templates.jsonl": lines(
            {"relation": "P1", "template": "[X] is [Y]"},
            {"relation": "P2", "template": "[X] in [Y]"},
        )
        for code in ("en", "fr")
    }
    for code in ("en", "fr"):
        files |= {
            f"{code}/{relation}.jsonl": lines(*(mlama(f"s{i}", f"o{i}", i) for i in range(count)))
            for relation, count in (("P1", 500), ("P2", 50))
        }
    found = read_facts(files, most=100)
    assert len(found.facts) == 100
    by_language = {
        code: {fact.name for fact in found.facts if fact.language == code} for code in ("en", "fr")
    }
    assert by_language["en"] == by_language["fr"]
    assert Counter(fact.relation for fact in found.facts) == {"P1": 50, "P2": 50}
    assert "1,000 rows at random, as at most 100 prompts are taken" in found.note
    assert read_facts(files, most=100) == found
    assert len(read_facts(files, most=1_100).facts) == 1_100


# --- As large as published -----------------------------------------------------------------------


@pytest.mark.slow
def test_pararel_at_its_published_size(without_type_checks):
    """38 relations with 224,674 prompts, of which a run's worth is kept in little memory."""
    patterns = [8] * 34 + [9] * 4
    rows = [728] * 38
    rows[-1] += (224_674 - sum(map(operator.mul, patterns, rows))) // 9
    rows[0] += (224_674 - sum(map(operator.mul, patterns, rows))) // 8
    total = sum(map(operator.mul, patterns, rows))
    files = {}
    for relation in range(38):
        files[f"data/pattern_data/graphs_json/P{relation}.jsonl"] = lines(
            *({"pattern": f"[X] in {i} words [Y]."} for i in range(patterns[relation]))
        )
        files[f"data/trex_lms_vocab/P{relation}.jsonl"] = lines(
            *({"sub_label": f"s{i}", "obj_label": f"o{i}"} for i in range(rows[relation]))
        )
    data = {"pararel.zip": packed(files)}
    del files
    tracemalloc.start()
    contents = list_facts(data)
    listed = tracemalloc.get_traced_memory()[1]
    found = read_facts(data, most=5_000)
    read = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(contents.prompts), sum(contents.prompts.values())) == (38, total)
    assert abs(total - 224_674) < 8
    assert 4_900 < len(found.facts) <= 5_000
    assert set(Counter(fact.relation for fact in found.facts)) == {f"P{i}" for i in range(38)}
    assert listed < 20_000_000
    assert read < 60_000_000
    assert len(read_facts(data).facts) == total


@pytest.mark.long
def test_mlama_at_its_published_size(without_type_checks):
    """53 languages in 2,332 files."""
    codes = [f"{a}{b}" for a in "abcdefgh" for b in "abcdefgh"][:53]
    files = {}
    for code in codes:
        relations = [f"P{i}" for i in range(43)]
        files[f"mlama1.1/{code}/templates.jsonl"] = lines(
            *({"relation": each, "template": "[X] is [Y]."} for each in relations)
        )
        for each in relations:
            files[f"mlama1.1/{code}/{each}.jsonl"] = lines(
                *(mlama(f"s{i}", f"o{i}", i) for i in range(5))
            )
    assert len(files) == 2_332
    contents = list_facts({"mlama1.1.zip": packed(files)})
    assert contents == list_facts(files)
    assert contents.prompts == {(code, f"P{i}"): 5 for code in codes for i in range(43)}
    found = read_facts({"mlama1.1.zip": packed(files)}, languages=codes[:2], relations=["P7"])
    assert len(found.facts) == 10
    assert found.note == ""


# --- Tables --------------------------------------------------------------------------------------


def test_an_exported_table_comes_back_without_its_apostrophes():
    table = pd.DataFrame({"prompt": ["-2 + 1 =", "@home is"], "answer": ["-1", "=x"]})
    data = spreadsheets.csv(table).encode()
    assert b"'-2 + 1 =,'-1" in data
    facts = read_facts({"facts.csv": data}).facts
    assert [(fact.prompt, fact.answers) for fact in facts] == [
        ("-2 + 1 =", ("-1",)),
        ("@home is", ("=x",)),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_from_any_system(delimiter, start, end):
    rows = [
        ("Prompt", " ANSWERS", "Relation", "fact", "language"),
        ("The capital of France is ", "Paris", "capital", "france", ""),
        ("法国的首都是", "巴黎 | 巴黎市|巴黎", "capital", "france", "zh"),
        ("", "", "", "", ""),
        ('"Die Hauptstadt ist [MASK], nicht Bonn."', "Berlin|", "capital", "", "DE"),
    ]
    if delimiter == ";":
        rows[0] = tuple(f'"{cell}"' for cell in rows[0])
    table = start + end.join(delimiter.join(row) for row in rows)
    assert read_facts({"facts.csv": table.encode()}).facts == [
        Fact("The capital of France is", ("Paris",), "capital", "france"),
        Fact("法国的首都是", ("巴黎", "巴黎市"), "capital", "france", "zh", ""),
        Fact("Die Hauptstadt ist [MASK], nicht Bonn.", ("Berlin",), "capital", "3", "de"),
    ]


def test_a_table_needs_no_more_than_prompt_and_answer():
    table = b"id,answer,prompt\n7,Paris,The capital of France is\n8,l'eau,Je bois de [MASK].\n"
    given = read_facts({"facts.csv": table})
    assert given.facts == [
        Fact("The capital of France is", ("Paris",), name="1"),
        Fact("Je bois de", ("l'eau",), name="2"),
    ]
    assert given.note == ""


def test_a_mask_says_whether_a_space_precedes_the_answer():
    table = "prompt,answer,language\nC'est l'[MASK].,euro,fr\n首都は[MASK]です。,東京,ja\n"
    facts = read_facts({"facts.csv": table.encode()}).facts
    assert [(fact.prompt, fact.joiner) for fact in facts] == [
        ("C'est l'", ""),
        ("首都は[MASK]です。", ""),
    ]


def test_several_tables_and_a_zipped_one_together():
    table = b"prompt,answer\nA%d is,x\n"
    given = read_facts({"1.csv": table % 1, "2.csv": table % 2, "3.zip": packed({"3": table % 3})})
    assert [fact.prompt for fact in given.facts] == ["A1 is", "A2 is", "A3 is"]
    assert len({fact.name for fact in given.facts}) == 3


# --- Mistakes ------------------------------------------------------------------------------------

HEAD = b"prompt,answer\n"


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, ["no facts", "give"]),
        ({"a.csv": b""}, ["a.csv", "empty", "upload"]),
        ({"a.csv": b"\xef\xbb\xbf \r\n"}, ["a.csv", "empty"]),
        ({"a.csv": HEAD}, ["no rows", "add"]),
        ({"a.csv": "prompt,answer\nx,é".encode("latin-1")}, ["a.csv", "plain text", "UTF-8"]),
        ({"a.csv": "prompt,answer\nx,y".encode("utf-16")}, ["a.csv", "plain text", "UTF-8"]),
        ({"a.csv": b"question,gold\nx,y\n"}, ["'question, gold'", "prompt and answer", "name"]),
        ({"a.csv": b"a;prompt;b\nx;y;z\n"}, ["'a, prompt, b'", "prompt and answer"]),
        ({"a.txt": b"Paris is in France.\n"}, ["'paris is in france.'", "prompt and answer"]),
        ({"a.csv": b"word " * 100_000}, ["word…'", "prompt and answer"]),
        ({"a.csv": HEAD + b"x,y\n\n ,y\n"}, ["Row 4", "a.csv", "no prompt", "remove"]),
        ({"a.csv": HEAD + b"[MASK].,y\n"}, ["Row 2", "no prompt"]),
        ({"a.csv": HEAD + b"x,y\nx, | \n"}, ["Row 3", "no answer", "remove"]),
        ({"a.csv": HEAD + b"x\n"}, ["Row 2", "no answer"]),
        ({"a.csv": HEAD + b"In Peru, it is,Lima\n"}, ["Row 2", "3 cells", "quotation marks"]),
        ({"a.csv": HEAD + b'x,y\n"open,y\nz,y\n'}, ["Row 3", "quotation marks"]),
        ({"a.csv": HEAD + b'"Hola" is from,Spanish\n'}, ["Row 2", "quotation marks", "double"]),
        ({"a.csv": HEAD + b"[MASK] or [MASK],y\n"}, ["Row 2", "more than once", "leave"]),
        ({"a.jsonl": b'{"version": 1}\n'}, ["a.jsonl", "'version'", "obj_label"]),
        ({"a.json": b'[{"obj_label": "x"}]'}, ["Line 1", "a.json", "one whole object"]),
        ({"a.json": b'{\n"obj_label": "x"\n}'}, ["Line 1", "one whole object"]),
        ({"P19.jsonl": VOCABULARY + b'{"sub_label": "A",\n'}, ["line 3 of P19.jsonl", "object"]),
        ({"P19.jsonl": VOCABULARY + b"7\n"}, ["line 3", "object"]),
        ({"P19.jsonl": b'{"a":' + b"[" * 100_000}, ["Line 1", "object"]),
        ({"P19.jsonl": VOCABULARY + b'{"obj_label": "\\ud800"}\n'}, ["line 3", "object"]),
        ({"P19.jsonl": VOCABULARY + b'{"sub_label": "A"}\n'}, ["line 3", "an answer", "correct"]),
        ({"P19.jsonl": VOCABULARY + b'{"obj_label": 7}\n'}, ["line 3", "an answer"]),
        ({"P19.jsonl": VOCABULARY}, ["no usable fact", "relations.jsonl", "pattern"]),
        ({"P19.jsonl": lines(trex("A", "B", "no"))}, ["no usable fact", MASK, "upload"]),
        ({"P19.jsonl": lines(trex("A", "B", "[MASK]."))}, ["no usable fact"]),
        ({"relations.jsonl": RELATIONS}, ["templates", "no subjects", "upload"]),
        ({"P19.jsonl": PATTERNS}, ["P19", "no subjects", "vocabulary", ".zip"]),
        ({"P19.jsonl": PATTERNS, "P20.jsonl": VOCABULARY}, ["P19", "vocabulary"]),
        ({"P19.jsonl": PATTERNS + b'{"pattern": "[X] lives"}'}, ["P19", "no subjects"]),
        (
            {"r.jsonl": b'{"relation": "P1", "template": ""}'},
            ["line 1 of r.jsonl", "template", "correct"],
        ),
        ({"a.zip": packed({"a.md": "# Title", "b/": ""})}, ["no facts", "give"]),
        ({"a.zip": packed({})}, ["no facts", "give"]),
        ({"a.zip": packed({"P19.jsonl": VOCABULARY + b"{"})}, ["line 3 of P19.jsonl"]),
        ({"a.zip": b"no zip at all"}, ["a.zip", "unpacked", "zip the files again"]),
        ({"a.zip": packed({"P19.jsonl": VOCABULARY})[:60]}, ["a.zip", "unpacked"]),
        ({"a.zip": packed({"a": HEAD}, zipfile.ZIP_LZMA)}, ["a.zip", "zip the files again"]),
        ({"a.zip": packed(dict.fromkeys(map(str, range(25_001)), ""))}, ["a.zip", "25,000"]),
        ({"a.csv": HEAD + b"x" * 1_000_000}, ["a.csv", "1,000,000", "shorter"]),
        ({"a.csv": HEAD + b"x" * 10_001 + b",y\n"}, ["10,000 characters", "Row 2 of a.csv"]),
        ({"../../etc/a\nb.csv": b""}, ["a b.csv is empty"]),
    ],
)
def test_one_sentence_for_every_mistake(sentence, files, says):
    text = sentence(read_facts, files, says=says)
    assert "/" not in text


def test_a_damaged_or_locked_zip(sentence):
    whole = bytearray(packed({"P19.jsonl": VOCABULARY}, zipfile.ZIP_STORED))
    whole[whole.index(b"Curie")] ^= 1
    sentence(read_facts, {"a.zip": bytes(whole)}, says=["unpacked", "zip the files again"])
    whole = bytearray(packed({"P19.jsonl": VOCABULARY}))
    for header, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(header) + flags] |= 1
    sentence(read_facts, {"a.zip": bytes(whole)}, says=["unpacked", "password"])


def test_a_zip_that_claims_to_be_small_is_not_unpacked_further(sentence):
    whole = bytearray(packed({"a.csv": HEAD + b"x,y\n" * 1_000_000}))
    for header, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = whole.index(header) + size
        whole[place : place + 4] = (100).to_bytes(4, "little")
    sentence(read_facts, {"a.zip": bytes(whole)}, says="unpacked")


# --- Limits --------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch):
    """At most ten facts, so that more are quickly written."""
    monkeypatch.setattr("neuronlab.facts.rows.MAX_FACTS", 10)


def test_the_most_facts_are_allowed_and_one_more_is_not(sentence, few):
    rows = [b"prompt %d is,x\n" % number for number in range(11)]
    assert len(read_facts({"a.csv": HEAD + b"".join(rows[:-1])}).facts) == 10
    says = ["more than 10 facts", "choose fewer"]
    sentence(read_facts, {"a.csv": HEAD + b"".join(rows)}, says=says)
    files = {"a.csv": HEAD + b"".join(rows[:-1]), "b.csv": HEAD + rows[-1]}
    sentence(read_facts, files, says=says)
    assert list_facts(files).prompts == {("en", ""): 11}


@pytest.mark.long
def test_rows_times_patterns_are_counted_and_not_made(sentence, monkeypatch):
    def made(*args):
        raise AssertionError("a prompt was made")

    monkeypatch.setattr(readers, "prompt_of", made)
    patterns = lines({"pattern": "[X] is in [Y]."}) * 2_000
    rows = lines({"sub_label": "A", "obj_label": "B"}) * 2_000
    files = {"all.zip": packed({"a/P1.jsonl": patterns, "b/P1.jsonl": rows})}
    sentence(read_facts, files, says="more than 300,000 facts, which is the most")
    assert list_facts(files).prompts == {("en", "P1"): 4_000_000}
    sentence(read_facts, files, most=1_000, says="more than 300,000 facts, which is the most")


@pytest.mark.parametrize(
    ("limit", "value", "says"),
    [
        ("readers.MAX_BYTES", 1_000, ["upload", "MB", "a part"]),
        ("readers.MAX_UNPACKED", 30_000, ["P36.jsonl, unpacked", "upload a part"]),
        ("rows.MAX_KINDS", 1, "more than 1 "),
        ("rows.MAX_TEXTS", 1_000, "choose fewer"),
    ],
)
def test_limits_of_all_files_together(sentence, monkeypatch, limit, value, says):
    rows = lines(*(mlama(f"subject {i}", f"object {i}", i) for i in range(200)))
    files = {"a.zip": packed(MLAMA | {"en/P36.jsonl": rows, "fr/P36.jsonl": rows})}
    read_facts(files)
    monkeypatch.setattr(f"neuronlab.facts.{limit}", value)
    sentence(read_facts, files, says=says)


@pytest.mark.parametrize(
    ("header", "says"),
    [
        ("prompt,prompt,answer", "2 columns 'prompt'"),
        ("prompt,answer,answer", "2 columns 'answer'"),
        ("prompt,answer,answers", "answer and answers"),
        ("prompt,answers,answer", "answer and answers"),
    ],
)
def test_columns_of_which_it_is_not_known_which_is_meant(sentence, header, says):
    sentence(read_facts, {"a.csv": f"{header}\nThe sky is,blue,red\n".encode()}, says=says)
