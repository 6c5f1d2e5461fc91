"""The vocabulary: neurons, sets of them, scores, interventions and predictions."""

from neuronlab.neurons.activity import Activity
from neuronlab.neurons.card import NeuronCard, neuron_card
from neuronlab.neurons.effect import Effect, effect
from neuronlab.neurons.generation import generate
from neuronlab.neurons.interventions import (
    Affine,
    Amplify,
    Intervention,
    KeepOnly,
    Suppress,
    applied,
)
from neuronlab.neurons.neurons import Neuron, NeuronSet
from neuronlab.neurons.predictions import Prediction, predict, predict_many, predict_over
from neuronlab.neurons.scores import NeuronScores

__all__ = [
    "Activity",
    "Affine",
    "Amplify",
    "Effect",
    "Intervention",
    "KeepOnly",
    "Neuron",
    "NeuronCard",
    "NeuronScores",
    "NeuronSet",
    "Prediction",
    "Suppress",
    "applied",
    "effect",
    "generate",
    "neuron_card",
    "predict",
    "predict_many",
    "predict_over",
]
