"""Pooled activations against plain hooks, and extremes against a full sort."""

import numpy as np
import pytest
import torch

from neuronlab.labels import exemplars, reading
from neuronlab.labels.exemplars import Exemplars, pooled

SEQUENCES = ["MKTAYIAKQR", "G", "LLVVMKCHYNQPTWGSLEDWAAK", "WO", "MKTAYIAKQK", "GSLEDWAAKXB"]


@pytest.fixture(scope="module")
def model(tiny):
    return tiny("esm", "masked")


def by_hook(model, sequence, layer, component, oracle):
    """One protein alone through transformers' own model: (token, neuron), special tokens too."""
    vocabulary = model.tokenizer.get_vocab()
    letters = ["<cls>", *sequence, "<eos>"]
    ids = torch.tensor([[vocabulary[letter] for letter in letters]])
    if component in ("query", "key", "value", "ffn"):
        return oracle.neurons(model.hf, ids, layer, component)[0].numpy()
    seen = []
    block = model.hf.esm.encoder.layer[layer]
    if component == "residual":
        handle = block.register_forward_hook(
            lambda m, args, out: seen.append(out[0] if isinstance(out, tuple) else out)
        )
    else:
        handle = block.attention.output.dense.register_forward_pre_hook(
            lambda m, args: seen.append(args[0])
        )
    try:
        with torch.no_grad():
            model.hf(input_ids=ids)
    finally:
        handle.remove()
    return seen[0].reshape(len(letters), -1).numpy()


POOL = {
    "mean": lambda own: own[1:-1].mean(0),
    "max": lambda own: own[1:-1].max(0),
    "cls": lambda own: own[0],
}


@pytest.mark.long
@pytest.mark.parametrize("pooling", POOL)
@pytest.mark.parametrize("tokens", [1, 30, 4096])
def test_batches_are_as_one_protein_alone(model, oracle, monkeypatch, pooling, tokens):
    monkeypatch.setattr(reading, "_TOKENS_PER_BATCH", tokens)
    found = pooled(model, SEQUENCES, tuple(model.sizes), pooling)
    assert set(found) == set(model.sizes)
    for component, own in found.items():
        assert own.shape == (len(SEQUENCES), 3, model.sizes[component])
        assert own.dtype == torch.float32
        for row, sequence in enumerate(SEQUENCES):
            for layer in range(3):
                expected = POOL[pooling](by_hook(model, sequence, layer, component, oracle))
                assert own[row, layer].numpy() == pytest.approx(expected, rel=1e-4, abs=2e-5)


def test_a_real_antibody_model_pads_as_it_should(antiberty):
    sequences = ["EVQLVESGGGLVQ", "DIQMTQSPSSLSASVGDRVTITCRASQDVNTAVAWYQQK", "QVQLQ"]
    for pooling in POOL:
        together = pooled(antiberty, sequences, ("ffn", "residual"), pooling)
        for row, sequence in enumerate(sequences):
            alone = pooled(antiberty, [sequence], ("ffn", "residual"), pooling)
            for c in alone:
                assert torch.allclose(together[c][row], alone[c][0], rtol=1e-3, atol=1e-4)


def test_poolings_differ(model):
    mean, most, first = (pooled(model, SEQUENCES, ("ffn",), p)["ffn"] for p in POOL)
    assert (most >= mean - 1e-6).all()
    assert (most - mean)[0].max() > 1e-3  # ten residues
    assert torch.allclose(most[1], mean[1], atol=1e-6)  # one residue
    assert (first - mean).abs().max() > 1e-3


def test_what_is_too_long_is_cut(model):
    draw = np.random.default_rng(0)
    long = "".join(draw.choice([*"ACDEFGHIKLMNPQRSTVWY"], 200))
    room = model.max_tokens - 2
    found = pooled(model, [long, long[:room], long[: room - 1]], ("value",), "mean")["value"]
    assert torch.allclose(found[0], found[1], atol=1e-6)
    assert (found[0] - found[2]).abs().max() > 1e-4


