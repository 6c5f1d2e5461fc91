"""Proteins with classes: the built-in sets, files as people upload them, and the split."""

import random
import time
from collections import Counter, defaultdict

import numpy as np
import pandas as pd
import pytest

from neuronlab import spreadsheets
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins.labelled import (
    LABELLED,
    MAX_BYTES,
    MAX_CLASSES,
    MAX_LENGTH,
    MAX_PROTEINS,
    LabelledProtein,
    Uploaded,
    read_labelled,
    split,
)

# --- Built-in sets -------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "count"), [("pdb_enzyme", 3000), ("swissprot_enzyme", 4272)])
def test_a_built_in_set_is_sound(name, count):
    given = LABELLED[name]
    assert given.name == name
    assert given.title
    assert given.what.endswith(".")
    assert given.terms.endswith(".")
    assert f"{count:,}" in given.what
    assert given.labels == ("not an enzyme", "enzyme")
    proteins = given.proteins
    assert Counter(each.label for each in proteins) == {0: count // 2, 1: count // 2}
    assert len({each.name for each in proteins}) == count
    assert len({each.sequence for each in proteins}) == count
    assert set("".join(each.sequence for each in proteins)) == set(AMINO_ACIDS)
    assert max(len(each.sequence) for each in proteins) <= MAX_LENGTH
    assert given.proteins is proteins


def test_chains_of_the_pdb_have_their_secondary_structure():
    proteins = LABELLED["pdb_enzyme"].proteins
    assert proteins[0].name == "1A59_A"
    assert all(len(each.secondary) == len(each.sequence) for each in proteins)
    assert set("".join(each.secondary for each in proteins)) == set("HGIEBTSC")
    # Myoglobin: no enzyme, and three quarters of it helix.
    (myoglobin,) = [each for each in proteins if each.name == "1A6M_A"]
    assert myoglobin.label == 0
    assert myoglobin.sequence.startswith("VLSEGEWQLVLHVWAKVEAD")
    assert 0.7 < myoglobin.secondary.count("H") / len(myoglobin.sequence) < 0.85


def test_whole_proteins_have_none():
    proteins = LABELLED["swissprot_enzyme"].proteins
    assert {each.secondary for each in proteins} == {""}
    labels = {each.name: each.label for each in proteins}
    assert (labels["RS15_METTP"], labels["AROB_FRATN"]) == (0, 1)


# --- Tables --------------------------------------------------------------------------------------

HEAD = b"sequence,label\n"


def read(data, name="a.csv", letters=AMINO_ACIDS):
    return read_labelled(name, data, letters)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_from_any_system(delimiter, start, end):
    rows = [
        (" Label", "id", "Name ", '"SEQUENCE"'),
        ("toxic", "7", "first  one", "mkt ay"),
        ("", "", "", ""),
        (" not toxic ", "8", "", '"GIGAV"'),
    ]
    table = start + end.join(delimiter.join(row) for row in rows)
    assert read(table.encode()) == Uploaded(
        [LabelledProtein("first one", "MKTAY", 1), LabelledProtein("protein 2", "GIGAV", 0)],
        ("not toxic", "toxic"),
    )


def test_columns_that_are_not_read_may_be_several():
    given = read(b"sequence,label,note,note,,\nM,1,a,b,,\nK,0,a,b,,\n")
    assert given.labels == ("0", "1")


def test_an_exported_table_comes_back_without_its_apostrophes():
    table = pd.DataFrame({"name": ["=a", "b"], "sequence": ["MKT", "GIG"], "label": ["+", "-"]})
    data = spreadsheets.csv(table).encode()
    assert b"'=a,MKT,'+" in data
    assert read(data) == Uploaded(
        [LabelledProtein("=a", "MKT", 0), LabelledProtein("b", "GIG", 1)], ("+", "-")
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["yes", "no", "maybe"], ("maybe", "no", "yes")),
        (["10", "9", "-1", "2.5"], ("-1", "2.5", "9", "10")),
        (["10", "9", "x"], ("10", "9", "x")),
        (["10", "9", "nan"], ("10", "9", "nan")),
        (["1.10", "1.1"], ("1.1", "1.10")),
        (["1.0", "2.5"], ("1.0", "2.5")),
        (["β", "b", "B"], ("B", "b", "β")),
    ],
)
def test_labels_are_sorted_and_numbers_by_value(labels, expected):
    rows = [f"{'A' * n},{label}\n" for n, label in enumerate(labels, start=1)]
    given = read(HEAD + "".join(rows).encode())
    assert given.labels == expected
    assert [given.labels[each.label] for each in given.proteins] == labels


