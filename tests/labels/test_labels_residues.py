"""Concepts of a hand-made chain; correlations against NumPy's over residues one by one."""

import numpy as np
import pytest
import torch

from neuronlab.labels import reading
from neuronlab.labels.residues import CONCEPTS, concepts, correlations, labels
from neuronlab.proteins.secondary import three_states

LETTERS = [*"ACDEFGHIKLMNPQRSTVWY"]
DRAW = np.random.default_rng(3)
# The longest is cut by the model of 64 residues.
SEQUENCES = ["".join(DRAW.choice(LETTERS, n)) for n in (9, 31, 30, 1, 90, 64)]
MARKS = [DRAW.random((len(sequence), 3)) < [0.2, 0.5, 2.0] for sequence in SEQUENCES]


@pytest.fixture(scope="module")
def model(tiny):
    return tiny("esm", "masked")


def test_the_concepts_of_a_hand_made_chain():
    # Helices of 3, 6 and 8 residues (with DSSP's G and I); strands of 3, 5, 2 and 1.
    rows = """
    DSSP          HHH TSC HHHHHH CC GHHHHHHI T EEE - EEEEE CC EE S B
    helix         111 ... 111111 .. 11111111 . ... . ..... .. .. . .
    helix start   ... ... 111... .. 111..... . ... . ..... .. .. . .
    helix end     ... ... ...111 .. .....111 . ... . ..... .. .. . .
    strand        ... ... ...... .. ........ . 111 . 11111 .. 11 . 1
    strand start  ... ... ...... .. ........ . 11. . 11... .. .. . .
    strand end    ... ... ...... .. ........ . .11 . ...11 .. .. . .
    coil          ... 111 ...... 11 ........ 1 ... 1 ..... 11 .. 1 .
    """
    drawn = {line[4:18].strip(): line[18:].replace(" ", "") for line in rows.split("\n")[1:-1]}
    table = concepts(three_states(drawn.pop("DSSP")))
    assert list(drawn) == list(CONCEPTS)
    for column, expected in zip(table.T, drawn.values(), strict=True):
        assert "".join(np.where(column, "1", ".")) == expected
    assert (table[:, [0, 3, 6]].sum(1) == 1).all()
    assert concepts("").shape == (0, len(CONCEPTS))


@pytest.mark.parametrize("tokens", [40, 4096])
def test_correlations_are_numpys_over_all_residues(model, oracle, monkeypatch, tokens):
    monkeypatch.setattr(reading, "_TOKENS_PER_BATCH", tokens)
    room, vocabulary = model.max_tokens - 2, model.tokenizer.get_vocab()
    r = correlations(model, SEQUENCES, MARKS, ("ffn", "query"))
    marks = np.concatenate([of[:room] for of in MARKS])
    assert len(marks) < sum(map(len, MARKS))
    for component, of in r.items():
        assert of.shape == (3, model.layers, model.sizes[component])
        assert np.isnan(of[2]).all()  # the mark that all residues bear
        for layer in range(model.layers):
            every = []
            for sequence in SEQUENCES:
                tokens_ = ["<cls>", *sequence[:room], "<eos>"]
                ids = torch.tensor([[vocabulary[token] for token in tokens_]])
                every.append(oracle.neurons(model.hf, ids, layer, component)[0, 1:-1].numpy())
            both = np.concatenate([*every]), marks[:, :2].astype(float)
            expected = np.corrcoef(*both, rowvar=False)[: of.shape[2], of.shape[2] :]
            assert of[:2, layer] == pytest.approx(expected.T, abs=1e-5)
    assert np.abs(r["ffn"][:2]).max() > 0.1  # so that the comparison is about something


def test_a_neuron_that_never_varies_has_no_correlation_and_no_label(model, twin):
    model = twin(model)
    with torch.no_grad():
        model.hf.esm.encoder.layer[1].intermediate.dense.weight[4] = 0
    r = correlations(model, SEQUENCES, MARKS, ("ffn",))["ffn"]
    assert np.isnan(r[:2, 1, 4]).all()
    assert np.isfinite(np.delete(r[0].ravel(), model.sizes["ffn"] + 4)).all()
    r = np.concatenate([r] * 3)[: len(CONCEPTS)]
    row = labels({"ffn": r}, {"ffn": r}).query("layer == 1 and neuron == 4").iloc[0]
    assert (row["label"], row["concept"]) == ("", "")
    assert np.isnan([row["explained"], row["correlation"]]).all()


def test_the_label_is_the_concept_that_is_followed_most_either_way():
    shape = (len(CONCEPTS), 2, 5)
    explained = {c: DRAW.uniform(-1, 1, shape) for c in ("ffn", "key")}
    judged = {c: DRAW.uniform(-1, 1, shape) for c in explained}
    explained["key"][CONCEPTS.index("coil")] = np.nan  # no residue was in this state
    table = labels(explained, judged)
    assert len(table) == 20
    assert table["label"].str.startswith("not ").nunique() == 2
    for row in table.itertuples():
        of = dict(zip(CONCEPTS, explained[row.component][:, row.layer, row.neuron], strict=True))
        best = max(CONCEPTS, key=lambda concept: abs(np.nan_to_num(of[concept])))
        assert row.concept == best
        assert row.label == (best if of[best] > 0 else f"not {best}")
        assert row.explained == abs(of[best])
        elsewhere = judged[row.component][CONCEPTS.index(best), row.layer, row.neuron]
        assert row.correlation == (elsewhere if of[best] > 0 else -elsewhere)
