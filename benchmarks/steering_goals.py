"""Do neurons chosen by effect steer any protein? Ubiquitin on ``esm2-8m``, goal by goal.

Beside 100 random sets of either kind, so that the rank can have a p below .01. Prints a table for
docs/results.md: not a timing, but a result.
"""

from __future__ import annotations

import argparse
import time

import neuronlab as nl
from neuronlab.studies.bases.prompts import UBIQUITIN

GOALS = (
    ("gravy", "up"),
    ("charge", "up"),
    ("predicted_helix", "up"),
    ("predicted_strand", "up"),
    ("aromaticity", "up"),
    ("molecular_weight", "up"),
)


def main() -> None:
    """Run the goals and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=100, help="random sets of either kind")
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--a", type=float, default=2.0)
    parser.add_argument("--b", type=float, default=0.5)
    parser.add_argument("--choose", default="effect", choices=("effect", "written"))
    parser.add_argument("--goal", action="append", help="only this one; may be given again")
    options = parser.parse_args()
    print("| goal | start | unsteered | steered | random | matched | effect size | p |", end="")
    print(" pseudo-perplexity, unsteered and steered | identity | s |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name, direction in GOALS:
        if options.goal and name not in options.goal:
            continue
        began = time.perf_counter()
        result = nl.run(
            "steering",
            model="esm2-8m",
            sequence=UBIQUITIN,
            light="",
            corpus="pdb",
            choose=options.choose,
            goals=({"property": name, "direction": direction},),
            random_sets=options.sets,
            chains=options.chains,
            steps=options.steps,
            a=options.a,
            b=options.b,
            dose_a=(),
            dose_b=(),
            predictor="",
        )
        n, finals = result.numbers, result.tables["finals"]
        cost = finals.groupby("condition")[["perplexity", "identity"]].mean()
        cells = [
            f"{n['title']}, {direction}",
            f"{n['start']:.3g}",
            *(f"{n[key]['mean']:.3g}" for key in ("unsteered", "steered", "random", "as active")),
            f"{n['effect_size']:.1f}",
            f"{n['p_value']:.2g}",
            f"{cost.perplexity['unsteered']:.1f}, {cost.perplexity['steered']:.1f}",
            f"{cost.identity['steered']:.2f}",
            f"{time.perf_counter() - began:.0f}",
        ]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
