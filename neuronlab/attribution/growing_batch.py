"""Gradients along many activation paths in one forward and one backward pass.

Moving the neurons of layer l along a path only changes the computation from there on. The batch
starts as the clean prompt alone; at each layer one row per path node joins it, in which that
layer's neurons are moved, and all rows travel on together. Rows join where a block begins, or,
where a family's blocks allow it, where their neurons are written into the residual stream. One
backward pass then gives the gradient at every node of every layer (METHODS of NeuronLab: an
algorithm of our own; it equals the loop over layers and nodes to rounding).

In an encoder-decoder the rows of the encoder's paths enter the decoder with what they have made of
the text; those that join in the decoder read what the encoder made of it unchanged.

The head reads one token. Where a family's blocks allow it, the last block goes on after its
attention with that token alone: the others' neurons there have no effect, and a gradient of zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.attribution.one_reader import one_reader, reader_of
from neuronlab.attribution.prefix import attending, inputs_of
from neuronlab.models.components import SUBLAYERS, Sublayer
from neuronlab.models.hooks import before, before_sums
from neuronlab.progress import Check, unheard

if TYPE_CHECKING:
    from neuronlab.models import Component, Encoded, Model

At = tuple[int, "Component"]
# Maps logits (row, choice) to the number that is explained, one per row.
Objective = Callable[[Float[Tensor, "row choice"]], Float[Tensor, " row"]]


@dataclass
class Path:
    """Nodes on the straight line from ``baseline`` to the clean neurons of one site.

    Attributes:
        alphas: where the nodes are; 0 is the baseline, 1 the clean activation.
        baseline: neurons at the far end, (token, neuron) of the moved positions, or 0.
    """

    at: At
    alphas: Sequence[float]
    baseline: Float[Tensor, "token neuron"] | float = 0.0


@dataclass
class Gradients:
    """What one pass found for one path.

    Attributes:
        clean: the clean neurons at the moved positions, (token, neuron); zero where nothing
            depends on them.
        clean_gradient: the gradient there, (token, neuron): one row gives it for every path.
        values: the objective at each node, (node,).
        gradients: its gradient there with respect to the moved neurons, (node, token, neuron).
    """

    clean: Float[Tensor, "token neuron"]
    clean_gradient: Float[Tensor, "token neuron"]
    values: Float[Tensor, " node"]
    gradients: Float[Tensor, "node token neuron"]


def last_token_alone(model: Model, encoded: Encoded, *, everywhere: bool) -> bool:
    """Whether a row can be the last token alone, on keys and values that no change reaches.

    Only a causal model leaves the prefix untouched, and only when the last token alone moves; and
    its attention must be there to be replaced.
    """
    replaceable = model.family.causal and model.family.interface
    return replaceable and not everywhere and encoded.input_ids.shape[1] > 1


class GrowingBatch:
    """Runs paths on one prompt; what all passes share is computed once."""

    def __init__(
        self,
        model: Model,
        encoded: Encoded,
        objective: Objective,
        *,
        everywhere: bool,
        check: Check = unheard,
    ) -> None:
        """
        Args:
            everywhere: move the neurons at all positions; else at the predicted one alone, as
                ``Model.span`` says.
            check: called at every layer of a pass; an exception it raises ends the pass.
        """
        self.check = check
        self.model = model
        self.encoded = encoded
        self.objective = objective
        self.everywhere = everywhere
        self.single = last_token_alone(model, encoded, everywhere=everywhere)
        self.tokens_per_row = 1 if self.single else encoded.length
        self._inputs = inputs_of(model, encoded, single=self.single)
        reader = {} if self.single else reader_of(model, self._read)
        self._narrow = bool(reader)
        self._inputs |= reader

    def run(self, paths: Sequence[Path]) -> tuple[float, dict[At, Gradients]]:
        """The objective of the clean prompt, and values and gradients at each path's nodes."""
        model = self.model
        running = _Pass(self, paths)
        with (
            model.lock,
            one_reader(model, self._read) if self._narrow else attending(model, single=self.single),
            torch.enable_grad(),
            running.along(),
        ):
            hidden = model.hidden(**self._inputs)
            values = self.objective(model.logits(hidden))
            leaves, clean = running.leaves, running.clean
            gradients = torch.autograd.grad(values.sum(), [*leaves.values(), *clean.values()])
        values = values.detach()
        moved = dict(zip(leaves, gradients[: len(leaves)], strict=True))
        unmoved = dict(zip(clean, gradients[len(leaves) :], strict=True))
        return float(values[0]), {
            at: Gradients(
                self._widened(_wide(clean[at][0, self.moved(at, clean[at])].detach())),
                self._widened(_wide(unmoved[at][0, self.moved(at, clean[at])])),
                values[rows],
                self._widened(moved[at]),
            )
            for at, rows in running.rows.items()
        }

    def moved(self, at: At, neurons: Float[Tensor, "row token neuron"]) -> slice:
        """The positions that move, of those that are there."""
        if neurons.shape[1] == 1:
            return slice(None)
        return self.model.span(self.encoded, at, everywhere=self.everywhere)

    def rows_of(self, path: Path, clean: Float[Tensor, "1 token neuron"]) -> tuple[Tensor, Tensor]:
        """What a path moves at each of its nodes, and the rows it is moved in."""
        place = self.moved(path.at, clean)
        end = _wide(clean[0, place].detach())
        baseline = path.baseline
        if isinstance(baseline, Tensor) and len(baseline) > len(end):
            baseline = baseline[self._read]
        alphas = torch.tensor(path.alphas, device=end.device, dtype=end.dtype)
        leaf = (baseline + alphas[:, None, None] * (end - baseline)).requires_grad_()
        moved = leaf.to(clean.dtype)
        if len(end) == clean.shape[1]:
            return leaf, moved
        rows = clean.detach().repeat(len(leaf), 1, 1)
        rows[:, place] = moved
        return leaf, rows

    @property
    def _read(self) -> slice:
        """The token that the head reads."""
        return slice(self.encoded.position, self.encoded.position + 1)

    def _widened(self, neurons: Float[Tensor, "*row token neuron"]) -> Tensor:
        """Zero for the tokens that the last block has dropped."""
        tokens = self.tokens_per_row
        if not (self._narrow and self.everywhere) or neurons.shape[-2] == tokens:
            return neurons
        wide = neurons.new_zeros(*neurons.shape[:-2], tokens, neurons.shape[-1])
        wide[..., self._read, :] = neurons
        return wide


