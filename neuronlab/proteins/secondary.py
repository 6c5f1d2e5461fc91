"""The secondary structure of any protein, as the last layer of ESM-2 8M tells it.

A small network reads one residue's state and says helix, strand or neither. It was trained on
chains of the PDB (``python -m neuronlab.heads.secondary``); the card beside its weights says how
well it does on chains that it has not seen. No substitute for a structure: a protein that would
never fold gets a prediction, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.errors import UserError
from neuronlab.models import Model, training
from neuronlab.models.batches import TOKENS, of_like_length
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.models.sharing import shared
from neuronlab.progress import Fraction, unheard
from neuronlab.proteins.labelled import DATA

MODEL = "esm2-8m"
FILE = "secondary_structure.safetensors"
State = Literal["H", "E", "-"]
STATES: tuple[State, ...] = ("H", "E", "-")
# DSSP's letters of a helix and of a strand.
HELIX, STRAND = "HGI", "EB"
_WIDTH = 64
_TOKENS_PER_BATCH = TOKENS


@dataclass(frozen=True)
class Secondary:
    """Of one protein.

    Attributes:
        probabilities: of helix, strand and neither at each residue, calibrated: where .8 is said,
            about 80 % are right.
    """

    probabilities: Float[np.ndarray, "residue 3"]

    @property
    def states(self) -> str:
        """The likeliest of each residue: H (helix), E (strand) or - (neither)."""
        return "".join(STATES[i] for i in self.probabilities.argmax(1))

    @property
    def reliability(self) -> Float[np.ndarray, " residue"]:
        """The probability of the likeliest state."""
        return self.probabilities.max(1)


def network(hidden: int) -> nn.Sequential:
    """Untrained: a state in, logits of ``STATES`` out."""
    return nn.Sequential(nn.Linear(hidden, _WIDTH), nn.GELU(), nn.Linear(_WIDTH, len(STATES)))


def three_states(dssp: str) -> str:
    """DSSP's eight letters as H (H, G, I), E (E, B) and - (all others)."""
    return "".join("H" if x in HELIX else "E" if x in STRAND else "-" for x in dssp)


def predicted(
    sequences: Sequence[str], device: str = "auto", progress: Fraction = unheard
) -> list[Secondary]:
    """The secondary structure of proteins of the 20 amino acids.

    Args:
        progress: called with a fraction after every batch.

    Raises:
        UserError: ESM-2 8M is not on this machine and cannot be had, or does not take a sequence.
    """
    model = shared(MODEL, device)
    head = _head(str(model.device))
    of: list[Secondary | None] = [None] * len(sequences)
    done = 0
    for batch in of_like_length([*map(len, sequences)], _TOKENS_PER_BATCH):
        rows = [model.residue_ids(sequences[i]) for i in batch]
        with model.lock, torch.no_grad():
            p = head(_states(model, rows)).softmax(-1).numpy(force=True)
        for row, i in enumerate(batch):
            of[i] = Secondary(p[row, : len(sequences[i])].astype(float))
        done += len(batch)
        progress(done / len(sequences))
    return [each for each in of if each is not None]


def shares(
    sequences: Sequence[str], state: str, stretch: tuple[int, int] | None = None
) -> Float[np.ndarray, " protein"]:
    """The expected share of residues in a state: the mean of its probability, 0 to 1.

    Args:
        state: of ``STATES``: "H" (helix), "E" (strand) or "-" (neither).
        stretch: the first residue counted, from 0, and the one behind the last; all by default.

    Raises:
        UserError: there is no such state, a protein has no such stretch, or as ``predicted``.
    """
    at = [_counted(len(sequence), state, stretch) for sequence in sequences]
    of = _remembered(tuple(sequences))
    return np.array([p[counted].mean() for p, counted in zip(of, at, strict=True)])


def substitution_gains(
    sequence: str, state: str, stretch: tuple[int, int] | None = None
) -> Float[np.ndarray, "residue letter"]:
    """How much ``shares`` would rise with another amino acid at each place, to first order.

    The gradient of the share with respect to a residue's embedding, times what another residue
    (of ``AMINO_ACIDS``) would add to it: one pass instead of one for every substitution.

    Raises:
        UserError: as ``shares``.
    """
    counted = _counted(len(sequence), state, stretch)
    model = shared(MODEL, "auto")
    embeddings = model.hf.get_input_embeddings()
    read: list[Tensor] = []

    def watch(module: nn.Module, inputs: object, output: Tensor) -> Tensor:
        read.append(output.detach().requires_grad_(True))
        return read[-1]

    with model.lock, torch.enable_grad():
        hook = embeddings.register_forward_hook(watch)
        try:
            logits = _head(str(model.device))(_states(model, [model.residue_ids(sequence)]))
        finally:
            hook.remove()
        share = logits.softmax(-1)[0][counted].mean()
        (slope,) = torch.autograd.grad(share, read)
    letters = model.ids(model.tokenizer.convert_tokens_to_ids(list(AMINO_ACIDS)))
    slope = slope[0, 1:-1]
    gains = slope @ embeddings.weight[letters].T
    return (gains - (slope * read[0][0, 1:-1]).sum(-1, keepdim=True)).double().numpy(force=True)


def _counted(length: int, state: str, stretch: tuple[int, int] | None) -> tuple[slice, int]:
    """Where the probabilities of a state in a stretch are among those of a protein."""
    if state not in STATES:
        raise UserError(
            f"There is no state '{state}': ask for H (helix), E (strand) or - (neither)."
        )
    first, end = stretch or (0, length)
    if not 0 <= first < end <= length:
        raise UserError(
            f"A protein of {length} residues has no stretch from {first} to {end}: count from 0, "
            "and give the residue behind the last."
        )
    return slice(first, end), STATES.index(state)


@lru_cache(maxsize=4)
def _remembered(sequences: tuple[str, ...]) -> list[Float[np.ndarray, "residue 3"]]:
    different = list(dict.fromkeys(sequences))
    of = dict(zip(different, predicted(different), strict=True))
    return [of[sequence].probabilities for sequence in sequences]


def _states(model: Model, rows: Sequence[list[int]]) -> Float[Tensor, "row residue hidden"]:
    """The last layer's states of residues, behind its norm; rows may be padded at their end."""
    ids, mask = training.padded(model.hf, rows)
    return model.hidden(ids, slice(1, -1), attention_mask=mask).float()


@cache
def card() -> dict[str, Any]:
    """How the network was trained, and how well it does on chains it has not seen."""
    return json.loads((DATA / FILE).with_suffix(".json").read_text("utf-8"))


@cache
def _head(device: str) -> nn.Sequential:
    from safetensors.torch import load_file

    weights = load_file(DATA / FILE)
    head = network(weights["0.weight"].shape[1])
    head.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
    return head.to(device).eval().requires_grad_(False)
