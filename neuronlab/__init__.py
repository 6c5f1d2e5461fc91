"""Which neurons made the model say that? Attribution and intervention on transformer neurons."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from neuronlab.errors import UserError

if TYPE_CHECKING:
    from neuronlab.attribution import attribute, methods
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

_MODULES = {
    **dict.fromkeys(("attribute", "methods"), "neuronlab.attribution"),
    **dict.fromkeys(("Model", "Prompt", "load"), "neuronlab.models"),
}


def __getattr__(name: str) -> Any:
    # On first use, because torch and transformers take seconds to import.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES.get(name, "neuronlab.neurons")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
