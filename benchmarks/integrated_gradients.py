"""Integrated gradients of all FFN layers: our engine, the usual loop, and Captum, in one run.

    python benchmarks/integrated_gradients.py [--quick]

The usual loop is what the papers' code does: for each layer a full forward and backward pass over
the 20 scaled copies of the prompt, and the right-hand sum of the 20 gradients (Dai et al. 2022).
Captum is `LayerIntegratedGradients` on each layer with its 20 Gauss-Legendre nodes. All three
attribute the target's probability to the FFN neurons at the predicted position from a zero
baseline, on the same frozen model. The reference is Gauss-Legendre with 128 nodes per layer.
Beside each time stands how much the matrix products of one run are, and how many a second that
makes; a large product alone, timed in the same run, says what the machine can do.
Each contender runs in a process of its own, so that its peak memory can be told. Machines drift:
ours and the usual loop take turns, and the ratio is the median of the turns'.
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
import torch
from torch.utils.flop_counter import FlopCounterMode

import neuronlab as nl
from neuronlab.attribution.growing_batch import GrowingBatch
from neuronlab.attribution.growing_batch import Path as ActivationPath
from neuronlab.attribution.request import Request
from neuronlab.models import Model
from neuronlab.proteins.sequences import TRASTUZUMAB_VH

FIVE = nl.Prompt("The capital of France is", target=" Paris")
TWENTY = nl.Prompt(
    "The war was over, the soldiers had gone home to their families, and the capital of France was",
    target=" Paris",
)
ANTIBODY = nl.Prompt(TRASTUZUMAB_VH, mask=TRASTUZUMAB_VH.index("CSRWGG"), target="C")
CASES = {
    "SmolLM2, 5 tokens": ("smollm2-135m", FIVE),
    "SmolLM2, 20 tokens": ("smollm2-135m", TWENTY),
    "AntiBERTy, 122 tokens": ("antiberty", ANTIBODY),
}
STEPS = 20
REFERENCE_NODES = 128
TURNS = 5


def ours(model: Model, prompt: nl.Prompt) -> np.ndarray:
    """The engine of this project, with its defaults."""
    return nl.attribute(model, prompt, components=("ffn",))["ffn"]


def captum(model: Model, prompt: nl.Prompt) -> np.ndarray:
    """Captum, layer by layer, with as many nodes as the usual loop."""
    return nl.attribute(model, prompt, components=("ffn",), engine="captum", steps=STEPS)["ffn"]


def usual_loop(model: Model, prompt: nl.Prompt) -> np.ndarray:
    """Per layer: full passes over the scaled copies, and the sum of their gradients."""
    encoded = model.encode(prompt)
    position = encoded.position
    alphas = torch.arange(1, STEPS + 1) / STEPS
    ids = encoded.input_ids.expand(STEPS, -1)
    seen = model.read(encoded, ("ffn",))
    scores = []
    for layer in range(model.layers):
        clean = seen[layer, "ffn"][0, position]
        scaled = (alphas[:, None] * clean).requires_grad_()

        def replace(neurons: torch.Tensor, scaled: torch.Tensor = scaled) -> torch.Tensor:
            changed = neurons.clone()
            changed[:, position] = scaled
            return changed

        with torch.enable_grad(), model.edit({(layer, "ffn"): replace}):
            logits = model.hf(input_ids=ids).logits[:, position]
            value = logits.softmax(-1)[:, encoded.target].sum()
            (gradient,) = torch.autograd.grad(value, scaled)
        scores.append((clean * gradient.mean(0)).numpy())
    return np.stack(scores)


def reference(model: Model, prompt: nl.Prompt) -> np.ndarray:
    """Gauss-Legendre with many nodes on [0, 1], each layer on its own."""
    encoded = model.encode(prompt)
    request = Request(model, encoded, encoded.target, ("ffn",))
    batch = GrowingBatch(model, encoded, request.explained, everywhere=False)
    nodes, weights = np.polynomial.legendre.leggauss(REFERENCE_NODES)
    rows = []
    for layer in range(model.layers):
        total = 0.0
        for part in np.array_split(np.arange(REFERENCE_NODES), 8):
            path = ActivationPath((layer, "ffn"), ((nodes[part] + 1) / 2).tolist())
            _, found = batch.run([path])
            result = found[layer, "ffn"]
            weight = torch.tensor(weights[part] / 2, dtype=torch.float32)
            total = total + (weight[:, None, None] * result.gradients).sum(0)
        rows.append((result.clean * total)[0].numpy())
    return np.stack(rows)


def every_component(model: Model, prompt: nl.Prompt) -> np.ndarray:
    """Query, key, value and FFN neurons at once, as a page asks for them."""
    return nl.attribute(model, prompt)["ffn"]


CONTENDERS = {
    "every component": every_component,
    "ours": ours,
    "usual loop": usual_loop,
    "captum": captum,
}


def measure(case: str, contender: str, repeats: int, out: Path) -> None:
    """Run one contender, in this process, and write its scores, times and peak memory.

    Args:
        repeats: 0 to count its operations instead, which slows it.
    """
    name, prompt = CASES[case]
    model = nl.load(name, device="cpu")
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    function = reference if contender == "reference" else CONTENDERS[contender]
    times, processor = [], []
    if contender != "reference":
        nl.predict(model, prompt)  # the first pass of a process pays for the libraries' set-up
    for _ in range(repeats):
        start, used = time.perf_counter(), time.process_time()
        scores = function(model, prompt)
        times.append(time.perf_counter() - start)
        processor.append(time.process_time() - used)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    gflop = None
    if not times:
        with FlopCounterMode(display=False) as counted:
            scores = function(model, prompt)
        gflop = counted.get_total_flops() / 1e9
    facts = {
        "gflop": gflop,
        "processor": statistics.median(processor or [0.0]),
        "seconds": statistics.median(times or [0.0]),
        "peak_mb": peak / 1024,
        "loaded_mb": loaded / 1024,
    }
    np.savez(out, scores=scores, facts=json.dumps(facts))


def run(case: str, contender: str, repeats: int, folder: Path) -> tuple[np.ndarray, dict]:
    """Measure one contender in a fresh process."""
    out = folder / "measured.npz"
    arguments = [case, contender, str(repeats), str(out)]
    subprocess.run([sys.executable, __file__, "--measure", *arguments], check=True)
    with np.load(out) as data:
        return data["scores"], json.loads(str(data["facts"]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="only the first case")
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        case, contender, repeats, out = args.measure
        measure(case, contender, int(repeats), Path(out))
        return
    import tempfile

    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads; products of 512 x 1,536 by "
        f"1,536 x 1,536: {products_a_second() / 1e9:.0f} GFLOP/s"
    )
    with tempfile.TemporaryDirectory() as folder:
        for case in list(CASES)[: 1 if args.quick else None]:
            compare(case, Path(folder))
        case = next(iter(CASES))
        _, facts = run(case, "every component", TURNS, Path(folder))
        work = operations(case, "every component", Path(folder))
        print(
            f"\n{case}, all four components: {facts['seconds']:.2f} s, {facts['processor']:.2f} s "
            f"of processors, {work:.0f} GFLOP, {work / facts['seconds']:.0f} a second"
        )


def operations(case: str, contender: str, folder: Path) -> float:
    """10^9 floating-point operations of the matrix products of one run."""
    return run(case, contender, 0, folder)[1]["gflop"]


def products_a_second() -> float:
    """Floating-point operations a second of a large product alone, the best of ten."""
    left, right = torch.rand(512, 1536), torch.rand(1536, 1536)
    times = []
    for _ in range(10):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return 2 * 512 * 1536 * 1536 / min(times)


def compare(case: str, folder: Path) -> None:
    """One table: time, ratio, peak memory and error of each contender."""
    truth, _ = run(case, "reference", 1, folder)
    norm = np.linalg.norm(truth, axis=1)
    results, turns = {}, []
    for _ in range(TURNS):
        for name in ("ours", "usual loop"):
            results[name] = run(case, name, 5 if name == "ours" else 1, folder)
        turns.append({name: facts["seconds"] for name, (_, facts) in results.items()})
    results["captum"] = run(case, "captum", 1, folder)
    work = {name: operations(case, name, folder) for name in ("ours", "usual loop")}
    ratios = [turn["usual loop"] / turn["ours"] for turn in turns]
    print(f"\n{case}: turns " + ", ".join(f"{r:.1f} x" for r in sorted(ratios)))
    seconds = {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
    seconds["captum"] = results["captum"][1]["seconds"]
    faster = {name: seconds["usual loop"] / seconds[name] for name in seconds}
    faster["ours"] = statistics.median(ratios)
    errors = {
        name: np.linalg.norm(scores - truth, axis=1) / norm for name, (scores, _) in results.items()
    }
    worse = int((errors["ours"] > errors["usual loop"]).sum())
    print(f"{len(truth)} layers x {truth.shape[1]} FFN neurons")
    print(
        f"{'':12}{'seconds':>9}{'x faster':>10}{'GFLOP':>8}{'a second':>10}{'peak MB':>9}"
        f"{'error':>10}{'worst layer':>13}"
    )
    for name, (_, facts) in results.items():
        error = errors[name]
        print(
            f"{name:12}{seconds[name]:9.2f}{faster[name]:10.1f}"
            f"{work.get(name, np.nan):8.0f}{work.get(name, np.nan) / seconds[name]:10.0f}"
            f"{facts['peak_mb']:9.0f}{np.median(error):10.1e}{error.max():13.1e}"
        )
    print(f"layers where our error is larger than the usual loop's: {worse} of {len(truth)}")


if __name__ == "__main__":
    main()
