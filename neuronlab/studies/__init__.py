"""Experiments: spec -> result, one file each. That a file here defines a study registers it."""

from collections.abc import Iterator
from importlib import import_module
from inspect import isabstract, isclass
from pkgutil import iter_modules

from neuronlab.models import shared
from neuronlab.runs import Context, Study

Context.loader = shared

# By name.
STUDIES: dict[str, Study] = {}


def _defined() -> Iterator[type[Study]]:
    """The studies that the files of this folder define."""
    for file in iter_modules(__path__, f"{__name__}."):
        for one in vars(import_module(file.name)).values():
            mine = isclass(one) and one.__module__ == file.name
            if mine and issubclass(one, Study) and not isabstract(one):
                yield one


STUDIES.update((study.name, study()) for study in _defined())
