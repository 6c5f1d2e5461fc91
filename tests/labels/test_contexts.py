"""Places of extreme activation against all activations of each text alone."""

import numpy as np
import pytest
import torch

from neuronlab.labels import reading
from neuronlab.labels.contexts import (
    LEAST,
    Contexts,
    activations,
    contexts,
    counted,
    token_ids,
    words,
)

TEXTS = [
    "the capital of France is Paris",
    "a quick brown fox",
    "London is the capital of two dog",
    "jumps over the lazy dog x y z w",
    "fox",
    "Paris is France is London",
    "quick quick brown z",
]
KEEP = 3


@pytest.fixture(params=[("llama", "causal"), ("bert", "masked")], ids="-".join)
def reader(request, tiny):
    return tiny(*request.param)


def alone(model, ids, layer, component, oracle):
    """(token, neuron) of a text alone, through transformers' own model."""
    return oracle.neurons(model.hf, torch.tensor([ids]), layer, component)[0].numpy()


@pytest.mark.parametrize("tokens", [1, 20, 4096])
def test_extremes_are_those_of_all_places(reader, oracle, monkeypatch, tokens):
    monkeypatch.setattr(reading, "_TOKENS_PER_BATCH", tokens)
    ids = token_ids(reader, TEXTS)
    numbers = [10 * row for row in range(len(ids))]
    places = contexts(reader, ids, numbers, ("ffn", "value"), KEEP)
    for component in ("ffn", "value"):
        arrays = places[component].arrays(component)
        for layer in range(reader.layers):
            each = [alone(reader, row, layer, component, oracle) for row in ids]
            for end, sign, kept in (("top", 1, KEEP), ("bottom", -1, LEAST)):
                value, text, token = (
                    arrays[f"{end}_{part}.{component}"][layer]
                    for part in ("value", "text", "token")
                )
                assert value.shape == (reader.sizes[component], kept)
                for neuron in range(len(value)):
                    best = {}
                    for row, seen in enumerate(each):
                        there = range(len(seen))[counted(reader)]
                        if there:
                            at = max(there, key=lambda t: sign * seen[t, neuron])
                            best[10 * row] = (float(seen[at, neuron]), at)
                    ranked = sorted(best, key=lambda n: -sign * best[n][0])[:kept]
                    expected = [best[n][0] for n in ranked]
                    assert value[neuron] == pytest.approx(expected, rel=2e-3, abs=1e-4)
                    # Which of two that are equal but for rounding comes first does not matter.
                    there = zip(text[neuron].tolist(), token[neuron].tolist(), strict=True)
                    seen = [float(each[n // 10][t, neuron]) for n, t in there]
                    assert seen == pytest.approx(expected, abs=1e-4)
                    assert len(set(text[neuron].tolist())) == kept


def test_portions_joined_are_one_pass(tiny):
    model = tiny("llama", "causal")
    ids = token_ids(model, TEXTS)
    whole = contexts(model, ids, range(len(ids)), ("ffn",), KEEP)["ffn"].arrays("ffn")
    joined = Contexts(KEEP)
    for rows in ([0, 1, 2, 3], [4, 5, 6]):
        part = contexts(model, [ids[row] for row in rows], rows, ("ffn",), KEEP)
        joined.join(part["ffn"].arrays("ffn"), "ffn")
    for name, values in joined.arrays("ffn").items():
        assert values.dtype == whole[name].dtype
        if "value" in name:
            assert values == pytest.approx(whole[name], rel=2e-3)
        else:
            assert np.mean(values == whole[name]) > 0.99  # rounded to half precision in between


def test_products_in_bfloat16_keep_nearly_the_same(tiny):
    model = tiny("llama", "causal")
    ids = token_ids(model, TEXTS)
    exact, near = (
        contexts(model, ids, range(len(ids)), ("ffn",), KEEP, precision)["ffn"].arrays("ffn")
        for precision in ("float32", "bfloat16")
    )
    for end in ("top", "bottom"):
        values, rounded = exact[f"{end}_value.ffn"], near[f"{end}_value.ffn"]
        assert not np.array_equal(values, rounded)
        assert rounded == pytest.approx(values, rel=0.1, abs=0.02 * float(np.abs(values).max()))
    assert model.hf.dtype == torch.float32
    again = contexts(model, ids, range(len(ids)), ("ffn",), KEEP)["ffn"].arrays("ffn")
    assert np.array_equal(again["top_value.ffn"], exact["top_value.ffn"])


def test_what_is_kept_does_not_grow_with_the_texts(tiny):
    model = tiny("llama", "causal")
    ids = token_ids(model, TEXTS)
    sizes = set()
    for times in (1, 3):
        rows = ids * times
        arrays = contexts(model, rows, range(len(rows)), ("ffn",), KEEP)["ffn"].arrays("ffn")
        sizes.add(sum(values.nbytes for values in arrays.values()))
    assert len(sizes) == 1


def test_neither_special_tokens_nor_the_first_count(tiny):
    llama, bert = tiny("llama", "causal"), tiny("bert", "masked")
    assert [*range(5)][counted(llama)] == [1, 2, 3, 4]
    assert [*range(5)][counted(bert)] == [1, 2, 3]
    assert [len(row) for row in token_ids(llama, ["fox " * 500])] == [llama.max_tokens]


def test_activations_of_a_text_are_those_it_has_alone(reader, oracle):
    (first, second) = activations(reader, TEXTS[:2], "ffn", 1, 7)
    for (tokens, values), ids in zip((first, second), token_ids(reader, TEXTS[:2]), strict=True):
        assert tokens == [reader.token(token) for token in ids]
        assert values == pytest.approx(alone(reader, ids, 1, "ffn", oracle)[:, 7], abs=1e-5)


def test_words_leave_out_case_and_spaces(tiny):
    model = tiny("llama", "causal")
    vocabulary, of_token = words(model)
    assert len(of_token) == model.embeddings
    paris = model.tokenizer.convert_tokens_to_ids("Paris")
    assert vocabulary[of_token[paris]] == "paris"
