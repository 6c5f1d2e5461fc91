"""Gradients along many activation paths in one forward and one backward pass.

Moving the neurons of layer l along a path only changes the computation from layer l on. The batch
starts as the clean prompt alone; at each layer one row per path node joins it, in which that
layer's neurons are moved, and all rows travel on together. One backward pass then gives the
gradient at every node of every layer (METHODS of NeuronLab: an algorithm of our own; it equals
the loop over layers and nodes to rounding).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.attribution.prefix import attending, inputs_of
from neuronlab.models.hooks import before
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
        clean: the clean neurons at the moved positions, (token, neuron).
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

    Only a causal model leaves the prefix untouched, and only when the last token alone moves.
    """
    return model.family.causal and not everywhere and encoded.input_ids.shape[1] > 1


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
            everywhere: move the neurons at all positions; else at the predicted one alone.
            check: called at every layer of a pass; an exception it raises ends the pass.
        """
        self.check = check
        self.model = model
        self.encoded = encoded
        self.objective = objective
        self.everywhere = everywhere
        self.single = last_token_alone(model, encoded, everywhere=everywhere)
        self.tokens_per_row = 1 if self.single else encoded.input_ids.shape[1]
        self._inputs = inputs_of(model, encoded, single=self.single)

    def run(self, paths: Sequence[Path]) -> tuple[float, dict[At, Gradients]]:
        """The objective of the clean prompt, and values and gradients at each path's nodes."""
        model = self.model
        rows: dict[At, slice] = {}
        joining: dict[int, int] = {}
        count = 1
        for path in sorted(paths, key=lambda p: p.at[0]):
            rows[path.at] = slice(count, count + len(path.alphas))
            count += len(path.alphas)
            joining[path.at[0]] = joining.get(path.at[0], 0) + len(path.alphas)
        leaves: dict[At, Tensor] = {}
        clean: dict[At, Tensor] = {}
        place = self._moved_positions()

        def join(layer: int) -> Callable[[Tensor], Tensor]:
            def function(hidden: Tensor) -> Tensor:
                self.check()
                new = hidden[:1].detach().expand(joining[layer], -1, -1)
                if layer == min(joining):  # here gradients have to start, also in the clean row
                    hidden = hidden.detach().requires_grad_()
                return torch.cat([hidden, new])

            return function

        def move(path: Path) -> Callable[[Tensor], Tensor]:
            def function(neurons: Tensor) -> Tensor:
                own = rows[path.at]
                here = neurons[0, place].detach()
                alphas = torch.tensor(path.alphas, device=here.device, dtype=here.dtype)
                leaf = path.baseline + alphas[:, None, None] * (here - path.baseline)
                leaves[path.at] = leaf.requires_grad_()
                sizes = [1, own.start - 1, len(alphas), len(neurons) - own.stop]
                clean[path.at], older, mine, newer = neurons.split(sizes)
                if not self.single:
                    mine = mine.clone()
                    mine[:, place] = leaf
                return torch.cat([clean[path.at], older, leaf if self.single else mine, newer])

            return function

        entering = {layer: (model.block(layer), join(layer)) for layer in joining}
        with (
            model.lock,
            attending(model, single=self.single),
            torch.enable_grad(),
            before(entering),
            model.edit({path.at: move(path) for path in paths}),
        ):
            hidden = model.hidden(**self._inputs)
            values = self.objective(model.logits(hidden))
            found = torch.autograd.grad(values.sum(), [*leaves.values(), *clean.values()])
        values = values.detach()
        moved = dict(zip(leaves, found[: len(leaves)], strict=True))
        unmoved = dict(zip(clean, found[len(leaves) :], strict=True))
        return float(values[0]), {
            at: Gradients(
                clean[at][0, place].detach(),
                unmoved[at][0, place],
                values[own],
                moved[at],
            )
            for at, own in rows.items()
        }

    def _moved_positions(self) -> slice:
        if self.everywhere or self.single:
            return slice(None)
        return slice(self.encoded.position, self.encoded.position + 1)
