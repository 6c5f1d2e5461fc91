"""Tune a protein model into a classifier (the model of arXiv 2312.10770).

The paper tunes ESM-2 to tell enzymes; its checkpoint, split and settings are not known. Here: the
trunk and a fresh head on the first token, AdamW, a rate that rises over the first tenth of the
steps and falls to zero, and the weights of the evaluation with the best AUC on the validation part.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int
from pydantic import Field
from torch import Tensor, nn

from neuronlab.attribution.estimate import seconds
from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.models import Model, training, tuned
from neuronlab.models.catalogue import entry, revision_of
from neuronlab.models.entries import Entry
from neuronlab.models.loading import load
from neuronlab.models.sharing import check_revision, forget
from neuronlab.proteins.baselines import Judgement, baselines, judge, metrics
from neuronlab.proteins.labelled import LABELLED, LabelledProtein, Split
from neuronlab.runs import Context, Result, Study
from neuronlab.studies.bases.on_proteins import OWN, ProteinsSpec
from neuronlab.studies.bases.trunk import (
    READING,
    Inputs,
    classifier,
    freeze,
    logits_of,
    probabilities,
    tuned_layers,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Evaluations on the validation part per epoch.
_LOOKS = 3
_WARM_UP = 0.1
# Lengths are sorted inside so many batches, so that little is padded and batches stay random.
_POOL = 20


class FineTuneSpec(ProteinsSpec):
    """Which trunk, which proteins, and how it is tuned.

    Attributes:
        model: an ESM-2 model, classifier or not; its trunk is where tuning begins.
        title: what the tuned model is called.
        epochs: passes over the training part, at most.
        rate: the highest learning rate.
        batch: proteins per step.
        frozen: so many layers, and the embedding, stay as they are; -1 are all but the last.
        patience: looks at the validation part without a better AUC before tuning stops.
    """

    study: ClassVar[str] = "fine_tune"
    version: ClassVar[int] = 2

    title: str = Field("Enzyme or not", min_length=1, max_length=60)
    epochs: int = Field(2, ge=1, le=50)
    rate: float = Field(2e-4, gt=0, le=0.1)
    batch: int = Field(16, ge=1, le=256)
    frozen: int = 0
    patience: int = Field(1, ge=1)

    @property
    def name(self) -> str:
        """What the tuned model will be called in the catalogue."""
        slug = re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-") or "tuned"
        return f"{slug[:40]}-{self.key[:6]}"


class FineTuneStudy(Study[FineTuneSpec]):
    """Tunes a protein model on labelled proteins, keeps it, and judges it on held-out ones.

    Numbers: ``test`` and ``baselines`` (see ``metrics``, with intervals), ``baseline`` (the one of
    the best AUC on the validation part), ``model`` (its catalogue name), ``duplicates``,
    ``stopped``. Tables: ``curve`` (step, epoch, loss, validation_loss, validation_auc),
    ``compared`` (baseline, and what ``Judgement.above`` says of the model on the test part),
    ``predictions`` (protein, label, part, and the probability of each class) of the validation and
    test parts.
    """

    name = "fine_tune"
    title = "Tune a protein classifier"
    spec_type = FineTuneSpec
    # No previews: until it is tuned there is the curve, which is shown as it grows (`record`).

    def default(self) -> FineTuneSpec:
        """Enzyme or not, on the embedded trunk."""
        return default_spec()

    def cost(self, spec: FineTuneSpec, context: Context) -> Cost:
        """All epochs, with a look at the validation part three times each."""
        model = context.model(spec.model, spec.revision)
        proteins, sides = spec.parts()
        tokens = np.array([len(protein.sequence) + 2 for protein in proteins])
        looks = _LOOKS * spec.epochs
        # Forward, and backward at twice the cost; through the layers that are tuned.
        passes = 3 * spec.epochs * tokens[sides.train].sum()
        passes += looks * tokens[sides.validation].sum() + tokens[sides.test].sum()
        passes *= len(range(model.layers)[spec.frozen :]) / model.layers
        passes += tokens.sum() if spec.frozen else 0
        called = f"; the model will be called {spec.name}"
        return Cost(seconds(model, 1, int(passes), 0), at_most=True, remark=called)

    def run_shard(self, spec: FineTuneSpec, shard: Any, context: Context) -> Result:
        """The whole study: one model is one shard."""
        context.progress(0.0, "loading the model")
        base = load(spec.model, device=context.device, dtype="float32")
        check_revision(base, spec.revision)
        proteins, sides = spec.parts()
        if len({protein.label for protein in proteins}) < 2:
            raise UserError("The proteins are all of one class: add proteins of another.")
        hf = classifier(base, spec.classes, spec.seed)
        freeze(hf, base, spec.frozen)
        tokens = [base.residue_ids(protein.sequence) for protein in proteins]
        labels = np.array([protein.label for protein in proteins])
        parts = {"validation": sides.validation, "test": sides.test}
        with tuned_layers(hf, base, tokens, spec.frozen, context) as inputs:
            curve, stopped = tune(hf, inputs, labels, sides.train, sides.validation, spec, context)
            context.progress(0.95, "judging it on the test part")
            p = {
                part: probabilities(hf, [inputs[i] for i in members], context)
                for part, members in parts.items()
            }
        judged, compared = _judged(proteins, sides, p)
        numbers = {
            **judged,
            "sizes": {"train": len(sides.train)} | {k: len(part) for k, part in parts.items()},
            "duplicates": sides.duplicates,
            "stopped": stopped,
            "model": spec.name,
        }
        _keep(spec, base, hf, numbers)
        predictions = [
            {"protein": proteins[i].name, "label": int(labels[i]), "part": part}
            | {f"p_{k}": float(value) for k, value in enumerate(row)}
            for part, members in parts.items()
            for i, row in zip(members, p[part], strict=True)
        ]
        tables = {"curve": curve, "predictions": predictions, "compared": compared}
        return Result(numbers, {name: pd.DataFrame(rows) for name, rows in tables.items()})

    def plot(self, spec: FineTuneSpec, result: Result) -> go.Figure:
        """Loss and validation AUC over the steps."""
        from neuronlab.figures.classifier import tuning_curve

        return tuning_curve(result.tables["curve"])


def _judged(
    proteins: Sequence[LabelledProtein], sides: Split, p: Mapping[str, np.ndarray]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The numbers of the tuned model and of the baselines, and what it is above each of them.

    Args:
        p: its probabilities of the classes, of the "validation" and of the "test" part.
    """
    held_out = [proteins[i] for i in (*sides.validation, *sides.test)]
    simple = baselines([proteins[i] for i in sides.train], held_out)
    cut = [len(sides.validation)]
    validation, test = np.split(np.array([protein.label for protein in held_out]), cut)
    areas, others = {}, {}
    for name, rows in simple.items():
        on_validation, on_test = np.split(rows, cut)
        areas[name] = metrics(validation, on_validation)["auc"]
        others[name] = judge(test, on_test)
    model = judge(test, p["test"])
    numbers = {
        "test": with_intervals(model),
        "validation": with_intervals(judge(validation, p["validation"])),
        "baselines": {name: with_intervals(other) for name, other in others.items()},
        "baseline": max(areas, key=lambda name: np.nan_to_num(areas[name])),
    }
    compared = [
        {"baseline": name, **row} for name, other in others.items() for row in model.above([other])
    ]
    return numbers, compared


