"""Experiments: spec -> result. One file each."""

from neuronlab.runs import Study
from neuronlab.studies.attribution import (
    AttributionSpec,
    AttributionStudy,
    scores_of,
)
from neuronlab.studies.cross_lingual_editing import (
    CrossLingualEditingSpec,
    CrossLingualEditingStudy,
)
from neuronlab.studies.degenerate_pairs import DegeneratePairsSpec, DegeneratePairsStudy
from neuronlab.studies.exemplars import ExemplarsSpec, ExemplarsStudy
from neuronlab.studies.fact_checking import FactCheckingSpec, FactCheckingStudy
from neuronlab.studies.fine_tune import FineTuneSpec, FineTuneStudy
from neuronlab.studies.knowledge_types import KnowledgeTypesSpec, KnowledgeTypesStudy
from neuronlab.studies.label_simulator import LabelSimulatorSpec, LabelSimulatorStudy
from neuronlab.studies.language_independent import (
    LanguageIndependentSpec,
    LanguageIndependentStudy,
)
from neuronlab.studies.method_comparison import MethodComparisonSpec, MethodComparisonStudy
from neuronlab.studies.neuron_labels import NeuronLabelsSpec, NeuronLabelsStudy
from neuronlab.studies.neuron_transfer import NeuronTransferSpec, NeuronTransferStudy
from neuronlab.studies.scaling import ScalingSpec, ScalingStudy
from neuronlab.studies.stability import StabilitySpec, StabilityStudy
from neuronlab.studies.steering import SteeringSpec, SteeringStudy
from neuronlab.studies.submodels import SubmodelsSpec, SubmodelsStudy
from neuronlab.studies.value_query import ValueQuerySpec, ValueQueryStudy

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        AttributionStudy(),
        ValueQueryStudy(),
        MethodComparisonStudy(),
        KnowledgeTypesStudy(),
        StabilityStudy(),
        LanguageIndependentStudy(),
        CrossLingualEditingStudy(),
        DegeneratePairsStudy(),
        FactCheckingStudy(),
        FineTuneStudy(),
        SubmodelsStudy(),
        NeuronTransferStudy(),
        ExemplarsStudy(),
        NeuronLabelsStudy(),
        LabelSimulatorStudy(),
        ScalingStudy(),
        SteeringStudy(),
    )
}

__all__ = [
    "STUDIES",
    "AttributionSpec",
    "AttributionStudy",
    "CrossLingualEditingSpec",
    "CrossLingualEditingStudy",
    "DegeneratePairsSpec",
    "DegeneratePairsStudy",
    "ExemplarsSpec",
    "ExemplarsStudy",
    "FactCheckingSpec",
    "FactCheckingStudy",
    "FineTuneSpec",
    "FineTuneStudy",
    "KnowledgeTypesSpec",
    "KnowledgeTypesStudy",
    "LabelSimulatorSpec",
    "LabelSimulatorStudy",
    "LanguageIndependentSpec",
    "LanguageIndependentStudy",
    "MethodComparisonSpec",
    "MethodComparisonStudy",
    "NeuronLabelsSpec",
    "NeuronLabelsStudy",
    "NeuronTransferSpec",
    "NeuronTransferStudy",
    "ScalingSpec",
    "ScalingStudy",
    "StabilitySpec",
    "StabilityStudy",
    "SteeringSpec",
    "SteeringStudy",
    "SubmodelsSpec",
    "SubmodelsStudy",
    "ValueQuerySpec",
    "ValueQueryStudy",
    "scores_of",
]
