"""Which neurons steer a property: by their effect on it, or by how they correlate with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.errors import UserError
from neuronlab.models import Component, Model
from neuronlab.models.hooks import Edit, Neurons
from neuronlab.neurons import NeuronScores
from neuronlab.progress import Fraction, unheard
from neuronlab.steering.generation import MASKED, letters_of

Array = np.ndarray
# What a backward pass needs is kept for each: enough to use the machine, little enough to fit.
_TOKENS_PER_BATCH = 1024
At = tuple[int, Component]


def by_effect(
    model: Model,
    sequence: str,
    gains: Sequence[Float[Array, "place letter"]],
    free: Sequence[int],
    components: Sequence[Component],
    *,
    positions: Sequence[int] | None = None,
    masked: float = MASKED,
    seed: int = 0,
) -> list[NeuronScores]:
    """How much the expected property rises per unit that is added to each neuron.

    Residues are hidden as generation hides them, every free one once; the property expected from
    the predicted residues is the sum over hidden residues i and amino acids x of p_i(x) gain_i(x).
    A forward and a backward pass give its derivative for all neurons. That for their scale says
    little about steering: it is the shift b of h' = a h + b that moves what is generated.

    Args:
        gains: of each goal, how much the property rises with that residue at that free place.
        free: the places, counted from 0.
        positions: tokens at which neurons are changed; all by default.

    Returns:
        Per goal dE/db, in units of the property per unit of activation.
    """
    letters = letters_of(model)
    order = np.random.default_rng(seed).permutation(len(free))
    count = max(1, round(masked * len(free)))
    groups = [order[i : i + count] for i in range(0, len(order), count)]
    ids = model.ids([model.residue_ids(sequence)])
    changed = torch.zeros(ids.shape[1], 1, device=model.device, dtype=model.dtype)
    changed[list(positions) if positions is not None else slice(None)] = 1
    places = [(layer, c) for layer in range(model.layers) for c in components]
    shifts = {at: _zero_shift(model, at) for at in places}

    def add(at: At) -> Edit:
        return lambda neurons: neurons + changed * shifts[at].to(neurons)

    totals: list[dict[At, Any]] = [dict.fromkeys(places, 0.0) for _ in gains]
    step = max(1, _TOKENS_PER_BATCH // ids.shape[1])
    for first in range(0, len(groups), step):
        batch = groups[first : first + step]
        place = np.concatenate(batch)
        with model.lock, torch.enable_grad(), model.edit({at: add(at) for at in places}):
            shares = _shares(model, ids, [np.asarray(free)[g] for g in batch], letters)
        slopes = _slopes(shares, [np.asarray(gain)[place] for gain in gains], shifts)
        for total, of_goal in zip(totals, slopes, strict=True):
            for at, slope in of_goal.items():
                total[at] = total[at] + slope
    return [_by_component(total, model, components) for total in totals]


def _shares(
    model: Model,
    ids: Int[Tensor, "1 token"],
    hidden: Sequence[Int[Array, " _"]],
    letters: Int[Tensor, " letter"],
) -> Float[Tensor, "hidden letter"]:
    """What the model expects of each hidden residue, one row after the other: probabilities."""
    row = np.concatenate([[r] * len(group) for r, group in enumerate(hidden)])
    token = np.concatenate(hidden) + 1  # the first token is special
    tokens = ids.repeat(len(hidden), 1)
    tokens[row, token] = model.tokenizer.mask_token_id
    states = model.hidden(tokens, slice(None))
    return model.logits(states[row, token])[:, letters].softmax(-1)


def _zero_shift(model: Model, at: At) -> Float[Tensor, " neuron"]:
    size = model.sizes[at[1]]
    return torch.zeros(size, device=model.device, dtype=torch.float32, requires_grad=True)


def _slopes(
    shares: Float[Tensor, "hidden letter"],
    gains: Sequence[Float[Array, "hidden letter"]],
    shifts: Mapping[At, Tensor],
) -> Iterator[dict[At, Tensor]]:
    """Of each goal, how the property expected from these residues changes with the shifts."""
    for number, gain in enumerate(gains):
        expected = (shares * torch.from_numpy(gain).to(shares)).sum()
        more = number + 1 < len(gains)
        gradients = torch.autograd.grad(expected, list(shifts.values()), retain_graph=more)
        yield dict(zip(shifts, gradients, strict=True))


def by_protein(
    activations: dict[Component, Float[Tensor, "protein layer neuron"]],
    values: Float[Array, " protein"],
) -> NeuronScores:
    """Pearson's r of pooled activations with a property, over proteins: what labels amount to.

    Args:
        values: of the property; nan leaves a protein out.
    """
    y = torch.from_numpy(np.asarray(values, np.float64))
    counted = y.isfinite()
    y = y[counted]
    y = (y - y.mean()) / y.std(correction=0).clamp_min(1e-12)
    scores = {}
    for component, pooled in activations.items():
        x = pooled[counted].double()
        x = (x - x.mean(0)) / x.std(0, correction=0).clamp_min(1e-12)
        scores[component] = (x * y[:, None, None]).mean(0).float().numpy(force=True)
    return NeuronScores(scores)


@torch.no_grad()
def by_residue(
    model: Model,
    sequences: Sequence[str],
    scale: Callable[[str], Float[Array, " residue"]],
    components: Sequence[Component],
    progress: Fraction = unheard,
) -> NeuronScores:
    """Pearson's r of activations with what each residue contributes, over residues of proteins.

    Args:
        scale: what the residues of a sequence contribute to the property; nan leaves one out.
        progress: called with a fraction after every protein.
    """
    if not sequences:
        raise UserError("There are no proteins to correlate over: give some.")
    sums: dict[At, Tensor] = {}
    squares: dict[At, Tensor] = {}
    products: dict[At, Tensor] = {}
    total = square = count = 0.0
    for number, sequence in enumerate(sequences):
        ids = model.ids([model.residue_ids(sequence)])
        y = torch.from_numpy(np.asarray(scale(sequence), np.float64))
        counted = y.isfinite()
        y = y[counted]

        def keep(at: At, y: Tensor = y, counted: Tensor = counted) -> Edit:
            def function(neurons: Neurons) -> Neurons:
                x = neurons[0, model.residues_at].double().cpu()[counted]
                sums[at] = sums.get(at, 0) + x.sum(0)
                squares[at] = squares.get(at, 0) + x.square().sum(0)
                products[at] = products.get(at, 0) + y @ x
                return neurons

            return function

        places = [(layer, c) for layer in range(model.layers) for c in components]
        with model.lock, model.edit({at: keep(at) for at in places}):
            model.hidden(ids, 0)
        total, square, count = total + float(y.sum()), square + float((y**2).sum()), count + len(y)
        progress((number + 1) / len(sequences))
    spread = max(square / count - (total / count) ** 2, 0.0) ** 0.5
    correlations = {}
    for at in sums:
        mean = sums[at] / count
        sd = (squares[at] / count - mean**2).clamp_min(0).sqrt()
        shared = products[at] / count - mean * total / count
        correlations[at] = torch.where(sd * spread > 1e-12, shared / (sd * spread), 0.0)
    return _by_component(correlations, model, components)


def together(scores: Sequence[NeuronScores], directions: Sequence[int]) -> NeuronScores:
    """Several goals at once: the scores, each in units of its own root mean square, added up.

    Args:
        directions: of each goal, 1 for up and -1 for down.
    """
    total: dict[Component, Array] = {}
    for of_goal, direction in zip(scores, directions, strict=True):
        flat = np.concatenate([of_goal[c].ravel() for c in of_goal])
        scale = direction / max(float(np.sqrt((flat.astype(np.float64) ** 2).mean())), 1e-30)
        for c in of_goal:
            total[c] = (total.get(c, 0) + scale * of_goal[c]).astype(np.float32)
    return NeuronScores(total)


def _by_component(
    values: dict[At, Tensor], model: Model, components: Sequence[Component]
) -> NeuronScores:
    return NeuronScores(
        {
            c: torch.stack([values[layer, c] for layer in range(model.layers)])
            .float()
            .numpy(force=True)
            for c in components
        }
    )
