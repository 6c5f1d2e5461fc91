"""Train the network that tells secondary structure from the last layer of ``esm2-8m``.

    python -m neuronlab.heads.secondary --out folder

Chains of the PDB with DSSP; stops by the validation part, which also sets the temperature that
calibrates it. Widths and states are those of ``proteins.secondary``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn

import neuronlab as nl
from neuronlab.heads.files import write
from neuronlab.heads.parts import held_out
from neuronlab.models import Model, training
from neuronlab.proteins.labelled import LabelledProtein
from neuronlab.proteins.secondary import FILE, MODEL, STATES, network, three_states

EPOCHS = 12
BATCH = 2_048
RATE = 2e-3
BINS = 10
SAMPLE = 20  # of the shortest, which a test judges anew


@torch.no_grad()
def states(model: Model, proteins: Sequence[LabelledProtein]) -> Float[Tensor, "residue hidden"]:
    """The last layer at every residue, one protein after the other."""
    rows = [model.ids([model.residue_ids(protein.sequence)]) for protein in proteins]
    with model.lock:
        return torch.cat([model.hidden(ids, slice(1, -1))[0] for ids in rows])


def truth(proteins: Sequence[LabelledProtein]) -> Int[Tensor, " residue"]:
    """Which of ``STATES`` each residue is in."""
    letters = "".join(three_states(protein.secondary) for protein in proteins)
    return torch.from_numpy(np.array([STATES.index(letter) for letter in letters]))


def trained(
    x: Float[Tensor, "residue hidden"],
    y: Int[Tensor, " residue"],
    validation: tuple[Float[Tensor, "other hidden"], Int[Tensor, " other"]],
    seed: int = 0,
) -> tuple[nn.Sequential, list[training.Row]]:
    """The network of the best epoch, and how each did on the validation part."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = network(x.shape[1])
    draw = np.random.default_rng(seed)
    mean, spread = x.mean(0), x.std(0)
    x, held_out = (x - mean) / spread, (validation[0] - mean) / spread
    optimizer = torch.optim.AdamW(head.parameters(), lr=RATE, weight_decay=0.01)
    steps = -(-len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=EPOCHS * steps)

    @torch.no_grad()
    def look() -> training.Row:
        logits = head(held_out)
        loss = nn.functional.cross_entropy(logits, validation[1])
        right = (logits.argmax(-1) == validation[1]).float().mean()
        return {"log_likelihood": -loss.item(), "q3": right.item()}

    curve, _ = training.train(
        head,
        optimizer,
        schedule,
        epochs=EPOCHS,
        seed=seed,
        batches=lambda: np.array_split(draw.permutation(len(x)), steps),
        loss=lambda batch: nn.functional.cross_entropy(head(x[batch]), y[batch]),
        look=look,
        looks={steps - 1},
        report=lambda row, best: None,
        check=lambda: None,
        best_by="log_likelihood",
    )
    _absorb(head, mean, spread, temperature(head(held_out), validation[1]))
    return head, [row for row in curve if "q3" in row]


def temperature(logits: Float[Tensor, "residue state"], y: Int[Tensor, " residue"]) -> float:
    """What logits are to be divided by so that they are likeliest (Guo et al. 2017)."""
    grid = np.linspace(0.5, 2.0, 151)
    losses = [nn.functional.cross_entropy(logits.detach() / float(t), y).item() for t in grid]
    return float(grid[int(np.argmin(losses))])


@torch.no_grad()
def _absorb(head: Any, mean: Tensor, spread: Tensor, by: float) -> None:
    """Have the first layer take states as they are, and the last give calibrated logits."""
    first, last = head[0], head[-1]
    first.weight /= spread
    first.bias -= first.weight @ mean
    last.weight /= by
    last.bias /= by


@torch.no_grad()
def judged(
    head: nn.Module, x: Float[Tensor, "residue hidden"], y: Int[Tensor, " residue"]
) -> dict[str, Any]:
    """Q3, the confusion (rows are true states), and how often each reliability is right."""
    p = head(x).softmax(-1)
    right = (p.argmax(-1) == y).float()
    bins = (p.amax(-1) * BINS).long().clamp(max=BINS - 1)
    reliability = [
        {
            "probability": p.amax(-1)[bins == b].mean().item(),
            "right": right[bins == b].mean().item(),
            "residues": int((bins == b).sum()),
        }
        for b in bins.unique().tolist()
    ]
    return {
        "residues": len(y),
        "q3": right.mean().item(),
        "confusion": confusion_matrix(y, p.argmax(-1), labels=range(len(STATES))).tolist(),
        "calibration_error": sum(
            of_bin["residues"] / len(y) * abs(of_bin["probability"] - of_bin["right"])
            for of_bin in reliability
        ),
        "reliability": reliability,
    }


def main(arguments: Sequence[str]) -> None:
    """Train, judge and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    out = parser.parse_args(arguments).out
    model = nl.load(MODEL, device="cpu", dtype="float32")
    parts = held_out()
    x = {part: states(model, proteins) for part, proteins in parts.items()}
    y = {part: truth(proteins) for part, proteins in parts.items()}
    head, curve = trained(x["train"], y["train"], (x["validation"], y["validation"]))
    sample = sorted(parts["test"], key=lambda protein: len(protein.sequence))[:SAMPLE]
    card = {
        "model": {"name": model.name, "revision": model.revision},
        "settings": {"epochs": EPOCHS, "batch": BATCH, "rate": RATE},
        "sizes": {part: len(proteins) for part, proteins in parts.items()},
        "curve": curve,
        "test": {"chains": len(parts["test"]), **judged(head, x["test"], y["test"])},
        "sample": judged(head, states(model, sample), truth(sample)),
        "always the most frequent": (y["test"].bincount().max() / len(y["test"])).item(),
    }
    write(out, FILE.removesuffix(".safetensors"), head.state_dict(), card)


if __name__ == "__main__":
    main(sys.argv[1:])
