"""A model without its likes, and a small corpus in the place of WordNet's definitions."""

import numpy as np
import pytest

from neuronlab.labels import wordnet
from neuronlab.studies import contexts

NOUNS = ["capital", "fox", "dog", "France", "Paris", "London"]


@pytest.fixture
def texts(monkeypatch):
    """240 of them, which the studies read."""
    draw = np.random.default_rng(3)
    made = [
        f"{' '.join(draw.choice(['a', 'the', 'over', 'lazy', 'x', 'y', 'z'], 6))} of "
        f"{draw.choice(NOUNS)} is {draw.choice(['two', 'quick', 'brown'])}"
        for _ in range(240)
    ]
    monkeypatch.setattr(wordnet, "read", lambda: made)
    contexts._drawn.cache_clear()
    yield made
    contexts._drawn.cache_clear()


@pytest.fixture(scope="module")
def llama(tiny):
    return tiny("llama")
