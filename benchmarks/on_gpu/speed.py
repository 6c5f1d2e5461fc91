"""How fast a device is on models of real shapes, beside what people use today, in one run.

Random weights, made on the device: how long a pass takes does not depend on them, though how many
nodes a path needs does. The usual loop and Captum take minutes on all layers, so they run on a
sample of places spread over the depth, and their time is that of a place times the places there
are. Their error is measured on the sample, too, against Gauss-Legendre with 64 nodes.
"""

from __future__ import annotations

import gc
import math
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tiny_models
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

import neuronlab as nl
from neuronlab.attribution.captum_reference import one_place
from neuronlab.attribution.growing_batch import GrowingBatch
from neuronlab.attribution.growing_batch import Path as ActivationPath
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.attribution.request import Request
from neuronlab.attribution.rescaling import rescaled
from neuronlab.labels.exemplars import pooled
from neuronlab.models import Encoded, Model
from neuronlab.models.stream import read_stream, state_before
from neuronlab.neurons import Neuron, NeuronSet

BF16, F32 = torch.bfloat16, torch.float32
LLAMA = {"max_position_embeddings": 4096, "tie_word_embeddings": False}
ESM = {
    "position_embedding_type": "rotary",
    "token_dropout": True,
    "emb_layer_norm_before": False,
    "is_folding_model": False,
    "vocab_size": 33,
    "max_position_embeddings": 1026,
}


def _sizes(hidden: int, ffn: int, layers: int, heads: int) -> dict[str, int]:
    return {
        "hidden_size": hidden,
        "intermediate_size": ffn,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
    }


# Name: model type, kind, configuration.
SHAPES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "GPT2-large": (
        "gpt2",
        "causal",
        {"n_embd": 1280, "n_layer": 36, "n_head": 20, "vocab_size": 50257},
    ),
    "Llama-2-7B": (
        "llama",
        "causal",
        _sizes(4096, 11008, 32, 32) | LLAMA | {"vocab_size": 32000},
    ),
    "Llama-3-8B": (
        "llama",
        "causal",
        _sizes(4096, 14336, 32, 32) | LLAMA | {"vocab_size": 128256, "num_key_value_heads": 8},
    ),
    "ESM-2 650M": ("esm", "masked", _sizes(1280, 5120, 33, 20) | ESM),
    "ESM-2 3B": ("esm", "masked", _sizes(2560, 10240, 36, 40) | ESM),
}
SMALL = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4}
SMALL_GPT2 = {"n_embd": 64, "n_layer": 4, "n_head": 4}
FFN, QKV = ("ffn",), ("query", "key", "value")
STEPS = 20
SAMPLE = 3
RESIDUES = 300
PROTEINS = 32
COUNT = 100
CANDIDATES = 20
# No more repetitions begin after this many seconds.
PATIENCE = 6.0

Row = dict[str, Any]


