"""How fast proteins of every kind are worked on, with ``esm2-8m``.

    python benchmarks/any_protein.py [--part map --part secondary --part steering]

The mutation map beside a loop over positions through transformers alone, the secondary structure
beside the same prediction of one protein at a time, both on a part and scaled up, with how far
results agree; a steering run has no reference. Prints rows for docs/results.md.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float

import neuronlab as nl
from neuronlab.models.precision import Precision
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.models.sharing import shared
from neuronlab.proteins import corpora, secondary
from neuronlab.proteins.mutations import mutation_map

MODEL = "esm2-8m"
TURNS = 5
PARTS = ("map", "secondary", "steering")
# Of so many positions and proteins the usual loop's time is taken.
_LOOPED = 30


def timed(work: Callable[[], object]) -> float:
    """Seconds that it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def row(name: str, ours: list[float], usual: list[float], agreement: str) -> None:
    """A line of the table: medians, and the range of the quotients of each turn."""
    times = sorted(b / a for a, b in zip(ours, usual, strict=True))
    print(
        f"| {name} | {statistics.median(ours):.1f} s ({min(ours):.1f} to {max(ours):.1f}) | "
        f"{statistics.median(usual):.1f} s | {statistics.median(times):.1f} "
        f"({times[0]:.1f} to {times[-1]:.1f}) | {agreement} |",
        flush=True,
    )


def mutations(sequence: str) -> None:
    """The map of all substitutions; the loop hides one position in a pass."""
    model = shared(MODEL, "auto")
    letters = model.tokenizer.convert_tokens_to_ids(list(AMINO_ACIDS))
    looped: list[Float[np.ndarray, " amino"]] = []

    def loop() -> None:
        looped.clear()
        for place in range(_LOOPED):
            ids = torch.tensor(model.residue_ids(sequence))
            ids[place + 1] = model.tokenizer.mask_token_id
            with torch.no_grad():
                logits = model.hf(input_ids=ids[None]).logits[0, place + 1]
            p = logits.log_softmax(-1)[letters]
            looped.append((p - p[AMINO_ACIDS.index(sequence[place])]).numpy(force=True))

    ours, usual = [], []
    for _ in range(TURNS):
        ours.append(timed(lambda: mutation_map(model, sequence)))
        usual.append(timed(loop) / _LOOPED * len(sequence))
    gap = np.abs(mutation_map(model, sequence)[:_LOOPED] - np.stack(looped)).max()
    row(f"mutation map, {len(sequence)} residues", ours, usual, f"log-odds to {gap:.1g}")


def structures(sequences: list[str]) -> None:
    """Three states of every residue; the loop takes one protein in a pass."""
    few = sequences[:: len(sequences) // _LOOPED][:_LOOPED]
    share = sum(map(len, sequences)) / sum(map(len, few))
    ours, usual = [], []
    for _ in range(TURNS):
        ours.append(timed(lambda: secondary.predicted(sequences)))
        usual.append(timed(lambda: [secondary.predicted([one]) for one in few]) * share)
    together = secondary.predicted(sequences)[:: len(sequences) // _LOOPED][:_LOOPED]
    alone = [secondary.predicted([one])[0] for one in few]
    gap = max(
        np.abs(a.probabilities - b.probabilities).max()
        for a, b in zip(together, alone, strict=True)
    )
    residues = sum(map(len, sequences))
    row(
        f"secondary structure, {len(sequences):,} proteins, {residues:,} residues",
        ours,
        usual,
        f"probabilities to {gap:.1g}",
    )


def steering(sequence: str, chains: int, precision: Precision) -> None:
    """100 steps with 20 random sets of either kind, as many chains each."""
    began = time.perf_counter()
    nl.run(
        "steering",
        model=MODEL,
        sequence=sequence,
        light="",
        corpus="pdb",
        steps=100,
        chains=chains,
        dose_a=(),
        dose_b=(),
        predictor="",
        precision=precision,
        seed=int(began) % 10_000,  # nothing of an earlier run is used
    )
    print(
        f"| steering, {len(sequence)} residues, 100 steps, 42 conditions of {chains} chains, "
        f"{precision} | {time.perf_counter() - began:.0f} s | | | |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="only this; again for more")
    parts = parser.parse_args().part or PARTS
    sequences = [protein.sequence for protein in corpora.proteins("pdb")]
    sequences = [each for each in sequences if set(each) <= set(AMINO_ACIDS)]

    def of(residues: int) -> str:
        return next(each for each in sequences if len(each) >= residues)[:residues]

    print(f"{torch.get_num_threads()} threads")
    print("| | NeuronLab, median of five | one at a time | times faster | agreement |")
    print("|---|---|---|---|---|")
    if "map" in parts:
        mutations(of(150))
    if "secondary" in parts:
        structures(sequences[:1000])
    if "steering" in parts:
        for precision in get_args(Precision):
            steering(of(120), 2, precision)


if __name__ == "__main__":
    main()
