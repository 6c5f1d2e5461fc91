"""Training the paper's simulator: which pairs teach it, which judge it, and how it learns.

The authors split at random over pairs, so that a neuron of the training part is met again: by
default a held-out pair has neither its neuron nor its protein in training.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuronlab.errors import UserError
from neuronlab.labels.longformer import (
    BASE,
    Pair,
    Settings,
    Simulator,
    encoded,
    logits_of,
    predict,
    untrained,
)
from neuronlab.models import training
from neuronlab.progress import Check, Progress, unheard

Record = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class Parts:
    """Indices of pairs; ``dropped`` have a neuron of one part and a protein of the other."""

    train: Int[np.ndarray, " train"]
    test: Int[np.ndarray, " test"]
    dropped: Int[np.ndarray, " dropped"]


@dataclass(frozen=True)
class Trained:
    """What training gave.

    Attributes:
        curve: a row per step (step, epoch, loss); the last of an epoch has the test part's mean r.
        r: of each held-out neuron, NaN where truth or prediction is constant. It is over the pairs
            that were given: of proteins at both ends of a neuron it says how well the simulator
            tells one end from the other, which is far easier than a corpus.
    """

    simulator: Simulator
    parts: Parts
    curve: list[dict[str, float]] = field(default_factory=list)
    r: dict[str, float] = field(default_factory=dict)


def targets(pairs: Sequence[Pair]) -> Int[np.ndarray, " pair"]:
    """round(10 clip(a / a_max, 0, 1)), a_max a neuron's maximum over its pairs.

    A neuron that is never positive has 0 throughout.
    """
    top: dict[str, float] = {}
    for pair in pairs:
        top[pair.neuron] = max(top.get(pair.neuron, 0.0), pair.protein.activation)
    share = [p.protein.activation / top[p.neuron] if top[p.neuron] else 0.0 for p in pairs]
    return np.rint(10 * np.clip(share, 0, 1)).astype(np.int64)


def split(pairs: Sequence[Pair], held_out: float = 0.2, seed: int = 0) -> Parts:
    """Held-out pairs share neither their neuron nor their protein with the training part.

    A share of the neurons is held out, with the proteins that only they have, and the same share of
    the proteins that they have in common with others. Proteins are the same when their sequences
    are.

    Raises:
        UserError: a part would be empty.
    """
    draw = np.random.default_rng(seed)
    neurons = sorted({pair.neuron for pair in pairs})
    count = max(1, round(held_out * len(neurons)))
    tested = {neurons[i] for i in draw.permutation(len(neurons))[:count]}
    of_tested = {p.protein.sequence for p in pairs if p.neuron in tested}
    of_others = {p.protein.sequence for p in pairs if p.neuron not in tested}
    common = sorted(of_tested & of_others)
    count = round(held_out * len(common))
    held = of_tested - of_others
    held |= {common[i] for i in draw.permutation(len(common))[:count]}
    parts: dict[tuple[bool, bool], list[int]] = {}
    for i, pair in enumerate(pairs):
        parts.setdefault((pair.neuron in tested, pair.protein.sequence in held), []).append(i)
    train, test = parts.pop((False, False), []), parts.pop((True, True), [])
    if not train or not test:
        raise UserError(
            "The pairs cannot be split so that no neuron and no protein is on both sides: give "
            "more neurons and more proteins."
        )
    rest = sorted(i for indices in parts.values() for i in indices)
    return Parts(*(np.array(indices, dtype=np.int64) for indices in (train, test, rest)))


def pearson(predicted: Float[np.ndarray, " n"], true: Float[np.ndarray, " n"]) -> float:
    """Pearson's r; NaN where either is constant or there are fewer than three values."""
    # Rounding leaves some spread in what is constant.
    flat = any(np.ptp(x) <= 1e-9 * np.abs(x).max(initial=0) for x in (predicted, true) if len(x))
    if len(true) < 3 or flat:
        return math.nan
    return float(np.corrcoef(predicted, true)[0, 1])


