"""What neurons contribute at each residue of one protein, and which at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from neuronlab.attribution.attribute import baseline_of, by_layer
from neuronlab.attribution.registry import method as method_named
from neuronlab.attribution.request import Attribution, Request
from neuronlab.attribution.streamed import TOLERANCE
from neuronlab.models import ALL_COMPONENTS, COMPONENTS, Component, Encoded, Model, Prompt
from neuronlab.neurons import NeuronScores, NeuronSet, predict


class ResidueScores(NamedTuple):
    """What neurons contribute at each residue towards a class's logit.

    Attributes:
        scores: summed over the neurons. Every layer and component is scored by itself, and each
            passes on much of what the others do: sums over several exceed the logit.
        probability: of the class.
        error: estimated, of all scores together, as a fraction of their absolute sum; None where
            the method estimates none.
    """

    scores: Float[np.ndarray, " residue"]
    probability: float
    error: float | None


def residue_scores(
    model: Model,
    sequence: str,
    target: int,
    neurons: NeuronSet | None = None,
    *,
    method: str = "integrated_gradients",
    components: Sequence[Component] = COMPONENTS,
) -> ResidueScores:
    """Scores of the neurons towards a class's logit, summed at each residue.

    Args:
        neurons: whose scores count; None counts all of the components.
        method: one that differentiates; integrated gradients begin at the masked sequence.

    Raises:
        UserError: the sequence does not fit the model.
    """
    encoded = model.encode(Prompt(sequence, target=target))
    if neurons is not None:
        components = tuple(c for c in ALL_COMPONENTS if c in neurons.counts())
    attribution = _at_all(model, encoded, target, method, components)
    places = None if neurons is None else neurons.by_place()
    total = np.zeros(encoded.input_ids.shape[1])
    for at, scores in attribution.scores.items():
        if places is None:
            total += scores.double().sum(1).numpy(force=True)
        elif at in places:
            total += scores[:, places[at]].double().sum(1).numpy(force=True)
    error = None
    if not attribution.quality.empty:
        size = sum(float(scores.double().abs().sum()) for scores in attribution.scores.values())
        error = float(attribution.quality["error"].sum()) / max(size, 1e-12)
    return ResidueScores(total[model.residues_at], predict(model, encoded).probability, error)


def scores_at_residue(
    model: Model,
    sequence: str,
    target: int,
    residue: int,
    *,
    components: Sequence[Component] = COMPONENTS,
) -> NeuronScores:
    """What each neuron contributes at one residue towards a class's logit, by a single pass.

    The scores are gradient x activation there.

    Args:
        residue: its place, from 0.

    Raises:
        UserError: the sequence does not fit the model.
    """
    encoded = model.encode(Prompt(sequence, target=target))
    scores = _at_all(model, encoded, target, "gradient_x_activation", components).scores
    place = range(encoded.input_ids.shape[1])[model.residues_at][residue]
    there = {at: of_tokens[place] for at, of_tokens in scores.items()}
    arrays = {c: by_layer(model, there, c).numpy(force=True) for c in components}
    source = {"settings": {"method": "gradient_x_activation"}, "token": place}
    return NeuronScores(arrays, source)


def _at_all(
    model: Model, encoded: Encoded, target: int, method: str, components: Sequence[Component]
) -> Attribution:
    """Towards the logit, at every token; integrated gradients begin at the masked sequence."""
    chosen = method_named(method)
    request = Request(
        model=model,
        encoded=encoded,
        target=target,
        components=tuple(components),
        objective="logit",
        positions="all",
        baseline=baseline_of(model, encoded, "input", components) if chosen.integrates else None,
        tolerance=TOLERANCE,
    )
    return chosen.engines["fast"](request)
