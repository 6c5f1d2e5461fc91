"""Degenerate pairs of 20 candidates: all sets in growing batches, and the published loop.

    python benchmarks/degenerate_pairs.py

Both ask which pairs of the candidates leave less than 75 % of the target's probability when both
are off, of neurons that leave at least 80 % alone (arXiv 2308.13198), on "The capital of France is"
and SmolLM2. The published loop takes one neuron or pair after the other and runs the whole prompt
twice for each, before and after. Ours finds the probabilities of all pairs, also of those the loop
does not try.
"""

import statistics
import time
from itertools import combinations

import torch

import neuronlab as nl
from neuronlab.attribution.rescaling import rescaled
from neuronlab.models import Encoded, Model
from neuronlab.neurons import Neuron, NeuronSet, Suppress
from neuronlab.studies.degenerate_pairs import T_HIGH, T_LOW

PROMPT = nl.Prompt("The capital of France is", target=" Paris")
CANDIDATES = 20
Pairs = dict[tuple[Neuron, Neuron], float]


def ours(model: Model, encoded: Encoded, neurons: list[Neuron]) -> Pairs:
    """Every neuron and every pair at once."""
    pairs = list(combinations(neurons, 2))
    sets = [NeuronSet(), *(NeuronSet([n]) for n in neurons), *map(NeuronSet, pairs)]
    p0, *rest = rescaled(model, encoded, sets).tolist()
    alone = dict(zip(neurons, rest[: len(neurons)], strict=True))
    return {
        pair: p
        for pair, p in zip(pairs, rest[len(neurons) :], strict=True)
        if min(alone[pair[0]], alone[pair[1]]) >= (1 - T_LOW) * p0 and p < (1 - T_HIGH) * p0
    }


def published(model: Model, encoded: Encoded, neurons: list[Neuron]) -> tuple[Pairs, int]:
    """One set after the other, two full passes each; the pairs, and how many passes it took."""
    passes = 0

    def change(*off: Neuron) -> tuple[float, float]:
        nonlocal passes
        passes += 2
        before = nl.predict(model, encoded).probability
        set_off = Suppress(NeuronSet(off), "predicted")
        return before, nl.predict(model, encoded, intervention=set_off).probability

    potential = []
    for neuron in neurons:
        before, after = change(neuron)
        if after >= (1 - T_LOW) * before:
            potential.append(neuron)
    found: Pairs = {}
    for pair in combinations(potential, 2):
        before, after = change(*pair)
        if after < (1 - T_HIGH) * before:
            found[pair] = after
    return found, passes


def main() -> None:
    model = nl.load("smollm2-135m", device="cpu")
    encoded = model.encode(PROMPT)
    scores = nl.attribute(model, PROMPT, method="amig", components=("ffn",))
    neurons = list(scores.select(top=CANDIDATES))
    ours(model, encoded, neurons)  # the first pass of a process pays for the libraries' set-up
    times = []
    for _ in range(5):
        start = time.perf_counter()
        fast_pairs = ours(model, encoded, neurons)
        times.append(time.perf_counter() - start)
    fast = statistics.median(times)
    start = time.perf_counter()
    slow_pairs, passes = published(model, encoded, neurons)
    slow = time.perf_counter() - start
    same = fast_pairs.keys() == slow_pairs.keys()
    apart = max(
        (abs(fast_pairs[p] - slow_pairs[p]) for p in fast_pairs if p in slow_pairs), default=0
    )
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"ours            {fast:7.3f} s, {1 + CANDIDATES * (CANDIDATES + 1) // 2} sets")
    print(f"published loop  {slow:7.3f} s, {passes} passes, {slow / fast:.0f} times as long")
    print(f"same decisions: {same}; {len(slow_pairs)} pairs; largest difference {apart:.1e}")


if __name__ == "__main__":
    main()
