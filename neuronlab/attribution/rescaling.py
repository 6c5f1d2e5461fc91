"""The target's probability with sets of neurons off, or amplified, many sets at once.

They change at the predicted position, and nothing before their layer does: a set's row joins the
batch, as a copy of the clean row, at the layer of its first neuron. In a causal model a row is a
single token that reads the keys and values of the clean prompt.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.attribution.growing_batch import last_token_alone
from neuronlab.attribution.prefix import attending, inputs_of
from neuronlab.attribution.request import LOGITS, At
from neuronlab.errors import UserError
from neuronlab.models import Encoded, Model
from neuronlab.models.hooks import Edit, Neurons, before
from neuronlab.neurons import NeuronSet
from neuronlab.progress import Check, unheard

# Tokens that run together.
_TOKENS = 4096


@torch.no_grad()
def rescaled(
    model: Model,
    encoded: Encoded,
    sets: Sequence[NeuronSet],
    factor: float = 0.0,
    *,
    check: Check = unheard,
) -> Float[Tensor, " set"]:
    """Probability of ``encoded.target`` under each set; an empty set changes nothing.

    Args:
        factor: of the neurons' activations; 0 switches them off.
        check: called between batches; an exception it raises ends the work.
    """
    for one in sets:
        one.check(model)
    if encoded.target is None:
        raise UserError("Say whose probability is asked: the prompt names no target.")
    if not math.isfinite(factor):
        raise UserError(f"Activations are multiplied by a finite number, not {factor}.")
    single = last_token_alone(model, encoded, everywhere=False)
    inputs = inputs_of(model, encoded, single=single)
    tokens = 1 if single else encoded.length
    choices = len(model.labels) if model.kind == "classifier" else model.vocabulary
    step = max(1, min(LOGITS // choices, _TOKENS // tokens) - 1)
    order = sorted(range(len(sets)), key=lambda i: _first_layer(model, sets[i]))
    probabilities = torch.empty(len(sets), device="cpu", dtype=torch.float32)
    for start in range(0, len(order), step):
        check()
        part = order[start : start + step]
        some = [sets[i] for i in part]
        probabilities[part] = _batch(model, encoded, some, factor, inputs, single)
    return probabilities


def _batch(
    model: Model,
    encoded: Encoded,
    sets: list[NeuronSet],
    factor: float,
    inputs: dict,
    single: bool,
) -> Float[Tensor, " set"]:
    """One growing batch; the sets come in the order of their first layers."""
    firsts = [_first_layer(model, one) for one in sets]
    # Where a stack begins, the rows that have joined in the one before go on.
    layers = {*firsts, *(stack.start for stack in model.stacks.values())} - {model.layers}
    touched: dict[At, list[tuple[int, list[int]]]] = {}
    for row, one in enumerate(sets, start=1):  # row 0 is the clean one
        for at, indices in one.by_place().items():
            touched.setdefault(at, []).append((row, indices))

    def join(layer: int) -> Callable[[Tensor], Tensor]:
        rows = 1 + sum(first <= layer for first in firsts)
        return lambda hidden: torch.cat([hidden, hidden[:1].expand(rows - len(hidden), -1, -1)])

    def rescale(at: At, rows: list[tuple[int, list[int]]]) -> Edit:
        span = slice(None) if single else model.span(encoded, at, everywhere=False)

        def function(neurons: Neurons) -> Neurons:
            changed = neurons.clone()
            for row, indices in rows:
                changed[row, span, indices] *= factor
            return changed

        return function

    entering = {layer: (model.block(layer), join(layer)) for layer in layers}
    with (
        model.lock,
        attending(model, single=single),
        before(entering),
        model.edit({at: rescale(at, rows) for at, rows in touched.items()}),
    ):
        logits = model.logits(model.hidden(**inputs))
        probabilities = model.probabilities(logits)[:, encoded.target]
    rest = len(sets) + 1 - len(probabilities)  # empty sets never joined
    return torch.cat([probabilities[1:], probabilities[:1].expand(rest)]).cpu()


def _first_layer(model: Model, neurons: NeuronSet) -> int:
    return min((neuron.layer for neuron in neurons), default=model.layers)
