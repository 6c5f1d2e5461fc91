"""Experiments: spec -> result. One file each."""

from neuronlab.runs import Study
from neuronlab.studies.attribution import (
    AttributionSpec,
    AttributionStudy,
    scores_of,
    suppressed_in,
)

STUDIES: dict[str, Study] = {study.name: study for study in (AttributionStudy(),)}

__all__ = ["STUDIES", "AttributionSpec", "AttributionStudy", "scores_of", "suppressed_in"]
