"""The loop that trains a model: steps over batches, looks at held-out data, the best of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor, nn

from neuronlab.models.exclusion import computing
from neuronlab.progress import Check

Row = dict[str, float]
Batch = Int[np.ndarray, " batch"]


def train(
    hf: Any,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    *,
    epochs: int,
    seed: int,
    batches: Callable[[], Sequence[Batch]],
    loss: Callable[[Batch], Tensor],
    look: Callable[[], Row],
    looks: Collection[int],
    report: Callable[[Row, float], None],
    check: Check,
    best_by: str = "",
    patience: int = 0,
) -> tuple[list[Row], bool]:
    """Train in place; gradients are cut to a norm of 1. The model is left ready to predict.

    Args:
        seed: of what is drawn on the way, such as dropout; the common source of random numbers
            stays as it was.
        batches: what the steps of an epoch learn from, asked for at the beginning of each.
        loss: of a batch.
        look: at held-out data; what it gives joins the row of its step.
        looks: the steps of an epoch, from 0, after which it is called.
        report: called after each step with its row, and the best value so far (-inf before any).
        check: called before each step; may raise to cancel.
        best_by: a number of the looks: the weights of the look where it is highest, the first of
            equal ones, are those that stay; else those of the last step.
        patience: so many looks without a better one end the training; 0: never.

    Returns:
        A row for each step (step, epoch, loss, and what a look gave); whether patience ended it.
    """
    curve: list[Row] = []
    best, kept, since, ended = -math.inf, None, 0, False
    device = next(hf.parameters()).device
    devices = [device] if device.type == "cuda" else []
    steps = ((epoch, *step) for epoch in range(epochs) for step in enumerate(batches()))
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        for epoch, place, batch in steps:
            check()
            row: Row = {"step": len(curve), "epoch": epoch}
            row["loss"] = _step(hf, optimizer, loss, batch)
            schedule.step()
            if place in looks:
                row |= look()
                since += 1
                if best_by and row[best_by] > best:
                    best, since = row[best_by], 0
                    kept = {k: v.detach().cpu().clone() for k, v in hf.state_dict().items()}
            curve.append(row)
            report(row, best)
            ended = bool(best_by) and 0 < patience <= since
            if ended:
                break
    if kept is not None:
        hf.load_state_dict(kept)
    hf.eval()
    return curve, ended


def padded(hf: Any, tokens: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """The tokens of several texts on the model's device, padded at the end, and which are none."""
    rows = [torch.tensor(each, device=hf.device, dtype=torch.long) for each in tokens]
    padding = hf.config.pad_token_id
    ids = nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)
    return ids, (ids != padding).long()


def _step(
    hf: Any, optimizer: torch.optim.Optimizer, loss: Callable[[Batch], Tensor], batch: Batch
) -> float:
    hf.train()
    with computing():
        value = loss(batch)
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(hf.parameters(), 1.0)
        optimizer.step()
    return value.item()
