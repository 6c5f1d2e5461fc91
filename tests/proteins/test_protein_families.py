"""Families of proteins against sets of words, pair by pair."""

import numpy as np
import pytest

from neuronlab.proteins import families
from neuronlab.proteins.annotated import AnnotatedProtein
from neuronlab.proteins.labelled import LABELLED

LETTERS = [*"ACDEFGHIKLMNPQRSTVWY"]


def mutants(seed=0, ancestors=12, rates=(0.0, 0.04, 0.1, 0.15)):
    """Sequences at several distances from some ancestors, and from each other; some cut short."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(ancestors):
        ancestor = draw.choice(LETTERS, draw.integers(20, 60))
        for rate in rates:
            own = np.where(draw.random(len(ancestor)) < rate, draw.choice(LETTERS), ancestor)
            found.append("".join(own[: draw.integers(12, 61)]))
    return found


def words(sequence):
    return {sequence[i : i + 6] for i in range(max(1, len(sequence) - 5))}


def share(one, other):
    one, other = words(one), words(other)
    return len(one & other) / min(len(one), len(other))


def linked(sequences):
    """Single linkage by spreading a protein's number to its relatives until nothing changes."""
    number = list(range(len(sequences)))
    while True:
        before = list(number)
        for i, one in enumerate(sequences):
            for j, other in enumerate(sequences):
                if share(one, other) >= 0.5:
                    number[i] = number[j] = min(number[i], number[j])
        if number == before:
            return number


def same(one, other):
    return (np.equal.outer(one, one) == np.equal.outer(other, other)).all()


# Short ones, repeats, and residues of no name.
ODD = ["MKT", "MKT", "MKV", "A" * 30, "A" * 9, "MKTAYI" * 4, "X*MKTAYIJ", "M"]


@pytest.mark.parametrize("rows", [256, 5])
def test_families_are_those_of_single_linkage(monkeypatch, rows):
    monkeypatch.setattr(families, "_ROWS", rows)
    families.families.cache_clear()
    sequences = [*mutants(), *ODD]
    found = families.families(tuple(sequences))
    expected = linked(sequences)
    assert same(found, expected)
    assert 12 < len(set(expected)) < len(sequences) - 12
    assert sorted(set(found)) == list(range(len(set(expected))))


@pytest.mark.parametrize("others", [20_000, 7])
def test_the_nearest_is_the_nearest_of_all_others(monkeypatch, others):
    monkeypatch.setattr(families, "_OTHERS", others)
    sequences = [*mutants(1), *ODD]
    there = np.random.default_rng(0).random(len(sequences)) < 0.7
    found = families.nearest(sequences, there)
    assert np.isnan(found[there]).all()
    for i in np.flatnonzero(~there):
        shares = [share(sequences[i], sequences[j]) for j in np.flatnonzero(there)]
        assert found[i] == pytest.approx(max(shares))
    assert (found >= 0.5).any()
    assert (found < 0.5).any()
    assert np.isnan(families.nearest(sequences, np.ones(len(sequences), bool))).all()
    assert (families.nearest(sequences, np.zeros(len(sequences), bool)) == 0).all()


def test_no_protein_has_a_relative_in_another_family():
    sequences = mutants(2)
    found = families.families(tuple(sequences))
    for number in set(found):
        assert np.nanmax(families.nearest(sequences, found != number)) < 0.5


def proteins(names, *annotations):
    return [
        AnnotatedProtein(name, "M" * i, tuple(words))
        for i, (name, words) in enumerate(
            zip(names, annotations or [()] * len(names), strict=True), start=1
        )
    ]


def test_alleles_of_a_gene_and_proteins_of_one_name_are_a_group():
    names = ["IGHV1-18*01 human", "IGHV1-18*03 mouse", "IGHV1-2*01 human", "P12345", "P12345", "P1"]
    assert same(families.groups(proteins(names), "alleles"), [0, 0, 1, 2, 2, 3])


def test_species_are_groups_and_those_that_share_a_protein_are_one():
    own = proteins(
        "abcdef",
        ["species: man", "family: x"],
        ["family: x", "organism: yeast"],
        ["species: man"],
        ["species: rat", "species: mouse"],
        ["species: mouse"],
        ["species: cow"],
    )
    assert same(families.groups(own, "species"), [0, 1, 0, 2, 2, 3])


def test_species_that_are_not_told_are_one_sentence(sentence):
    own = proteins("abc", ["species: man"], ["family: x"], [])
    sentence(families.groups, own, "species", says=["2 of the corpus's 3", "families"])


def test_too_large_a_corpus_is_one_sentence(sentence, monkeypatch):
    monkeypatch.setattr(families, "MOST", 100)
    families.families.cache_clear()
    own = [AnnotatedProtein(f"p{i}", s) for i, s in enumerate(mutants())]
    sentence(families.groups, own, "families", says=["residues", "alleles"])
    assert families.groups(own, "alleles").max() == len(own) - 1


def test_relatives_are_those_of_either_column():
    def names(proteins):
        return {protein.name for protein in proteins}

    proteins = LABELLED["pdb_enzyme"].proteins
    some = [protein for protein in proteins if protein.name in ("1A6M_A", "1MBA_A", "3QM9_A")]
    assert names(families.unrelated(some, {"1A6M_A"}, 0.3)) == {"1A6M_A"}
    assert names(families.unrelated(some, {"1A6M_A"}, 0.4)) == {"1A6M_A", "1MBA_A"}
    assert "1A6M_A" not in names(families.unrelated(some, {"1MBA_A"}, 0.3))
    assert names(families.unrelated(some, set(), 0.3)) == names(some)
