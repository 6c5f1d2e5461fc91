"""What a run will cost, before it is started."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import torch

from neuronlab.attribution import integrated_gradients as ig
from neuronlab.attribution.growing_batch import last_token_alone
from neuronlab.attribution.registry import method as method_named
from neuronlab.attribution.request import Positions, Request
from neuronlab.cost import Cost, memory
from neuronlab.errors import UserError
from neuronlab.models import Component, Model, Prompt
from neuronlab.models.device import free_memory

# Rows of a path, refinement included: seen were 3 to 9, and 31 on Gemma 3.
_ROWS = 4.8
# By device: see `_rate`.
_RATES: dict[str, tuple[float, float]] = {}
_AGAIN = 15.0  # seconds


def estimate(
    model: Model,
    prompt: Prompt,
    method: str,
    components: Sequence[Component],
    positions: Positions,
) -> Cost:
    """Time and memory of an attribution, from the number of multiplications it needs.

    Raises:
        UserError: the prompt does not fit the model.
    """
    encoded = model.encode(prompt)
    chosen = method_named(method)
    tokens = encoded.length
    request = Request(model, encoded, 0, tuple(components), positions=positions)
    weights = sum(p.numel() for p in model.block(0).parameters())
    whole = weights * model.layers * tokens
    if not chosen.differentiates:
        neurons = sum(model.sizes[c] for _, c in request.places)
        read = min(chosen.tokens_each, model.vocabulary) * neurons * model.hf.config.hidden_size
        return Cost(2 * (whole + read) / _rate(str(model.device)), 4 * whole / weights)
    per_row = _tokens_per_row(request)
    of_row = ig.row_bytes(request, per_row, 0)
    if not chosen.integrates:
        return Cost(4 * whole / _rate(str(model.device)), of_row)
    rows = _ROWS * len(request.places)
    head = 0 if model.kind == "classifier" else model.vocabulary * model.hf.config.hidden_size
    work = 4 * rows * (weights * per_row * (model.layers + 1) / 2 + head)
    return Cost(
        work / _rate(str(model.device)),
        min(max(ig.memory_of_pass(model.device), of_row), rows * of_row / 2),
    )


def seconds(model: Model, tokens: int, passes: int, unembedded: int) -> float:
    """Time of forward passes over a prompt, and of vectors through the unembedding."""
    weights = model.layers * sum(p.numel() for p in model.block(0).parameters())
    head = model.vocabulary * model.hf.config.hidden_size
    return 2 * (passes * tokens * weights + unembedded * head) / _rate(str(model.device))


def check_memory(request: Request) -> None:
    """Refuse what does not fit: the first layer's rows are carried one at a time at the least.

    Raises:
        UserError: one row of the batch with the clean prompt needs more than is free.
    """
    need = 2 * ig.row_bytes(request, _tokens_per_row(request), 0)
    free = free_memory(str(request.model.device))
    if need > free:
        shorten = "shorten the prompt"
        if request.positions == "all" and request.model.family.causal:
            shorten += " or score the predicted position only"
        raise UserError(
            f"This run needs {memory(need)} and {memory(free)} are free on "
            f"{request.model.device}: {shorten}."
        )


def _tokens_per_row(request: Request) -> int:
    everywhere = request.positions == "all"
    alone = last_token_alone(request.model, request.encoded, everywhere=everywhere)
    return 1 if alone else request.encoded.length


def _rate(device: str) -> float:
    """Operations per second of this device in a float32 matrix product: the most that was seen.

    It is looked at again, a few times a minute at most: a device that is busy looks slow.
    """
    rate, looked = _RATES.get(device, (0.0, -math.inf))
    if time.monotonic() - looked > _AGAIN:
        rate = max(rate, _measured(device))
        _RATES[device] = rate, time.monotonic()
    return rate


def _measured(device: str) -> float:
    """Operations per second now."""
    size = 768
    a = torch.rand(size, size, device=device, dtype=torch.float32)
    best = float("inf")
    for _ in range(10):
        start = time.perf_counter()
        (a @ a).sum().item()
        best = min(best, time.perf_counter() - start)
    # Attention, norms and hooks take their share: half the peak is what runs reach.
    return 2 * size**3 / best / 2
