"""What a masked protein model expects of residues: each hidden alone, or none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.models import Model
from neuronlab.progress import Progress, unheard

# On a processor larger batches leave its cache and are a fifth slower; a GPU wants them large.
TOKENS, TOKENS_ON_GPU = 1024, 65_536


@torch.no_grad()
def hidden_alone(
    model: Model, sequence: str, places: Sequence[int], progress: Progress = unheard
) -> Float[Tensor, "place choice"]:
    """Log-probabilities of all tokens at some residues, each hidden alone: a row of the model each.

    Args:
        model: a masked protein model.
        places: the residues, counted from 0.
        progress: called before every batch with a fraction and a message; an exception it raises
            ends the work.

    Raises:
        UserError: the sequence does not fit the model.
    """
    room = TOKENS if model.device.type == "cpu" else TOKENS_ON_GPU
    whole = model.ids(model.residue_ids(sequence))
    first = model.residues_at.start
    parts = []
    done = 0
    for batch in model.ids(places).split(max(1, room // len(whole))):
        progress(done / len(places), f"residue {int(batch[0]) + 1} of {len(sequence)}")
        rows, row = whole.repeat(len(batch), 1), model.ids(range(len(batch)))
        rows[row, first + batch] = model.tokenizer.mask_token_id
        with model.lock:
            states = model.hidden(rows, slice(None))[row, first + batch]
            parts.append(model.logits(states).log_softmax(-1))
        done += len(batch)
    return torch.cat(parts)


@torch.no_grad()
def none_hidden(model: Model, sequence: str) -> Float[Tensor, "residue choice"]:
    """Log-probabilities of all tokens at every residue, which all are seen: a single row.

    A residue speaks for itself: its own is more probable than where it is hidden.

    Args:
        model: a masked protein model.

    Raises:
        UserError: the sequence does not fit the model.
    """
    row = model.ids([model.residue_ids(sequence)])
    with model.lock:
        states = model.hidden(row, slice(None))[0, model.residues_at]
        return model.logits(states).log_softmax(-1)
