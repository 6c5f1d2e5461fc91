"""Sequences as people upload them."""

import pytest

from neuronlab.proteins.sequences import MAX_FASTA_BYTES, MAX_FASTA_ENTRIES, Protein, read_fasta


def test_fasta_entries_keep_name_order_and_sequence():
    data = b">one first protein\nMKT\nAYI\n\n>two\nGIG\n"
    assert read_fasta(data) == [Protein("one first protein", "MKTAYI"), Protein("two", "GIG")]


def test_fasta_from_any_system():
    expected = [Protein("one", "MKT"), Protein("two", "GIG")]
    assert read_fasta(b">one\r\nMKT\r\n>two\r\nGIG\r\n") == expected
    assert read_fasta(b">one\rMKT\r\r>two\rGIG\r") == expected
    assert read_fasta(b" >one\n MK T\n  >two\n\tGIG\n") == expected
    assert read_fasta(b"\xef\xbb\xbf>one\nMKT\n>two\nGIG") == expected
    assert read_fasta(b"\n\n>one\nMKT\n>two\nGIG") == expected


def test_fasta_without_names_or_with_empty_entries():
    proteins = read_fasta(b">\nMKT\n>empty\n>\nGIG\n")
    assert [p.sequence for p in proteins] == ["MKT", "GIG"]
    assert all(p.name for p in proteins)
    assert len({p.name for p in proteins}) == 2


def test_a_stop_at_the_end_of_an_entry_is_no_residue():
    data = b">one\nmkt\nayi*\n>two\nGI*G\n*\n>three\n*\n"
    assert read_fasta(data) == [Protein("one", "MKTAYI"), Protein("two", "GI*G")]


def test_other_letters_stay_what_they_are():
    # "ß" is two letters in upper case, both of which are residues.
    assert read_fasta(">one\nmkßa\n".encode()) == [Protein("one", "MKßA")]


def test_fasta_names_may_hold_any_letters():
    assert read_fasta(">Protéine α\nMKT\n".encode())[0].name == "Protéine α"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", ["no sequence", "needs"]),
        (b"  \n\n", ["no sequence", "needs"]),
        (b">only a title\n", ["no sequence", "needs"]),
        (b"MKTAYIAKQR\n", ["not FASTA", "'>'"]),
        (b"name,sequence\n1,MKT\n", ["not FASTA", "'>'"]),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", ["not plain text", "save"]),
        (b">one\nMKT\xff\n", ["not plain text", "save"]),
        (b">p\nMKT\n" * 10_000, [f"{MAX_FASTA_ENTRIES:,}", "upload a part"]),
        (b">p\n" + b"M" * MAX_FASTA_BYTES, ["2 MB", "upload a part"]),
    ],
)
def test_one_sentence_for_every_bad_file(sentence, data, says):
    sentence(read_fasta, data, says=says)


def test_the_limits_themselves_are_allowed():
    assert len(read_fasta(b">p\nMKT\n" * MAX_FASTA_ENTRIES)) == MAX_FASTA_ENTRIES
    head = b">p\n"
    assert len(read_fasta(head + b"M" * (MAX_FASTA_BYTES - len(head)))) == 1


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x85", "\u2028", "\u2029", "\x0b"])
def test_every_end_of_a_line_ends_one(end):
    found = read_fasta(f">a{end}MKTA{end}>b{end}MKK{end}".encode())
    assert [(each.name, each.sequence) for each in found] == [("a", "MKTA"), ("b", "MKK")]
