"""What steering cost: how likely, how varied and how close to the start the sequences still are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby

import numpy as np
import torch
from jaxtyping import Float

from neuronlab.models import Model
from neuronlab.progress import Fraction, unheard
from neuronlab.proteins.features import FEATURES
from neuronlab.steering.generation import letters_of, residue_logits


def identity(sequence: str, start: str) -> float:
    """Share of residues as at the start, 0 to 1."""
    return sum(a == b for a, b in zip(sequence, start, strict=True)) / len(start)


def longest_repeat(sequence: str, places: Collection[int]) -> int:
    """Length of the longest run of one residue at some places; others interrupt it."""
    shown = (letter if place in places else "" for place, letter in enumerate(sequence))
    return max(len(list(run)) for letter, run in groupby(shown) if letter)


def entropy(sequence: str, places: Collection[int]) -> float:
    """How varied the residues at some places are, in bits."""
    return FEATURES["entropy"].compute("".join(sequence[place] for place in places))


def spread_out(places: Sequence[int], count: int) -> list[int]:
    """At most as many of the places, at even distances."""
    if len(places) <= count:
        return list(places)
    return [places[i] for i in np.linspace(0, len(places) - 1, count).round().astype(int)]


def pseudo_perplexity(
    model: Model,
    sequences: Sequence[str],
    places: Sequence[int],
    progress: Fraction = unheard,
) -> Float[np.ndarray, " sequence"]:
    """How surprised the unchanged model is: exp of the mean -log p of residues, each hidden alone.

    Args:
        places: residues that are hidden, counted from 0.
        progress: called with a fraction after every sequence.
    """
    letters_of(model)  # refuses a model that predicts no residues
    mask = model.tokenizer.mask_token_id
    at = model.ids(places)[:, None] + 1
    perplexities = []
    for number, sequence in enumerate(sequences):
        ids = model.ids([model.residue_ids(sequence)])
        tokens = ids.expand(len(places), -1).scatter(1, at, mask)
        logits = residue_logits(model, tokens, at, [None] * len(places))[:, 0]
        likelihoods = logits.log_softmax(-1).gather(1, ids[0, at])
        perplexities.append(float(torch.exp(-likelihoods.double().mean())))
        progress((number + 1) / len(sequences))
    return np.array(perplexities)