def steps(
    device: str, small: bool, rows: list[Row]
) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """First what the goals are about.

    Args:
        rows: what an earlier call found; the limits are among it.
    """
    _RATES.update({row["model"]: row["rate"] * 1e12 for row in rows if row["what"] == "limit"})
    order = [
        ("Llama-2-7B", BF16),
        ("ESM-2 650M", BF16),
        ("Llama-3-8B", BF16),
        ("GPT2-large", F32),
        ("ESM-2 650M", F32),
        ("ESM-2 3B", BF16),
        ("Llama-2-7B", F32),
        ("GPT2-large", BF16),
        ("Llama-3-8B", F32),
        ("ESM-2 3B", F32),
    ]
    if small:
        order = [("Llama-3-8B", BF16), ("ESM-2 650M", F32)]
    yield "limits", lambda: limits(device, small)
    cache: dict[str, Any] = {}
    for name, dtype in order:
        label = f"{name}, {str(dtype).removeprefix('torch.')}"
        protein = SHAPES[name][0] == "esm"
        lengths = [RESIDUES] if protein else [10, 200]
        if small:
            lengths = [min(length, 24) for length in lengths]

        def model(name: str = name, dtype: torch.dtype = dtype, label: str = label) -> Model:
            if cache.get("label") != label:
                cache.clear()
                _free()
                cache.update(label=label, model=build(name, dtype, device, small))
            return cache["model"]

        for length in lengths:
            for components in (FFN, QKV):
                what = f"{label}: {'FFN' if components == FFN else 'query, key, value'}, {length}"
                yield (
                    what,
                    lambda model=model, label=label, length=length, components=components: (
                        gradients(model(), label, length, components)
                    ),
                )
        if dtype == F32 and device.startswith("cuda") and not protein:
            yield (
                f"{label}: TF32",
                lambda model=model, label=label, length=lengths[0]: as_tf32(model(), label, length),
            )
        if not protein:
            yield f"{label}: proven top", lambda model=model, label=label: top(model(), label)
            yield f"{label}: pairs", lambda model=model, label=label: pairs(model(), label)
        else:
            yield (
                f"{label}: exemplars",
                lambda model=model, label=label, small=small: exemplars(
                    model(), label, 4 if small else PROTEINS
                ),
            )


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """What belongs into a document; the limits and the goals are printed above it."""
    for row in rows[rows["what"] == "limit"].itertuples():
        print(f"{row.model}: {row.rate:.3g} {row.unit}")
    for line in goals(rows):
        print(line)
    print(
        f"loop, captum: seconds on {SAMPLE} layers, times the layers there are; peak GB: beside "
        "the weights; error: of a place's scores in the median, against 64 Gauss-Legendre nodes "
        "(proven top: of a score; pairs: of an effect; exemplars: of an activation)"
    )
    shown = ["model", "what", "seconds", "repeats", "loop", "x loop", "captum", "x captum",
             "error", "loop error", "captum error", "from captum", "nodes", "peak GB", "share",
             "binds", "passed"]  # fmt: skip
    measured = rows[rows["what"] != "limit"]
    found = measured[[name for name in shown if name in measured]].copy()
    for name in found:
        found[name] = [_cell(value) for value in found[name]]
    return found


def _cell(value: Any) -> str:
    if value is None or value != value:
        return ""
    if isinstance(value, bool | str):
        return str(value)
    return f"{value:.0f}" if value >= 100 else f"{value:.2g}"


def goals(rows: pd.DataFrame) -> list[str]:
    """Whether what was aimed at is reached: all FFN neurons of the 7B shape at 10 tokens."""
    aimed = rows[(rows["model"] == "Llama-2-7B, bfloat16") & (rows["what"] == "FFN, 10 tokens")]
    if aimed.empty:
        return ["goals: not measured"]
    row = aimed.iloc[0]
    share = row.get("share")
    return [
        f"goal of under 1 s: {'met' if row['seconds'] < 1 else 'missed'} ({row['seconds']:.2f} s)",
        f"goal of 50 times the loop: {'met' if row['x loop'] >= 50 else 'missed'} "
        f"({row['x loop']:.1f})",
        f"goal of 30 % of the tighter limit: {'met' if (share or 0) >= 0.3 else 'missed'} "
        f"({'not measured' if share is None else f'{share:.0%}, {row.binds} binds'})",
    ]


def build(name: str, dtype: torch.dtype, device: str, small: bool) -> Model:
    """A model of that shape with random weights."""
    model_type, kind, settings = SHAPES[name]
    if small:
        settings = settings | (SMALL_GPT2 if model_type == "gpt2" else SMALL)
        settings |= {"num_attention_heads": 4, "vocab_size": min(settings["vocab_size"], 1000)}
        settings |= {"num_key_value_heads": 2} if "num_key_value_heads" in settings else {}
    tokenizer = tiny_models.text_tokenizer(model_type)
    if model_type == "esm":
        with tempfile.TemporaryDirectory() as folder:
            tokenizer = tiny_models.esm_tokenizer(Path(folder))
    settings = settings | {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "mask_token_id": tokenizer.mask_token_id,
    }
    config = transformers.AutoConfig.for_model(model_type, **settings)
    auto = {
        "causal": transformers.AutoModelForCausalLM,
        "masked": transformers.AutoModelForMaskedLM,
    }[kind]
    torch.manual_seed(0)
    with torch.device(device):
        hf = auto.from_config(config, dtype=dtype, attn_implementation="sdpa")
    alphabet = "protein" if model_type == "esm" else "text"
    model = tiny_models.wrap(hf, tokenizer, kind, alphabet, name)
    model.family.fuse(model.hf)
    return model


