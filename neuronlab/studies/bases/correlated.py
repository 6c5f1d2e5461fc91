"""How every neuron correlates with a property over proteins of a corpus, if any does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neuronlab.errors import UserError
from neuronlab.labels.exemplars import pooled
from neuronlab.models import Component, Model
from neuronlab.neurons import NeuronScores
from neuronlab.proteins import corpora
from neuronlab.proteins.features import PROPERTIES, per_residue
from neuronlab.steering import selection
from neuronlab.steering.goals import Goal

# Proteins that correlations are taken over.
CORRELATED = 200


def correlations(
    model: Model,
    goals: Sequence[Goal],
    corpus: str,
    components: Sequence[Component],
    *,
    residues: bool,
    seed: int,
) -> list[NeuronScores]:
    """Per goal Pearson's r of each neuron with its property.

    Args:
        residues: over residues; else over proteins.
        seed: which proteins of the corpus.

    Raises:
        UserError: the property has no per-residue form, the corpus has too few proteins, or no
            neuron correlates beyond chance.
    """
    for goal in goals:
        if residues and not PROPERTIES[goal.property].of_residues:
            raise UserError(
                f"{goal.title} is no sum over residues: choose neurons by effect or per protein."
            )
    sequences = _sequences(model, corpus, seed)
    if residues:
        scores = [_by_residue(goal, model, sequences, components) for goal in goals]
        independent = sum(map(len, sequences))
    else:
        activations = pooled(model, sequences, components, "mean")
        scores = [selection.by_protein(activations, goal.values(sequences)) for goal in goals]
        independent = len(sequences)
    neurons = model.layers * sum(model.sizes[c] for c in components)
    # The largest of that many correlations of independent numbers.
    chance = float(np.sqrt(2 * np.log(neurons) / independent))
    for goal, of_goal in zip(goals, scores, strict=True):
        if max(float(np.abs(of_goal[c]).max()) for c in of_goal) < chance:
            raise UserError(
                f"No neuron of {model.title} correlates with "
                f"{PROPERTIES[goal.property].title.lower()} beyond chance: choose by effect."
            )
    return scores


def _sequences(model: Model, corpus: str, seed: int) -> list[str]:
    """The sequences that correlations are taken over: the model knows all their residues."""
    proteins = corpora.proteins(corpus)
    draw = np.random.default_rng(seed).permutation(len(proteins))[:CORRELATED]
    sequences = [proteins[i].sequence[: model.max_tokens - 2] for i in sorted(draw)]
    residues = set(model.residues)
    sequences = [s for s in sequences if residues.issuperset(s)]
    if len(sequences) < 10:
        raise UserError("The corpus has too few proteins for correlations: choose another.")
    return sequences


def _by_residue(
    goal: Goal, model: Model, sequences: Sequence[str], components: Sequence[Component]
) -> NeuronScores:
    def contributions(sequence: str) -> np.ndarray:
        of_residues = per_residue(goal.property, sequence)
        assert of_residues is not None
        return of_residues

    return selection.by_residue(model, sequences, contributions, components)
