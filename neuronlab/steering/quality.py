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
from neuronlab.proteins.hidden import hidden_alone
from neuronlab.steering.generation import letters_of


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
    perplexities = []
    for number, sequence in enumerate(sequences):
        likelihoods = hidden_alone(model, sequence, places)
        truth = model.ids(model.residue_ids(sequence))[model.residues_at]
        truth = truth[model.ids(places)]
        mean = likelihoods.gather(1, truth[:, None]).double().mean()
        perplexities.append(float(torch.exp(-mean)))
        progress((number + 1) / len(sequences))
    return np.array(perplexities)


def conservation(
    model: Model, sequence: str
) -> tuple[Float[np.ndarray, " residue"], Float[np.ndarray, " residue"]]:
    """How a model expects each residue, hidden alone: its probability and conservation (bits).

    Conservation is what is known of the hidden residue: log2(20) less the entropy of the 20 amino
    acids, whose probabilities are taken to sum to 1. It is 0 where any would do, and 4.32 where one
    alone would.

    Raises:
        UserError: the model is no masked protein model, or the sequence does not fit it.
    """
    letters = letters_of(model)
    likelihoods = hidden_alone(model, sequence, range(len(sequence)))
    truth = model.ids(model.residue_ids(sequence))[model.residues_at]
    probability = likelihoods.gather(1, truth[:, None])[:, 0].exp()
    among = likelihoods[:, letters].double().log_softmax(-1)
    bits = (np.log(20) + (among.exp() * among).sum(-1)) / np.log(2)
    return probability.numpy(force=True), bits.clamp(min=0).numpy(force=True)
