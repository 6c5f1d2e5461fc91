"""Which models exist, where their weights come from, and where their neurons are."""

from neuronlab.models.components import COMPONENTS, Component
from neuronlab.models.loading import devices, load, shared
from neuronlab.models.model import Model
from neuronlab.models.prompt import MASK, Encoded, Prompt

__all__ = [
    "COMPONENTS",
    "MASK",
    "Component",
    "Encoded",
    "Model",
    "Prompt",
    "devices",
    "load",
    "shared",
]
