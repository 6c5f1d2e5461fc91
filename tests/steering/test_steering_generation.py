"""Generation: what may change and what may not, and every draw by hand."""

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

import neuronlab as nl
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.neurons import NeuronSet
from neuronlab.steering import generation
from neuronlab.steering.generation import generate, letters_of, residue_logits

START = "MKTAYIAKQRGSLEDWVVFHCN"
FREE = (3, 4, 5, 9, 10, 11, 12, 19, 20)
SOME = NeuronSet([(0, "ffn", 1), (0, "ffn", 40), (1, "ffn", 5), (2, "ffn", 9), (1, "value", 4)])
PUSH = nl.Affine(SOME, a=3.0, b=4.0)
HERE = nl.Affine(SOME, tuple(i + 1 for i in FREE), a=2.0, b=3.0)
MODES = ("masked", "full", "best")


def run(model, interventions, **changes):
    settings = {"chains": range(len(interventions)), "free": FREE, "steps": 6, "seed": 1}
    return generate(model, START, interventions, **settings | changes)


@torch.no_grad()
@pytest.mark.parametrize("change", [None, PUSH])
def test_products_in_bfloat16_are_the_model_of_nearly_the_same_probabilities(
    residues_model, change, monkeypatch
):
    drawn = {}
    for precision in ("float32", "bfloat16"):
        seen = drawn[precision] = []

        def kept(*given, seen=seen):
            seen.append(residue_logits(*given))
            return seen[-1]

        monkeypatch.setattr(generation, "residue_logits", kept)
        ((_, last),) = run(residues_model, [change], steps=1, precision=precision)
        assert all(last[i] == START[i] for i in range(len(START)) if i not in FREE)
    exact, coarse = (drawn[name][0].float().softmax(-1) for name in drawn)
    assert 0 < (exact - coarse).abs().max() < 0.02
    assert run(residues_model, [change]) == run(residues_model, [change], precision="float32")


def by_hand(model, oracle, change, chain, mode, *, steps=6, masked=0.1, temperature=1.0, seed=1):
    """One chain alone, with plain hooks and the unmodified transformers model."""
    draw = np.random.default_rng([seed, chain])
    ids, mask = model.tokenizer.get_vocab(), model.tokenizer.mask_token_id
    sequence, sequences = START, [START]
    for _ in range(steps):
        hidden = [*FREE]
        if mode == "masked":
            hidden = draw.permutation(FREE)[: max(1, round(masked * len(FREE)))].tolist()
        noise = draw.gumbel(size=(len(hidden), 20))
        given = START if mode == "best" else sequence
        tokens = [ids[x] for x in given]
        if mode == "masked":
            tokens = [mask if i in hidden else token for i, token in enumerate(tokens)]
        first, last = model.residue_ids(START)[0], model.residue_ids(START)[-1]
        logits = hooked_logits(model, oracle, torch.tensor([[first, *tokens, last]]), change)
        letters = [*given]
        for place, gumbel in zip(hidden, noise, strict=True):
            scores = [float(logits[0, place + 1, ids[x]]) / temperature for x in AMINO_ACIDS]
            letters[place] = AMINO_ACIDS[int(np.argmax(np.array(scores) + gumbel))]
        sequence = "".join(letters)
        sequences.append(sequence)
    return sequences


def hooked_logits(model, oracle, tokens, change):
    """The model's logits with the neurons of one intervention changed by plain hooks."""
    contexts = []
    if change is not None:
        where = slice(None) if change.positions == "all" else list(change.positions)
        for (layer, component), indices in change.neurons.by_place().items():

            def function(neurons, indices=indices):
                changed = neurons.clone()
                for i in indices:
                    changed[:, where, i] = change.a * neurons[:, where, i] + change.b
                return changed

            contexts.append(oracle.hooked(model.hf, layer, component, function))
    for context in contexts:
        context.__enter__()
    try:
        with torch.no_grad():
            return model.hf(input_ids=tokens).logits
    finally:
        for context in contexts:
            context.__exit__(None, None, None)


# --- What never happens --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_length_protected_residues_and_alphabet_are_kept(residues_model, mode):
    chains = run(residues_model, [None, PUSH, HERE], mode=mode, masked=0.4, temperature=5.0)
    assert [len(chain) for chain in chains] == [7, 7, 7]
    for chain in chains:
        assert chain[0] == START
        for sequence in chain:
            assert len(sequence) == len(START)
            assert set(sequence) <= set(AMINO_ACIDS)
            assert all(sequence[i] == START[i] for i in range(len(START)) if i not in FREE)
    assert len({sequence for chain in chains for sequence in chain}) > 10