def train(
    pairs: Sequence[Pair],
    *,
    base: str | Simulator = BASE,
    settings: Settings | None = None,
    device: str = "auto",
    check: Check = unheard,
    progress: Progress | None = None,
    record: Record | None = None,
) -> Trained:
    """Train a simulator on pairs of a neuron's hypothesis and a protein.

    The paper's pairs are the six most and two least active proteins of one neuron in fifty: nearly
    all targets are then 10 or 0, so give proteins in between too. Nothing is chosen by the test
    part: the weights are those of the last step.

    Args:
        base: hub id, folder, or an untrained simulator, which is trained in place with the dropout
            it has.
        check, progress, record: as a run's context has them; ``check`` may raise to cancel.

    Raises:
        UserError: no usable base, or too few neurons and proteins to split.
    """
    settings = settings or Settings()
    parts = split(pairs, settings.held_out, settings.seed)
    simulator = base if isinstance(base, Simulator) else untrained(base, settings, device)
    simulator = dataclasses.replace(simulator, settings=settings)
    tokens, labels = encoded(simulator, pairs), targets(pairs)
    steps = -(-len(parts.train) // settings.batch)
    optimizer, schedule = _optimizer(simulator.hf, settings, steps * settings.epochs)
    draw = np.random.default_rng(settings.seed)
    r: dict[str, float] = {}

    def loss(batch: Int[np.ndarray, " batch"]) -> Tensor:
        logits = logits_of(simulator, [tokens[i] for i in batch])
        target = torch.from_numpy(labels[batch]).to(logits.device)
        return nn.functional.cross_entropy(logits, target, label_smoothing=settings.smoothing)

    def look() -> dict[str, float]:
        r.update(_correlations(simulator, pairs, tokens, parts.test, check))
        defined = [value for value in r.values() if not math.isnan(value)]
        return {"test_r": float(np.mean(defined)) if defined else math.nan}

    curve, _ = training.train(
        simulator.hf,
        optimizer,
        schedule,
        epochs=settings.epochs,
        seed=settings.seed,
        batches=lambda: _batches(parts.train, settings.batch, draw),
        loss=loss,
        look=look,
        looks={steps - 1},
        report=_reporting(settings.epochs, steps, record, progress),
        check=check,
    )
    return Trained(simulator, parts, curve, r)


def _batches(
    rows: Int[np.ndarray, " row"], size: int, draw: np.random.Generator
) -> list[Int[np.ndarray, " batch"]]:
    order = draw.permutation(rows)
    return [order[start : start + size] for start in range(0, len(order), size)]


def _reporting(
    epochs: int, steps: int, record: Record | None, progress: Progress | None
) -> Callable[[dict[str, float], float], None]:
    def report(row: dict[str, float], best: float) -> None:
        if record:
            record(row)
        if progress:
            done = (row["step"] + 1) / (steps * epochs)
            epoch = f"epoch {int(row['epoch']) + 1} of {epochs}"
            progress(done, f"{epoch}: loss {row['loss']:.2f}")

    return report


def _optimizer(hf: Any, settings: Settings, total: int) -> tuple[Any, Any]:
    """AdamW that does not shrink biases and norms; the rate falls along half a cosine."""
    groups = [
        {
            "params": [p for p in hf.parameters() if p.requires_grad and (p.dim() > 1) == matrix],
            "weight_decay": settings.weight_decay if matrix else 0.0,
        }
        for matrix in (True, False)
    ]
    optimizer = torch.optim.AdamW(groups, lr=settings.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * min(step / total, 1)))
    )
    return optimizer, schedule


def _correlations(
    simulator: Simulator,
    pairs: Sequence[Pair],
    tokens: Sequence[list[int]],
    test: Int[np.ndarray, " test"],
    check: Check,
) -> dict[str, float]:
    """Pearson's r of every neuron of the test part, over its proteins there."""
    predicted = predict(simulator, [tokens[i] for i in test], check)
    rows: dict[str, list[int]] = {}
    for place, i in enumerate(test):
        rows.setdefault(pairs[i].neuron, []).append(place)
    true = np.array([pairs[i].protein.activation for i in test], dtype=float)
    return {neuron: pearson(predicted[places], true[places]) for neuron, places in rows.items()}
