"""No head is judged by a protein that it, or a relative of it, was trained on."""

import numpy as np
import pytest
from Bio.Align import PairwiseAligner, substitution_matrices

from neuronlab.heads.parts import held_out
from neuronlab.studies.fine_tune import default_spec

WORD = 4


@pytest.fixture(scope="module")
def parts():
    return held_out()


def names(proteins):
    return {protein.name for protein in proteins}


def test_the_parts_are_those_of_the_study_that_tunes(parts):
    proteins, sides = default_spec().parts()
    for part in ("validation", "test"):
        assert names(parts[part]) == {proteins[i].name for i in getattr(sides, part)}
    assert names(parts["train"]) < {proteins[i].name for i in sides.train}
    assert names(held_out(0)["train"]) == {proteins[i].name for i in sides.train}
    assert not names(parts["train"]) & names(parts["test"])
    assert not names(parts["validation"]) & names(parts["test"])


@pytest.mark.long
def test_no_training_chain_aligns_with_a_held_out_one(parts):
    """By another program than the one that made the table; the pairs with most words in common."""
    aligner = PairwiseAligner(mode="local", open_gap_score=-11, extend_gap_score=-1)
    aligner.substitution_matrix = substitution_matrices.load("BLOSUM62")
    train = [protein.sequence for protein in parts["train"]]
    having = {}
    for i, sequence in enumerate(train):
        for word in {sequence[k : k + WORD] for k in range(len(sequence) - WORD + 1)}:
            having.setdefault(word, []).append(i)
    pairs = []
    for protein in parts["test"]:
        common = np.zeros(len(train), int)
        for k in range(len(protein.sequence) - WORD + 1):
            for i in having.get(protein.sequence[k : k + WORD], ()):
                common[i] += 1
        best = int(common.argmax())
        pairs.append((common[best], protein.sequence, train[best]))
    pairs.sort(reverse=True)
    for _, one, other in pairs[:60]:
        alignment = aligner.align(one, other)[0]
        columns = alignment.indices.T[(alignment.indices >= 0).all(0)]
        same = np.mean([one[i] == other[j] for i, j in columns])
        # Short pieces agree by chance, and those of one letter say nothing.
        assert same < 0.4 or len(columns) < 60, (one, other)
