"""Sequences as people type and paste them."""

import pytest

from neuronlab.models.residues import AMINO_ACIDS, RESIDUES, besides, clean_sequence, doubt


@pytest.mark.parametrize("text", ["MKTAY", "mktay", " M K T\nA Y ", "\tmk\r\ntay\u00a0"])
def test_case_and_white_space_do_not_matter(text):
    assert clean_sequence(text) == "MKTAY"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_of_fasta_with_one_protein_the_first_line_is_left_out(end):
    assert clean_sequence(end.join(["", ">sp|P01501|MEL > bee", "GIG", "av", ""])) == "GIGAV"


def test_all_twenty_amino_acids_and_only_those():
    assert clean_sequence(AMINO_ACIDS) == AMINO_ACIDS
    assert len(set(AMINO_ACIDS)) == 20
    assert not set("BJOUXZ") & set(AMINO_ACIDS)


def test_a_model_may_know_more_letters():
    assert clean_sequence("MXK", letters="MKX") == "MXK"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", ["empty", "paste"]),
        ("  \n", ["empty", "paste"]),
        ("MK1", ["Character 3", "'1'", "digit", "remove"]),
        ("1 MKTAYIAKQR", ["Character 1", "digit"]),
        ("MKJ", ["Character 3", "'J'", AMINO_ACIDS]),
        ("MKX", ["'X'"]),
        ("M-K", ["Character 2", "gap", "remove"]),
        ("M.K", ["gap"]),
        ("MK*", ["stop", "remove"]),
        (">sp|P01501 GIGAV", ["FASTA", "lines below"]),
        (">sp|P01501\n", ["FASTA", "lines below"]),
        (">a\nGIGAV\n>b\nMK", ["several proteins", "one of them"]),
        ("MK<b>", ["Character 3"]),
        ("MK'; DROP", ["Character 3"]),
        ("MK\u03b1", ["Character 3"]),
        # One letter, and two or another one in upper case.
        ("mkßa", ["Character 3", "'ß'", AMINO_ACIDS]),
        ("mkﬁa", ["Character 3", "'ﬁ'"]),
        ("mkſa", ["Character 3", "'ſ'"]),
        ("mkıa", ["Character 3", "'ı'"]),
    ],
)
def test_one_sentence_says_what_is_wrong_and_where(sentence, text, says):
    sentence(clean_sequence, text, says=says)


@pytest.mark.parametrize(
    "sequence",
    ["ATGGTGAGCAAGGGCGAGGAG", "AUGGUGAGCAAGGGC", "ACGTNNACGTNNACGT", "GATTACAGATTACAGATTACA"],
)
def test_nucleotides_given_as_a_protein_are_doubted(sequence):
    assert set(sequence) <= set(AMINO_ACIDS + "U")  # nothing else could tell
    assert "translate it" in doubt([sequence])
    assert doubt([sequence]).startswith("This sequence has")
    assert doubt([sequence, "MKTAYIAKQR", sequence]).startswith("2 of the sequences have")


@pytest.mark.parametrize(
    "sequence",
    [
        "",
        "GATTACA",  # too short to tell
        "A" * 40,
        "GA" * 30,  # dipeptide repeats are proteins
        "NANANANANANANANANANA",
        "MKTAYIAKQRQISFVKSHFSRQ",
        "ACGTACGTACGTACGTACGTM",
        "GIGAVLKVLTTGLPALISWIKRKRQQ",
    ],
)
def test_proteins_are_not_doubted(sequence):
    assert doubt([sequence]) == ""


def test_letters_of_no_known_residue_are_named():
    words = besides("MQIFVXBXB")
    assert "none of the 20 amino acids: X (any), B (D or N). " in words
    assert set(RESIDUES) - set(AMINO_ACIDS) == {x for x in RESIDUES if besides(x)} == set("XBZUO")
    assert besides(AMINO_ACIDS) == besides("") == ""


def test_no_protein_that_comes_with_the_app_is_doubted():
    from neuronlab.proteins.labelled import LABELLED

    assert doubt([p.sequence for each in LABELLED.values() for p in each.proteins]) == ""
