"""The hundred neurons of highest log-probability increase: proven by bounds, and by brute force.

    python benchmarks/log_probability_increase.py

Both score all FFN neurons and all attention neurons at every position (arXiv 2312.12141) of a
5-token prompt on SmolLM2, from the model and the prompt on. Brute force sends every neuron through
the unembedding, as the paper's definition says, in batches of 128 and with the same state for all
neurons of a layer: what a careful loop does.
"""

import statistics
import time

import pandas as pd
import torch

import neuronlab as nl
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.models import Model
from neuronlab.models.stream import read_stream, state_before

PROMPT = nl.Prompt("The capital of France is", target=" Paris")
COUNT = 100
BATCH = 128
KEY = ["layer", "component", "position", "neuron"]


def ours(model: Model) -> pd.DataFrame:
    """Bounds, and a search that rescores until the best are proven."""
    encoded = model.encode(PROMPT)
    return LogProbabilityIncrease(read_stream(model, encoded), encoded.target).top(COUNT)


@torch.no_grad()
def brute_force(model: Model) -> pd.DataFrame:
    """Every neuron: two log-softmaxes over the vocabulary."""
    encoded = model.encode(PROMPT)
    stream = read_stream(model, encoded)
    states, readout, target = stream.states(), stream.readout, encoded.target
    rows = []
    for layer in range(model.layers):
        attention = stream.attention[layer]
        candidates = [(("ffn", -1), stream.ffn[layer], stream.ffn_vectors(layer))]
        candidates += [
            (("attention", position), coefficients, stream.attention_vectors(layer))
            for position, coefficients in enumerate(attention)
        ]
        for (component, position), coefficients, vectors in candidates:
            state = states[state_before(layer, component)]
            before = readout.logits(state[None]).log_softmax(-1)[0, target]
            parts = coefficients[:, None] * vectors
            for start in range(0, len(parts), BATCH):
                logits = readout.logits(state + parts[start : start + BATCH])
                found = (logits.log_softmax(-1)[:, target] - before).tolist()
                rows += [
                    (layer, component, position, start + i, score) for i, score in enumerate(found)
                ]
    table = pd.DataFrame(rows, columns=[*KEY, "score"])
    print(f"{len(table):,} neurons, {len(states)} states of the stream")
    return table.nlargest(COUNT, "score")


def main() -> None:
    model = nl.load("smollm2-135m", device="cpu")
    nl.predict(model, PROMPT)  # the first pass of a process pays for the libraries' set-up
    ours(model)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        found = ours(model)
        times.append(time.perf_counter() - start)
    start = time.perf_counter()
    truth = brute_force(model)
    slow = time.perf_counter() - start
    fast = statistics.median(times)
    both = truth.merge(found, on=KEY, suffixes=("_truth", ""))
    apart = (both["score"] - both["score_truth"]).abs().max()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")
    print(f"ours         {fast:8.2f} s, {found.attrs['rescored']} neurons rescored")
    print(f"brute force  {slow:8.2f} s, {slow / fast:.0f} times as long")
    print(f"the same {len(both)} of {COUNT} neurons; largest difference of a score {apart:.1e}")


if __name__ == "__main__":
    main()
