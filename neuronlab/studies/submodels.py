"""Knowledge neurons of a protein classifier: keep the best, switch all others off (2312.10770).

Neurons are scored on training and validation proteins, submodels are judged on test proteins.
Raw scores favour whichever projection is larger; a quota per matrix (or scores in standard
deviations of their matrix) does not. Beside all that is chosen: random neurons, and random neurons
with as many in each layer and component. What is better than what is decided by differences on the
same test proteins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from pydantic import Field, field_validator

from neuronlab import statistics
from neuronlab.attribution import METHODS
from neuronlab.attribution.streamed import SCORED, Streamed
from neuronlab.cost import Cost
from neuronlab.models import Component, Encoded, Model, Prompt
from neuronlab.models.catalogue import use_of
from neuronlab.neurons import KeepOnly, NeuronScores, NeuronSet, Suppress, predict_over
from neuronlab.proteins.baselines import judge, metrics
from neuronlab.runs import Context, Result, Study
from neuronlab.studies.bases.masks import (
    Scores,
    Selection,
    neurons_of,
    overlaps,
)
from neuronlab.studies.bases.on_proteins import JudgedSpec, turns
from neuronlab.studies.bases.prompts import Described
from neuronlab.studies.bases.protein_scores import (
    classifier,
    judged_rows,
    packed,
    score,
    unpacked,
)
from neuronlab.studies.bases.submodel_plan import (
    BUDGETS,
    FLOOR,
    RANDOM,
    STRATIFIED,
    compared,
    only_compared,
    planned,
    shares,
    switched_off,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Neurons are switched off one at a time on at most as many proteins.
SINGLE_ON = 40
_PER_SHARD = 10


class SubmodelsSpec(JudgedSpec):
    """Which neurons are kept, by which scores, and how the others are switched off.

    Attributes:
        model: a protein classifier.
        methods: of ``SCORED``.
        selections: "raw" scores; "z": in standard deviations of their matrix; "quota": the same
            share of every matrix.
        ablations: others go to "zero", or to their "mean" over residues, and at each of the special
            tokens to that over proteins.
        singles: of the best neurons, switched off one at a time and together.
    """

    study: ClassVar[str] = "submodels"
    version: ClassVar[int] = 2

    methods: tuple[str, ...] = SCORED
    selections: tuple[Selection, ...] = Field(("raw", "quota"), min_length=1)
    ablations: tuple[Literal["zero", "mean"], ...] = Field(("mean",), min_length=1)
    singles: int = Field(20, ge=2, le=200)

    @field_validator("methods")
    @classmethod
    def _some_of_scored(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        if not methods or not set(methods) <= set(SCORED):
            raise ValueError(f"choose methods from {', '.join(SCORED)}")
        return tuple(m for m in SCORED if m in methods)

    @property
    def leading(self) -> str:
        """The first gradient method, by which single neurons and components are switched off."""
        return next((m for m in self.methods if m != "activation"), self.methods[0])

    @property
    def submodels(self) -> int:
        """How many are judged, the full model among them."""
        strata = sum(1 if s == "quota" else len(self.methods) for s in self.selections)
        chosen = len(self.methods) * len(self.selections) + (1 + strata) * self.seeds
        off = len(BUDGETS) * len(self.components) * (1 + self.seeds)
        return 1 + len(self.ablations) * (1 + len(self.fractions) * chosen) + off


class SubmodelsStudy(Study[SubmodelsSpec]):
    """Keeps only the best neurons of a protein classifier, beside random ones, and judges it.

    Arrays: ``{method}.{component}`` scores, ``mean.{component}`` over residues,
    ``mean{number}.{component}`` at special tokens, and per DSSP state
    ``state_{letter}.{component}`` (see ``Streamed``). Tables:

    - ``submodels``: method, selection, like (of "stratified random": the method whose counts it
      has, "" for all that share them), seed, fraction, ablation, and accuracy, f1 and auc, each
      with ``_low`` and ``_high``.
    - ``compared``: method, selection, fraction, ablation, against ("stratified random" with the
      same counts, "random", "full" or "floor"), and what ``Judgement.above`` says.
    - ``shares``: method, selection, seed, fraction, component, layer, kept, density, share.
    - ``only``: component, budget, neurons, choice (a method, or "random": as many of each layer),
      seed, and the metrics.
    - ``only_compared``: component, budget, against ("random" or "full"), and what
      ``Judgement.above`` says.
    - ``single``: rank, layer, component, neuron, score, alone, together, sum: mean changes of the
      label's log-probability.
    - ``agreement``: a, b, component, spearman, fraction, jaccard.

    Numbers: full, floor, majority, and how many proteins.
    """

    name = "submodels"
    title = "Knowledge neurons of a protein classifier"
    spec_type = SubmodelsSpec
    unit = "portions of proteins"
    previews = True
    merging = 0.75

    def default(self) -> SubmodelsSpec:
        """The enzyme model on its own proteins."""
        return SubmodelsSpec.like_tuned("esm2-8m-enzyme", "")

    def shards(self, spec: SubmodelsSpec, context: Context) -> list[int]:
        """Where each portion of the scored proteins begins."""
        return list(range(0, len(spec.to_score()), _PER_SHARD))

    def example(self, model: Described) -> SubmodelsSpec | None:
        """Few submodels of few proteins; none for a model that whole proteins say nothing to."""
        if model.kind != "classifier" or model.alphabet != "protein" or use_of(model.name).only:
            return None
        return self.small(model)

    def small(self, model: Described) -> SubmodelsSpec:
        """Few submodels of few proteins, of any classifier."""
        return SubmodelsSpec.like_tuned(
            model.name,
            model.revision,
            methods=("activation", "gradient_x_activation"),
            scored=6,
            tested=12,
            fractions=(0.5, 0.1, 0.01),
            selections=("raw",),
            ablations=("zero",),
            seeds=2,
            singles=3,
        )

    def cost(self, spec: SubmodelsSpec, context: Context) -> Cost:
        """Scores, and every submodel on the test proteins."""
        model = context.model(spec.model, spec.revision)
        seconds = spec.seconds(model, spec.methods, spec.submodels + 2 * spec.singles)
        return Cost(seconds, remark="; finished scores are kept")

    def run_shard(self, spec: SubmodelsSpec, shard: int, context: Context) -> Result:
        """Sums over ten proteins."""
        model = classifier(context, spec.model, spec.revision)
        spec.check(model)
        sums = score(
            model,
            spec.to_score()[shard : shard + _PER_SHARD],
            spec.methods,
            spec.components,
            spec.baseline,
            context,
        )
        return packed(sums)

    def preview(self, spec: SubmodelsSpec, parts: Sequence[Result], context: Context) -> Result:
        """Where the best neurons are; what they carry is judged at the end."""
        sums = Streamed.together(map(unpacked, parts))
        tables = {"shares": shares(_submodels(spec, sums)), "agreement": agreement(spec, sums)}
        return Result(
            {"scored": sums.proteins, "residues": sums.residues}, tables, _arrays(spec, sums)
        )

    def merge(self, spec: SubmodelsSpec, parts: Sequence[Result], context: Context) -> Result:
        """Choose neurons, and judge every submodel on the test proteins."""
        model = classifier(context, spec.model, spec.revision)
        sums = Streamed.together(map(unpacked, parts))
        tested = spec.to_test()
        labels = np.array([protein.label for protein in tested])
        encoded = [model.encode(Prompt(p.sequence, target=p.label)) for p in tested]
        plan, leading = _submodels(spec, sums), sums.scores(spec.leading)
        only = switched_off(spec.leading, leading, statistics.seeds(spec.seed, spec.seeds))
        changes = [*_kept_only(plan, sums, spec.components), *(Suppress(r["off"]) for r in only)]
        judging, singling = context.part(0.0, 0.85), context.part(0.85, 0.15)
        p = predict_over(
            model, encoded, changes, lambda done: judging.progress(done, "judging submodels")
        )
        judged = [judge(labels, row) for row in p.double().numpy(force=True)]
        submodels, suppressed = judged[: len(plan)], judged[len(plan) :]
        full = submodels[0]
        few = np.argsort(turns(labels), kind="stable")[:SINGLE_ON]
        tables = {
            "submodels": pd.DataFrame(judged_rows(plan, submodels)),
            "compared": compared(plan, submodels),
            "shares": shares(plan),
            "only": pd.DataFrame(judged_rows(only, suppressed)),
            "only_compared": only_compared(only, suppressed, full),
            "single": _single(spec, model, sums, [encoded[i] for i in few], singling),
            "agreement": agreement(spec, sums),
        }
        numbers = {
            "full": dict(full.metrics),
            "floor": {
                row["ablation"]: dict(judgement.metrics)
                for row, judgement in zip(plan, submodels, strict=True)
                if row["method"] == FLOOR
            },
            "majority": _majority(spec, labels),
            "scored": sums.proteins,
            "tested": len(tested),
            "residues": sums.residues,
            "layers": model.layers,
        }
        return Result(numbers, tables, _arrays(spec, sums))

    def plot(self, spec: SubmodelsSpec, result: Result) -> go.Figure:
        """AUC against the share of neurons kept, by the first selection and ablation."""
        return lines(spec, result, "auc", spec.selections[0], spec.ablations[0])


def lines(
    spec: SubmodelsSpec, result: Result, metric: str, selection: str, ablation: str
) -> go.Figure:
    """What is left of a metric against the share of neurons kept, beside random neurons.

    Args:
        metric: "auc", "f1" or "accuracy".
        selection: one of the spec's.
        ablation: one of the spec's.
    """
    from neuronlab.figures.classifier import kept_lines

    n, table = result.numbers, result.tables["submodels"]
    chosen = (table["selection"] == selection) | (table["method"] == RANDOM)
    rows = table[chosen & (table["ablation"] == ablation)]
    line = rows["method"].where(rows["method"] != STRATIFIED, "like " + rows["like"])
    titles = {method: METHODS[method].title for method in spec.methods}
    controls = {}
    for method in dict.fromkeys(rows.loc[rows["method"] == STRATIFIED, "like"]):
        titles[f"like {method}"] = f"random like {titles.get(method, 'all of these')}"
        controls[f"like {method}"] = method
    titles[RANDOM], controls[RANDOM] = "random", ""
    across = {
        "full model": n["full"][metric],
        "none kept": n["floor"][ablation][metric],
        "majority": n["majority"][metric],
    }
    return kept_lines(rows.assign(line=line), metric, titles, across, controls)


def _arrays(spec: SubmodelsSpec, sums: Streamed) -> dict[str, np.ndarray]:
    """Scores and means of all neurons, by names that say of what."""
    by_name: dict[str, Scores] = {m: sums.scores(m) for m in spec.methods}
    by_name["mean"] = sums.means()
    by_name |= {f"mean{token}": means for token, means in sums.token_means().items()}
    by_name |= {f"state_{state}": means for state, means in sums.responses().items()}
    return {f"{name}.{c}": values[c] for name, values in by_name.items() for c in values}


def _kept_only(
    plan: Sequence[Mapping[str, Any]], sums: Streamed, components: tuple[Component, ...]
) -> list[KeepOnly | None]:
    """What leaves of the model what each row keeps."""
    token_means = {token: by_place(means) for token, means in sums.token_means().items()}
    to_means = KeepOnly(
        NeuronSet(), components=components, means=by_place(sums.means()), token_means=token_means
    )
    to_zero = KeepOnly(NeuronSet(), components=components)
    return [
        None
        if row["kept"] is None
        else replace(
            to_means if row["ablation"] == "mean" else to_zero, neurons=neurons_of(row["kept"])
        )
        for row in plan
    ]


def by_place(
    values: Mapping[Component, Float[np.ndarray, "layer neuron"]],
) -> dict[tuple[int, Component], Float[torch.Tensor, " _"]]:
    """As interventions take them."""
    return {
        (layer, c): torch.from_numpy(of_layer)
        for c, of_component in values.items()
        for layer, of_layer in enumerate(of_component)
    }


def _submodels(spec: SubmodelsSpec, sums: Streamed) -> list[dict[str, Any]]:
    """Every submodel: see ``planned``."""
    scores = {m: sums.scores(m) for m in spec.methods}
    seeds = statistics.seeds(spec.seed, spec.seeds)
    return planned(scores, spec.fractions, spec.selections, spec.ablations, seeds)


def agreement(spec: SubmodelsSpec, sums: Streamed) -> pd.DataFrame:
    """Rank correlation of the methods' scores, and the Jaccard index of what they keep."""
    scores = {m: sums.scores(m) for m in spec.methods}
    rows = [
        {"a": a, "b": b, **row}
        for a, b in combinations(spec.methods, 2)
        for row in overlaps(scores[a], scores[b], spec.fractions)
    ]
    columns = ["a", "b", "component", "spearman", "fraction", "jaccard"]
    return pd.DataFrame(rows, columns=columns)