def test_special_and_rare_tokens_are_not_drawn_where_they_are_likeliest(
    residues_model, monkeypatch
):
    model = residues_model
    usual = model.logits
    letters = set(letters_of(model).tolist())
    others = [i for i in range(model.vocabulary) if i not in letters]
    assert {"X", "[MASK]" if "[MASK]" in model.tokenizer.get_vocab() else "<mask>"} <= {
        model.token(i) for i in others
    }

    def logits(hidden):
        raised = usual(hidden).clone()
        raised[:, others] += 1e4
        return raised

    monkeypatch.setattr(model, "logits", logits)
    for mode in MODES:
        for chain in run(model, [None, PUSH], mode=mode, masked=1.0):
            assert set("".join(chain)) <= set(AMINO_ACIDS)


def test_a_residue_that_is_none_of_the_20_stays_where_it_is_protected(residues_model):
    start = "MKXAYIABQR"
    (chain,) = generate(residues_model, start, [None], chains=[0], free=(0, 1, 3, 4), steps=5)
    assert all(sequence[2] == "X" and sequence[7] == "B" for sequence in chain)
    assert len(set(chain)) > 1


def test_free_residues_do_change(residues_model):
    chains = run(residues_model, [None] * 4, steps=30, masked=0.3, temperature=3.0)
    changed = {i for chain in chains for s in chain for i in range(len(s)) if s[i] != START[i]}
    assert changed == set(FREE)


@pytest.mark.parametrize("masked", [0.01, 0.2, 0.5, 1.0])
def test_a_step_draws_the_share_of_the_free_residues(residues_model, masked, monkeypatch):
    seen = []

    def logits(model, tokens, at, interventions):
        hidden = tokens == model.tokenizer.mask_token_id
        seen.append(at)
        assert torch.equal(hidden, torch.zeros_like(hidden).scatter(1, at, True))
        return residue_logits(model, tokens, at, interventions)

    monkeypatch.setattr(generation, "residue_logits", logits)
    run(residues_model, [None, None], masked=masked, steps=3)
    count = max(1, round(masked * len(FREE)))
    assert [at.shape for at in seen] == [(2, count)] * 3
    places = {tuple(sorted(row)) for at in seen for row in at.tolist()}
    assert all(len(set(row)) == count and {i - 1 for i in row} <= set(FREE) for row in places)
    assert len(places) > 1 or count == len(FREE)


# --- Every draw ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_chains_are_those_of_a_plain_loop(residues_model, oracle, mode, temperature):
    changes = [None, PUSH, HERE]
    settings = {"mode": mode, "masked": 0.3, "temperature": temperature}
    sequences = run(residues_model, changes, chains=[4, 0, 4], **settings)
    for sequence, change, chain in zip(sequences, changes, [4, 0, 4], strict=True):
        assert sequence == by_hand(residues_model, oracle, change, chain, **settings)
    assert sequences[0] != sequences[2]


def test_residues_are_drawn_as_likely_as_the_model_says(residues_model, oracle):
    """Many chains of one step on one hidden residue, against the softmax at a temperature."""
    model, place, temperature = residues_model, 6, 2.5
    chains = 1500
    sampled = generate(
        model,
        START,
        [None] * chains,
        chains=range(chains),
        free=[place],
        steps=1,
        temperature=temperature,
    )
    tokens = torch.tensor([model.residue_ids(START)])
    tokens[0, place + 1] = model.tokenizer.mask_token_id
    logits = hooked_logits(model, oracle, tokens, None)[0, place + 1].double()
    ids = [model.tokenizer.get_vocab()[x] for x in AMINO_ACIDS]
    expected = (logits[ids] / temperature).softmax(0).numpy() * chains
    drawn = [chain[1][place] for chain in sampled]
    observed = np.array([drawn.count(x) for x in AMINO_ACIDS])
    common = expected >= 5
    assert common.sum() >= 4
    observed = np.append(observed[common], observed[~common].sum())
    expected = np.append(expected[common], expected[~common].sum())
    assert chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-3


def test_a_low_temperature_takes_the_likeliest(residues_model, oracle):
    model = residues_model
    chains = generate(
        model, START, [None] * 3, chains=range(3), free=[6], steps=1, temperature=1e-4
    )
    tokens = torch.tensor([model.residue_ids(START)])
    tokens[0, 7] = model.tokenizer.mask_token_id
    logits = hooked_logits(model, oracle, tokens, None)[0, 7]
    ids = [model.tokenizer.get_vocab()[x] for x in AMINO_ACIDS]
    best = AMINO_ACIDS[int(logits[ids].argmax())]
    assert {chain[1][6] for chain in chains} == {best}


def test_best_keeps_what_is_preferred_so_far(residues_model):
    def prefer(sequence):
        return sequence.count("L") - sequence.count("G") + 0.01 * sequence.count("A")

    settings = {"mode": "best", "steps": 12, "temperature": 4.0}
    every = run(residues_model, [None, PUSH], **settings)
    kept = run(residues_model, [None, PUSH], prefer=prefer, **settings)
    for drawn, best in zip(every, kept, strict=True):
        assert best[0] == START
        for step in range(1, 13):
            assert prefer(best[step]) == max(map(prefer, drawn[1 : step + 1]))
            assert best[step] in drawn[1 : step + 1]
    assert max(len(set(best)) for best in kept) > 2  # something better did come


