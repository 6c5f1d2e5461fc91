"""Whether a device computes what the processor does, and is left as it was."""

from __future__ import annotations

import gc
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pandas as pd
import tiny_models
import torch

import neuronlab as nl
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.attribution.query_neurons import query_scores, shares, value_neurons
from neuronlab.attribution.registry import METHODS
from neuronlab.attribution.rescaling import rescaled
from neuronlab.attribution.streamed import Streamed
from neuronlab.labels.exemplars import Exemplars, pooled
from neuronlab.models import Model
from neuronlab.models.stream import read_stream
from neuronlab.neurons import NeuronSet
from neuronlab.neurons.predictions import predict_many
from neuronlab.steering.generation import generate
from neuronlab.steering.quality import pseudo_perplexity
from neuronlab.steering.selection import by_effect

# The largest difference of a score, as a fraction of the sum of its layer's absolute scores; of a
# probability, absolute. A layer that adds next to nothing is measured by a tenth of the largest.
LIMITS = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
LEAST = 0.1
# The difference to other activations, a mean or those of a masked input, is small beside what
# rounding does to either.
DIFFERENCE_ROUNDED = 0.1
# Tight, so that paths are the same wherever a path is refined.
TOLERANCE = 0.002
PROTEINS = ("MKTAYIAKQR", "GIGAVLKVLTTGLPALI", "LLPLLVSTAAGQRSTVWY")
START = "MKTAYIAKQRGSLEDWVVFHCN"
FREE = (3, 4, 5, 9, 10, 11, 12, 19, 20)
SOME = NeuronSet([(0, "ffn", 1), (0, "ffn", 40), (1, "ffn", 5), (2, "ffn", 9), (1, "value", 4)])
FEW = [("llama", "causal"), ("esm", "masked"), ("esm", "classifier")]

Row = dict[str, Any]


class Stop(Exception):
    """Ends a run in its middle."""


