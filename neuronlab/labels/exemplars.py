"""The proteins that drive every neuron up and down, in one pass over a corpus (2507.06458).

Memory does not grow with the corpus: of every neuron only its extremes and its moments are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.errors import UserError
from neuronlab.labels.reading import protein_ids, visit
from neuronlab.models import Component, Model
from neuronlab.models.hooks import Neurons
from neuronlab.progress import Fraction, unheard

Pooling = Literal["mean", "max", "cls"]
Array = np.ndarray
KEEP = 30
ENDS = ("top", "bottom")
_ARRAYS = ("top", "top_at", "bottom", "bottom_at", "total", "square")


def pooled(
    model: Model,
    sequences: Sequence[str],
    components: Sequence[Component],
    pooling: Pooling,
    progress: Fraction = unheard,
) -> dict[Component, Float[Tensor, "protein layer neuron"]]:
    """One activation per protein and neuron.

    Args:
        sequences: longer ones are cut to what the model takes.
        pooling: over residues, or "cls": at the first special token, as the paper's code does.
        progress: called with a fraction after every batch; an exception it raises ends the work.

    Raises:
        UserError: a sequence has a residue that the model does not know.
    """
    if pooling not in get_args(Pooling):
        there = ", ".join(get_args(Pooling))
        raise UserError(f"There is no pooling '{pooling}': choose from {there}.")
    activations = {
        c: torch.empty(
            (len(sequences), model.layers, model.sizes[c]), device="cpu", dtype=torch.float32
        )
        for c in components
    }

    def keep(
        rows: list[int], layer: int, component: Component, neurons: Neurons, residues: Tensor
    ) -> None:
        activations[component][rows, layer] = _pool(neurons.float(), residues, pooling).cpu()

    visit(model, protein_ids(model, sequences), model.residues_at, components, keep, progress)
    return activations


def _pool(neurons: Neurons, residues: Tensor, pooling: Pooling) -> Float[Tensor, "row neuron"]:
    if pooling == "cls":
        return neurons[:, 0]
    counted = residues[..., None]
    if pooling == "max":
        return neurons.masked_fill(~counted, -torch.inf).amax(1)
    return (neurons * counted).sum(1) / counted.sum(1)


@dataclass
class Exemplars:
    """Extremes and moments of the neurons of one component.

    Attributes:
        keep: proteins kept at either end.
        top, bottom: their activations, (layer, neuron, protein), the most extreme first.
        top_at, bottom_at: the proteins' numbers; ties go to what was added first.
        total, square: sums over proteins, (layer, neuron).
        proteins: how many were seen.
    """

    keep: int = KEEP
    top: Float[Array, "layer neuron kept"] | None = None
    top_at: Int[Array, "layer neuron kept"] | None = None
    bottom: Float[Array, "layer neuron kept"] | None = None
    bottom_at: Int[Array, "layer neuron kept"] | None = None
    total: Float[Array, "layer neuron"] | float = 0.0
    square: Float[Array, "layer neuron"] | float = 0.0
    proteins: int = 0

    def add(
        self, numbers: Sequence[int], activations: Float[Tensor, "protein layer neuron"]
    ) -> None:
        """Some more proteins, in the order of the corpus."""
        values = activations.movedim(0, -1)
        at = torch.tensor(numbers, device="cpu", dtype=torch.int32).expand(values.shape)
        for end in ENDS:
            self._add(end, values, at)
        self.total = self.total + values.double().sum(-1).numpy(force=True)
        self.square = self.square + values.double().square().sum(-1).numpy(force=True)
        self.proteins += len(numbers)

    def join(self, later: Exemplars) -> None:
        """The proteins of a later part of the corpus."""
        for end in ENDS:
            values, at = getattr(later, end), getattr(later, f"{end}_at")
            self._add(end, torch.from_numpy(values), torch.from_numpy(at))
        self.total = self.total + later.total
        self.square = self.square + later.square
        self.proteins += later.proteins

    def _add(self, end: str, values: Tensor, at: Tensor) -> None:
        kept, kept_at = getattr(self, end), getattr(self, f"{end}_at")
        kept, kept_at = _extreme(kept, kept_at, values, at, self.keep, end == "top")
        setattr(self, end, kept)
        setattr(self, f"{end}_at", kept_at)

    @property
    def mean(self) -> Float[Array, "layer neuron"]:
        """Mean activation over proteins."""
        return np.asarray(self.total / self.proteins, np.float32)

    @property
    def sd(self) -> Float[Array, "layer neuron"]:
        """Standard deviation over proteins."""
        variance = self.square / self.proteins - (self.total / self.proteins) ** 2
        return np.sqrt(np.maximum(variance, 0)).astype(np.float32)

    def arrays(self, component: Component) -> dict[str, Array]:
        """The state, as arrays of a result."""
        return {f"{name}.{component}": getattr(self, name) for name in _ARRAYS}

    @classmethod
    def of(
        cls, arrays: dict[str, Array], component: Component, keep: int, proteins: int
    ) -> Exemplars:
        """The state that ``arrays`` gave."""
        state = cls(keep, proteins=proteins)
        for name in _ARRAYS:
            setattr(state, name, arrays[f"{name}.{component}"])
        return state


def _extreme(
    values: Array | None, at: Array | None, new: Tensor, new_at: Tensor, keep: int, highest: bool
) -> tuple[Array, Array]:
    if values is not None:
        new = torch.cat([torch.from_numpy(values), new], -1)
        new_at = torch.cat([torch.from_numpy(at), new_at], -1)
    # A layer at a time: sorting needs several times the memory of what it sorts.
    kept = [
        torch.sort(layer, dim=-1, descending=highest, stable=True).indices[:, :keep]
        for layer in new
    ]
    order = torch.stack(kept)
    return new.gather(-1, order).numpy(force=True), new_at.gather(-1, order).numpy(force=True)
