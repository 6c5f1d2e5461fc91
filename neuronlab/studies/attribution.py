"""One prompt, one model, one method: the study behind the first page."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from pydantic import Field, field_validator, model_validator

from neuronlab.attribution import attribute, method
from neuronlab.attribution.registry import Baseline, Engine
from neuronlab.attribution.request import TOLERANCE, Objective, Positions, Variant
from neuronlab.models import ALL_COMPONENTS, COMPONENTS, Component, shared
from neuronlab.neurons import NeuronScores
from neuronlab.runs import Context, Result, Seed, Study
from neuronlab.studies.one_prompt import PromptSpec, prove

TOP = 1000


class AttributionSpec(PromptSpec):
    """Everything that decides the scores of one prompt's neurons."""

    study: ClassVar[str] = "attribution"
    version: ClassVar[int] = 2

    method: str = "integrated_gradients"
    components: tuple[Component, ...] = COMPONENTS
    objective: Objective = "probability"
    positions: Positions = "predicted"
    baseline: Baseline = "zero"
    engine: Engine = "fast"
    tolerance: float = Field(TOLERANCE, gt=0)
    seed: Seed = 0
    variant: Variant = "sound"

    @model_validator(mode="before")
    @classmethod
    def _only_what_matters(cls, data: Any) -> Any:
        """Settings that the method ignores do not make another question."""
        if not isinstance(data, dict):
            return data
        data = dict(data)
        chosen = method(data.get("method", "integrated_gradients"))
        ignored = set()
        if not chosen.integrates:
            ignored |= {"baseline", "engine", "tolerance"}
        if not chosen.differentiates:
            ignored |= {"objective"}
        if chosen.name != "random":
            ignored |= {"seed"}
        if len(chosen.variants) == 1:
            ignored |= {"variant"}
        if chosen.baselines[0] != "zero":
            data.setdefault("baseline", chosen.baselines[0])
        if data.get("engine", "fast") != "fast":
            ignored |= {"tolerance"}
        if data.get("components") is None:
            data["components"] = chosen.default_components
        return {name: value for name, value in data.items() if name not in ignored}

    @field_validator("components")
    @classmethod
    def _in_one_order(cls, components: tuple[Component, ...]) -> tuple[Component, ...]:
        return tuple(c for c in ALL_COMPONENTS if c in components)


class AttributionStudy(Study):
    """Scores, the prediction they explain, and what switching the top neurons off does to it."""

    name = "attribution"
    title = "Which neurons made it say that?"
    spec_type = AttributionSpec

    def default(self) -> AttributionSpec:
        """The capital of France on the small English model."""
        return AttributionSpec(
            model="smollm2-135m", text="The capital of France is", target=" Paris"
        )

    def run_shard(self, spec: AttributionSpec, shard: Any, context: Context) -> Result:
        """The whole study: one prompt is one shard."""
        context.progress(0.0, "loading the model")
        model = shared(spec.model, context.device, spec.revision)
        scores = attribute(
            model,
            spec.prompt,
            method=spec.method,
            components=spec.components,
            objective=spec.objective,
            positions=spec.positions,
            baseline=spec.baseline,
            engine=spec.engine,
            tolerance=spec.tolerance,
            seed=spec.seed,
            variant=spec.variant,
            progress=lambda fraction, message: context.progress(0.95 * fraction, message),
        )
        context.progress(0.95, "switching the top neurons off")
        proof = prove(model, spec, scores)
        numbers = {
            **scores.provenance,
            **proof.numbers,
            "largest_error": _largest_error(scores),
            "certified": scores.certified,
        }
        tables = {"top": scores.top(TOP, magnitude=True), **proof.tables}
        quality = scores.quality
        if len(quality):
            tables["quality"] = quality
        if len(scores.tokens):
            tables["tokens"] = scores.tokens
            tables["token_totals"] = scores.token_totals
        return Result(numbers=numbers, tables=tables, arrays=dict(scores.arrays))


def _largest_error(scores: NeuronScores) -> float | None:
    """The largest estimated error of a place, as a fraction of its absolute scores."""
    errors = [
        row.error / max(float(abs(scores[row.component][row.layer]).sum()), 1e-12)
        for row in scores.quality.itertuples()
    ]
    return max(errors, default=None)


def scores_of(result: Result) -> NeuronScores:
    """The scores in a stored result of this study."""
    empty = pd.DataFrame()
    return NeuronScores(
        arrays=result.arrays,
        provenance=result.numbers,
        quality=result.tables.get("quality", empty),
        tokens=result.tables.get("tokens", empty),
        token_totals=result.tables.get("token_totals", empty),
        certified=result.numbers.get("certified"),
    )