# --- Chains, seeds and batches -------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_chain_is_the_same_alone_and_among_others(residues_model, mode):
    changes = [None, PUSH, HERE, None, nl.Suppress(SOME)]
    chains = [3, 3, 7, 0, 1]
    together = run(residues_model, changes, chains=chains, mode=mode, masked=0.3)
    for among, change, chain in zip(together, changes, chains, strict=True):
        assert run(residues_model, [change], chains=[chain], mode=mode, masked=0.3) == [among]


@pytest.mark.long
def test_batches_change_nothing(residues_model, monkeypatch):
    changes = [None, PUSH, HERE, None, nl.Suppress(SOME), None, PUSH]
    whole = run(residues_model, changes, masked=0.3)
    for room in (1, 50, 10_000):
        monkeypatch.setattr(generation, "TOKENS", room)
        assert run(residues_model, changes, masked=0.3) == whole


def test_equal_rows_are_equal_and_chains_differ(residues_model):
    changes = [None, PUSH, None, PUSH, None, nl.Affine(SOME), nl.Affine(NeuronSet(), a=5.0)]
    chains = run(residues_model, changes, chains=[2, 2, 2, 2, 5, 2, 2], masked=0.4, steps=10)
    assert chains[0] == chains[2] == chains[5] == chains[6]
    assert chains[1] == chains[3]
    assert chains[0] != chains[1]
    assert chains[0] != chains[4]


def test_seeds(residues_model):
    first, again, other = (run(residues_model, [None, PUSH], seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]
    torch.manual_seed(5)
    np.random.seed(5)
    assert run(residues_model, [None, PUSH], seed=1) == first


def test_the_order_of_the_free_residues_does_not_matter(residues_model):
    whole = run(residues_model, [PUSH], masked=0.4)
    assert run(residues_model, [PUSH], masked=0.4, free=[*FREE[::-1], 3, 3]) == whole


def test_more_steps_go_on_where_fewer_end(residues_model):
    assert run(residues_model, [PUSH], steps=9)[0][:4] == run(residues_model, [PUSH], steps=3)[0]


def test_logits_of_rows_are_those_of_single_rows(residues_model, oracle):
    model = residues_model
    tokens = torch.tensor([model.residue_ids(s) for s in (START, START[::-1], START)])
    at = torch.tensor([[1, 5], [2, 22], [7, 3]])
    changes = [PUSH, None, HERE]
    logits = residue_logits(model, tokens, at, changes)
    assert logits.shape == (3, 2, model.vocabulary)
    assert not logits.requires_grad
    for row, change in enumerate(changes):
        expected = hooked_logits(model, oracle, tokens[row : row + 1], change)[0, at[row]]
        torch.testing.assert_close(logits[row], expected, rtol=1e-4, atol=1e-4)


# --- Progress, leaks and what is refused ---------------------------------------------------------


def test_progress_and_an_exception_on_the_way(residues_model, hooks_of, oracle, is_free):
    heard, hooks = [], hooks_of(residues_model)
    run(residues_model, [PUSH], steps=4, progress=heard.append)
    assert heard == [0.25, 0.5, 0.75, 1.0]
    before = hooked_logits(
        residues_model, oracle, torch.tensor([residues_model.residue_ids(START)]), None
    )

    def stop(fraction):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(residues_model, [PUSH], progress=stop)
    with pytest.raises(nl.UserError):
        run(residues_model, [PUSH, nl.Suppress(NeuronSet([(7, "ffn", 0)]))])
    assert hooks_of(residues_model) == hooks
    after = hooked_logits(
        residues_model, oracle, torch.tensor([residues_model.residue_ids(START)]), None
    )
    assert torch.equal(before, after)
    assert is_free(residues_model)


def test_only_masked_protein_models_fill_in_residues(tiny, sentence):
    for model in (
        tiny("esm", "classifier"),
        tiny("bert", "masked"),
        tiny("llama"),
        tiny("bert", "classifier"),
    ):
        sentence(letters_of, model, says=(model.title, "masked protein"))
        sentence(run, model, [None], says=model.title)


def test_what_does_not_fit_is_refused(residues_model, sentence):
    sentence(run, residues_model, [None], free=(), says="free")
    sentence(run, residues_model, [None], free=[len(START)], says="22 residues")
    sentence(run, residues_model, [None], free=[-1, 3], says="22 residues")
    settings = {"chains": [0], "free": [0], "steps": 1}
    sentence(generate, residues_model, "M1K", [None], **settings)
    sentence(generate, residues_model, "A" * 100, [None], **settings)
    sentence(generate, residues_model, "MKTOJ", [None], **settings)


def test_tokens_of_the_amino_acids(residues_model):
    vocabulary = residues_model.tokenizer.get_vocab()
    assert letters_of(residues_model).tolist() == [vocabulary[x] for x in AMINO_ACIDS]