def _wide(neurons: Tensor) -> Tensor:
    """At least float32: differences and sums of half-precision numbers lose what matters."""
    return neurons.to(torch.promote_types(neurons.dtype, torch.float32))


class _Pass:
    """One pass: where the rows of each path join, and the tensors whose gradients are asked."""

    def __init__(self, batch: GrowingBatch, paths: Sequence[Path]) -> None:
        self.batch = batch
        self.rows: dict[At, slice] = {}
        self.leaves: dict[At, Tensor] = {}
        self.clean: dict[At, Tensor] = {}
        # The paths that join where a block begins, and where a sublayer is added to the stream.
        self.entering: dict[int, list[Path]] = {}
        self.adding: dict[tuple[int, Sublayer], Path] = {}
        for path in paths:
            layer, component = path.at
            if component in SUBLAYERS and self._sum(layer, component) is not None:
                self.adding[layer, component] = path
            else:
                self.entering.setdefault(layer, []).append(path)
        # How many rows have joined before a layer.
        self.earlier: list[int] = []
        count = 1
        for layer in range(batch.model.layers):
            self.earlier.append(count)
            added = [self.adding[at] for at in product([layer], SUBLAYERS) if at in self.adding]
            for path in (*self.entering.get(layer, ()), *added):
                self.rows[path.at] = slice(count, count + len(path.alphas))
                count += len(path.alphas)

    @contextmanager
    def along(self) -> Iterator[None]:
        """While open, a forward pass of the clean prompt takes all rows along."""
        model = self.batch.model
        # Where a stack begins, the rows that have joined in the one before go on.
        layers = {stack.start for stack in model.stacks.values()} | self.entering.keys()
        entering = {layer: (model.block(layer), self._enter(layer)) for layer in layers}
        edits = {path.at: self._move(path) for paths in self.entering.values() for path in paths}
        sums = {
            at: (module, self._add(path))
            for at, path in self.adding.items()
            if (module := self._sum(*at)) is not None
        }
        with before(entering), model.edit(edits), before_sums(sums):
            yield

    def _sum(self, layer: int, sublayer: Sublayer) -> nn.Module | None:
        sums = self.batch.model.family.sums(self.batch.model.block(layer))
        return sums[SUBLAYERS.index(sublayer)]

    def _enter(self, layer: int) -> Callable[[Tensor], Tensor]:
        """Rows join where the block begins."""
        count = sum(len(path.alphas) for path in self.entering.get(layer, ()))

        def function(hidden: Tensor) -> Tensor:
            self.batch.check()
            joining = self.earlier[layer] + count - len(hidden)
            return torch.cat([hidden, hidden[:1].detach().expand(joining, -1, -1)])

        return function

    def _move(self, path: Path) -> Callable[[Tensor], Tensor]:
        """Its neurons are moved in the rows that have joined for it."""

        def function(neurons: Tensor) -> Tensor:
            rows = self.rows[path.at]
            sizes = [1, rows.start - 1, rows.stop - rows.start, len(neurons) - rows.stop]
            clean, older, _, newer = neurons.split(sizes)
            clean = self._followed(clean)
            self.clean[path.at] = clean
            self.leaves[path.at], mine = self.batch.rows_of(path, clean)
            return torch.cat([clean, older, mine, newer])

        return function

    def _add(self, path: Path) -> Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Its rows join where their neurons are about to be written into the stream."""

        def function(neurons: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
            self.batch.check()
            clean, older = neurons.split([1, len(neurons) - 1])
            clean = self._followed(clean)
            self.clean[path.at] = clean
            self.leaves[path.at], mine = self.batch.rows_of(path, clean)
            same = stream[:1].detach().expand(len(mine), -1, -1)
            return torch.cat([clean, older, mine]), torch.cat([stream, same])

        return function

    @staticmethod
    def _followed(clean: Tensor) -> Tensor:
        """Where nothing before has a gradient, it starts here."""
        return clean if clean.requires_grad else clean.detach().requires_grad_()
