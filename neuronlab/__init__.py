"""Which neurons made the model say that? Attribution and intervention on transformer neurons."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from neuronlab.errors import UserError

if TYPE_CHECKING:
    from neuronlab.attribution.attribute import attribute
    from neuronlab.attribution.registry import methods
    from neuronlab.computing import run
    from neuronlab.models import Model, Prompt, load
    from neuronlab.models import table as models
    from neuronlab.neurons import (
        Affine,
        Amplify,
        KeepOnly,
        Neuron,
        NeuronScores,
        NeuronSet,
        Prediction,
        Suppress,
        generate,
        predict,
        predict_many,
    )
    from neuronlab.studies import table as studies

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
    "generate",
    "load",
    "methods",
    "models",
    "predict",
    "predict_many",
    "run",
    "studies",
]

_MODULES = {
    **dict.fromkeys(("attribute", "methods"), "neuronlab.attribution"),
    **dict.fromkeys(("Model", "Prompt", "load"), "neuronlab.models"),
    "run": "neuronlab.computing",
}


def __getattr__(name: str) -> Any:
    # On first use, because torch and transformers take seconds to import.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name in ("models", "studies"):  # packages that list what they hold when they are called
        return import_module(f"neuronlab.{name}")
    value = getattr(import_module(_MODULES.get(name, "neuronlab.neurons")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