def prompt(model: Model, length: int) -> nl.Prompt:
    """Random words, or a random protein with one residue hidden."""
    draw = np.random.default_rng(length)
    if model.alphabet == "protein":
        letters = draw.choice(list("ACDEFGHIKLMNPQRSTVWY"), length)
        return nl.Prompt("".join(letters), target="K", mask=length // 2)
    return nl.Prompt(" ".join(draw.choice(tiny_models.WORDS.split(), length)), target=7)


def limits(device: str, small: bool) -> list[Row]:
    """What the device reaches in a large product and a large copy."""
    size = 512 if small else 8192
    rows = []
    for name, dtype, precision in (
        ("bfloat16", BF16, "highest"),
        ("float32", F32, "highest"),
        ("float32 as TF32", F32, "high"),
    ):
        if precision == "high" and device == "cpu":
            continue
        a = torch.randn(size, size, device=device, dtype=dtype)
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(precision)
        seconds, _, _ = timed(lambda a=a: a @ a, device, 5)
        torch.set_float32_matmul_precision(before)
        rows.append(_limit(f"products in {name}", 2 * size**3 / seconds / 1e12, "TFLOP/s"))
    a = torch.randn(4 * size * size, device=device, dtype=F32)
    b = torch.empty_like(a)

    def copy(times: int = 10) -> None:
        for _ in range(times):
            b.copy_(a)

    seconds, _, _ = timed(copy, device, 5)
    rate = 10 * 2 * a.numel() * a.itemsize / seconds
    rows.append(_limit("copies", rate / 1e12, "TB/s, read and written"))
    _RATES.update({row["model"]: row["rate"] * 1e12 for row in rows})
    return rows


_RATES: dict[str, float] = {}


def _limit(name: str, rate: float, unit: str) -> Row:
    return {"model": name, "what": "limit", "rate": rate, "unit": unit}


def gradients(model: Model, label: str, length: int, components: tuple[str, ...]) -> list[Row]:
    """Integrated gradients: ours, the usual loop and Captum."""
    asked = prompt(model, length)
    everywhere = "all" if model.alphabet == "protein" else "predicted"
    options = {"components": components, "positions": everywhere, "objective": "log_probability"}
    device = str(model.device)

    def ours() -> nl.NeuronScores:
        return nl.attribute(model, asked, **options)

    seconds, scores, repeats = timed(ours, device, 5)
    peak = peak_of(ours, device)
    flops, passes = work_of(model, ours)
    encoded = model.encode(asked)
    request = Request(model, encoded, encoded.target, components, "log_probability", everywhere)
    layers = sorted({0, model.layers // 2, model.layers - 1})[:SAMPLE]
    places = [(layer, c) for layer in layers for c in components]
    loop_seconds, loop_scores = sampled(lambda at: usual_loop(request, at), places, device)
    captum_seconds, captum_scores = sampled(lambda at: captum(request, at), places, device)
    truth = {at: reference(request, at) for at in places}
    found = {(layer, c): scores[c][layer] for layer, c in places}
    count = model.layers * len(components)
    neurons = sum(scores[c].size for c in components)
    weights = sum(p.numel() for b in model.blocks for p in b.parameters()) * model.dtype.itemsize
    row = {
        "model": label,
        "what": f"{'FFN' if components == FFN else 'query, key, value'}, {length} tokens",
        "neurons": neurons,
        "seconds": seconds,
        "repeats": repeats,
        "loop": loop_seconds * count,
        "x loop": loop_seconds * count / seconds,
        "captum": captum_seconds * count,
        "x captum": captum_seconds * count / seconds,
        "error": apart(found, truth),
        "loop error": apart(loop_scores, truth),
        "captum error": apart(captum_scores, truth),
        "from captum": apart(found, captum_scores),
        "nodes": int(scores.quality["nodes"].sum()),
        "peak GB": peak / 1e9,
        "flops": flops,
        "passes": passes,
    }
    # Captum is another's code: what errs in both of ours would show as a difference to it.
    row["passed"] = bool(row["from captum"] <= (0.1 if model.dtype == F32 else 0.3))
    rate = _RATES.get(f"products in {str(model.dtype).removeprefix('torch.')}")
    if rate:
        of_products, of_memory = flops / rate, passes * weights / _RATES["copies"]
        row["share"] = max(of_products, of_memory) / seconds
        row["binds"] = "products" if of_products > of_memory else "memory"
    return [row]


def as_tf32(model: Model, label: str, length: int) -> list[Row]:
    """The same with products rounded to TF32, and how far that moves the scores."""
    asked = prompt(model, length)
    options = {"components": FFN, "objective": "log_probability"}
    exact = nl.attribute(model, asked, **options)["ffn"]
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        seconds, scores, repeats = timed(
            lambda: nl.attribute(model, asked, **options), str(model.device), 5
        )
    finally:
        torch.set_float32_matmul_precision(before)
    layers = range(model.layers)
    error = apart({i: scores["ffn"][i] for i in layers}, {i: exact[i] for i in layers})
    return [
        {
            "model": f"{label} as TF32",
            "what": f"FFN, {length} tokens",
            "seconds": seconds,
            "repeats": repeats,
            "error": error,
            "nodes": int(scores.quality["nodes"].sum()),
            "passed": bool(error <= 0.1),
        }
    ]


def usual_loop(request: Request, at: tuple[int, str]) -> np.ndarray:
    """Full passes over 20 scaled copies, and the sum of their gradients (Dai et al. 2022)."""
    model, encoded = request.model, request.encoded
    clean = model.read(encoded, (at[1],))[at][0, request.span(at)]
    place = encoded.position - encoded.length  # of a decoder's tokens, too, counted from their end
    total, room = 0.0, max(1, int(4096 // encoded.input_ids.shape[1]))
    for part in torch.arange(1, STEPS + 1, device=model.device, dtype=clean.dtype).split(room):
        scaled = (part[:, None, None] / STEPS * clean).requires_grad_()

        def replace(neurons: torch.Tensor, scaled: torch.Tensor = scaled) -> torch.Tensor:
            changed = neurons.clone()
            changed[:, request.span(at)] = scaled
            return changed

        with torch.enable_grad(), model.edit({at: replace}):
            logits = model.hf(**_inputs(encoded, len(part))).logits[:, place].float()
            (gradient,) = torch.autograd.grad(request.explained(logits).sum(), scaled)
        total = total + gradient.float().sum(0)
    return (clean.float() * total / STEPS).sum(0).numpy(force=True)


def _inputs(encoded: Encoded, rows: int) -> dict[str, torch.Tensor]:
    """The prompt so many times, as transformers takes it."""
    inputs = {"input_ids": encoded.input_ids.expand(rows, -1)}
    if encoded.prefix is not None:
        inputs["decoder_input_ids"] = encoded.prefix.expand(rows, -1)
    return inputs


def captum(request: Request, at: tuple[int, str]) -> np.ndarray:
    """``LayerIntegratedGradients`` with as many nodes."""
    request = Request(**{**vars(request), "steps": STEPS})
    with request.model.lock:
        return one_place(request, at)[0].sum(0).numpy()


def reference(request: Request, at: tuple[int, str], nodes: int = 64) -> np.ndarray:
    """Gauss-Legendre with many nodes."""
    everywhere = request.positions == "all"
    batch = GrowingBatch(request.model, request.encoded, request.explained, everywhere=everywhere)
    points, weights = np.polynomial.legendre.leggauss(nodes)
    total: Any = 0.0
    result: Any = None
    for part in np.array_split(np.arange(nodes), 8):
        path = ActivationPath(at, ((points[part] + 1) / 2).tolist())
        _, found = batch.run([path])
        result = found[at]
        weight = torch.from_numpy(weights[part] / 2).to(result.gradients)
        total = total + (weight[:, None, None] * result.gradients).sum(0)
    return (result.clean * total).sum(0).numpy(force=True)


def apart(found: dict, truth: dict) -> float:
    """The error of a place in the median: of the vector of scores, as a fraction of its length."""
    errors = [np.linalg.norm(found[at] - truth[at]) / np.linalg.norm(truth[at]) for at in truth]
    return float(np.median(errors))


def top(model: Model, label: str) -> list[Row]:
    """The proven hundred of highest log-probability increase, and brute force on two layers."""
    encoded = model.encode(prompt(model, 10))
    device = str(model.device)

    def ours() -> pd.DataFrame:
        scorer = LogProbabilityIncrease(read_stream(model, encoded), encoded.target)
        return scorer.top(COUNT)

    seconds, found, repeats = timed(ours, device, 5)
    peak = peak_of(ours, device)
    stream = read_stream(model, encoded)
    layers = [model.layers // 2, model.layers - 1]
    with torch.no_grad():
        brute_force(stream, 0, encoded.target)  # the first use of a size costs more
    start = clock(device)
    with torch.no_grad():
        brute = {layer: brute_force(stream, layer, encoded.target) for layer in layers}
    slow = (clock(device) - start) / len(layers) * model.layers
    # What is in both must be the same number; nothing outside may be above the last.
    difference = 0.0
    for row in found.itertuples():
        if row.layer in brute:
            exact = brute[row.layer][row.component, row.position][row.neuron]
            difference = max(difference, abs(row.score - exact))
    inside = {
        (row.layer, row.component, row.position, row.neuron): row.score
        for row in found.itertuples()
    }
    last = found["score"].min()
    missed = sum(
        int(score > last + 1e-3 * abs(last) and (layer, *at, neuron) not in inside)
        for layer, parts in brute.items()
        for at, scores in parts.items()
        for neuron, score in enumerate(scores.tolist())
    )
    return [
        {
            "model": label,
            "what": f"proven top {COUNT}, 10 tokens",
            "seconds": seconds,
            "repeats": repeats,
            "loop": slow,
            "x loop": slow / seconds,
            "error": difference / abs(last),
            "peak GB": peak / 1e9,
            "rescored": found.attrs["rescored"],
            "missed": missed,
            "passed": missed == 0 and difference <= 1e-2 * abs(last),
        }
    ]


def brute_force(stream: Any, layer: int, target: int) -> dict[tuple[str, int], np.ndarray]:
    """Every neuron of a layer through the unembedding, in batches."""
    states, readout = stream.states(), stream.readout
    candidates = {("ffn", -1): stream.ffn[layer]}
    candidates |= {("attention", p): c for p, c in enumerate(stream.attention[layer])}
    found = {}
    for at, coefficients in candidates.items():
        state = states[state_before(layer, at[0])]
        before = readout.logits(state[None]).log_softmax(-1)[0, target]
        parts = coefficients[:, None] * stream.vectors(layer, at[0])
        scores = [
            readout.logits(state + part).log_softmax(-1)[:, target] - before
            for part in parts.split(1024)
        ]
        found[at] = torch.cat(scores).numpy(force=True)
    return found


def pairs(model: Model, label: str) -> list[Row]:
    """All pairs of 20 neurons off, and the 20 alone; the published loop on a sample of them."""
    encoded = model.encode(prompt(model, 10))
    device = str(model.device)
    draw = np.random.default_rng(0)
    neurons = [
        Neuron(int(layer), "ffn", int(draw.integers(model.sizes["ffn"])))
        for layer in draw.integers(model.layers, size=CANDIDATES)
    ]
    sets = [NeuronSet([n]) for n in neurons]
    sets += [NeuronSet([a, b]) for i, a in enumerate(neurons) for b in neurons[:i]]
    seconds, found, repeats = timed(lambda: rescaled(model, encoded, sets), device, 5)
    peak = peak_of(lambda: rescaled(model, encoded, sets), device)
    sample = list(range(0, len(sets), len(sets) // 12))

    def loop() -> tuple[torch.Tensor, float]:
        """Each prompt as it is, and with a set off: two runs, as published."""
        values = []
        for i in sample:
            before = nl.predict(model, encoded).probability
            off = nl.Suppress(sets[i], "predicted")
            values.append(nl.predict(model, encoded, intervention=off).probability)
        return torch.tensor(values), before

    slow, (one_by_one, clean), _ = timed(loop, device, 2)
    slow = slow / len(sample) * len(sets)
    effects = one_by_one - clean
    difference = float((found[sample] - one_by_one).abs().max() / effects.abs().max())
    row = {
        "model": label,
        "what": f"{len(sets) - CANDIDATES} pairs off",
        "seconds": seconds,
        "repeats": repeats,
        "loop": slow,
        "x loop": slow / seconds,
        "error": difference,
        "peak GB": peak / 1e9,
    }
    if model.dtype == F32:  # random neurons do less than bfloat16 rounds
        row["passed"] = difference <= 0.05
    return [row]


def exemplars(model: Model, label: str, count: int) -> list[Row]:
    """Mean activations of FFN neurons over proteins; the usual loop takes one at a time."""
    device = str(model.device)
    proteins = [prompt(model, RESIDUES + number).text for number in range(count)]
    few = proteins[: max(2, count // 8)]

    def ours() -> torch.Tensor:
        return pooled(model, proteins, FFN, "mean")["ffn"]

    def loop() -> torch.Tensor:
        found = []
        for protein in few:
            ids = model.ids([model.residue_ids(protein)])
            seen = model.read(Encoded(ids, 0, None, ()), FFN)
            here = [seen[at][0, model.residues_at].float().mean(0).cpu() for at in seen]
            found.append(torch.stack(here))
        return torch.stack(found)

    seconds, found, repeats = timed(ours, device, 3)
    peak = peak_of(ours, device)
    slow, one_by_one, _ = timed(loop, device, 1)
    slow = slow / len(few) * count
    error = float((found[: len(few)] - one_by_one).abs().max() / one_by_one.abs().max())
    return [
        {
            "model": label,
            "what": f"exemplars, {count} proteins",
            "seconds": seconds,
            "repeats": repeats,
            "loop": slow,
            "x loop": slow / seconds,
            "error": error,
            "peak GB": peak / 1e9,
            "passed": error <= (1e-3 if model.dtype == F32 else 5e-2),
        }
    ]


# --- Measuring -----------------------------------------------------------------------------------


def clock(device: str) -> float:
    """Seconds, when everything asked so far is done."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    return time.perf_counter()


def timed(function: Callable[[], Any], device: str, repeats: int) -> tuple[float, Any, int]:
    """The median after a warm-up, by CUDA events on a card, the result, and of how many runs.

    Fewer where they take long, but three at least.
    """
    result = function()
    times: list[float] = []
    while len(times) < min(3, repeats) or (len(times) < repeats and sum(times) < PATIENCE):
        if device.startswith("cuda"):
            start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            torch.cuda.synchronize(device)
            start.record()
            result = function()
            stop.record()
            torch.cuda.synchronize(device)
            times.append(start.elapsed_time(stop) / 1e3)
        else:
            start_ = time.perf_counter()
            result = function()
            times.append(time.perf_counter() - start_)
    return statistics.median(times), result, len(times)


def sampled(
    function: Callable[[Any], Any], places: list, device: str
) -> tuple[float, dict[Any, Any]]:
    """Seconds of a place in the mean, after one that is not counted."""
    function(places[0])  # the place that needs the most memory
    start = clock(device)
    found = {at: function(at) for at in places}
    return (clock(device) - start) / len(places), found


def peak_of(function: Callable[[], Any], device: str) -> float:
    """Bytes on the card beyond what was there."""
    if not device.startswith("cuda"):
        return math.nan
    _free()
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    function()
    return torch.cuda.max_memory_allocated(device) - before


def work_of(model: Model, function: Callable[[], Any]) -> tuple[float, int]:
    """Operations in products, and how often the blocks' weights are read: forward, and backward
    again where gradients are asked.
    """
    passes = 0

    def count(*_: Any) -> None:
        nonlocal passes
        passes += 1 + torch.is_grad_enabled()

    handle = model.block(0).register_forward_hook(count)
    try:
        with FlopCounterMode(display=False) as counter:
            function()
    finally:
        handle.remove()
    return float(counter.get_total_flops()), passes


def _free() -> None:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