def default_spec() -> FineTuneSpec:
    """Everything is tuned, as the paper did; takes minutes."""
    return FineTuneSpec(revision=revision_of(FineTuneSpec.model_fields["model"].default))


def head_spec() -> FineTuneSpec:
    """The head alone, on the first token behind a trunk that stays as it is."""
    return last_layer_spec().model_copy(update={"frozen": 99, "epochs": 10, "patience": 6})


def last_layer_spec() -> FineTuneSpec:
    """The last layer and the head alone, a third of the time; this made ``esm2-8m-enzyme``."""
    return default_spec().model_copy(
        update={"frozen": -1, "rate": 5e-4, "epochs": 3, "patience": 3}
    )


def tune(
    hf: Any,
    tokens: Sequence[Inputs],
    labels: Int[np.ndarray, " protein"],
    train: Int[np.ndarray, " train"],
    validation: Int[np.ndarray, " validation"],
    spec: FineTuneSpec,
    context: Context,
) -> tuple[list[dict[str, float]], str]:
    """Tune in place; the loss at every step, looks at the validation part, and why it stopped."""
    draw = np.random.default_rng(spec.seed)
    weights = [p for p in hf.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=spec.rate, weight_decay=0.01)
    each = -(-len(train) // spec.batch)
    total = each * spec.epochs
    warm = max(1, round(_WARM_UP * total))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (total - step) / max(total - warm, 1))
    )

    def loss(batch: Int[np.ndarray, " batch"]) -> Tensor:
        logits = logits_of(hf, [tokens[i] for i in batch])
        return nn.functional.cross_entropy(
            logits, torch.from_numpy(labels[batch]).to(logits.device)
        )

    begun = READING if isinstance(tokens[0], Tensor) else 0.0

    def report(row: dict[str, float], best: float) -> None:
        context.record(row)
        seen = f", validation AUC {best:.3f}" if best >= 0 else ""
        step = int(row["step"]) + 1
        words = f"step {step} of {total}: loss {row['loss']:.2f}{seen}"
        context.progress(begun + (0.95 - begun) * step / total, words)

    curve, ended = training.train(
        hf,
        optimizer,
        schedule,
        epochs=spec.epochs,
        seed=spec.seed,
        batches=lambda: _batches(tokens, train, spec.batch, draw),
        loss=loss,
        look=lambda: _look(hf, tokens, labels, validation, context),
        looks={round(each * (k + 1) / _LOOKS) - 1 for k in range(_LOOKS)},
        report=report,
        check=context.check,
        best_by="validation_auc",
        patience=spec.patience,
    )
    times = "look" if spec.patience == 1 else f"{spec.patience} looks"
    return curve, f"no better validation AUC in the last {times}" if ended else "all epochs done"


