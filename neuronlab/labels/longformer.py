"""The paper's simulator: a Longformer that reads a hypothesis and a protein (arXiv 2507.06458).

It answers how active the neuron is, in eleven classes from 0 to 10 tenths of its maximum. A
hypothesis is good where the predicted activations follow the true ones (Pearson's r).

Three habits of the authors' code are kept out of the default. They split at random over pairs, so
that a neuron of the training part is known again: here a held-out pair has neither its neuron nor
its protein in training. Their text names the neuron: here it does not. They take the likeliest
class, which is often the same for all proteins and then has no r: here the expected class counts.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.labels.prompts import Example, features
from neuronlab.models import folders, training
from neuronlab.models.device import resolve_device
from neuronlab.models.exclusion import computing, making
from neuronlab.models.hub import hub_reachable
from neuronlab.progress import Check, Progress, unheard
from neuronlab.uploads import line

Variant = Literal["neuronlab", "authors"]
Record = Callable[[dict[str, float]], None]

BASE = "allenai/longformer-base-4096"
CLASSES = 11
_SETTINGS = "simulator.json"


@dataclass(frozen=True)
class Pair:
    """A neuron with its hypothesis, and a protein with the neuron's true activation on it."""

    neuron: str
    hypothesis: str
    protein: Example


@dataclass(frozen=True)
class Settings:
    """How a simulator is trained; the defaults are the paper's.

    Attributes:
        epochs: passes over the training part.
        batch: pairs per step.
        rate: the first learning rate; it falls to zero along a cosine.
        smoothing: of the labels.
        dropout: of hidden states and of attention.
        tokens: the longest text; what is beyond is cut, and that is the sequence's end.
        held_out: the share of neurons, and of the proteins they share with others, for the test.
        variant: "authors" names the neuron in the text and predicts the likeliest class.
    """

    epochs: int = 30
    batch: int = 8
    rate: float = 2e-5
    weight_decay: float = 0.01
    smoothing: float = 0.1
    dropout: float = 0.3
    tokens: int = 4096
    held_out: float = 0.2
    seed: int = 0
    variant: Variant = "neuronlab"


@dataclass(frozen=True)
class Simulator:
    """A Longformer with eleven classes, its tokenizer, and how it was trained."""

    hf: Any
    tokenizer: Any
    settings: Settings


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


# --- What it reads and answers -------------------------------------------------------------------


def text(pair: Pair, variant: Variant = "neuronlab") -> str:
    """What the simulator reads; the sequence is last, so that a cut takes its end."""
    parts = [f"Neuron: {line(pair.neuron)}"] if variant == "authors" else []
    parts.append(f"Hypothesis: {line(pair.hypothesis)}")
    if shown := features(pair.protein.features):
        parts.append(f"Features: {shown}")
    parts.append(f"Predict the activation from 0 to 10. Sequence: {pair.protein.sequence}")
    return "\n".join(parts)


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


# --- Using one -----------------------------------------------------------------------------------


def simulate(
    simulator: Simulator,
    hypothesis: str,
    proteins: Sequence[Example],
    *,
    neuron: str = "",
    check: Check = unheard,
) -> Float[np.ndarray, " protein"]:
    """The activations, 0 to 10, that the hypothesis promises on each protein.

    The proteins' own activations are not read. ``neuron`` is for the variant "authors" alone.
    """
    pairs = [Pair(neuron, hypothesis, protein) for protein in proteins]
    return _predicted(simulator, _tokens(simulator, pairs), check)


def folder(source: str | Path) -> Path:
    """The folder of a trained simulator; its files are not read yet.

    Raises:
        UserError: there is none that may be used.
    """
    named = folders.named(str(source))
    if named is None or not os.path.isfile(named / _SETTINGS):
        raise UserError(f"There is no simulator in {folders.shown(str(source))}: train one first.")
    return named


def load(source: str | Path, *, device: str = "auto") -> Simulator:
    """A trained simulator from the folder that ``save`` wrote.

    Raises:
        UserError: there is none, or its files are damaged.
    """
    place = folder(source)
    try:
        fields = json.loads((place / _SETTINGS).read_text("utf-8"))
        settings = Settings(**fields)
    except (OSError, ValueError, TypeError) as error:
        raise UserError(
            f"The simulator in {folders.shown(str(source))} cannot be loaded: train it again.",
            details=str(error),
        ) from error
    hf, tokenizer = _read(str(place), {}, complete=True)
    return Simulator(hf.to(resolve_device(device)).eval(), tokenizer, settings)


def save(simulator: Simulator, folder: str | Path) -> None:
    """Write weights (safetensors), configuration, tokenizer and settings to a new folder.

    Raises:
        UserError: the folder is there already, or the disk refuses.
    """
    folder = Path(folder).expanduser()
    if folder.exists():
        raise UserError(f"There is something at '{folder}' already: choose another folder.")
    try:
        with home.publish(folder, replace=False) as made:
            simulator.hf.save_pretrained(made)
            simulator.tokenizer.save_pretrained(made)
            settings = json.dumps(dataclasses.asdict(simulator.settings), indent=2)
            (made / _SETTINGS).write_text(settings, "utf-8")
    except OSError as error:
        raise UserError(
            f"The simulator cannot be written to {folder}: check the free disk space and your "
            "rights.",
            details=str(error),
        ) from error


# --- Training ------------------------------------------------------------------------------------


