"""Attribution methods: (model, prompt) -> NeuronScores."""

from neuronlab.attribution.attribute import attribute
from neuronlab.attribution.registry import METHODS, Method, discover, method, methods, register
from neuronlab.attribution.residues import residue_scores

__all__ = [
    "METHODS",
    "Method",
    "attribute",
    "method",
    "methods",
    "register",
    "residue_scores",
]

discover(__path__)
