"""Which method finds the neurons? Table 2 of arXiv 2312.12141, on any model and any facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar
from zlib import crc32

import pandas as pd
from jaxtyping import Float
from pydantic import field_validator
from torch import Tensor, cat

from neuronlab.attribution import METHODS, method
from neuronlab.attribution.direct import Direct
from neuronlab.attribution.estimate import seconds
from neuronlab.attribution.request import Attribution, Request
from neuronlab.errors import UserError
from neuronlab.models import Model, shared
from neuronlab.neurons import NeuronSet, Prediction, Suppress, predict_many
from neuronlab.runs import Context, Result
from neuronlab.studies.over_facts import (
    NONE_KNOWN,
    FactsSpec,
    OverFacts,
    Questions,
    left_out,
    metrics,
)

DIRECT = tuple(name for name in METHODS if hasattr(Direct, name))
COMPARED = (*DIRECT, "gradient_x_activation", "integrated_gradients")
# What a method takes, in forward passes over the prompt and in vectors through the unembedding.
_GRADIENT_PASSES = {"gradient_x_activation": 6, "integrated_gradients": 50}
_SEARCHED = {
    "log_probability_increase": 200,
    "log_probability": 200,
    "probability_increase": 200,
    "rank": 2500,
    "coefficient_rank": 1000,
}
# How many of the top FFN neurons are zeroed; the paper's table has 10.
KS = (1, 2, 5, 10, 20, 30)
K = 10
# In the summary: the controls of all methods together.
POOLED = "matched random"


@dataclass(frozen=True)
class Published:
    """One column pair of the paper's table 2: MRR and probability, after zeroing 10 neurons."""

    model: str
    rows: dict[str, tuple[float, float]]


# Arxiv 2312.12141v4 (EMNLP 2024), table 2. "original": nothing zeroed.
PAPER = (
    Published(
        "GPT2-large",
        {
            "original": (0.361, 0.071),
            "log_probability_increase": (0.201, 0.034),
            "log_probability": (0.214, 0.036),
            "probability_increase": (0.219, 0.037),
            "norm": (0.363, 0.071),
            "coefficient": (0.439, 0.086),
            "rank": (0.306, 0.058),
            "coefficient_norm": (0.394, 0.081),
            "coefficient_rank": (0.232, 0.040),
        },
    ),
    Published(
        "Llama-7B",
        {
            "original": (0.551, 0.215),
            "log_probability_increase": (0.312, 0.092),
            "log_probability": (0.339, 0.108),
            "probability_increase": (0.345, 0.100),
            "norm": (0.549, 0.213),
            "coefficient": (0.529, 0.229),
            "rank": (0.493, 0.181),
            "coefficient_norm": (0.523, 0.226),
            "coefficient_rank": (0.389, 0.130),
        },
    ),
)


