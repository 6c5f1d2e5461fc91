"""Do a fact's neurons stay when it is asked in other words, or of a sister model?

An open question of arXiv 2312.12141.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, groupby
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Int

from neuronlab.attribution.estimate import seconds
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.errors import UserError
from neuronlab.models import Encoded, Model
from neuronlab.models.stream import read_stream
from neuronlab.runs import Context, Result
from neuronlab.statistics import mean_over_pairs
from neuronlab.studies.bases.over_facts import FactsSpec, OverFacts, Questions, left_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Neurons at the top that are compared.
KS = (10, 100)
PAIRS = {
    "same fact, other words": "the same fact in other words",
    "other fact, same relation": "another fact of the relation",
    "other relation": "a fact of another relation",
    "same prompt, other model": "the same prompt, on the other model",
    "other fact, other model": "another fact, on the other model",
}
# Pairs of a prompt on the one model with a prompt on the other.
ACROSS = ("same prompt, other model", "other fact, other model")
# Pairs that are looked at, at most, of each kind.
_SAMPLE = 2000
# Of up to so many prompts all pairs are made.
_ALL_PAIRS = 300


class StabilitySpec(FactsSpec):
    """Which facts, and which other model, if any.

    Attributes:
        other: a model of the same family; neurons are compared where the shapes agree.
        other_revision: what its weights are.
    """

    study: ClassVar[str] = "stability"
    version: ClassVar[int] = 2

    facts: str = "knowledge_types"
    per_relation: int | None = 6
    other: str | None = None
    other_revision: str = ""


class StabilityStudy(OverFacts[StabilitySpec]):
    """Overlap of the best FFN neurons (log-probability increase) between prompts and models.

    Tables: ``facts``, ``overlap`` (pair, k, Jaccard index with 95 % interval, pairs, facts: how
    many these are of, chance). What is drawn is facts: the wordings of one are not independent,
    nor are pairs that share a fact. There is no interval (nan) where there are too few facts.
    Arrays: ``profiles`` (model, prompt, layer bin): how the best hundred spread over relative
    depth, which any two models can be compared by.
    """

    name = "stability"
    title = "Do the neurons stay the same?"
    spec_type = StabilitySpec
    unit = "prompts"
    small: ClassVar[dict[str, Any]] = {"per_relation": 1}

    def default(self) -> StabilitySpec:
        """Six facts of each of six types, in two or three wordings."""
        return StabilitySpec()

    def shards(self, spec: StabilitySpec, context: Context) -> list[int]:
        """One per prompt."""
        return list(range(len(spec.chosen(paraphrases=True))))

    def seconds_each(self, model: Model, spec: StabilitySpec, tokens: int) -> float:
        """One search, on each model; measured on SmolLM2."""
        return seconds(model, tokens, 3, 400) * (2 if spec.other else 1)

    def run_shard(self, spec: StabilitySpec, shard: int, context: Context) -> Result:
        """The best neurons for one prompt."""
        context.progress(0.0, f"prompt {shard + 1}")
        model = self.suited(context.model(spec.model, spec.revision))
        answer = Questions.of(model, spec, paraphrases=True).answer(model, shard)
        if isinstance(answer, str):
            return Result(numbers={"state": answer})
        question, before = answer
        arrays = {"own": _best(model, question.encoded, before.target, context)}
        if spec.other:
            other = self.suited(context.model(spec.other, spec.other_revision))
            answer = Questions.of(other, spec, paraphrases=True).answer(other, shard)
            if isinstance(answer, str):
                return Result(numbers={"state": answer})
            arrays["other"] = _best(other, answer[0].encoded, answer[1].target, context)
        numbers = {
            "state": "used",
            "relation": question.fact.relation,
            "name": question.fact.title,
            "prompt": question.fact.prompt,
            "gold": before.label,
        }
        return Result(numbers=numbers, arrays=arrays)

    def merge(self, spec: StabilitySpec, parts: Sequence[Result], context: Context) -> Result:
        """Overlap of pairs, beside pairs that should have none."""
        states = [part.numbers["state"] for part in parts]
        used = [part for part in parts if part.numbers["state"] == "used"]
        if len(used) < 2:
            raise UserError(
                "The model knows fewer than two of these prompts: choose others, or switch the "
                "filter off."
            )
        model = context.model(spec.model, spec.revision)
        shapes = {"own": (model.layers, model.sizes["ffn"])}
        if spec.other:
            other = context.model(spec.other, spec.other_revision)
            shapes["other"] = other.layers, other.sizes["ffn"]
        comparable = len(set(shapes.values())) == 1
        pairs = _pairs(used, spec.seed, same_shape=comparable)
        overlap = _overlap(used, pairs, neurons=int(np.prod(shapes["own"])))
        profiles = np.stack(
            [[_profile(p.arrays[which], shapes[which]) for p in used] for which in shapes]
        )
        numbers = {
            "facts": len(set(_fact_numbers(used).tolist())),
            "prompts": len(used),
            "left_out": left_out(states),
            "comparable": comparable,
        }
        if spec.other:
            numbers["profile_correlation"] = float(np.corrcoef(*profiles.mean(1))[0, 1])
        facts = pd.DataFrame([p.numbers for p in used])
        return Result(numbers, {"facts": facts, "overlap": overlap}, {"profiles": profiles})

    def plot(self, spec: StabilitySpec, result: Result) -> go.Figure:
        """What the best neurons of two prompts share, by what the prompts share."""
        from neuronlab.figures.knowledge_types import overlap_bars

        return overlap_bars(result.tables["overlap"], PAIRS)


def _best(model: Model, encoded: Encoded, target: int, context: Context) -> np.ndarray:
    with torch.no_grad():
        scorer = LogProbabilityIncrease(read_stream(model, encoded), target)
        table = scorer.top(max(KS), [scorer.ffn_neurons], check=context.check)
    return (table["layer"] * model.sizes["ffn"] + table["neuron"]).to_numpy()


def _overlap(
    used: Sequence[Result], kinds: Sequence[tuple[str, list[tuple[int, int]]]], neurons: int
) -> pd.DataFrame:
    """The mean Jaccard index of the best neurons over pairs of each kind, beside chance."""
    rows = []
    fact_of = _fact_numbers(used)
    for kind, pairs in kinds:
        if not pairs:
            continue
        first, second = np.array(pairs).T
        other = "other" if kind in ACROSS else "own"
        for k in KS:
            values = [
                _jaccard(used[i].arrays["own"][:k], used[j].arrays[other][:k]) for i, j in pairs
            ]
            mean, *ends = mean_over_pairs(np.array(values), fact_of[first], fact_of[second])
            low, high = np.clip(ends, 0, 1)
            rows.append(
                {
                    "pair": kind,
                    "k": k,
                    "jaccard": mean,
                    "jaccard_low": low,
                    "jaccard_high": high,
                    "pairs": len(pairs),
                    "facts": len(set(fact_of[[*first, *second]])),
                    "chance": k / (2 * neurons - k),
                }
            )
    return pd.DataFrame(rows)


def _fact_numbers(used: Sequence[Result]) -> Int[np.ndarray, " prompt"]:
    """The number of each prompt's fact; the wordings of a fact have the same."""
    keys = [(part.numbers["relation"], part.numbers["name"]) for part in used]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return np.array([numbers[key] for key in keys])


