"""Experiments: spec -> result, one file each. That a file here defines a study registers it."""

import sys
from inspect import getdoc, isabstract

import pandas as pd

from neuronlab.discovery import classes
from neuronlab.listing import Listing
from neuronlab.models import shared
from neuronlab.runs import Context, Study

Context.loader = shared

# By name.
STUDIES: dict[str, Study] = {}


def defined() -> list[type[Study]]:
    """The studies that the files of this folder define."""
    studies = classes(__name__, __path__, Study)  # type: ignore[type-abstract]  # none is made of it
    return [each for each in studies if not isabstract(each)]


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