class MethodComparisonSpec(FactsSpec):
    """Which methods, on which facts.

    Attributes:
        methods: names of the registry that score FFN neurons.
    """

    study: ClassVar[str] = "method_comparison"

    methods: tuple[str, ...] = COMPARED

    @field_validator("methods")
    @classmethod
    def _in_the_registry(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        if not methods or not set(methods) <= METHODS.keys():
            raise ValueError(f"choose methods from {', '.join(METHODS)}")
        return tuple(name for name in dict.fromkeys([*COMPARED, *METHODS]) if name in methods)


class MethodComparisonStudy(OverFacts):
    """Zero each method's top FFN neurons, fact by fact, and see how far the gold token falls.

    Tables: ``rows`` (fact, method, k, control, rank, probability, log_probability; ``control`` is
    True for as many random neurons of the same layers), ``summary`` (means over facts with 95 %
    intervals), ``facts`` (prompt, gold, state). Numbers: the summary at k = 10.
    """

    name = "method_comparison"
    title = "Which method finds the neurons?"
    spec_type = MethodComparisonSpec

    def default(self) -> MethodComparisonSpec:
        """All ten methods on 75 facts."""
        return MethodComparisonSpec()

    def seconds_each(self, model: Model, spec: MethodComparisonSpec, tokens: int) -> float:
        """Searches, gradients, and the model under every set; measured on SmolLM2."""
        gradients = sum(
            _GRADIENT_PASSES.get(name, 1) for name in spec.methods if name not in DIRECT
        )
        searches = sum(_SEARCHED.get(name, 0) for name in spec.methods)
        passes = 2 * len(KS) * len(spec.methods) + gradients
        return seconds(model, tokens, passes, searches)

    def run_shard(self, spec: MethodComparisonSpec, shard: int, context: Context) -> Result:
        """All methods on one fact."""
        model = shared(spec.model, context.device, spec.revision)
        questions = Questions.of(model, spec)
        found = questions.answer(model, shard)
        if isinstance(found, str):
            return Result(numbers={"state": found})
        asked, before = found
        tables = {"rows": pd.DataFrame([_row("original", 0, False, before)])}
        request = Request(
            model,
            asked.encoded,
            before.target,
            ("ffn",),
            seed=spec.seed,
            progress=lambda fraction, message: context.check(),
        )
        direct = Direct(request, max(KS))
        changes, names = [], []
        for number, name in enumerate(spec.methods):
            done = 0.6 * number / len(spec.methods)
            context.progress(done, f"fact {shard + 1}: {METHODS[name].title}")
            best = _best(scored(name, direct)(), max(KS))
            for k in KS:
                chosen = NeuronSet([(layer, "ffn", neuron) for layer, neuron in best[:k]])
                seed = crc32(f"{spec.seed} {shard} {name} {k}".encode())
                for control in (False, True):
                    own = chosen.matched_random(model.sizes, seed) if control else chosen
                    changes.append(Suppress(own))
                    names.append((name, k, control))
        context.progress(0.6, f"fact {shard + 1}: zeroing neurons")
        after = predict_many(model, asked.encoded, changes)
        rows = [_row(*name, prediction) for name, prediction in zip(names, after, strict=True)]
        tables["rows"] = pd.concat([tables["rows"], pd.DataFrame(rows)], ignore_index=True)
        numbers = {
            "state": "used",
            "prompt": asked.fact.prompt,
            "gold": before.label,
            "whole": asked.whole,
        }
        return Result(numbers=numbers, tables=tables)

    def merge(
        self, spec: MethodComparisonSpec, parts: Sequence[Result], context: Context
    ) -> Result:
        """Means over facts, with intervals."""
        states = [part.numbers["state"] for part in parts]
        used = [(i, part) for i, part in enumerate(parts) if part.numbers["state"] == "used"]
        if not used:
            raise UserError(NONE_KNOWN)
        rows = pd.concat(
            [part.tables["rows"].assign(fact=i) for i, part in used], ignore_index=True
        )
        summary = metrics(rows, ["method", "k", "control"], spec.seed)
        # One control for all: as many random neurons as any method zeroed, of the same layers.
        controls = rows[rows["control"]].assign(method=POOLED)
        summary = pd.concat(
            [summary, metrics(controls, ["method", "k", "control"], spec.seed)], ignore_index=True
        )
        facts = [
            {"fact": i, **{name: part.numbers.get(name) for name in ("state", "prompt", "gold")}}
            for i, part in enumerate(parts)
        ]
        return Result(
            numbers={
                **at(summary, K),
                "facts": len(used),
                "k": K,
                "asked": len(parts),
                "left_out": left_out(states),
                "first_tokens": sum(not part.numbers["whole"] for _, part in used),
            },
            tables={"rows": rows, "summary": summary, "facts": pd.DataFrame(facts)},
        )


def scored(name: str, direct: Direct) -> Callable[[], Attribution]:
    """A method on the request of ``direct``, with which the direct methods share their work."""
    if name in DIRECT:
        return getattr(direct, name)
    return lambda: method(name).engines["fast"](direct.request)


def at(summary: pd.DataFrame, k: int) -> dict[str, dict]:
    """``methods``, ``original`` and ``random`` of the summary after zeroing k neurons."""

    def of(row: pd.Series) -> dict[str, float]:
        return {n: float(row[n]) for n in ("mrr", "probability", "log_probability")}

    own = summary[(summary["k"] == k) & ~summary["control"]]
    return {
        "methods": {row["method"]: of(row) for _, row in own.iterrows()},
        "original": of(summary[summary["method"] == "original"].iloc[0]),
        "random": of(summary[(summary["k"] == k) & (summary["method"] == POOLED)].iloc[0]),
    }


def _best(found: Attribution, count: int) -> list[tuple[int, int]]:
    layers = len(found.scores)
    scores: Float[Tensor, "layer neuron"] = cat([found.scores[i, "ffn"] for i in range(layers)])
    indices = scores.flatten().topk(min(count, scores.numel())).indices.tolist()
    return [divmod(i, scores.shape[1]) for i in indices]


def _row(name: str, k: int, control: bool, prediction: Prediction) -> dict:
    return {
        "method": name,
        "k": k,
        "control": control,
        "rank": prediction.rank,
        "probability": prediction.probability,
        "log_probability": prediction.log_probability,
    }
