"""Experiments: spec -> result, one file each. That a file here defines a study registers it."""

import sys
from collections.abc import Iterator
from importlib import import_module
from inspect import getdoc, isabstract, isclass
from pkgutil import iter_modules

import pandas as pd

from neuronlab.listing import Listing
from neuronlab.models import shared
from neuronlab.runs import Context, Study

Context.loader = shared

# By name.
STUDIES: dict[str, Study] = {}


def defined() -> Iterator[type[Study]]:
    """The studies that the files of this folder define."""
    for file in iter_modules(__path__, f"{__name__}."):
        for one in vars(import_module(file.name)).values():
            mine = isclass(one) and one.__module__ == file.name
            if mine and issubclass(one, Study) and not isabstract(one):
                yield one


STUDIES.update((study.name, study()) for study in defined())


def table() -> pd.DataFrame:
    """One row per study: name, title, what it computes, and the fields of its spec."""
    return pd.DataFrame(
        [
            {
                "name": name,
                "title": study.title,
                "what": (getdoc(type(study)) or "").partition("\n")[0],
                "fields": ", ".join(study.spec_type.model_fields),
            }
            for name, study in STUDIES.items()
        ]
    )


sys.modules[__name__].__class__ = Listing  # `nl.studies()`
