"""How time and memory grow with the size of a model and of a prompt, beside the usual loop.

    python benchmarks/growth.py [--quick] [--out growth.csv]

Models of Llama's shape with random weights, from 9 million to 1.1 billion parameters, float32, on
the processor: layers, width, FFN neurons, vocabulary and tokens are varied one at a time, then the
whole. All FFN neurons at the last token, integrated gradients of the log-probability with the
defaults. The usual loop (full passes over 20 scaled copies, layer by layer: Dai et al. 2022) runs
on two layers, and its time is that of a layer times the layers there are. Every point is measured
in a process of its own: the median of three runs, the peak of its memory beyond the loaded model,
and the floating-point operations of one run's matrix products. How many nodes a path needs depends
on the weights, so seconds a node are told, too. An exponent is the slope of a straight line
through the logarithms of all points of a row.

Below stand estimates for two models that were not run: their operations at the rate of the largest
one that was.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parents[1]
# The tiny models' tokenizer is that of the tests.
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import tiny_models  # noqa: E402
import transformers  # noqa: E402
from on_gpu.speed import prompt, usual_loop  # noqa: E402

import neuronlab as nl  # noqa: E402
from neuronlab.attribution.request import Request  # noqa: E402
from neuronlab.models import Model  # noqa: E402

BASE = {"layers": 8, "width": 512, "ffn": 1536, "vocabulary": 8_000, "tokens": 8}
VARIED = {
    "layers": (4, 8, 16, 32),
    "width": (256, 512, 1024, 2048),
    "ffn": (1536, 3072, 6144, 12288),
    "vocabulary": (8_000, 32_000, 128_000),
    "tokens": (8, 32, 128, 512),
}
# Layers, width and FFN neurons together, as models grow.
WHOLE = ((4, 256, 768), (8, 512, 1536), (12, 1024, 3072), (18, 2048, 6144))
# Layers, width, FFN neurons (three matrices), vocabulary.
LARGER = {"7B (Llama 2)": (32, 4096, 11008, 32_000), "70B (Llama 2)": (80, 8192, 28672, 32_000)}
RUNS = 3
SAMPLED = 2
MOST_FOR_THE_LOOP = 2e10  # tokens x parameters: beyond, a layer of it takes minutes


def build(layers: int, width: int, ffn: int, vocabulary: int) -> Model:
    """A model of that shape with random weights."""
    tokenizer = tiny_models.text_tokenizer("llama")
    config = transformers.LlamaConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        intermediate_size=ffn,
        num_attention_heads=width // 64,
        vocab_size=vocabulary,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
    )
    torch.manual_seed(0)
    hf = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")
    return tiny_models.wrap(hf, tokenizer, "causal", "text", "random")


def measure(point: dict[str, int]) -> dict[str, float]:
    """One point, in this process."""
    shape = dict(point)
    tokens = shape.pop("tokens")
    model = build(**shape)
    asked = prompt(model, tokens)
    parameters = sum(p.numel() for p in model.hf.parameters())

    def ours() -> nl.NeuronScores:
        return nl.attribute(model, asked, components=("ffn",), objective="log_probability")

    nl.predict(model, asked)
    loaded = peak()
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        scores = ours()
        times.append(time.perf_counter() - start)
    measured = {
        "parameters": parameters,
        "seconds": statistics.median(times),
        "spread": max(times) - min(times),
        "peak_mb": peak() - loaded,
        "nodes": int(scores.quality["nodes"].sum()),
    }
    with FlopCounterMode(display=False) as counted:
        ours()
    measured["gflop"] = counted.get_total_flops() / 1e9
    if tokens * parameters > MOST_FOR_THE_LOOP:
        return measured
    encoded = model.encode(asked)
    request = Request(model, encoded, encoded.target, ("ffn",), "log_probability")
    sample = [(0, "ffn"), (model.layers // 2, "ffn")][:SAMPLED]
    usual_loop(request, sample[0])
    before, start = peak(), time.perf_counter()
    loop_scores = {at: usual_loop(request, at) for at in sample}
    measured["loop_seconds"] = (time.perf_counter() - start) / len(sample) * model.layers
    measured["loop_peak_mb"] = max(peak() - before, measured["peak_mb"])
    apart = [
        np.linalg.norm(scores["ffn"][layer] - expected) / np.linalg.norm(expected)
        for (layer, _), expected in loop_scores.items()
    ]
    return measured | {"apart": float(max(apart))}


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def points(quick: bool) -> list[tuple[str, dict[str, int]]]:
    """What is varied, and the point."""
    varied = {name: sizes[:2] if quick else sizes for name, sizes in VARIED.items()}
    single = [(name, BASE | {name: size}) for name, sizes in varied.items() for size in sizes]
    whole = WHOLE[:2] if quick else WHOLE
    return single + [
        ("whole", BASE | {"layers": layers, "width": width, "ffn": ffn})
        for layers, width, ffn in whole
    ]


def exponent(rows: pd.DataFrame, against: str, measured: str) -> float:
    """Slope of the logarithms."""
    rows = rows[rows[measured].notna() & (rows[measured] > 0)]
    if len(rows) < 2:
        return float("nan")
    return float(np.polyfit(np.log(rows[against]), np.log(rows[measured]), 1)[0])


def growth(table: pd.DataFrame) -> pd.DataFrame:
    """An exponent for each thing that was varied and each thing that was measured."""
    rows = []
    for name, group in table.groupby("varied", sort=False):
        against = "parameters" if name == "whole" else name
        group = group.assign(per_node=group["seconds"] / group["nodes"])
        rows.append(
            {
                "varied": "parameters, all together" if name == "whole" else name,
                **{
                    words: exponent(group, against, measured)
                    for words, measured in {
                        "time": "seconds",
                        "time a node": "per_node",
                        "products": "gflop",
                        "memory": "peak_mb",
                        "loop's time": "loop_seconds",
                    }.items()
                },
            }
        )
    return pd.DataFrame(rows)


def estimates(table: pd.DataFrame) -> list[str]:
    """What larger models would take here, from their operations and the largest one's rate."""
    largest = table[table["varied"] == "whole"].iloc[-1]
    rate, nodes = largest["gflop"] / largest["seconds"], largest["nodes"] / largest["layers"]
    lines = []
    for name, (layers, width, ffn, vocabulary) in LARGER.items():
        block = 4 * width**2 + 3 * width * ffn  # attention's matrices and the FFN's
        after = nodes * layers * (layers / 2 * block + width * vocabulary)
        gflop = 2 * 2 * after / 1e9  # a product each way
        lines.append(
            f"{name}, not run, {nodes:.1f} nodes a layer: about {gflop / 1e3:,.0f} TFLOP, "
            f"{gflop / rate / 60:,.1f} minutes at the {rate:.0f} GFLOP/s of the largest model"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two points of each")
    parser.add_argument("--out", type=Path, help="all that was measured, as CSV")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(json.loads(args.measure))))
        return
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, float32")
    rows = []
    for name, point in points(args.quick):
        command = [sys.executable, __file__, "--measure", json.dumps(point)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        rows.append({"varied": name, **point, **json.loads(done.stdout.splitlines()[-1])})
        print(json.dumps(rows[-1]), flush=True)
    table = pd.DataFrame(rows)
    if args.out:
        table.to_csv(args.out, index=False)
    table["x faster"] = table["loop_seconds"] / table["seconds"]
    columns = [
        *("varied", "parameters", *BASE, "nodes", "seconds", "spread", "gflop", "peak_mb"),
        *("x faster", "apart"),
    ]
    print(table[columns].round(2).to_string(index=False))
    print("\nExponents")
    print(growth(table).round(2).to_string(index=False))
    print("\nEstimates")
    print("\n".join(estimates(table)))


if __name__ == "__main__":
    main()
