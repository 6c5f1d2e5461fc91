"""Scores of all neurons of a protein classifier over many proteins, with sums only.

After arXiv 2312.10770, whose own code and definitions are not public. For neuron j of a layer's
projection, over proteins x and residues p:

    activation             mean over x of the mean over p of |a|
    integrated gradients   mean over x of | sum over p of IG |, of the logit of the label
    gradient x activation  mean over x of | sum over p of a dF/da |

Nothing is kept per protein: memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Float

from neuronlab.attribution.attribute import attribute
from neuronlab.attribution.registry import Baseline
from neuronlab.models import COMPONENTS, Component, Model, Prompt
from neuronlab.neurons import NeuronScores

SCORED = ("activation", "integrated_gradients", "gradient_x_activation")
# Errors of single proteins average out over many: coarser than where one prompt is looked at.
TOLERANCE = 0.3
# Of DSSP: helices, strands, and the rest.
STATES = "HGIEBTSC"

Array = Float[np.ndarray, "layer neuron"]


@dataclass
class Streamed:
    """Sums over proteins, which add up: those of parts give those of the whole.

    Attributes:
        sums: by (what, component): what is a method, "mean" and "square" (of the activation over
            residues), a DSSP state (activation over the residues in it), or "token" and the number
            of a special token, from 0 or, from the end, from -1 (activation there).
        proteins, residues: how many were added.
        states: residues in each DSSP state.
    """

    sums: dict[tuple[str, Component], Array] = field(default_factory=dict)
    proteins: int = 0
    residues: int = 0
    states: dict[str, int] = field(default_factory=lambda: dict.fromkeys(STATES, 0))

    def add(
        self,
        model: Model,
        sequence: str,
        target: int,
        *,
        secondary: str = "",
        methods: Sequence[str] = SCORED,
        components: Sequence[Component] = COMPONENTS,
        baseline: Baseline = "input",
    ) -> None:
        """One protein.

        Args:
            target: the class whose logit is explained.
            secondary: its DSSP string, or "".
            methods: of ``SCORED``.
            components: scored; activations are read of all.
            baseline: of integrated gradients: all residues masked ("input"), or "zero".

        Raises:
            UserError: the sequence does not fit the model.
        """
        prompt = Prompt(sequence, target=target)
        seen = model.read(model.encode(prompt), COMPONENTS)
        for component in COMPONENTS:
            layers = [seen[layer, component][0] for layer in range(model.layers)]
            tokens = np.stack([neurons.float().numpy(force=True) for neurons in layers])
            residues = self._add_activations(component, tokens, model.residues_at, secondary)
            if "activation" in methods and component in components:
                self._sum("activation", component, np.abs(residues).mean(1))
        for method in methods:
            if method != "activation":
                scores = _scored(model, prompt, method, components, baseline)
                for component in components:
                    self._sum(method, component, np.abs(scores[component]))
        self.proteins += 1
        self.residues += len(sequence)
        for state in secondary:
            self.states[state] += 1

    def _add_activations(
        self,
        component: Component,
        tokens: Float[np.ndarray, "layer token neuron"],
        residues_at: slice,
        secondary: str,
    ) -> Float[np.ndarray, "layer residue neuron"]:
        """Activations of one protein, at special tokens apart; those at its residues."""
        first, last, _ = residues_at.indices(tokens.shape[1])
        residues = tokens[:, first:last]
        for token in [*range(first), *range(last - tokens.shape[1], 0)]:
            self._sum(f"token{token}", component, tokens[:, token])
        self._sum("mean", component, residues.sum(1))
        self._sum("square", component, (residues**2).sum(1))
        for state in set(secondary):
            in_state = np.array([letter == state for letter in secondary])
            self._sum(state, component, residues[:, in_state].sum(1))
        return residues

    def scores(self, method: str) -> dict[Component, Array]:
        """Mean over proteins, of the scored components in the order of ``COMPONENTS``."""
        return {
            c: (self.sums[method, c] / self.proteins).astype(np.float32)
            for c in COMPONENTS
            if (method, c) in self.sums
        }

    def means(self) -> dict[Component, Array]:
        """Mean activation over residues."""
        return {c: (self.sums["mean", c] / self.residues).astype(np.float32) for c in COMPONENTS}

    def token_means(self) -> dict[int, dict[Component, Array]]:
        """Mean activation at each special token: numbers from 0, or from the end from -1."""
        names = sorted({what for what, _ in self.sums if what.startswith("token")})
        return {
            int(name.removeprefix("token")): {
                c: (self.sums[name, c] / self.proteins).astype(np.float32) for c in COMPONENTS
            }
            for name in names
        }

    def responses(self) -> dict[str, dict[Component, Array]]:
        """Per DSSP state seen: mean activation there less that anywhere, in standard deviations."""
        responses: dict[str, dict[Component, Array]] = {}
        for component in COMPONENTS:
            mean = self.sums["mean", component] / self.residues
            spread = np.sqrt(self.sums["square", component] / self.residues - mean**2)
            for state, count in self.states.items():
                if count:
                    away = self.sums[state, component] / count - mean
                    z = np.divide(away, spread, out=np.zeros_like(mean), where=spread > 0)
                    responses.setdefault(state, {})[component] = z.astype(np.float32)
        return responses

    def __add__(self, other: Streamed) -> Streamed:
        keys = self.sums.keys() | other.sums.keys()
        return Streamed(
            {key: np.asarray(self.sums.get(key, 0.0) + other.sums.get(key, 0.0)) for key in keys},
            self.proteins + other.proteins,
            self.residues + other.residues,
            {state: self.states[state] + other.states[state] for state in STATES},
        )

    @classmethod
    def together(cls, parts: Iterable[Streamed]) -> Streamed:
        """The sums of all parts."""
        return reduce(lambda one, other: one + other, parts, cls())

    def _sum(self, what: str, component: Component, values: Array) -> None:
        values = values.astype(np.float64)
        at = (what, component)
        self.sums[at] = self.sums[at] + values if at in self.sums else values


def _scored(
    model: Model,
    prompt: Prompt,
    method: str,
    components: Sequence[Component],
    baseline: Baseline,
) -> NeuronScores:
    integrates = method == "integrated_gradients"
    options: dict[str, Any] = {"baseline": baseline, "tolerance": TOLERANCE} if integrates else {}
    return attribute(
        model,
        prompt,
        method=method,
        components=components,
        positions="all",
        objective="logit",
        **options,
    )