def untrained(
    base: str = BASE, settings: Settings | None = None, device: str = "auto"
) -> Simulator:
    """A Longformer of the hub or of a folder, with a fresh head for the eleven classes.

    Raises:
        UserError: no such model, no Longformer, or the hub is out of reach.
    """
    settings = settings or Settings()
    changes = {
        "num_labels": CLASSES,
        "hidden_dropout_prob": settings.dropout,
        "attention_probs_dropout_prob": settings.dropout,
        "problem_type": "single_label_classification",
    }
    with making(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.seed)  # of the head
        hf, tokenizer = _read(base, changes)
    return Simulator(hf.to(resolve_device(device)), tokenizer, settings)


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
    tokens, labels = _tokens(simulator, pairs), targets(pairs)
    hf = simulator.hf
    steps = -(-len(parts.train) // settings.batch)
    optimizer, schedule = _optimizer(hf, settings, steps * settings.epochs)
    draw = np.random.default_rng(settings.seed)
    r: dict[str, float] = {}

    def loss(batch: Int[np.ndarray, " batch"]) -> Tensor:
        logits = _logits(simulator, [tokens[i] for i in batch])
        target = torch.from_numpy(labels[batch]).to(logits.device)
        return nn.functional.cross_entropy(logits, target, label_smoothing=settings.smoothing)

    def look() -> dict[str, float]:
        r.update(_correlations(simulator, pairs, tokens, parts.test, check))
        defined = [value for value in r.values() if not math.isnan(value)]
        return {"test_r": float(np.mean(defined)) if defined else math.nan}

    curve, _ = training.train(
        hf,
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
    predicted = _predicted(simulator, [tokens[i] for i in test], check)
    rows: dict[str, list[int]] = {}
    for place, i in enumerate(test):
        rows.setdefault(pairs[i].neuron, []).append(place)
    true = np.array([pairs[i].protein.activation for i in test], dtype=float)
    return {neuron: pearson(predicted[places], true[places]) for neuron, places in rows.items()}


# --- The model -----------------------------------------------------------------------------------


@torch.no_grad()
def _predicted(
    simulator: Simulator, tokens: Sequence[list[int]], check: Check
) -> Float[np.ndarray, " pair"]:
    simulator.hf.eval()
    activations = np.zeros(len(tokens))
    # Texts of similar length run together: less is padded.
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    size = simulator.settings.batch
    for start in range(0, len(order), size):
        check()
        batch = order[start : start + size]
        with computing():
            logits = _logits(simulator, [tokens[i] for i in batch])
        p = logits.softmax(-1).double().numpy(force=True)
        if simulator.settings.variant == "authors":
            activations[batch] = p.argmax(-1)
        else:
            activations[batch] = p @ np.arange(CLASSES)
    return activations


def _tokens(simulator: Simulator, pairs: Sequence[Pair]) -> list[list[int]]:
    texts = [text(pair, simulator.settings.variant) for pair in pairs]
    if not texts:
        return []
    # The two positions that RoBERTa's counting leaves out.
    room = simulator.hf.config.max_position_embeddings - 2
    longest = min(simulator.settings.tokens, room)
    return simulator.tokenizer(texts, truncation=True, max_length=longest)["input_ids"]


def _logits(simulator: Simulator, tokens: Sequence[list[int]]) -> Float[Tensor, "pair class"]:
    hf = simulator.hf
    ids, mask = training.padded(hf, tokens)
    # The first token, which the head reads, attends to all and is attended by all.
    everywhere = torch.zeros_like(mask)
    everywhere[:, 0] = 1
    return hf(ids, attention_mask=mask, global_attention_mask=everywhere).logits.float()


def _read(source: str, changes: Mapping[str, Any], *, complete: bool = False) -> tuple[Any, Any]:
    """A Longformer with a classification head and its tokenizer; weights from safetensors alone."""
    from transformers import (
        AutoConfig,
        AutoTokenizer,
        LongformerConfig,
        LongformerForSequenceClassification,
    )

    folder = folders.named(source)
    local = folder is not None
    offline = local or not hub_reachable()
    where = str(folder or source)
    try:
        config = AutoConfig.from_pretrained(
            where, local_files_only=offline, trust_remote_code=False
        )
        if not isinstance(config, LongformerConfig):
            raise UserError(f"'{source}' is no Longformer: give {BASE} or a folder with one.")
        for name, value in changes.items():
            setattr(config, name, value)
        with making():
            loaded: Any = LongformerForSequenceClassification.from_pretrained(
                where,
                config=config,
                use_safetensors=True,  # the other format is a pickle
                output_loading_info=True,
                local_files_only=offline,
            )
        hf, report = loaded
        # The head alone may be fresh, and only before training.
        fresh = [n for n in report["missing_keys"] if complete or not n.startswith("classifier.")]
        if fresh or hf.config.num_labels != CLASSES:
            raise ValueError(f"The weights lack {', '.join(sorted(fresh)) or 'the head'}.")
        return hf, AutoTokenizer.from_pretrained(
            where, local_files_only=offline, trust_remote_code=False
        )
    except UserError:
        raise
    except Exception as error:  # a broken safetensors file raises its own type
        raise _unusable(source, local, offline, error) from error


def _unusable(source: str, local: bool, offline: bool, error: Exception) -> UserError:
    shown = folders.shown(source)
    if local:
        problem = f"The Longformer in {shown} cannot be loaded: check its files."
    elif offline:
        problem = (
            f"The model hub is out of reach and {shown} is not on this machine: connect, or "
            "give a folder with a Longformer."
        )
    else:
        problem = f"{shown} cannot be loaded from the hub: give {BASE} or a folder with one."
    return UserError(problem, details=f"{type(error).__name__}: {error}")
