"""Generate proteins with a masked language model while neurons are changed (arXiv 2507.06458).

Only the 20 amino acids are ever sampled and only free residues change, so that the length stays
and special tokens cannot appear (the paper's code lets both happen). All chains run in one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.errors import UserError
from neuronlab.models import Model
from neuronlab.models.precision import Precision, products
from neuronlab.models.residues import AMINO_ACIDS, clean_sequence
from neuronlab.neurons.interventions import Intervention, edits_of
from neuronlab.progress import Fraction, unheard
from neuronlab.proteins.hidden import TOKENS, TOKENS_ON_GPU

Mode = Literal["masked", "full", "best"]
MASKED = 0.1


def letters_of(model: Model) -> Int[Tensor, " letter"]:
    """Token ids of the 20 amino acids. Raises UserError where the model predicts no residues."""
    if model.kind != "masked" or model.alphabet != "protein":
        raise UserError(
            f"{model.title} cannot fill in residues: choose a masked protein language model."
        )
    ids = model.tokenizer.convert_tokens_to_ids(list(AMINO_ACIDS))
    return model.ids(ids)


def generate(
    model: Model,
    start: str,
    interventions: Sequence[Intervention | None],
    *,
    chains: Sequence[int],
    free: Sequence[int],
    steps: int,
    mode: Mode = "masked",
    masked: float = MASKED,
    temperature: float = 1.0,
    seed: int = 0,
    precision: Precision = "float32",
    prefer: Callable[[str], float] | None = None,
    progress: Fraction = unheard,
) -> list[list[str]]:
    """The sequences of every chain, the start first and then one per step.

    Args:
        interventions: one per row; None leaves the model alone.
        chains: of each row: rows with the same number draw the same random numbers, so that they
            differ by their interventions alone.
        free: residues that may change, counted from 0; all others are protected.
        steps: how many times residues are drawn.
        mode: "masked" hides a share of the free residues and draws those, again and again;
            "full" draws all free residues at once from the sequence as it is, as often; "best"
            draws that many variants of the start by "full" and keeps the one preferred so far.
        masked: share of the free residues that a step hides, at least one.
        temperature: of the distribution that residues are drawn from.
        precision: of the model's products.
        prefer: for "best": which of two sequences is better, the higher.
        progress: called with a fraction after every step; an exception it raises ends the work.

    Raises:
        UserError: the model predicts no residues, no residue is free, or the start does not fit.
    """
    letters = letters_of(model)
    _check(mode, temperature, masked, steps)
    if not len(chains) or len(interventions) != len(chains):
        raise UserError("Give at least one chain, and an intervention or None for each.")
    start = clean_sequence(start, model.residues)
    places = _free_places(free, len(start))
    mask = model.tokenizer.mask_token_id
    draws = [np.random.default_rng([seed, chain]) for chain in chains]
    tokens = first = model.ids([model.residue_ids(start)] * len(chains))
    sequences = [[start] for _ in chains]
    count = max(1, round(masked * len(places)))
    for step in range(steps):
        if mode == "masked":
            chosen = np.stack([draw.permutation(places)[:count] for draw in draws])
        else:
            chosen = np.tile(places, (len(draws), 1))
        at = torch.from_numpy(chosen + 1).to(model.device)  # the first token is special
        tokens = first if mode == "best" else tokens
        hidden = tokens.scatter(1, at, mask) if mode == "masked" else tokens
        with products(precision, model.device):
            logits = residue_logits(model, hidden, at, interventions)[..., letters]
        tokens = tokens.scatter(1, at, letters[_drawn(logits, temperature, draws)])
        texts = _texts(tokens[:, 1:-1].cpu(), letters.cpu(), start)
        for chain, sequence in zip(sequences, texts, strict=True):
            if mode == "best" and step and prefer is not None:
                sequence = max(chain[-1], sequence, key=prefer)
            chain.append(sequence)
        progress((step + 1) / steps)
    return sequences


def _drawn(
    logits: Float[Tensor, "row place letter"],
    temperature: float,
    draws: Sequence[np.random.Generator],
) -> Int[Tensor, "row place"]:
    """A letter for each place, by the random numbers of its row."""
    # Gumbel's trick: the largest of log p + noise is a draw from p.
    noise = np.stack([draw.gumbel(size=logits.shape[1:]) for draw in draws])
    scores = logits.double().cpu() / temperature + torch.from_numpy(noise)
    return scores.argmax(-1).to(logits.device)


def _check(mode: str, temperature: float, masked: float, steps: int) -> None:
    if mode not in get_args(Mode):
        raise UserError(f"There is no mode '{mode}': choose from {', '.join(get_args(Mode))}.")
    if not 0 < temperature < np.inf or not 0 < masked <= 1 or steps < 0:
        raise UserError(
            "Residues are drawn at a temperature above 0, a share above 0 up to 1 at a time, in "
            "0 steps or more."
        )


def _free_places(free: Sequence[int], length: int) -> Int[np.ndarray, " place"]:
    """The free residues, each once and in order."""
    if any(isinstance(place, bool | str | float) for place in free):
        raise UserError("Free residues are whole numbers, counted from 0.")
    places = np.array(sorted(set(free)), int)
    if not len(places):
        raise UserError("No residue may change: set some free.")
    if places[0] < 0 or places[-1] >= length:
        raise UserError(f"The protein has {length} residues: free others.")
    return places


@torch.no_grad()
def residue_logits(
    model: Model,
    tokens: Int[Tensor, "row token"],
    at: Int[Tensor, "row place"],
    interventions: Sequence[Intervention | None],
) -> Float[Tensor, "row place choice"]:
    """Logits at some tokens of each row, under its own intervention."""
    room = TOKENS if model.device.type == "cpu" else TOKENS_ON_GPU
    step = max(1, room // tokens.shape[1])
    parts = []
    for first in range(0, len(tokens), step):
        rows = slice(first, first + step)
        with model.lock, model.edit(edits_of(model, interventions[rows])):
            states = model.hidden(tokens[rows], slice(None))
            states = states.gather(1, at[rows, :, None].expand(-1, -1, states.shape[-1]))
            logits = model.logits(states.flatten(0, 1))
        parts.append(logits.unflatten(0, states.shape[:2]))
    return torch.cat(parts)


def _texts(rows: Int[Tensor, "row residue"], letters: Tensor, start: str) -> list[str]:
    """Residues as letters; those that are none of the 20 are protected, and as at the start."""
    letter = {int(token): name for token, name in zip(letters, AMINO_ACIDS, strict=True)}
    return [
        "".join(letter.get(token, initial) for token, initial in zip(row, start, strict=True))
        for row in rows.tolist()
    ]