def steps(
    device: str, small: bool, rows: list[Row]
) -> Iterator[tuple[str, Callable[[], list[Row]]]]:
    """A step for a full device, and one for each family and head."""
    if device.startswith("cuda"):
        yield "full", lambda: refused(device)
    pairs = FEW if small else tiny_models.TINY
    for model_type, kind in pairs:
        yield f"{model_type}-{kind}", lambda pair=(model_type, kind): checks(*pair, device)
    if not small:
        yield "bert-masked of proteins", lambda: checks("bert", "masked", device, protein=True)


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Per check and type: how many models, and the largest difference."""
    for column in ("type", "difference", "limit"):
        if column not in rows:
            rows[column] = np.nan
    found = rows.groupby(["check", "type"], dropna=False, sort=False).agg(
        models=("passed", "size"),
        passed=("passed", "sum"),
        largest=("difference", "max"),
        limit=("limit", "max"),
    )
    found["largest"] = [f"{value:.1e}" if value == value else "" for value in found["largest"]]
    return found.reset_index().fillna("")


def checks(model_type: str, kind: str, device: str, **options: Any) -> list[Row]:
    """Every check on one tiny model."""
    with tempfile.TemporaryDirectory() as folder:
        reference = tiny_models.build(model_type, kind, Path(folder), **options)
    rows = []
    for dtype, limit in LIMITS.items():
        # The same numbers as weights on both sides: what is compared is how they are computed with.
        rounded = tiny_models.twin(tiny_models.twin(reference, dtype), torch.float32)
        model = tiny_models.twin(reference, dtype, device)
        state = _State(model)
        label = {"type": str(dtype).removeprefix("torch."), "limit": limit}
        for name, check in CHECKS.items():
            if not suits(name, model):
                continue
            row = {"model": f"{model_type}-{kind}", "check": name, **label}
            if ("amig" in name or "input baseline" in name) and dtype != torch.float32:
                row["limit"] = DIFFERENCE_ROUNDED
            try:
                row["difference"] = check(rounded, model)
                row["passed"] = bool(row["difference"] <= row["limit"])
                if left := state.memory_left():
                    row |= {"passed": False, "error": f"{left:,} bytes are left on the device"}
            except Exception as error:
                import traceback

                traceback.print_exc()
                row |= {"passed": False, "error": f"{type(error).__name__}: {error}"}
            rows.append(row)
        left = state.differences()
        rows.append(
            {"model": f"{model_type}-{kind}", "check": "left as it was", "passed": not left}
            | label
            | ({"error": ", ".join(left)} if left else {})
        )
    return rows


def refused(device: str) -> list[Row]:
    """On a full device a run is refused in one sentence, before it has taken anything."""
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_models.build("llama", "causal", Path(folder), intermediate_size=2**17)
    model = tiny_models.twin(model, torch.float32, device)
    prompt = nl.Prompt(" ".join(["fox"] * 60), target="France")
    nl.attribute(model, prompt, positions="all")
    state = _State(model)
    torch.cuda.empty_cache()
    ballast = torch.empty(
        torch.cuda.mem_get_info(device)[0] - 2**28, device=device, dtype=torch.uint8
    )
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.max_memory_allocated(device)
    message = ""
    try:
        nl.attribute(model, prompt, positions="all")
    except nl.UserError as error:
        message = str(error)
    taken = torch.cuda.max_memory_allocated(device) - held
    del ballast
    left = state.differences()
    passed = "are free on" in message and taken < 2**20 and not left
    return [{"model": "llama-causal", "check": "refused", "passed": passed, "error": message}]


class _State:
    """What a run must leave as it was: weights, hooks, settings, memory."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.weights = [p.clone() for p in model.hf.parameters()]
        self.before = self._facts()

    def differences(self) -> list[str]:
        """What is no longer as it was."""
        gc.collect()
        after = self._facts()
        same = all(map(torch.equal, self.weights, self.model.hf.parameters()))
        changed = [name for name, value in self.before.items() if after[name] != value]
        return changed + ([] if same else ["weights"])

    def memory_left(self) -> int:
        """Bytes on the device beyond what was there at first."""
        if self.model.device.type != "cuda":
            return 0
        if _memory(self.model.device) != self.before["memory"]:
            gc.collect()
        return _memory(self.model.device) - self.before["memory"]

    def _facts(self) -> dict[str, Any]:
        hf = self.model.hf
        names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks")
        facts = {
            "hooks": sum(len(getattr(m, name)) for m in hf.modules() for name in names),
            "attention": hf.config._attn_implementation,
            "default type": torch.get_default_dtype(),
            "gradients": torch.is_grad_enabled(),
        }
        if self.model.device.type == "cuda":
            facts["memory"] = _memory(self.model.device)
        return facts


def _memory(device: torch.device) -> int:
    """Bytes of tensors, without what the libraries of products keep for each thread."""
    torch.cuda.synchronize(device)
    torch._C._cuda_clearCublasWorkspaces()
    return torch.cuda.memory_allocated(device)


# --- The checks: (reference on the processor, model) -> the largest difference -------------------


