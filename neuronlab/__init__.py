"""Which neurons made the model say that? Attribution and intervention on transformer neurons."""

from neuronlab.attribution import attribute, methods
from neuronlab.errors import UserError
from neuronlab.models import Model, Prompt, load
from neuronlab.neurons import (
    Affine,
    Amplify,
    KeepOnly,
    Neuron,
    NeuronScores,
    NeuronSet,
    Prediction,
    Suppress,
    predict,
    predict_many,
)

__version__ = "0.1.0"
__all__ = [
    "Affine",
    "Amplify",
    "KeepOnly",
    "Model",
    "Neuron",
    "NeuronScores",
    "NeuronSet",
    "Prediction",
    "Prompt",
    "Suppress",
    "UserError",
    "attribute",
    "load",
    "methods",
    "predict",
    "predict_many",
]
