"""One prompt, one model, one method: the study behind the first page."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from pydantic import Field, StrictInt, field_validator, model_validator
from torch import Tensor

from neuronlab.attribution import attribute, method
from neuronlab.attribution.attribute import at_tokens, foil_in, stacks_in, token_totals
from neuronlab.attribution.estimate import check_memory, estimate, seconds
from neuronlab.attribution.gradient_x_activation import gradient_x_activation
from neuronlab.attribution.registry import Baseline, Engine
from neuronlab.attribution.request import TOLERANCE, Objective, Positions, Request, Variant
from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.models import ALL_COMPONENTS, COMPONENTS, Component, Encoded, Model, Prompt
from neuronlab.neurons import NeuronScores, predict
from neuronlab.neurons.predictions import Prediction
from neuronlab.neurons.specificity import specific_scores
from neuronlab.runs import Context, Result, Seed, Study
from neuronlab.studies.bases.bystanders import subtracted
from neuronlab.studies.bases.one_prompt import SUPPRESSED, PromptSpec, prove
from neuronlab.studies.bases.prompts import Described, first_prompt

if TYPE_CHECKING:
    import plotly.graph_objects as go

TOP = 1000
PREVIEW = "gradient_x_activation"
# Where scores are to be specific: about so many bystanders are subtracted, so many prompts asked
# in search of them, and the share of the time that the prompt's own scores take.
_SUBTRACTED = 8
_ASKED = 100
_FIRST = 0.12
ByToken = dict[Component, Float[Tensor, "layer token neuron"]]


class AttributionSpec(PromptSpec):
    """Everything that decides the scores of one prompt's neurons.

    Attributes:
        foil: what the target is compared with: the difference of the two log-probabilities is then
            explained.
        specific: scores are less their mean over bystanders (``bystanders.subtracted``): what is
            this answer's alone comes first.

    Without a foil, and where it is not specific, a spec is written, and named, as before there were
    any.
    """

    study: ClassVar[str] = "attribution"
    version: ClassVar[int] = 3

    method: str = "integrated_gradients"
    components: tuple[Component, ...] = COMPONENTS
    objective: Objective = "probability"
    positions: Positions = "predicted"
    baseline: Baseline = "zero"
    engine: Engine = "fast"
    tolerance: float = Field(TOLERANCE, gt=0)
    seed: Seed = 0
    variant: Variant = "sound"
    foil: str | StrictInt | None = Field(None, exclude_if=lambda foil: foil is None)
    specific: bool = Field(False, exclude_if=lambda specific: not specific)

    @property
    def prompt(self) -> Prompt:
        """What is asked of the model."""
        return replace(super().prompt, foil=self.foil)

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
        if not chosen.differentiates or data.get("foil") is not None:
            ignored |= {"objective"}
        if not chosen.draws:
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


class AttributionStudy(Study[AttributionSpec]):
    """Scores, the prediction they explain, and what switching the top neurons off does to it.

    Of a causal model's prompt of several tokens also ``where`` (see the function), the number
    ``top_everywhere``, and ``one_pass``: gradient x activation summed at each token.
    """

    name = "attribution"
    title = "Which neurons made it say that?"
    spec_type = AttributionSpec

    def default(self) -> AttributionSpec:
        """The capital of France on the small English model."""
        return AttributionSpec(
            model="smollm2-135m", text="The capital of France is", target=" Paris"
        )

    def example(self, model: Described) -> AttributionSpec | None:
        """The first of the model's own prompts; an encoder alone is asked nothing."""
        if model.kind == "encoder":
            return None
        return AttributionSpec(
            model=model.name,
            revision=model.revision,
            positions=default_positions(model.kind),
            **({"components": model.components} if isinstance(model, Model) else {}),
            **first_prompt(model),
        )

    def cost(self, spec: AttributionSpec, context: Context) -> Cost:
        """That of the attribution, and of those that are subtracted; the proof is quick."""
        model = context.model(spec.model, spec.revision)
        cost = estimate(model, spec.prompt, spec.method, spec.components, spec.positions)
        if not spec.specific:
            return cost
        tokens = model.encode(spec.prompt).length
        search = seconds(model, tokens, _ASKED, _ASKED)
        return replace(cost, seconds=cost.seconds * (_SUBTRACTED + 1) + search)

    def run_shard(self, spec: AttributionSpec, shard: Any, context: Context) -> Result:
        """The whole study: one prompt is one shard."""
        context.progress(0.0, "loading the model")
        model = context.model(spec.model, spec.revision)
        encoded = model.encode(spec.prompt)
        earlier = model.family.causal and len(encoded.tokens) > 1
        title = method(spec.method).title
        first: ByToken = {}
        prediction = None
        if context.previews and method(spec.method).integrates and spec.components:
            prediction = predict(model, encoded)
            with suppress(UserError):  # what does not fit has no preview
                check_memory(everywhere(model, spec, prediction.target))
                first = one_pass(model, spec, prediction.target)
                words = f"{method(PREVIEW).title}, from one pass; {title} will replace it"
                context.preview(preview(spec, prediction, first, encoded), words)
        share = _FIRST if spec.specific else 0.95
        scores = _scored(model, spec, spec.prompt, context.part(0, share))
        if spec.specific:
            scores = _less_others(model, spec, scores, context.part(share, 0.95 - share))
        if first and prediction is not None:
            words = f"{title}; what is left of the answer without the best neurons is next"
            context.preview(scored(prediction, scores), words)
        context.progress(0.95, "switching the top neurons off")
        proof = prove(model, spec, scores)
        numbers = {
            **scores.provenance,
            **proof.numbers,
            "largest_error": _largest_error(scores),
            "certified": scores.certified,
        }
        tables = {"top": scores.top(TOP, magnitude=True), **proof.tables}
        if earlier:
            first = first or one_pass(model, spec, numbers["target"])
            tables["where"], numbers["top_everywhere"] = where(first, encoded.position)
            tables["one_pass"] = by_token(encoded.tokens, first)
        quality = scores.quality
        if len(quality):
            tables["quality"] = quality
        if len(scores.tokens):
            tables["tokens"] = scores.tokens
            tables["token_totals"] = scores.token_totals
        return Result(numbers=numbers, tables=tables, arrays=_by_name(scores))

    def plot(self, spec: AttributionSpec, result: Result) -> go.Figure:
        """Scores for and against the target in every layer, by component."""
        return scores_of(result).plot()