def _apart(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """Largest difference of a score, in units of its layer's absolute sum."""
    worst = 0.0
    for component, scores in one.items():
        if not np.isfinite(other[component]).all():
            return math.inf
        sums = np.abs(scores).reshape(len(scores), -1).sum(1)
        difference = np.abs(scores - other[component]).reshape(len(scores), -1).max(1)
        least = max(LEAST * float(sums.max()), 1e-12)
        worst = max(worst, float((difference / np.maximum(sums, least)).max()))
    return worst


def _scores(method: str, **options: Any) -> Callable[[Model, Model], float]:
    def check(reference: Model, model: Model) -> float:
        keywords = dict(options)
        if METHODS[method].integrates and model.dtype == torch.float32:
            keywords["tolerance"] = TOLERANCE
        found = [
            nl.attribute(m, tiny_models.question(m), method=method, **keywords)
            for m in (reference, model)
        ]
        return _apart(found[0].arrays, found[1].arrays)

    return check


def _predictions(reference: Model, model: Model) -> float:
    """Probabilities as they are, and under every intervention at all and some positions."""
    found = []
    for m in (reference, model):
        seen = m.read(m.encode(tiny_models.question(m)), ("query", "value", "ffn"))
        means = {at: neurons.float().mean((0, 1)) for at, neurons in seen.items()}
        changes = [
            None,
            *(nl.Suppress(SOME, where) for where in ("all", "predicted", (1, 2))),
            nl.Amplify(SOME, factor=3.0),
            nl.Affine(SOME, a=2.0, b=0.5),
            nl.KeepOnly(SOME, components=("query", "value", "ffn")),
            nl.KeepOnly(SOME, components=("query", "value", "ffn"), means=means),
        ]
        logits = predict_many(m, tiny_models.question(m), changes)
        found.append(torch.stack([p.probabilities.cpu() for p in logits]))
    return float((found[0] - found[1]).abs().max())


def _rescaled(reference: Model, model: Model) -> float:
    """Sets switched off, many at once."""
    sets = [NeuronSet([neuron]) for neuron in SOME] + [SOME, NeuronSet([])]
    found = [
        rescaled(m, m.encode(tiny_models.question(m, None)), sets)
        if m.encode(tiny_models.question(m)).target is not None
        else torch.zeros(1)
        for m in (reference, model)
    ]
    return float((found[0] - found[1]).abs().max())


def _circuit(reference: Model, model: Model) -> float:
    """Proven value neurons, and the query neurons that wake them: what the proven ones are worth,
    and what all that write to the stream add up to.
    """
    found = []
    for m in (reference, model):
        encoded = m.encode(tiny_models.question(m))
        scorer = LogProbabilityIncrease(read_stream(m, encoded), encoded.target)
        best = scorer.top(10, [scorer.ffn_neurons])
        queries = query_scores(
            shares(m, encoded, value_neurons(best, encoded.position)), best["score"]
        )
        found.append(
            {
                "best": best["score"].to_numpy()[None],
                "layers": scorer.layers().numpy(force=True).T,
                "heads": scorer.heads().numpy(force=True),
                "query": queries.ffn.sum(0).numpy(force=True),
            }
        )
    exact = model.dtype == torch.float32
    # Which are the ten best, and so who wakes them, is a matter of rounding where it is coarse.
    names = found[0] if exact else ("best", "layers", "heads")
    return _apart({name: found[0][name] for name in names}, found[1])


def _streamed(reference: Model, model: Model) -> float:
    """Scores over a stream of proteins."""
    found = []
    for m in (reference, model):
        sums = Streamed()
        for number, protein in enumerate(PROTEINS):
            sums.add(m, protein, number % 2, secondary="H" * len(protein))
        methods = ("activation", "integrated_gradients", "gradient_x_activation")
        found.append({f"{n}.{c}": s for n in methods for c, s in sums.scores(n).items()})
    return _apart(found[0], found[1])


def _exemplars(reference: Model, model: Model) -> float:
    """Activations of proteins, and which of them are extreme."""
    found = []
    for m in (reference, model):
        seen = pooled(m, PROTEINS, ("ffn", "value"), "mean")
        kept = Exemplars(2)
        kept.add(range(len(PROTEINS)), seen["ffn"])
        found.append({"ffn": kept.top, "value": seen["value"].mean(0).numpy(force=True)})
    return _apart(found[0], found[1])


def _generated(reference: Model, model: Model) -> float:
    """Steered and plain chains: the share of residues that differ, and what the start surprises.

    Where rounding is coarse one residue drawn otherwise changes all that follow: one draw there.
    """
    steered = nl.Affine(SOME, tuple(i + 1 for i in FREE), a=2.0, b=1.0)
    exact = model.dtype == torch.float32
    options = {"steps": 4} if exact else {"steps": 1, "mode": "full"}
    options |= {"chains": (0, 1, 0, 1), "free": FREE, "seed": 1}
    changes = [None, None, steered, steered]
    found = [generate(m, START, changes, **options) for m in (reference, model)]
    letters = [
        list("".join(sequence for chain in chains for sequence in chain)) for chains in found
    ]
    surprise = [pseudo_perplexity(m, [START], FREE) for m in (reference, model)]
    apart = np.mean([a != b for a, b in zip(*letters, strict=True)])
    return max(float(apart), float(np.abs(np.log(surprise[0] / surprise[1])).max()))


def _steering(reference: Model, model: Model) -> float:
    """Neurons by their effect on a property."""
    gain = np.random.default_rng(0).normal(size=(len(FREE), 20))
    found = [by_effect(m, START, [gain], FREE, ("ffn", "value"))[0] for m in (reference, model)]
    return _apart(found[0].arrays, found[1].arrays)


def _cancelled(reference: Model, model: Model) -> float:
    """Runs that are stopped at their first word and in their middle, and one after them."""
    for call in (1, 3, 5):
        calls = []

        def progress(fraction: float, message: str, call: int = call, calls: list = calls) -> None:
            calls.append(fraction)
            if len(calls) == call:
                raise Stop

        try:
            nl.attribute(model, tiny_models.question(model), tolerance=1e-4, progress=progress)
        except Stop:
            pass
        else:
            raise AssertionError(f"the run ended before word {call}")
    return _scores("gradient_x_activation")(reference, model)


def _two_at_once(reference: Model, model: Model) -> float:
    """Two sessions on one model at the same time get what each gets alone."""
    asked = [("integrated_gradients", "predicted"), ("gradient_x_activation", "all")]

    def run(method: str, positions: str) -> dict[str, np.ndarray]:
        options = {"method": method, "positions": positions}
        return nl.attribute(model, tiny_models.question(model), **options).arrays

    alone = [run(*one) for one in asked]
    together: list[Any] = [None, None]

    def work(number: int) -> None:
        for _ in range(3):
            together[number] = run(*asked[number])

    threads = [Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return max(_apart(a, b) for a, b in zip(alone, together, strict=True))


def _checks() -> dict[str, Callable[[Model, Model], float]]:
    found: dict[str, Callable[[Model, Model], float]] = {"predictions": _predictions}
    for name, method in METHODS.items():
        found[name] = _scores(name)
        if method.everywhere:
            found[f"{name}, all positions"] = _scores(name, positions="all")
    found["integrated_gradients, Captum"] = _scores(
        "integrated_gradients", engine="captum", steps=8
    )
    found["integrated_gradients, input baseline"] = _scores(
        "integrated_gradients", baseline="input"
    )
    found["amig, authors"] = _scores("amig", variant="authors")
    return found | {
        "sets switched off": _rescaled,
        "value and query neurons": _circuit,
        "streamed proteins": _streamed,
        "exemplars": _exemplars,
        "generation": _generated,
        "by effect": _steering,
        "cancelled": _cancelled,
        "two at once": _two_at_once,
    }


CHECKS = _checks()


def suits(name: str, model: Model) -> bool:
    """Whether a check can be made on this model."""
    protein, language = model.alphabet == "protein", model.kind != "classifier"
    if name in METHODS and METHODS[name].paper == "arXiv 2312.12141":
        # Which tokens rank above another is a matter of rounding where it is coarse.
        return language and (model.dtype == torch.float32 or not name.endswith("rank"))
    return {
        "value and query neurons": language,
        "streamed proteins": protein and not language,
        "exemplars": protein,
        "generation": protein and model.kind == "masked",
        "by effect": protein and model.kind == "masked",
    }.get(name, True)