def _pairs(
    used: list[Result], seed: int, *, same_shape: bool
) -> list[tuple[str, list[tuple[int, int]]]]:
    """Pairs of prompts by what they have in common; at most ``_SAMPLE`` of each, at random.

    Of those in ``ACROSS`` the second is asked of the other model.
    """
    pairs: dict[str, list[tuple[int, int]]] = {kind: [] for kind in PAIRS}
    for i, j in _some_pairs([p.numbers["name"] for p in used], seed):
        a, b = used[i], used[j]
        same_fact = a.numbers["name"] == b.numbers["name"]
        same_relation = a.numbers["relation"] == b.numbers["relation"]
        kind = (
            "same fact, other words"
            if same_fact and same_relation
            else "other fact, same relation"
            if same_relation
            else "other relation"
        )
        pairs[kind].append((i, j))
        if same_shape and "other" in a.arrays and not (same_fact and same_relation):
            pairs["other fact, other model"].append((i, j))
    if same_shape and "other" in used[0].arrays:
        pairs["same prompt, other model"] = [(i, i) for i in range(len(used))]
    return [(kind, of_kind[:_SAMPLE]) for kind, of_kind in pairs.items()]


def _some_pairs(names: list[str], seed: int) -> Iterator[tuple[int, int]]:
    """All pairs in random order; of a great many, those of equal names and as many at random."""
    draw = np.random.default_rng(seed)
    if len(names) <= _ALL_PAIRS:
        yield from combinations(draw.permutation(len(names)).tolist(), 2)
        return
    for _, alike in groupby(sorted(range(len(names)), key=names.__getitem__), names.__getitem__):
        yield from combinations(alike, 2)
    for i, j in draw.integers(len(names), size=(10 * _SAMPLE, 2)).tolist():
        if names[i] != names[j]:
            yield i, j


def _jaccard(a: np.ndarray, b: np.ndarray) -> float:
    both = len(np.intersect1d(a, b))
    return both / (len(a) + len(b) - both)


def _profile(best: np.ndarray, shape: tuple[int, int], bins: int = 10) -> np.ndarray:
    """Fractions of the best neurons in tenths of the depth."""
    depth = (best // shape[1] + 0.5) / shape[0]
    return np.histogram(depth, bins=bins, range=(0, 1))[0] / len(best)
