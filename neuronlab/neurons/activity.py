"""How active every neuron is, and random sets of neurons that are as active as given ones.

Most neurons are nearly silent on any one prompt. Random neurons of the same layers are therefore a
weak control: that switching them off does nothing says little. The stronger one is drawn among
neurons that are as active and write as much.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from neuronlab.errors import UserError
from neuronlab.models import Component, Encoded, Model
from neuronlab.neurons.neurons import Neuron, NeuronSet

# Each neuron's control is one of so many that are most like it.
NEIGHBOURS = 5
# Below this share of the most active neuron, all are silent alike.
_SILENT = 1e-4


@dataclass(frozen=True)
class Activity:
    """How active neurons are.

    Attributes:
        active: per (layer, component) the mean absolute activation of each neuron.
        written: the same times the length of the neuron's output vector: what it adds to the
            residual stream. A query or key neuron writes nothing itself, and a value neuron through
            attention alone: theirs is the activation.
    """

    active: Mapping[tuple[int, Component], Float[np.ndarray, " neuron"]]
    written: Mapping[tuple[int, Component], Float[np.ndarray, " neuron"]]

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        model: Model,
        prompts: Sequence[Encoded],
        components: Iterable[Component],
        *,
        everywhere: bool = False,
    ) -> Activity:
        """Read from the unchanged model.

        Args:
            prompts: means are taken over them.
            everywhere: over all tokens of a prompt instead of the predicted position alone (see
                ``Model.span``); a classifier has no predicted position, and is always read
                everywhere.
        """
        components = tuple(components)
        everywhere = everywhere or model.kind == "classifier"
        active: dict[tuple[int, Component], np.ndarray] = {}
        for prompt in prompts:
            for at, neurons in model.read(prompt, components).items():
                tokens = model.span(prompt, at, everywhere=everywhere)
                seen = neurons[0, tokens].float().abs().mean(0).numpy(force=True) / len(prompts)
                active[at] = active[at] + seen if at in active else seen
        return cls(active, {at: _lengths(model, at) * seen for at, seen in active.items()})

    def matched(self, neurons: NeuronSet, seed: int) -> NeuronSet:
        """As many other neurons of each layer and component, as active, and writing as much.

        Each is drawn among the ``NEIGHBOURS`` others of its layer and component nearest to it in
        the logarithms of both; none is drawn twice.

        Args:
            seed: same seed, same set.

        The set's own neurons are left out wherever enough others exist. Where the set holds the
        most active neurons of a layer there are none as active; ``level`` tells how near they come.

        Raises:
            UserError: the activity of a neuron's layer or component was not read.
        """
        draw = np.random.default_rng(seed)
        chosen: list[Neuron] = []
        for (layer, component), indices in neurons.by_place().items():
            at = self._read(layer, component)
            sizes = np.stack([_logarithm(self.active[at]), _logarithm(self.written[at])], axis=1)
            free = np.ones(len(sizes), bool)
            if 2 * len(indices) <= len(sizes):
                free[indices] = False
            for index in draw.permutation(indices):
                others = draw.permutation(np.flatnonzero(free))  # those equally far in any order
                far = ((sizes[others] - sizes[index]) ** 2).sum(axis=1)
                nearest = np.argsort(far, kind="stable")[:NEIGHBOURS]
                one = int(others[draw.choice(nearest)])
                free[one] = False
                chosen.append(Neuron(layer, component, one))
        return NeuronSet(chosen, f"as active as {neurons.name or 'set'} #{seed}")

    def level(self, neurons: NeuronSet) -> float:
        """How active the neurons of a set are: the geometric mean of their activations.

        Raises:
            UserError: the activity of a neuron's layer or component was not read.
        """
        logarithms = [
            _logarithm(self.active[self._read(layer, component)])[indices]
            for (layer, component), indices in neurons.by_place().items()
        ]
        return float(np.exp(np.concatenate(logarithms).mean())) if logarithms else 0.0

    def _read(self, layer: int, component: Component) -> tuple[int, Component]:
        if (layer, component) not in self.active:
            raise UserError(f"How active {component} neurons of layer {layer} are was not read.")
        return layer, component


@torch.no_grad()
def per_residue(model: Model, sequence: str, neurons: NeuronSet) -> Float[np.ndarray, " residue"]:
    """Mean activation of neurons at each residue of a protein, none of which is hidden.

    Raises:
        UserError: the sequence does not fit the model, or the set has no neuron.
    """
    if not len(neurons):
        raise UserError("The set has no neuron: choose at least one.")
    ids = model.ids([model.residue_ids(sequence)])
    seen = model.read(Encoded(ids, 0, None, ()), tuple(neurons.counts()))
    parts = [
        seen[at][0, model.residues_at, indices].float().numpy(force=True)
        for at, indices in neurons.by_place().items()
    ]
    return np.concatenate(parts, axis=1).mean(1)


def _lengths(model: Model, at: tuple[int, Component]) -> Float[np.ndarray, " neuron"] | float:
    layer, component = at
    if component not in ("ffn", "attention"):
        return 1.0
    block = model.block(layer)
    vectors = model.family.directions(block, component)
    return vectors.float().norm(dim=1).numpy(force=True)


def _logarithm(sizes: Float[np.ndarray, " neuron"]) -> Float[np.ndarray, " neuron"]:
    floor = max(_SILENT * float(sizes.max()), 1e-30)
    return np.log(np.maximum(sizes, floor))
