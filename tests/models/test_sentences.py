"""Vectors of sentences: the real encoder where set-up has fetched it, laws that it must obey."""

import threading

import numpy as np
import pytest

from neuronlab.models import sentences, weights

TEXTS = [
    "zinc finger",
    "Strongly activates for proteins that cross the membrane, such as transporters and channels.",
    "β-sheet",
    "",
    "x" * 5_000,
]


@pytest.fixture(scope="module")
def encoder():
    if not weights.installed(sentences.NAME):
        pytest.skip("the sentence encoder has not been fetched")


def test_one_unit_vector_per_text(encoder):
    vectors = sentences.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), sentences.DIMENSIONS)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_neither_neighbours_nor_order_matter(encoder):
    alone = np.concatenate([sentences.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(sentences.embed(TEXTS), alone, atol=1e-5)
    np.testing.assert_allclose(sentences.embed(TEXTS[::-1])[::-1], alone, atol=1e-5)


def test_more_texts_than_a_batch(encoder, monkeypatch):
    texts = [f"label number {i}" for i in range(7)]
    whole = sentences.embed(texts)
    monkeypatch.setattr(sentences, "BATCH", 2)
    np.testing.assert_allclose(sentences.embed(texts), whole, atol=1e-5)


def test_the_mean_is_over_the_tokens_of_the_text(encoder):
    """Written out for one text without padding, where every token counts."""
    import torch

    model, tokenizer = sentences._encoder()
    tokens = tokenizer(TEXTS[1], return_tensors="pt")
    with torch.no_grad():
        mean = model(**tokens).last_hidden_state[0].mean(0)
    expected = (mean / mean.norm()).numpy()
    np.testing.assert_allclose(sentences.embed(TEXTS)[1], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("transports ions across membranes", "membrane channel for potassium", "binds DNA"),
        ("alpha helices", "helical secondary structure", "found in baker's yeast"),
        ("water-repelling protein", "strongly hydrophobic sequence", "found in yeast"),
    ],
)
def test_like_meaning_is_closer(encoder, text, near, far):
    vectors = sentences.embed([text, near, far])
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


def test_no_texts(encoder):
    assert sentences.embed([]).shape == (0, sentences.DIMENSIONS)


def test_threads_share_one_encoder(encoder):
    sentences._encoder.cache_clear()
    expected, results = sentences.embed(TEXTS[:3]), {}

    def work(name):
        results[name] = sentences.embed(TEXTS[:3])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(results) == 4
    assert all(np.array_equal(result, expected) for result in results.values())
    assert sentences._encoder.cache_info().misses == 1


def test_an_encoder_that_is_not_there(monkeypatch, tmp_path, sentence):
    monkeypatch.setenv("NEURONLAB_HOME", str(tmp_path))
    sentences._encoder.cache_clear()
    sentence(sentences.embed, ["zinc finger"], says="fetch it first")