def _single(
    spec: SubmodelsSpec,
    model: Model,
    sums: Streamed,
    encoded: Sequence[Encoded],
    context: Context,
) -> pd.DataFrame:
    """The best neurons off one at a time, and the first r of them together."""
    top = NeuronScores(sums.scores(spec.leading)).top(spec.singles)
    rows = top[["layer", "component", "neuron"]].itertuples(index=False)
    neurons = [(int(layer), c, int(index)) for layer, c, index in rows]
    changes: list[Any] = [None, *(Suppress(NeuronSet([n])) for n in neurons)]
    changes += [Suppress(NeuronSet(neurons[: r + 1])) for r in range(len(neurons))]
    p = predict_over(
        model,
        encoded,
        changes,
        lambda done: context.progress(done, "one at a time and together"),
    ).double()
    targets = np.array([e.target for e in encoded])
    of_labels = p.numpy(force=True)[:, np.arange(len(encoded)), targets]
    log_p = np.log(np.clip(of_labels, 1e-38, None)).mean(axis=1)
    alone = log_p[1 : 1 + len(neurons)] - log_p[0]
    together = log_p[1 + len(neurons) :] - log_p[0]
    return pd.DataFrame(
        {
            **{name: top[name] for name in ("rank", "layer", "component", "neuron", "score")},
            "alone": alone,
            "together": together,
            "sum": np.cumsum(alone),
        }
    )


def _majority(spec: SubmodelsSpec, labels: np.ndarray) -> dict[str, float]:
    """What always naming the training part's most frequent class gives on the test proteins."""
    proteins, sides = spec.parts()
    train = np.bincount([proteins[i].label for i in sides.train], minlength=len(spec.classes))
    return metrics(labels, np.tile(train / train.sum(), (len(labels), 1)))
