"""What the contexts of all FFN neurons cost: tokens a second, memory, and where the time goes.

    python benchmarks/contexts.py [--texts 500,2000] [--model smollm2-135m] [--threads 2]
    python benchmarks/contexts.py --texts 12000,48000 --turns 1 --only "contexts, bfloat16"

Reads so many of WordNet's definitions as the study does, each number in a process of its own, in
turns in float32 and with products in bfloat16; beside it the passes alone, of which nothing is
kept, and the matrix products of the blocks alone, which no way of keeping can undercut. Prints
tokens a second by the clock, how long a million tokens take at that rate and at that of the time
that processors worked (where other work runs on the machine), the peak of memory beyond the loaded
model, and how many of the places that bfloat16 keeps are those that float32 keeps. ``--only`` takes
one of these, for a corpus of a million tokens.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import nn

import neuronlab as nl
from neuronlab.labels import reading
from neuronlab.labels.contexts import Contexts, contexts, counted, token_ids
from neuronlab.labels.reading import visit
from neuronlab.models import Model
from neuronlab.models.precision import Precision
from neuronlab.studies.contexts import PORTION, ContextsSpec

MILLION = 1_000_000
KEPT = 5


def products(model: Model, tokens: int, dtype: torch.dtype) -> Callable[[], None]:
    """All linear layers of the blocks on so many tokens, in batches as the passes have them."""
    weights = [
        module.weight.detach().to(dtype)
        for layer in range(model.layers)
        for module in model.block(layer).modules()
        if isinstance(module, nn.Linear)
    ]
    rows = reading._TOKENS_PER_BATCH
    inputs = {w.shape[1]: torch.randn(rows, w.shape[1]).to(dtype) for w in weights}

    @torch.no_grad()
    def run() -> None:
        for left in range(tokens, 0, -rows):
            for weight in weights:
                nn.functional.linear(inputs[weight.shape[1]][:left], weight)

    return run


def measure(name: str, count: int, turns: int, only: str) -> dict[str, Any]:
    """A corpus of so many texts, in this process."""
    model = nl.load(name)
    ids = token_ids(model, ContextsSpec(limit=count).texts)
    tokens = sum(map(len, ids))
    portions = range(0, len(ids), PORTION)
    places: dict[str, Contexts] = {}

    def alone() -> None:
        for at in portions:
            visit(model, ids[at : at + PORTION], counted(model), ("ffn",), lambda *_: None)

    def whole(precision: Precision) -> None:
        places[precision] = Contexts(KEPT)
        for at in portions:
            rows = ids[at : at + PORTION]
            part = contexts(model, rows, range(at, at + len(rows)), ("ffn",), KEPT, precision)
            places[precision].join(part["ffn"].arrays("ffn"), "ffn")

    works = {
        "products alone, float32": products(model, tokens, torch.float32),
        "products alone, bfloat16": products(model, tokens, torch.bfloat16),
        "passes alone, float32": alone,
        "contexts, float32": partial(whole, "float32"),
        "contexts, bfloat16": partial(whole, "bfloat16"),
    }
    works = {what: work for what, work in works.items() if only in ("", what)}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds: dict[str, list[tuple[float, float]]] = {what: [] for what in works}
    for _ in range(turns):
        for what, work in works.items():
            began, worked = time.perf_counter(), time.process_time()
            work()
            seconds[what].append((time.perf_counter() - began, time.process_time() - worked))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    texts = [kept.arrays("ffn")["top_text.ffn"] for kept in places.values()]
    same = len(texts) == 2 and float(
        (texts[0][..., :, None] == texts[1][..., None, :]).any(-1).mean()
    )
    # The quickest turn: what else runs on the machine only ever makes it slower.
    best = {what: [min(each) for each in zip(*of, strict=True)] for what, of in seconds.items()}
    memory = [1024 * peak, 1024 * (peak - before)]
    return {"tokens": tokens, "memory": memory, "same": same, "seconds": best}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", default="500,2000")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--only", default="")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.alone:
        print(json.dumps(measure(options.model, options.alone, options.turns, options.only)))
        return
    for count in map(int, options.texts.split(",")):
        command = [sys.executable, __file__, "--alone", str(count), "--model", options.model]
        command += ["--threads", str(options.threads), "--turns", str(options.turns)]
        command += ["--only", options.only]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        of = json.loads(done.stdout.splitlines()[-1])
        each = MILLION / of["tokens"] / 60
        print("| texts | tokens | what | tokens a second | a million, min | by processors, min |")
        print("|---|---|---|---|---|---|")
        for what, (clock, worked) in of["seconds"].items():
            row = f"| {count:,} | {of['tokens']:,} | {what} | {of['tokens'] / clock:.0f} "
            print(f"{row}| {each * clock:.1f} | {each * worked / options.threads:.1f} |")
        most, beyond = (f"{bytes_ / 1e6:.0f} MB" for bytes_ in of["memory"])
        print(f"\n{count:,} texts: {most} at the peak, {beyond} beyond that of loading the model.")
        if of["same"]:
            print(f"Of the places that float32 keeps, bfloat16 keeps {of['same']:.1%}, too.")
        print(flush=True)


if __name__ == "__main__":
    main()
