"""The paper's simulator: a Longformer that reads a hypothesis and a protein (arXiv 2507.06458).

It answers how active the neuron is, in eleven classes from 0 to 10 tenths of its maximum. A
hypothesis is good where the predicted activations follow the true ones (Pearson's r).

Two habits of the authors' code are kept out of the default. Their text names the neuron: ours does
not. They take the likeliest class, which is often the same for all proteins and then has no r: the
expected class counts. A third is in ``longformer_training``.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.labels.prompts import Example, features
from neuronlab.models import folders, training
from neuronlab.models.device import resolve_device
from neuronlab.models.exclusion import computing, making
from neuronlab.models.faults import UnfitError, fault_in, some
from neuronlab.models.hub import hub_reachable
from neuronlab.progress import Check, unheard
from neuronlab.uploads import line

Variant = Literal["neuronlab", "authors"]

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


# --- What it reads and answers -------------------------------------------------------------------


def text(pair: Pair, variant: Variant = "neuronlab") -> str:
    """What the simulator reads; the sequence is last, so that a cut takes its end."""
    parts = [f"Neuron: {line(pair.neuron)}"] if variant == "authors" else []
    parts.append(f"Hypothesis: {line(pair.hypothesis)}")
    if shown := features(pair.protein.features):
        parts.append(f"Features: {shown}")
    parts.append(f"Predict the activation from 0 to 10. Sequence: {pair.protein.sequence}")
    return "\n".join(parts)


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
    return predict(simulator, encoded(simulator, pairs), check)


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


# --- The model -----------------------------------------------------------------------------------


@torch.no_grad()
def predict(
    simulator: Simulator, tokens: Sequence[list[int]], check: Check
) -> Float[np.ndarray, " pair"]:
    """The activation of each text, 0 to 10: of what ``encoded`` gave."""
    simulator.hf.eval()
    activations = np.zeros(len(tokens))
    # Texts of similar length run together: less is padded.
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    size = simulator.settings.batch
    for start in range(0, len(order), size):
        check()
        batch = order[start : start + size]
        with computing():
            logits = logits_of(simulator, [tokens[i] for i in batch])
        p = logits.softmax(-1).double().numpy(force=True)
        if simulator.settings.variant == "authors":
            activations[batch] = p.argmax(-1)
        else:
            activations[batch] = p @ np.arange(CLASSES)
    return activations


def encoded(simulator: Simulator, pairs: Sequence[Pair]) -> list[list[int]]:
    """The tokens of the pairs' texts, cut to what the simulator takes."""
    texts = [text(pair, simulator.settings.variant) for pair in pairs]
    if not texts:
        return []
    # The two positions that RoBERTa's counting leaves out.
    room = simulator.hf.config.max_position_embeddings - 2
    longest = min(simulator.settings.tokens, room)
    return simulator.tokenizer(texts, truncation=True, max_length=longest)["input_ids"]


def logits_of(simulator: Simulator, tokens: Sequence[list[int]]) -> Float[Tensor, "pair class"]:
    """What the head says of each text's eleven classes, float32."""
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
    offline = folder is not None or not hub_reachable()
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
            raise UnfitError(f"its weights lack {some(sorted(fresh) or ['the head'])}")
        return hf, AutoTokenizer.from_pretrained(
            where, local_files_only=offline, trust_remote_code=False
        )
    except UserError:
        raise
    except Exception as error:  # a broken safetensors file raises its own type
        raise _unusable(source, folder, offline, error) from error


def _unusable(source: str, folder: Path | None, offline: bool, error: Exception) -> UserError:
    shown = folders.shown(source)
    if folder is not None:
        fault = fault_in(folder, error)
        why = f", since {fault.what}: {fault.remedy}." if fault else ": check its files."
        problem = f"The Longformer in {shown} cannot be loaded{why}"
    elif offline:
        problem = (
            f"The model hub is out of reach and {shown} is not on this machine: connect, or "
            "give a folder with a Longformer."
        )
    else:
        problem = f"{shown} cannot be loaded from the hub: give {BASE} or a folder with one."
    return UserError(problem, details=f"{type(error).__name__}: {error}")
