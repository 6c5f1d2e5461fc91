"""Neurons at all tokens of many proteins or texts, in one pass with flat memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from neuronlab.models import Component, Model
from neuronlab.models.batches import TOKENS, of_like_length
from neuronlab.models.hooks import Edit, Neurons
from neuronlab.progress import Fraction, unheard

# On a processor what a layer of so few computes stays in its cache: half as many again a second as
# with ``TOKENS``.
_TOKENS_PER_BATCH = 512
Keep = Callable[[list[int], int, Component, Neurons, Tensor], None]


def protein_ids(model: Model, sequences: Sequence[str]) -> list[list[int]]:
    """Token ids of proteins; longer ones are cut to what the model takes, ``max_tokens - 2``.

    Raises:
        UserError: a sequence has a residue that the model does not know.
    """
    return [model.residue_ids(sequence[: model.max_tokens - 2]) for sequence in sequences]


@torch.no_grad()
def visit(
    model: Model,
    ids: Sequence[list[int]],
    counted: slice,
    components: Sequence[Component],
    keep: Keep,
    progress: Fraction = unheard,
) -> None:
    """Show the neurons at all tokens to a function, in one pass over rows of like length.

    Args:
        ids: the tokens of each row.
        counted: which tokens of a row count, such as residues without the special tokens.
        keep: called for each batch, layer and component with the numbers of the batch's rows,
            layer, component, the neurons (row, token, neuron), and which tokens count (row, token).
        progress: called with a fraction after every batch; an exception it raises ends the work.
    """
    places = model.places(components)
    done = 0
    most = _TOKENS_PER_BATCH if model.device.type == "cpu" else TOKENS
    for rows in of_like_length([*map(len, ids)], most):
        tokens, seen, counting = _padded(model, [ids[row] for row in rows], counted)

        def show(
            at: tuple[int, Component], rows: list[int] = rows, counting: Tensor = counting
        ) -> Edit:
            def function(neurons: Neurons) -> Neurons:
                keep(rows, *at, neurons, counting)
                return neurons

            return function

        with model.lock, model.edit({at: show(at) for at in places}):
            model.hidden(tokens, 0, attention_mask=seen)
        done += len(rows)
        progress(done / len(ids))


def _padded(
    model: Model, ids: Sequence[list[int]], counted: slice
) -> tuple[Int[Tensor, "row token"], Int[Tensor, "row token"], Bool[Tensor, "row token"]]:
    """Tokens padded at the end; which of them are attended to; and which count."""
    longest, padding = max(map(len, ids)), model.tokenizer.pad_token_id or 0
    rest = [longest - len(row) for row in ids]
    tokens = model.ids([row + [padding] * r for row, r in zip(ids, rest, strict=True)])
    seen = model.ids([[1] * (longest - r) + [0] * r for r in rest])
    counting = torch.zeros_like(seen, dtype=torch.bool)
    for at, row in enumerate(ids):
        counting[at, : len(row)][counted] = True
    return tokens, seen, counting
