"""Which models exist, where their weights come from, and where their neurons are."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from neuronlab.listing import Listing
from neuronlab.models.components import ALL_COMPONENTS, COMPONENTS, CROSS, READABLE, Component

if TYPE_CHECKING:
    from neuronlab.models.device import devices
    from neuronlab.models.loading import load
    from neuronlab.models.model import Model
    from neuronlab.models.prompt import MASK, Encoded, Prompt
    from neuronlab.models.sharing import shared
    from neuronlab.models.table import table

__all__ = [
    "ALL_COMPONENTS",
    "COMPONENTS",
    "CROSS",
    "MASK",
    "READABLE",
    "Component",
    "Encoded",
    "Model",
    "Prompt",
    "devices",
    "load",
    "shared",
    "table",
]

_MODULES = {
    **dict.fromkeys(("MASK", "Encoded", "Prompt"), "neuronlab.models.prompt"),
    "Model": "neuronlab.models.model",
    "devices": "neuronlab.models.device",
    "load": "neuronlab.models.loading",
    "shared": "neuronlab.models.sharing",
    "table": "neuronlab.models.table",
}

sys.modules[__name__].__class__ = Listing  # `nl.models()`


def __getattr__(name: str) -> Any:
    # On first use: the catalogue and the weights' cache need no torch.
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