def _objective(spec: AttributionSpec) -> Objective:
    """What is explained; beside log-odds, which a foil asks for, stand log-probabilities."""
    return spec.objective if spec.foil is None else "log_probability"


def _scored(model: Model, spec: AttributionSpec, prompt: Prompt, context: Context) -> NeuronScores:
    return attribute(
        model,
        prompt,
        method=spec.method,
        components=spec.components,
        objective=_objective(spec),
        positions=spec.positions,
        baseline=spec.baseline,
        engine=spec.engine,
        tolerance=spec.tolerance,
        seed=spec.seed,
        variant=spec.variant,
        progress=context.progress,
    )


def _less_others(
    model: Model, spec: AttributionSpec, scores: NeuronScores, context: Context
) -> NeuronScores:
    """The specific scores; their provenance names what was subtracted."""
    others = subtracted(model, replace(spec.prompt, foil=None))
    if not others:
        raise UserError(
            f"Nothing is known to ask {model.title} beside this prompt: rank by the score itself."
        )
    of_others = []
    for at, other in enumerate(others):
        part = context.part(at / len(others), 1 / len(others))
        part.progress(0.0, f"subtracting {at + 1} of {len(others)}: {other.name}")
        of_others.append(_scored(model, spec, other.prompt, part))
    specific = specific_scores(scores, of_others)
    named = {**scores.provenance, "subtracted": [other.name for other in others]}
    return replace(specific, provenance=named)


def everywhere(model: Model, spec: AttributionSpec, target: int) -> Request:
    """The question about every token."""
    encoded = model.encode(spec.prompt)
    return Request(
        model,
        encoded,
        target,
        spec.components,
        _objective(spec),
        positions="all",
        foil=encoded.foil,
    )


def one_pass(model: Model, spec: AttributionSpec, target: int) -> ByToken:
    """Gradient x activation of every neuron at every token: a single pass gives it.

    Each as ``at_tokens`` gives it.
    """
    request = everywhere(model, spec, target)
    scores = gradient_x_activation(request).scores
    return {c: at_tokens(request, scores, c) for c in spec.components}


def by_token(texts: Sequence[str], scores: ByToken) -> pd.DataFrame:
    """The sum over all neurons at each token: columns token, text, then one per component."""
    return token_totals(texts, {c: of_all.nansum((0, 2)) for c, of_all in scores.items()})


