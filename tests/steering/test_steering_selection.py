"""Which neurons steer: finite differences, numpy's correlations, and sums by hand."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

import neuronlab as nl
from neuronlab.labels.exemplars import pooled
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.neurons import NeuronScores
from neuronlab.proteins.features import PROPERTIES, per_residue, substitution_effects
from neuronlab.steering import selection
from neuronlab.steering.selection import by_effect, by_protein, by_residue, together

START = "MKTAYIAKQRGSLEDWVVFHCN"
FREE = (2, 3, 4, 9, 10, 11, 12, 19, 20)
WHERE = ("ffn", "query", "key", "value", "attention", "residual")
DRAW = np.random.default_rng(5)
SEQUENCES = [
    "".join(DRAW.choice([*AMINO_ACIDS], length)) for length in (8, 14, 14, 20, 31, 9, 12, 25)
]


def gains(*names, free=FREE):
    return [substitution_effects(START, PROPERTIES[name].compute, free) for name in names]


def expected_property(model, gain, free, masked, seed, add=None):
    """The sum over hidden residues of p(x) gain(x), one hidden group after the other.

    ``add``: (layer, component, neuron, amount, tokens).
    """
    order = np.random.default_rng(seed).permutation(len(free))
    size = max(1, round(masked * len(free)))
    total = 0.0
    ids = [model.tokenizer.get_vocab()[x] for x in AMINO_ACIDS]

    def change(neurons):
        changed = neurons.clone()
        changed[:, add[4], add[2]] += add[3]
        return changed

    edits = {} if add is None else {(add[0], add[1]): change}
    for first in range(0, len(free), size):
        tokens = torch.tensor([model.residue_ids(START)])
        hidden = order[first : first + size]
        for i in hidden:
            tokens[0, free[i] + 1] = model.tokenizer.mask_token_id
        with torch.no_grad(), model.edit(edits):
            logits = model.hf(input_ids=tokens).logits[0]
        for i in hidden:
            p = logits[free[i] + 1, ids].softmax(-1).numpy()
            total += float(p @ gain[i])
    return total


@pytest.mark.long
@pytest.mark.parametrize("positions", [None, (3, 4, 10)])
@pytest.mark.parametrize(("masked", "seed"), [(0.1, 0), (0.35, 3), (1.0, 0)])
def test_effect_is_the_slope_of_the_expected_property(
    residues_model, twin, masked, seed, positions
):
    """Central differences with a constant added to one neuron at a time.

    In float64, though transformers rotates ESM's queries and keys in float32.
    """
    model = twin(residues_model, torch.float64)
    (gain,) = gains("gravy")
    (slopes,) = by_effect(
        model, START, [gain], FREE, WHERE, positions=positions, masked=masked, seed=seed
    )
    tokens = slice(None) if positions is None else list(positions)
    draw = np.random.default_rng(1)
    for component in WHERE:
        assert slopes[component].shape == (3, model.sizes[component])
        largest = float(np.abs(slopes[component]).max())
        for _ in range(2):
            layer, neuron = int(draw.integers(3)), int(draw.integers(model.sizes[component]))
            ends = [
                expected_property(
                    model, gain, FREE, masked, seed, (layer, component, neuron, amount, tokens)
                )
                for amount in (1e-2, -1e-2)
            ]
            slope = (ends[0] - ends[1]) / 2e-2
            assert slopes[component][layer, neuron] == pytest.approx(
                slope, rel=2e-3, abs=2e-4 * largest + 1e-9
            )
    # What is added to the keys of all tokens alike is not seen by a softmax.
    assert all(np.abs(slopes[c]).max() > 1e-3 for c in WHERE if c != "key" or positions)


def test_several_goals_are_those_of_single_ones(residues_model):
    both = gains("gravy", "charge")
    of_goals = by_effect(residues_model, START, both, FREE, ("ffn", "value"))
    assert len(of_goals) == 2
    for gain, of_goal in zip(both, of_goals, strict=True):
        (alone,) = by_effect(residues_model, START, [gain], FREE, ("ffn", "value"))
        for c in ("ffn", "value"):
            assert of_goal[c] == pytest.approx(alone[c], rel=1e-4, abs=1e-7)
    assert np.corrcoef(of_goals[0]["ffn"].ravel(), of_goals[1]["ffn"].ravel())[0, 1] < 0.99


def test_effect_is_linear_in_the_gains_and_zero_without(residues_model):
    (gain,) = gains("gravy")
    first, twice, none = by_effect(
        residues_model, START, [gain, -2 * gain, 0 * gain], FREE, ("ffn",)
    )
    assert twice["ffn"] == pytest.approx(-2 * first["ffn"], rel=1e-4, abs=1e-8)
    assert not none["ffn"].any()
    # Whatever is said, the shares of the 20 sum to 1.
    (level,) = by_effect(residues_model, START, [np.ones_like(gain)], FREE, ("ffn",))
    assert np.abs(level["ffn"]).max() < 1e-4 * np.abs(first["ffn"]).max() + 1e-6


def test_adding_to_the_best_neurons_moves_the_expected_property(residues_model):
    (gain,) = gains("gravy")
    (slopes,) = by_effect(residues_model, START, [gain], FREE, ("ffn",))
    before = expected_property(residues_model, gain, FREE, 0.1, 0)
    for sign in (1, -1):
        best = NeuronScores({"ffn": sign * slopes["ffn"]}).top(3)
        for row in best.itertuples():
            add = (row.layer, "ffn", row.neuron, 0.05, slice(None))
            after = expected_property(residues_model, gain, FREE, 0.1, 0, add)
            assert sign * (after - before) > 0


def test_batches_of_rows_change_no_effect(residues_model, monkeypatch):
    whole = by_effect(residues_model, START, gains("gravy", "charge"), FREE, ("ffn", "key"))
    for room in (1, 60):
        monkeypatch.setattr(selection, "_TOKENS_PER_BATCH", room)
        parts = by_effect(residues_model, START, gains("gravy", "charge"), FREE, ("ffn", "key"))
        for one, other in zip(whole, parts, strict=True):
            for c in one:
                assert other[c] == pytest.approx(one[c], rel=1e-3, abs=1e-6)


def test_effect_is_the_same_again_and_leaves_nothing(residues_model, hooks_of, sentence, tiny):
    hooks = hooks_of(residues_model)
    first, again = (by_effect(residues_model, START, gains("gravy"), FREE, ("ffn",)) for _ in "ab")
    assert np.array_equal(first[0]["ffn"], again[0]["ffn"])
    (other,) = by_effect(residues_model, START, gains("gravy"), FREE, ("ffn",), seed=9)
    assert not np.array_equal(first[0]["ffn"], other["ffn"])
    with pytest.raises((IndexError, RuntimeError)):
        by_effect(residues_model, START, gains("gravy"), FREE, ("ffn",), positions=(99,))
    assert hooks_of(residues_model) == hooks
    assert not any(p.requires_grad for p in residues_model.hf.parameters())
    assert torch.is_grad_enabled()
    for model in (tiny("esm", "classifier"), tiny("bert", "masked")):
        sentence(by_effect, model, START, gains("gravy"), FREE, ("ffn",), says="masked protein")


# --- Correlations --------------------------------------------------------------------------------


def test_by_protein_is_numpys_correlation():
    draw = np.random.default_rng(2)
    values = draw.normal(size=40)
    seen = {
        "ffn": torch.tensor(draw.normal(size=(40, 2, 5)) + values[:, None, None]).float(),
        "key": torch.tensor(1e3 + draw.normal(size=(40, 2, 3))).float(),
    }
    correlations = by_protein(seen, values)
    for c, rows in seen.items():
        for place in np.ndindex(*rows.shape[1:]):
            expected = np.corrcoef(rows[:, *place].numpy(), values)[0, 1]
            assert correlations[c][place] == pytest.approx(expected, abs=1e-6)
    shifted = by_protein(seen, -3 * values + 1e3)
    assert shifted["ffn"] == pytest.approx(-correlations["ffn"], abs=1e-6)


@pytest.mark.parametrize("level", [0.0, 0.1, 1234.567, -3e4])
def test_what_never_changes_correlates_with_nothing(level):
    draw = np.random.default_rng(2)
    values = draw.normal(size=37)
    seen = {"ffn": torch.full((37, 1, 2), level)}
    seen["ffn"][:, 0, 1] = torch.from_numpy(values)
    correlations = by_protein(seen, values)["ffn"][0]
    assert correlations == pytest.approx([0, 1], abs=1e-3)
    assert np.abs(by_protein(seen, np.full(37, 0.1))["ffn"]).max() < 1e-3


def own_residues(model, sequences, components):
    """Neurons at every residue of all proteins: one row each."""
    rows = {(layer, c): [] for layer in range(3) for c in components}
    for sequence in sequences:
        encoded = model.encode(nl.Prompt(sequence, mask=0))
        ids = torch.tensor([model.residue_ids(sequence)])
        seen = model.read(replace(encoded, input_ids=ids), components)
        for at, neurons in seen.items():
            rows[at].append(neurons[0, 1:-1].double().numpy())
    return {at: np.concatenate(neurons) for at, neurons in rows.items()}


def test_by_residue_is_numpys_correlation(residues_model, hooks_of):
    components, heard, hooks = ("ffn", "residual", "query"), [], hooks_of(residues_model)
    correlations = by_residue(
        residues_model, SEQUENCES, lambda s: per_residue("gravy", s), components, heard.append
    )
    seen = own_residues(residues_model, SEQUENCES, components)
    y = np.concatenate([per_residue("gravy", s) for s in SEQUENCES])
    for (layer, c), rows in seen.items():
        expected = [np.corrcoef(column, y)[0, 1] for column in rows.T]
        assert correlations[c][layer] == pytest.approx(np.array(expected), abs=1e-5)
    assert heard == pytest.approx(np.arange(1, 9) / 8)
    assert hooks_of(residues_model) == hooks


def test_residues_without_a_contribution_are_left_out(residues_model):
    """X has no mass; as a residue of mass 0 it would decide every correlation."""
    sequences = [s[:4] + "XX" + s[4:] for s in SEQUENCES]
    correlations = by_residue(
        residues_model, sequences, lambda s: per_residue("molecular_weight", s), ("ffn",)
    )
    seen = own_residues(residues_model, sequences, ("ffn",))
    y = np.concatenate([per_residue("molecular_weight", s) for s in sequences])
    kept = np.isfinite(y)
    assert 0 < kept.sum() < len(kept)
    for layer in range(3):
        expected = [np.corrcoef(x[kept], y[kept])[0, 1] for x in seen[layer, "ffn"].T]
        assert correlations["ffn"][layer] == pytest.approx(np.array(expected), abs=1e-5)


@pytest.mark.parametrize("level", [0.0, 0.1, 1234.567])
def test_a_neuron_that_never_changes_is_nothing_by_residue(residues_model, level):
    """Its variance is all rounding."""

    def flat(neurons):
        changed = neurons.clone()
        changed[..., 7] = level
        return changed

    with residues_model.edit({(1, "ffn"): flat}):
        correlations = by_residue(
            residues_model, SEQUENCES, lambda s: per_residue("gravy", s), ("ffn",)
        )
    assert correlations["ffn"][1, 7] == 0
    constant = by_residue(residues_model, SEQUENCES, lambda s: np.full(len(s), 0.1), ("ffn",))
    assert not constant["ffn"].any()


def test_pooled_residues_by_protein(residues_model):
    """Both ways from sequences to correlations agree with numpy on the mean over residues."""
    values = np.array([PROPERTIES["gravy"].compute(s) for s in SEQUENCES])
    correlations = by_protein(pooled(residues_model, SEQUENCES, ("ffn",), "mean"), values)
    means = np.array(
        [
            [own_residues(residues_model, [s], ("ffn",))[layer, "ffn"].mean(0) for layer in (0, 1)]
            for s in SEQUENCES
        ]
    )
    for place in ((0, 0), (0, 47), (1, 13)):
        expected = np.corrcoef(means[:, *place], values)[0, 1]
        assert correlations["ffn"][place] == pytest.approx(expected, abs=1e-4)


# --- Several goals -------------------------------------------------------------------------------


def scores(seed, scale=1.0):
    draw = np.random.default_rng(seed)
    return NeuronScores(
        {c: (scale * draw.normal(size=(2, 4))).astype(np.float32) for c in ("ffn", "key")}
    )


def test_together_is_the_sum_of_standard_scores():
    first, second = scores(1), scores(2, scale=1e4)
    total = together([first, second], [1, -1])
    sizes = [
        np.sqrt(np.mean([float(x) ** 2 for c in ("ffn", "key") for x in one[c].ravel()]))
        for one in (first, second)
    ]
    for c in ("ffn", "key"):
        assert total[c] == pytest.approx(first[c] / sizes[0] - second[c] / sizes[1], rel=1e-5)
        assert total[c].dtype == np.float32
    # The unit of a goal does not matter.
    again = together([scores(1, 7.0), scores(2)], [1, -1])
    assert again["key"] == pytest.approx(total["key"], rel=1e-4, abs=1e-6)


def test_one_goal_keeps_its_order_and_down_turns_it_round():
    up, down = together([scores(3)], [1]), together([scores(3)], [-1])
    assert up.top(8)["neuron"].tolist() == scores(3).top(8)["neuron"].tolist()
    assert down["ffn"] == pytest.approx(-up["ffn"])
    assert all(a <= b for a, b in pairwise(up.top(16)["score"].tolist()[::-1]))


def test_no_effect_at_all_is_no_reason_to_fail():
    none = NeuronScores({"ffn": np.zeros((2, 3), np.float32)})
    assert not together([none], [1])["ffn"].any()
    assert selection.together([none, none], [1, -1])["ffn"].shape == (2, 3)