def test_spellings_of_a_label_are_one_class():
    rows = ["MKT,1.0", "GIG, 1", "AYI,1.00", "KKK,0.0", "AAA,not  known", "CCC,not known "]
    given = read(HEAD + "\n".join(rows).encode())
    assert given.labels == ("0.0", "1", "not known")
    assert [each.label for each in given.proteins] == [1, 1, 1, 0, 2, 2]
    fasta = read(b">P1 label=1.0\nMKT\n>P2|1\nGIG\n>P3| 2.\nAYI\n", "a.fasta")
    assert fasta.labels == ("1", "2.")


def test_spellings_of_a_label_do_not_contradict_one_another(sentence):
    given = read(HEAD + b"MKT,1\nMKT,1.0\nGIG,0\n")
    assert [each.sequence for each in given.proteins] == ["MKT", "GIG"]
    assert "contradictory" not in given.note
    sentence(read, HEAD + b"MKT,1\nGIG,1.0\n", says=["All proteins", "'1'", "second class"])


def test_what_cannot_be_used_is_counted_in_one_sentence():
    rows = [
        "MKT,a",
        "MXT,b",
        "M*K,b",
        "A" * (MAX_LENGTH + 1) + ",b",
        "C" * MAX_LENGTH + ",b",
        "MKT,a",
        "mkt,a",
        "GIG,a",
        "GIG,b",
        "GIG,a",
    ]
    given = read(HEAD + "\n".join(rows).encode())
    assert [each.sequence for each in given.proteins] == ["MKT", "C" * MAX_LENGTH]
    assert [each.label for each in given.proteins] == [0, 1]
    assert given.note == (
        "Skipped proteins: 2 with residues that the model does not know, such as 'X'; "
        "1 of more than 1,022 residues; 3 whose sequence has contradictory labels; "
        "2 whose sequence was given before."
    )


def test_a_model_may_know_more_or_fewer_letters():
    table = HEAD + b"MXT,1\nMKT,0\nMAT,1\n"
    assert len(read(table, letters=set("MXTKA")).proteins) == 3
    assert "such as 'K'" in read(HEAD + b"MK,1\nM,0\nMM,1\n", letters=["M"]).note
    assert "such as 'U+0000'" in read(HEAD + b"M\x00,1\nM,0\nMM,1\n").note


def test_a_class_that_only_skipped_proteins_have_is_no_class():
    given = read(HEAD + b"X,0\nA,1\nC,2\n")
    assert given.labels == ("1", "2")
    assert [each.label for each in given.proteins] == [0, 1]


