"""Facts as people upload them: LAMA, ParaRel, tables, zips, and everything that can be wrong."""

import io
import json
import zipfile

import pandas as pd
import pytest

from neuronlab import spreadsheets
from neuronlab.facts import MASK, MAX_BYTES, Fact, Facts, read_facts, readers
from neuronlab.facts.readers import MAX_MEMBERS


def lines(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def packed(members, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


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
        "Skipped: 2 rows without a prompt (no template, no pattern, no sentence with [MASK] once), "
        "1 prompt given twice."
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


def test_a_broken_line_of_a_folder_is_named(sentence):
    files = MLAMA | {"mlama1.1/zh/P36.jsonl": lines(mlama("法国", "巴黎", 3)) + b"{'a': 1}\n"}
    sentence(read_facts, files, says="Line 2 of P36.jsonl is no JSON object")


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
        ({"a.csv": b"word " * 1_000_000}, ["word …'", "prompt and answer"]),
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
        ({"P19.jsonl": VOCABULARY + b'{"sub_label": "A",\n'}, ["Line 3", "P19.jsonl", "object"]),
        ({"P19.jsonl": VOCABULARY + b"7\n"}, ["Line 3", "object"]),
        ({"P19.jsonl": b'{"a":' + b"[" * 100_000}, ["Line 1", "object"]),
        ({"P19.jsonl": VOCABULARY + b'{"obj_label": "\\ud800"}\n'}, ["Line 3", "object"]),
        ({"P19.jsonl": VOCABULARY + b'{"sub_label": "A"}\n'}, ["Line 3", "no answer", "remove"]),
        ({"P19.jsonl": VOCABULARY + b'{"obj_label": 7}\n'}, ["Line 3", "no answer"]),
        ({"P19.jsonl": VOCABULARY}, ["no usable fact", "relations.jsonl", "pattern"]),
        ({"P19.jsonl": lines(trex("A", "B", "no"))}, ["no usable fact", MASK, "upload"]),
        ({"P19.jsonl": lines(trex("A", "B", "[MASK]."))}, ["no usable fact"]),
        ({"relations.jsonl": RELATIONS}, ["templates", "no subjects", "upload"]),
        ({"P19.jsonl": PATTERNS}, ["P19", "no subjects", "vocabulary", ".zip"]),
        ({"P19.jsonl": PATTERNS, "P20.jsonl": VOCABULARY}, ["P19", "vocabulary"]),
        ({"P19.jsonl": PATTERNS + b'{"pattern": "[X] lives"}'}, ["Line 4", "[X] and [Y]"]),
        ({"r.jsonl": b'{"relation": "P1", "template": ""}'}, ["Line 1", "template", "correct"]),
        ({"a.zip": packed({"a.md": "# Title", "b/": ""})}, ["no facts", "give"]),
        ({"a.zip": packed({})}, ["no facts", "give"]),
        ({"a.zip": packed({"P19.jsonl": VOCABULARY + b"{"})}, ["Line 3", "P19.jsonl"]),
        ({"a.zip": b"no zip at all"}, ["a.zip", "unpacked", "zip the files again"]),
        ({"a.zip": packed({"P19.jsonl": VOCABULARY})[:60]}, ["a.zip", "unpacked"]),
        ({"a.zip": packed({"a": HEAD}, zipfile.ZIP_LZMA)}, ["a.zip", "zip the files again"]),
        (
            {"a.zip": packed(dict.fromkeys(map(str, range(MAX_MEMBERS + 1)), ""))},
            ["1,001", "1,000"],
        ),
        ({"a.zip": packed({"a": bytes(MAX_BYTES + 1)})}, ["a.zip", "unpacked", "20 MB", "keep"]),
        (
            {f"{i}.zip": packed({"a": bytes(MAX_BYTES // 2 + 1)}) for i in range(2)},
            ["1.zip", "unpacked", "20 MB"],
        ),
        ({"a.csv": bytes(MAX_BYTES + 1)}, ["upload", "20 MB", "keep"]),
        ({"a.csv": bytes(MAX_BYTES // 2), "b.csv": bytes(MAX_BYTES // 2 + 1)}, ["20 MB"]),
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
    monkeypatch.setattr(readers, "MAX_FACTS", 10)


def test_the_most_facts_are_allowed_and_one_more_is_not(sentence, few):
    rows = [b"prompt %d is,x\n" % number for number in range(11)]
    assert len(read_facts({"a.csv": HEAD + b"".join(rows[:-1])}).facts) == 10
    says = ["The file has 11 facts and 10 is the most:", "keep"]
    sentence(read_facts, {"a.csv": HEAD + b"".join(rows)}, says=says)
    files = {"a.csv": HEAD + b"".join(rows[:-1]), "b.csv": HEAD + rows[-1]}
    sentence(read_facts, files, says="The files have 11 facts")


def test_rows_times_patterns_are_counted_and_not_made(sentence, monkeypatch):
    def made(*args):
        raise AssertionError("a prompt was made")

    monkeypatch.setattr(readers, "_prompt", made)
    patterns = lines({"pattern": "[X] is in [Y]."}) * 2_000
    rows = lines({"sub_label": "A", "obj_label": "B"}) * 2_000
    files = {"all.zip": packed({"a/P1.jsonl": patterns, "b/P1.jsonl": rows})}
    sentence(read_facts, files, says="The file has 4,000,000 facts and 100,000 is the most")
