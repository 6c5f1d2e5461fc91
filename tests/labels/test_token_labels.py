"""Labels of words: planted ones are found, chance is not, and judges correlate as numpy does."""

import numpy as np
import pytest
import torch
from scipy.stats import binom

from neuronlab.labels.contexts import counted, token_ids, words
from neuronlab.labels.token_labels import (
    FEW,
    NOTHING,
    Judge,
    TokenLabel,
    frequencies,
    judge,
    standing,
    token_labels,
)

VOCABULARY = ["of", "the", "dog", "cat", "capital"]
FREQUENCY = np.array([0.3, 0.4, 1e-4, 1e-4, 1e-4])
FREQUENCY = np.concatenate([FREQUENCY, np.full(1000, (1 - FREQUENCY.sum()) / 1000)])


def test_the_role_and_the_words_that_chance_explains_least_are_named():
    standing_there = {
        "at": np.array([[2, 3, 2, 3, 2], [1, 1, 0, 1, 0], [10, 11, 12, 13, 14]]),
        "before": np.array([[0, 1, 0, 1, 0], [0, 1, 0, 0, 1], [4, 20, 4, 21, 22]]),
        "after": np.array([[NOTHING] * 5, [1, 0, 0, 1, 1], [30, 31, 32, 33, NOTHING]]),
    }
    dogs, common, capital = token_labels(standing_there, FREQUENCY)
    assert (dogs.role, dogs.words) == ("at", (2, 3))
    assert dogs.p == pytest.approx(binom.sf(2, 5, 1e-4) * 3 * 1005)
    assert dogs.text(VOCABULARY) == "at “dog”, “cat”"
    assert common == TokenLabel()  # frequent words are there by chance
    assert common.text(VOCABULARY) == ""
    assert (capital.role, capital.words) == ("before", (4,))
    assert capital.text(VOCABULARY) == "right after “capital”"


def test_random_places_have_no_labels():
    draw = np.random.default_rng(0)
    size = (2_000, 5)
    there = {
        role: draw.choice(len(FREQUENCY), size, p=FREQUENCY) for role in ("at", "before", "after")
    }
    assert np.mean([bool(label.role) for label in token_labels(there, FREQUENCY)]) < 0.05


def test_words_of_nothing_but_spaces_are_seen():
    assert TokenLabel("after", (0,)).text([""]) == "right before “␣”"


def test_how_many_tokens_bear_a_word_by_role():
    ids, of_token = [[3, 1, 2], [1, 1]], np.array([9, 8, 7, 6])
    counts = frequencies(ids, of_token, slice(1, None))
    assert {role: dict(enumerate(of)) for role, of in counts.items()} == {
        "at": {w: {7: 1, 8: 2}.get(w, 0) for w in range(10)},
        "before": {w: {6: 1, 8: 2}.get(w, 0) for w in range(10)},
        "after": {w: {7: 1}.get(w, 0) for w in range(10)},
    }


def test_what_stands_before_and_after_a_token():
    ids, of_token = np.array([3, 1, 2]), np.array([9, 8, 7, 6])
    assert standing(ids, of_token, "at").tolist() == [6, 8, 7]
    assert standing(ids, of_token, "before").tolist() == [NOTHING, 6, 8]
    assert standing(ids, of_token, "after").tolist() == [8, 7, NOTHING]


def test_judges_correlate_as_numpy_does():
    draw = np.random.default_rng(1)
    active = draw.normal(size=(400, 3)).astype(np.float32)
    there = {role: draw.integers(0, 5, 400) for role in ("at", "before", "after")}
    there["before"][:7] = NOTHING
    labels = [TokenLabel("at", (2, 3)), TokenLabel("before", (0,)), TokenLabel()]
    active[there["before"] == 0, 1] += 2
    one = Judge([labels], 5)
    for rows in (slice(0, 150), slice(150, 400)):
        part = {role: of[rows] for role, of in there.items()}
        one.add(0, torch.from_numpy(active[rows]), part)
    bears = np.isin(there["at"], (2, 3)), there["before"] == 0
    for neuron, mark in enumerate(bears):
        expected = np.corrcoef(active[:, neuron], mark)[0, 1]
        assert one.correlation[0, neuron] == pytest.approx(expected, abs=1e-6)
        assert one.bearing[0, neuron] == mark.sum()
    assert one.correlation[0, 1] > 0.5
    assert np.isnan(one.correlation[0, 2])


def test_few_tokens_judge_nothing():
    one = Judge([[TokenLabel("at", (1,))]], 3)
    at = np.array([1] * (FEW - 1) + [0] * 20)
    one.add(0, torch.randn(len(at), 1), {"at": at})
    assert np.isnan(one.correlation).all()
    one.add(0, torch.randn(len(at), 1), {"at": at})
    assert np.isfinite(one.correlation).all()


@pytest.mark.parametrize("pair", [("llama", "causal"), ("bert", "masked")], ids="-".join)
def test_a_pass_over_texts_judges_counted_tokens_alone(pair, tiny, oracle):
    model = tiny(*pair)
    texts = [
        "the capital of France is Paris",
        "a dog is the dog of the fox",
        "the lazy dog jumps over the fox",
    ]
    ids = token_ids(model, texts)
    vocabulary, of_token = words(model)
    label = TokenLabel("before", (vocabulary.index("the"),))
    size = model.sizes["ffn"]
    one = Judge([[label] * size] * model.layers, len(vocabulary))
    judge(model, ids, of_token, [{"ffn": one}])
    layer, active, mark = 2, [], []
    for row in ids:
        seen = oracle.neurons(model.hf, torch.tensor([row]), layer, "ffn")[0].numpy()
        names = [vocabulary[of_token[token]] for token in row]
        for at in range(len(row))[counted(model)]:
            active.append(seen[at])
            mark.append(names[at - 1] == "the")
    assert one.bearing[layer].tolist() == [sum(mark)] * size
    assert sum(mark) >= FEW
    expected = [np.corrcoef(of, mark)[0, 1] for of in np.array(active).T]
    assert one.correlation[layer] == pytest.approx(expected, abs=1e-4)