def test_no_proteins_have_no_activations(model):
    assert pooled(model, [], ("ffn",), "mean")["ffn"].shape == (0, 3, model.sizes["ffn"])


def test_progress_rises_and_may_end_the_work(model, monkeypatch, hooks_of, sentence):
    monkeypatch.setattr(reading, "_TOKENS_PER_BATCH", 30)
    hooks, heard = hooks_of(model), []
    pooled(model, SEQUENCES, ("ffn",), "mean", heard.append)
    assert heard == sorted(heard)
    assert len(heard) > 2
    assert heard[-1] == 1.0

    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pooled(model, SEQUENCES, ("ffn",), "mean", stop)
    sentence(pooled, model, ["MKT", "MJ"], ("ffn",), "mean", says="'J'")
    assert hooks_of(model) == hooks


def test_an_exception_in_the_model_leaves_no_hooks(model, hooks_of, monkeypatch):
    hooks = hooks_of(model)

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr(exemplars, "_pool", fail)
    with pytest.raises(MemoryError):
        pooled(model, SEQUENCES, ("ffn", "residual"), "mean")
    assert hooks_of(model) == hooks


# --- Extremes ------------------------------------------------------------------------------------

DRAW = np.random.default_rng(5)
# Many ties, and both signs.
VALUES = DRAW.integers(-6, 7, (101, 2, 5)).astype(np.float32)
VALUES[:, 1] += DRAW.normal(size=(101, 5)).astype(np.float32)


def sorted_fully(values, keep, highest):
    """Activations and proteins at one end, first come first served."""
    order = np.argsort(-values if highest else values, axis=0, kind="stable")[:keep]
    return np.moveaxis(np.take_along_axis(values, order, 0), 0, -1), np.moveaxis(order, 0, -1)


def collected(values, cuts, keep, start=0):
    found = Exemplars(keep)
    for part in np.split(np.arange(len(values)), cuts):
        if len(part):
            found.add((part + start).tolist(), torch.from_numpy(values[part]))
    return found


def same(one, other):
    for name in ("top", "top_at", "bottom", "bottom_at"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    assert one.proteins == other.proteins
    assert one.total == pytest.approx(other.total)
    assert one.square == pytest.approx(other.square)


@pytest.mark.parametrize("keep", [1, 7, 30, 101, 200])
@pytest.mark.parametrize("cuts", [[], [1], [3, 50, 51], list(range(1, 101))])
def test_the_extremes_are_those_of_a_full_sort(keep, cuts):
    found = collected(VALUES, cuts, keep)
    for highest, values, at in (
        (True, found.top, found.top_at),
        (False, found.bottom, found.bottom_at),
    ):
        expected, places = sorted_fully(VALUES, keep, highest)
        assert np.array_equal(values, expected)
        assert np.array_equal(at, places)
    assert found.proteins == 101
    assert found.mean == pytest.approx(VALUES.mean(0), abs=1e-6)
    assert found.sd == pytest.approx(VALUES.std(0), rel=1e-5)


@pytest.mark.parametrize("cuts", [[40], [2, 100], [30, 60, 90]])
def test_parts_join_to_the_whole(cuts):
    joined = Exemplars(30)
    for part in np.split(np.arange(101), cuts):
        arrays = collected(VALUES[part], [], 30, int(part[0])).arrays("key")
        joined.join(Exemplars.of(arrays, "key", 30, len(part)))
    same(joined, collected(VALUES, [], 30))


def test_what_is_kept_does_not_grow():
    found, sizes = Exemplars(4), []
    for start in range(0, 100, 10):
        found.add(list(range(start, start + 10)), torch.from_numpy(VALUES[start : start + 10]))
        sizes.append(sum(own.nbytes for own in found.arrays("ffn").values()))
    assert len(set(sizes)) == 1


def test_a_neuron_that_never_changes_has_no_spread():
    found = collected(np.full((50, 1, 3), 7.3, np.float32), [20], 5)
    assert found.sd == pytest.approx(np.zeros((1, 3)), abs=1e-6)
    assert found.top_at.tolist() == [[[0, 1, 2, 3, 4]] * 3] == found.bottom_at.tolist()