def preview(
    spec: AttributionSpec, prediction: Prediction, first: ByToken, encoded: Encoded
) -> Result:
    """What a single pass says of where the scores are, until the method's own are there."""
    model = prediction.model

    def summed(component: Component, scores: Float[Tensor, "layer token neuron"]) -> np.ndarray:
        rows = []
        for layer, of_layer in enumerate(scores):
            at = layer, component
            span = model.span(encoded, at, everywhere=spec.positions == "all")
            rows.append(of_layer[model.tokens_at(encoded, at)][span].sum(0))
        return torch.stack(rows).numpy(force=True)

    arrays = {str(c): summed(c, scores) for c, scores in first.items()}
    return Result(_predicted(prediction), {"predictions": prediction.top(10)}, arrays)


def scored(prediction: Prediction, scores: NeuronScores) -> Result:
    """The method's own scores, until it is known what switching the best neurons off does."""
    tables = {"predictions": prediction.top(10), "quality": scores.quality}
    return Result({**scores.provenance, **_predicted(prediction)}, tables, _by_name(scores))


def _predicted(prediction: Prediction) -> dict[str, Any]:
    """What a page says of the answer, whatever its scores are."""
    model = prediction.model
    return {
        **stacks_in(model),
        "target": prediction.target,
        "target_label": prediction.label,
        "probability": prediction.probability,
        "rank": prediction.rank,
        **foil_in(model, prediction.foil),
        **({} if prediction.foil is None else {"log_odds": prediction.log_odds}),
    }


def default_positions(kind: str) -> Positions:
    """Bidirectional models score all positions at no extra cost; causal ones pay for it."""
    return "predicted" if kind == "causal" else "all"


def where(first: ByToken, position: int) -> tuple[pd.DataFrame, int]:
    """What scores of the last token alone leave out: keys and values of the tokens before it.

    A causal model reads its answer at the last token, but the subject earlier.

    Args:
        first: what a single pass says of every token.
        position: of the last token.

    Returns:
        A row per component: component, predicted and all (its share of the absolute scores at the
        predicted position, and summed over all positions); and how many of the ten best neurons of
        either are the same.
    """
    views = {"predicted": slice(position, position + 1), "all": slice(None)}
    table = pd.DataFrame({"component": list(first)})
    best = []
    for view, tokens in views.items():
        sizes = np.array([float(first[c][:, tokens].abs().sum()) for c in first])
        table[view] = sizes / max(sizes.sum(), 1e-30)
        arrays = {c: each[:, tokens].sum(1).numpy(force=True) for c, each in first.items()}
        best.append(NeuronScores(arrays).select(top=SUPPRESSED))
    return table, len(best[0] & best[1])


def _by_name(scores: NeuronScores) -> dict[str, np.ndarray]:
    return {str(component): scores[component] for component in scores}


def _largest_error(scores: NeuronScores) -> float | None:
    """The largest estimated error of a place, as a fraction of its absolute scores."""
    errors = [
        row.error / max(float(abs(scores[row.component][row.layer]).sum()), 1e-12)
        for row in scores.quality.itertuples()
    ]
    return max(errors, default=None)


def mean_error(scores: NeuronScores) -> float | None:
    """The errors estimated for all places together, as a fraction of all absolute scores.

    None of a method that estimates none. A place with hardly any score may err much more.
    """
    return _share(scores, "error")


def mean_gap(scores: NeuronScores) -> float | None:
    """What the scores of all places lack to completeness, as a fraction of all absolute scores.

    None of a method that is not complete.
    """
    return _share(scores, "gap")


def _share(scores: NeuronScores, column: str) -> float | None:
    if scores.quality.empty:
        return None
    size = sum(float(np.nansum(np.abs(scores[c]))) for c in scores)
    return float(scores.quality[column].sum() / max(size, 1e-12))


def scores_of(result: Result) -> NeuronScores:
    """The scores in a stored result of this study."""
    empty = pd.DataFrame()
    return NeuronScores(
        arrays=cast("dict[Component, np.ndarray]", result.arrays),
        provenance=result.numbers,
        quality=result.tables.get("quality", empty),
        tokens=result.tables.get("tokens", empty),
        token_totals=result.tables.get("token_totals", empty),
        certified=result.numbers.get("certified"),
    )