# --- FASTA ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "name", "label"),
    [
        ("P1 label=enzyme", "P1", "enzyme"),
        ("P1 Label=not an enzyme", "P1", "not an enzyme"),
        ("P1|label=7|more", "P1", "7"),
        ("P1 some words label=7 OS=Homo sapiens", "P1 some words", "7"),
        ("P1 [label=two words] [gene=abc]", "P1", "two words"),
        ("P1; label=7; source=x", "P1", "7"),
        ("P1\tlabel=7\tmore", "P1", "7"),
        ("label=7", "protein 1", "7"),
        ("P1|enzyme", "P1", "enzyme"),
        ("sp|P1|AMY_HUMAN | not an enzyme ", "sp|P1|AMY_HUMAN", "not an enzyme"),
        ("|1", "protein 1", "1"),
        ("a|b label=c", "a|b", "c"),
        ("mylabel=a|b", "mylabel=a", "b"),
    ],
)
def test_the_label_in_a_header(header, name, label):
    given = read(f">{header}\nmkt\nA Y\n>Q label=other\nGIG\n".encode(), "a.fasta")
    first = given.proteins[0]
    assert (first.name, first.sequence) == (name, "MKTAY")
    assert given.labels[first.label] == label
    assert set(given.labels) == {label, "other"}


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("start", ["", "\ufeff", "\n\n"])
def test_fasta_from_any_system(start, end):
    text = start + end.join([">P1|1", "MKT", "AYI", "", ">P2|0", "GIG"])
    assert read(text.encode(), "a.txt") == Uploaded(
        [LabelledProtein("P1", "MKTAYI", 1), LabelledProtein("P2", "GIG", 0)], ("0", "1")
    )


def test_a_stop_at_the_end_is_no_residue_and_other_letters_are_none():
    fasta = read(b">P1|1\nmkt\nayi*\n>P2|0\nGIG *\n>P3|0\nM*K\n", "a.fasta")
    table = read(HEAD + b"mkt ayi*,1\nGIG*,0\nM*K,0\n")
    for given in (fasta, table):
        assert [each.sequence for each in given.proteins] == ["MKTAYI", "GIG"]
        assert "1 with residues that the model does not know, such as '*'" in given.note
    for letter in "ßſıﬁ":
        for data in (
            f">P1|1\nMKT\n>P2|0\nGIG\n>P3|0\nM{letter}K",
            f"Sequence,Label\nMKT,1\nGIG,0\nM{letter}K,0",
        ):
            assert f"1 with residues that the model does not know, such as '{letter}'" in (
                read(data.encode()).note
            )


# --- Mistakes ------------------------------------------------------------------------------------

MANY = b"".join(b"%s,%d\n" % (b"A" * n, n) for n in range(1, MAX_CLASSES + 2))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", ["a.csv", "empty", "upload"]),
        (b"\xef\xbb\xbf \r\n", ["a.csv", "empty"]),
        ("sequence,label\nM,é".encode("latin-1"), ["a.csv", "plain text", "UTF-8"]),
        ("sequence,label\nM,y".encode("utf-16"), ["plain text"]),
        (b"\x1f\x8b\x08\x00\xff", ["plain text", "unpack it"]),
        (HEAD, ["a.csv", "no protein", "add"]),
        (b"sequence,class\nM,1\n", ["'sequence, class'", "sequence and label", "name"]),
        (b"name;label\nM;1\n", ["'name, label'", "sequence and label"]),
        (b"MKTAYIAKQR\n", ["'mktayiakqr'", "sequence and label", "FASTA"]),
        (b"word " * 1_000_000, ["word…'", "sequence and label"]),
        (b'{"sequence": "M"}', ["sequence and label"]),
        (b"Sequence,label,sequence\nM,1,K\n", ["a.csv has 2 columns 'sequence'", "remove"]),
        (b"label;sequence;LABEL;label\n1;M;2;3\n", ["3 columns 'label'", "other names"]),
        (b"name,name,sequence,label\na,b,M,1\n", ["2 columns 'name'"]),
        (HEAD + b"M,1\n\n,1\n", ["Row 4 of a.csv", "no sequence", "remove"]),
        (HEAD + b"M,1\nK, \n", ["Row 3 of a.csv", "no label", "remove"]),
        (HEAD + b"M\n", ["Row 2", "no label"]),
        (HEAD + b"M,not, an enzyme\n", ["Row 2", "3 cells", "quotation marks"]),
        (HEAD + b'M,1\n"open,1\nM,2\n', ["Row 3", "cannot be read", "quotation marks"]),
        (HEAD + b'"M" K,1\n', ["Row 2", "cannot be read", "double"]),
        (HEAD + b"M,1\nK,1\n", ["All proteins", "'1'", "second class"]),
        (HEAD + b"M,1\nX,0\n", ["All", "'1'", "1 with residues", "'X'", "second class"]),
        (HEAD + b"X,1\nXX,0\n", ["no protein", "2 with residues", "'X'", "add"]),
        (HEAD + b"M,1\nM,0\n", ["no protein", "2 whose", "contradictory"]),
        (HEAD + MANY, ["21 different labels", "20 is the most", "label=", "give"]),
        (b">P1\nMKT\n", ["Entry 1 of a.csv", "no label", "label=", "'|'"]),
        (b">P1|1\nMKT\n>P2|\nGIG\n", ["Entry 2", "no label"]),
        (b">P1 label=\nMKT\n", ["Entry 1", "no label"]),
        (b">P1|1\n>P2|0\nGIG\n", ["Entry 1", "no sequence", "remove"]),
        (b">P1|1\nMKT\n>P2|1\nGIG\n", ["All proteins", "'1'"]),
        (b">P1|1\n>", ["Entry 1", "no sequence"]),
        (b"A" * (MAX_BYTES + 1), ["a.csv", "50 MB", "upload a part"]),
    ],
)
def test_one_sentence_for_every_mistake(sentence, data, says):
    sentence(read, data, says=says)


