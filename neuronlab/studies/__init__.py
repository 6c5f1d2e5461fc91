"""Experiments: spec -> result. One file each."""

from neuronlab.runs import Study
from neuronlab.studies.attribution import (
    AttributionSpec,
    AttributionStudy,
    scores_of,
    suppressed_in,
)
from neuronlab.studies.value_query import ValueQuerySpec, ValueQueryStudy

STUDIES: dict[str, Study] = {study.name: study for study in (AttributionStudy(), ValueQueryStudy())}

__all__ = [
    "STUDIES",
    "AttributionSpec",
    "AttributionStudy",
    "ValueQuerySpec",
    "ValueQueryStudy",
    "scores_of",
    "suppressed_in",
]
