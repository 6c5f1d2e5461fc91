"""A protein model's trunk with a fresh head, of which the first layers may stay as they are."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.errors import UserError
from neuronlab.models import Model, training
from neuronlab.models.batches import TOKENS, of_like_length
from neuronlab.models.exclusion import computing, making
from neuronlab.models.families import FAMILIES
from neuronlab.runs import Context

# A protein as the tuned layers read it: token ids, or (token, hidden) behind the frozen ones.
Inputs: TypeAlias = list[int] | Float[Tensor, "_ hidden"]
# The part of a run's progress that reading through the frozen layers takes.
READING = 0.5
# What frozen layers make of the proteins is kept where it takes no more than this, in bytes.
_STATES = 1_500_000_000


def classifier(base: Model, classes: Sequence[str], seed: int) -> nn.Module:
    """A copy of the base model's trunk with a fresh head.

    Raises:
        UserError: the base model is of a family that is not ``tunable``.
    """
    if not base.family.tunable:
        families = ", ".join(family.title for family in FAMILIES if family.tunable)
        raise UserError(f"{base.title} cannot be tuned here: choose a model of {families}.")
    config = copy.deepcopy(base.hf.config)
    config.id2label = dict(enumerate(classes))
    config.label2id = {label: i for i, label in config.id2label.items()}
    config.num_labels = len(classes)
    config.problem_type = "single_label_classification"
    with making(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hf = base.family.with_classes(base.hf, config)
    return hf.to(base.device)


def freeze(hf: Any, base: Model, layers: int) -> None:
    """Keep the first layers, and with them the embedding, as they are."""
    if layers:
        hf.base_model.embeddings.requires_grad_(False)
    for block in base.family.blocks(hf)[:layers]:
        block.requires_grad_(False)


@contextmanager
def tuned_layers(
    hf: Any, base: Model, tokens: Sequence[list[int]], frozen: int, context: Context
) -> Iterator[Sequence[Inputs]]:
    """While open, the model begins at its first layer that is tuned.

    Gives what that layer reads of each protein: what the frozen ones make of it is computed once.
    Where none is frozen, or it would take too much memory, these are the token ids as they are.
    """
    size = 4 * hf.config.hidden_size * sum(map(len, tokens))
    if not frozen or size > _STATES:
        yield tokens
        return
    with base.family.layers(hf, 0, frozen):
        states = _states(hf, tokens, context)
    with base.family.layers(hf, frozen, None):
        yield states


@torch.no_grad()
def _states(hf: Any, tokens: Sequence[list[int]], context: Context) -> Sequence[Inputs]:
    """What the layers that are there make of each protein, (token, hidden)."""
    states: dict[int, Tensor] = {}
    done = 0
    hf.eval()
    for batch in of_like_length([*map(len, tokens)]):
        context.check()
        ids, mask = training.padded(hf, [tokens[i] for i in batch])
        with computing():
            made = hf.base_model(ids, attention_mask=mask).last_hidden_state
        for i, rows in zip(batch, made, strict=True):
            states[i] = rows[: len(tokens[i])].clone()
        done += len(batch)
        context.progress(
            READING * done / len(tokens), "reading the proteins through the frozen layers"
        )
    return [states[i] for i in range(len(tokens))]


@torch.no_grad()
def probabilities(
    hf: Any, tokens: Sequence[Inputs], context: Context, budget: int = TOKENS
) -> Float[np.ndarray, "protein class"]:
    """Of each class; proteins of similar length run together."""
    hf.eval()
    p = np.zeros((len(tokens), hf.config.num_labels))
    for batch in of_like_length([*map(len, tokens)], budget):
        context.check()
        with computing():
            logits = logits_of(hf, [tokens[i] for i in batch])
        p[batch] = logits.softmax(-1).double().numpy(force=True)
    return p


def logits_of(hf: Any, inputs: Sequence[Inputs]) -> Float[Tensor, "protein class"]:
    """Of each class, as a gradient goes through them."""
    states = [each for each in inputs if isinstance(each, Tensor)]
    if states:
        rows = nn.utils.rnn.pad_sequence(states, batch_first=True)
        ones = [each.new_ones(len(each), dtype=torch.long) for each in states]
        mask = nn.utils.rnn.pad_sequence(ones, batch_first=True)
        return hf(inputs_embeds=rows, attention_mask=mask).logits.float()
    ids, mask = training.padded(hf, [each for each in inputs if not isinstance(each, Tensor)])
    return hf(ids, attention_mask=mask).logits.float()