def test_a_sentence_is_short_and_shows_no_path(sentence):
    sentence(read, b"", "../../etc/a\nb.csv", says="a b.csv is empty")
    sentence(read, b"", "C:\\proteins\\" + "x" * 1000, says="xxx… is empty")
    sentence(read, b"", "", says="The file is empty")
    sentence(read, HEAD + b"M," + b"y" * 1000, says="yyy…'")


# --- Limits --------------------------------------------------------------------------------------


@pytest.mark.long
def test_the_limits_themselves_are_allowed(sentence, without_type_checks):
    digits = str.maketrans("0123456789", AMINO_ACIDS[:10])
    rows = [f"{n:0100}".translate(digits) + f",{n % 2}\n" for n in range(MAX_PROTEINS)]
    table = HEAD + "".join(rows).encode()
    start = time.perf_counter()
    assert len(read(table).proteins) == MAX_PROTEINS
    assert time.perf_counter() - start < 10
    sentence(read, table + b"MKT,1\n", says=["more than 100,000 proteins", "upload a part"])
    given = read(HEAD + MANY[: MANY.rindex(b"A" * (MAX_CLASSES + 1))])
    assert given.labels == tuple(str(n) for n in range(1, MAX_CLASSES + 1))


def test_the_most_bytes_are_allowed():
    row = b"%s,%d\n"
    table = HEAD + row % (b"M", 0) + row % (b"K", 1)
    blank = b" " * 99_999 + b"\n"
    table += blank * ((MAX_BYTES - len(table)) // len(blank))
    assert len(read(table.ljust(MAX_BYTES)).proteins) == 2


# --- Split ---------------------------------------------------------------------------------------


def proteins_of(*counts, copies=0, seed=0):
    """So many different sequences of each class, of which some occur again, in random order."""
    draw = random.Random(seed)
    found = {}
    for label, count in enumerate(counts):
        while sum(each == label for each in found.values()) < count:
            found["".join(draw.choices(AMINO_ACIDS, k=12))] = label
    pairs = list(found.items())
    pairs += draw.choices(pairs, k=copies)
    draw.shuffle(pairs)
    return [LabelledProtein(str(i), *pair) for i, pair in enumerate(pairs)]


def sides(given):
    return given.train, given.validation, given.test


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("copies", [0, 150])
@pytest.mark.parametrize(("test", "validation"), [(0.2, 0.1), (0.5, 0.4), (0.01, 0.98)])
def test_every_protein_once_and_no_sequence_on_two_sides(seed, copies, test, validation):
    proteins = proteins_of(3, 57, 200, copies=copies, seed=seed)
    given = split(proteins, test=test, validation=validation, seed=seed)
    assert sorted(np.concatenate(sides(given))) == list(range(len(proteins)))
    on = [{proteins[i].sequence for i in side} for side in sides(given)]
    assert sum(map(len, on)) == len(set.union(*on))
    for label, count in enumerate((3, 57, 200)):
        # Every side has every class, in its share as far as whole sequences allow.
        own = {each.sequence for each in proteins if each.label == label}
        train, validating, testing = (len(own & each) for each in on)
        assert min(train, validating, testing) >= 1
        assert train + validating + testing == count
        assert abs(testing - test * count) <= 1
        assert abs(validating - validation * count) <= 2
    for side in sides(given):
        assert side.dtype.kind == "i"
        assert (np.diff(side) > 0).all()


def test_copies_are_counted_and_stay_together():
    proteins = proteins_of(10, 10)
    assert split(proteins).duplicates == 0
    copied = [*proteins, proteins[0], proteins[0], proteins[5]]
    given = split(copied)
    assert given.duplicates == 5
    for side in sides(given):
        assert len({0, 20, 21} & set(side)) in (0, 3)
        assert len({5, 22} & set(side)) in (0, 2)


def test_copies_with_another_label_stay_together_too():
    proteins = proteins_of(20, 20)
    flipped = [LabelledProtein("", each.sequence, 1 - each.label) for each in proteins]
    given = split([*proteins, *flipped])
    assert given.duplicates == 80
    for side in sides(given):
        first, second = side[side < 40], side[side >= 40]
        assert list(first + 40) == list(second)


def test_the_seed_decides_and_nothing_else():
    proteins = proteins_of(40, 60, copies=9)
    one, same, other = (split(proteins, seed=seed) for seed in (1, 1, 2))
    for a, b in zip(sides(one), sides(same), strict=True):
        np.testing.assert_array_equal(a, b)
    assert any(list(a) != list(b) for a, b in zip(sides(one), sides(other), strict=True))


def test_every_protein_can_come_to_every_side():
    proteins = proteins_of(5, 5)
    seen = defaultdict(Counter)
    for seed in range(300):
        for name, side in zip("abc", sides(split(proteins, seed=seed)), strict=True):
            seen[name].update(side.tolist())
    for name, share in (("a", 3 / 5), ("b", 1 / 5), ("c", 1 / 5)):
        # Five standard deviations of a binomial count.
        spread = 5 * (300 * share * (1 - share)) ** 0.5
        assert all(abs(seen[name][i] - 300 * share) < spread for i in range(10))


def test_the_default_shares_of_a_built_in_set():
    proteins = LABELLED["pdb_enzyme"].proteins
    given = split(proteins)
    assert [len(side) for side in sides(given)] == [2100, 300, 600]
    for side in sides(given):
        assert np.mean([proteins[i].label for i in side]) == 0.5
    assert given.duplicates == 0


def test_what_cannot_be_split(sentence):
    sentence(split, [], says=["no proteins", "choose"])
    small = proteins_of(9, 2, 9)
    sentence(split, small, says=["Class 1", "2 different sequences", "add"])
    says = ["Class 'kinase'", "2 different sequences", "leave it out"]
    sentence(split, small, labels=("a", "kinase", "c"), says=says)
    copies = [LabelledProtein("", "MKT", 1)] * 9
    sentence(split, [*proteins_of(9), *copies], says=["Class 1", "only 1 different sequence:"])
    nan = float("nan")
    for test, validation in ((0.0, 0.1), (0.2, 0.0), (0.6, 0.4), (-0.1, 0.5), (nan, 0.1)):
        sentence(split, small, test=test, validation=validation, says=["shares", "choose"])
