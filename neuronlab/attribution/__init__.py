"""Attribution methods: (model, prompt) -> NeuronScores."""

from neuronlab.attribution.attribute import attribute
from neuronlab.attribution.registry import METHODS, Method, method, methods
from neuronlab.attribution.residues import residue_scores

__all__ = ["METHODS", "Method", "attribute", "method", "methods", "residue_scores"]
