"""Attribution methods: (model, prompt) -> NeuronScores."""

from neuronlab.attribution.attribute import attribute
from neuronlab.attribution.registry import METHODS, Method, method, methods, register
from neuronlab.attribution.residues import residue_scores
from neuronlab.discovery import files

__all__ = [
    "METHODS",
    "Method",
    "attribute",
    "method",
    "methods",
    "register",
    "residue_scores",
]

files(__name__, __path__)  # each registers its methods