def with_intervals(judgement: Judgement) -> dict[str, Any]:
    """The metrics, and their 95 % intervals."""
    ends = {name: list(pair) for name, pair in judgement.intervals.items()}
    return {**judgement.metrics, "intervals": ends}


def _batches(
    tokens: Sequence[Inputs], train: np.ndarray, size: int, draw: np.random.Generator
) -> list[np.ndarray]:
    order = draw.permutation(train)
    batches = []
    for start in range(0, len(order), size * _POOL):
        pool = order[start : start + size * _POOL]
        pool = pool[np.argsort([len(tokens[i]) for i in pool], kind="stable")]
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    return [batches[i] for i in draw.permutation(len(batches))]


def _look(
    hf: Any,
    tokens: Sequence[Inputs],
    labels: np.ndarray,
    validation: np.ndarray,
    context: Context,
) -> dict[str, float]:
    p = probabilities(hf, [tokens[i] for i in validation], context)
    truth = labels[validation]
    loss = -np.log(np.clip(p[np.arange(len(truth)), truth], 1e-12, 1)).mean()
    return {"validation_loss": float(loss), "validation_auc": metrics(truth, p)["auc"]}


def _keep(spec: FineTuneSpec, base: Model, hf: Any, numbers: dict[str, Any]) -> None:
    """Put the tuned model into the catalogue."""
    trunk = entry(spec.model)

    def write(made: Path) -> None:
        hf.save_pretrained(made)
        base.tokenizer.save_pretrained(made)
        (made / tuned.SPEC).write_text(spec.to_json(), "utf-8")

    def describe(revision: str) -> tuned.Card:
        what = f"{base.title}, tuned further to tell: {', '.join(spec.classes)}."
        return tuned.Card(
            entry=Entry(
                name=spec.name,
                title=f"{spec.title} ({spec.name})",
                what=what,
                kind="classifier",
                alphabet="protein",
                family=base.family.name,
                licence=f"as {trunk.title}: {trunk.licence}" if trunk else "as the base model",
                licence_url=trunk.licence_url if trunk else "",
                parameters=sum(p.numel() for p in hf.parameters()),
                download_bytes=0,
                tuned=revision,
            ),
            base={"name": base.name, "revision": base.revision},
            key=spec.key,
            data="own proteins" if spec.data == OWN else LABELLED[spec.data].title,
            sizes=numbers["sizes"],
            metrics=numbers["test"],
        )

    tuned.save(spec.name, write, describe)
    forget(spec.name)
