"""Where each kind of knowledge lives: layers, shared neurons, heads (arXiv 2312.12141)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.attribution.estimate import seconds
from neuronlab.attribution.log_probability_increase import LogProbabilityIncrease
from neuronlab.attribution.query_neurons import VALUE_NEURONS, query_scores, shares_of
from neuronlab.errors import UserError
from neuronlab.models import Model
from neuronlab.models.components import SUBLAYERS
from neuronlab.models.stream import read_stream
from neuronlab.neurons import NeuronSet, Suppress, predict_many
from neuronlab.runs import Context, Result
from neuronlab.statistics import bootstrap, rank_p, seeds
from neuronlab.studies.bases.over_facts import NONE_KNOWN, FactsSpec, OverFacts, Questions, left_out

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Neurons of a fact that are compared with those of other facts.
SHARED = 300
# Heads that are switched off, as a fraction of all.
HEADS = 0.01
# Sets of random heads beside a type's own: the p of the best rank among as many is 1 / 21.
RANDOM_SETS = 20


class KnowledgeTypesSpec(FactsSpec):
    """Which facts; their relations are the types that are compared."""

    study: ClassVar[str] = "knowledge_types"
    version: ClassVar[int] = 2

    facts: str = "knowledge_types"


class KnowledgeTypesStudy(OverFacts[KnowledgeTypesSpec]):
    """What the facts of a type have in common, and what switching its heads off does to others.

    Tables: ``facts`` (fact, relation, prompt, gold, state, probability), ``value_layers`` and
    ``query_layers`` (relation, layer, part, mean score), ``sharing`` (relation, kind of neuron, how
    many of the best 300 more than half of its facts have), ``overlap`` (mean share of the best 300
    that facts of two relations have in common), ``heads`` (the heads of each relation), ``effects``
    and ``beside_random`` (see the functions). These two leave out the types with one fact, the
    number ``untested``: a fact that chose the heads cannot test them.
    """

    name = "knowledge_types"
    title = "Where does each kind of knowledge live?"
    spec_type = KnowledgeTypesSpec
    small: ClassVar[dict[str, Any]] = {"per_relation": 2}
    merging = 0.2

    def default(self) -> KnowledgeTypesSpec:
        """All six types."""
        return KnowledgeTypesSpec()

    def seconds_each(self, model: Model, spec: KnowledgeTypesSpec, tokens: int) -> float:
        """Searches, heads and layers; measured on SmolLM2."""
        return seconds(model, tokens, 5, 1200)

    @torch.no_grad()
    def run_shard(self, spec: KnowledgeTypesSpec, shard: int, context: Context) -> Result:
        """Layers, heads and best neurons of one fact."""
        context.progress(0.0, f"fact {shard + 1}")
        model = self.suited(context.model(spec.model, spec.revision))
        answer = Questions.of(model, spec).answer(model, shard)
        if isinstance(answer, str):
            return Result(numbers={"state": answer})
        asked, before = answer
        encoded = asked.encoded
        scorer = LogProbabilityIncrease(read_stream(model, encoded), before.target)
        attention = scorer.top(SHARED, [scorer.attention_neurons], check=context.check)
        ffn = scorer.top(SHARED, [scorer.ffn_neurons], check=context.check)
        best = {"attention": attention.head(VALUE_NEURONS), "ffn": ffn.head(VALUE_NEURONS)}
        shares = shares_of(model, encoded, best)
        queries = [query_scores(shares[name], best[name]["score"]) for name in SUBLAYERS]
        query = queries[0].ffn.mean(0)
        arrays = {
            "layers": scorer.layers(),
            "heads": scorer.heads(),
            "query_layers": torch.stack([q.layers.mean(0) for q in queries]),
            "value_attention": _numbers(attention, model.sizes["attention"]),
            "value_ffn": _numbers(ffn, model.sizes["ffn"]),
            "query_ffn": query.flatten().topk(min(SHARED, query.numel())).indices,
        }
        return Result(
            numbers={
                "state": "used",
                "relation": asked.fact.relation,
                "prompt": asked.fact.prompt,
                "gold": before.label,
                "probability": before.probability,
            },
            arrays={name: array.numpy(force=True) for name, array in arrays.items()},
        )

    def merge(self, spec: KnowledgeTypesSpec, parts: Sequence[Result], context: Context) -> Result:
        """Means over the facts of a type; then its heads are switched off."""
        result = self.preview(spec, parts, context)
        members = _members(parts)
        if len(result.numbers["untested"]) < len(members):
            model, heads = context.model(spec.model, spec.revision), result.tables["heads"]
            off = self._switched_off(spec, model, heads, members, context)
            result.tables["effects"] = effects(off, spec.seed)
            result.tables["beside_random"] = beside_random(off, spec.seed)
        return result

    def preview(
        self, spec: KnowledgeTypesSpec, parts: Sequence[Result], context: Context
    ) -> Result:
        """All but what switching heads off does, which takes a while."""
        members = _members(parts)
        if not members:
            raise UserError(NONE_KNOWN)
        model = context.model(spec.model, spec.revision)
        states = [part.numbers["state"] for part in parts]
        heads = _heads(parts, members)
        first = next(iter(members))
        columns = ["state", "relation", "prompt", "gold", "probability"]
        facts = pd.DataFrame([part.numbers for part in parts], columns=columns)
        tables = {
            "facts": facts.rename_axis("fact").reset_index(),
            "value_layers": _layers(parts, members),
            "query_layers": _query_layers(parts, members),
            "sharing": _sharing(parts, members, model),
            "overlap": _overlap(parts, members, model),
            "heads": heads,
        }
        numbers = {
            "facts": states.count("used"),
            "per_type": {name: len(of_type) for name, of_type in members.items()},
            "left_out": left_out(states),
            "heads_off": int((heads["relation"] == first).sum()),
            "untested": [name for name, of_type in members.items() if len(of_type) < 2],
        }
        return Result(numbers=numbers, tables=tables)

    def _switched_off(
        self,
        spec: KnowledgeTypesSpec,
        model: Model,
        heads: pd.DataFrame,
        members: dict[str, list[int]],
        context: Context,
    ) -> pd.DataFrame:
        """Facts that had no say in the choice of heads, without each type's heads.

        Without random heads like those of its own type, too. Columns off (the type whose heads, or
        the like of them, are off), draw (of the random heads; -1: the type's heads), relation,
        fact, before, after (probabilities), mrr_before, mrr_after.
        """
        tested = {name: of_type[1::2] for name, of_type in members.items() if len(of_type) > 1}
        chosen: dict[str, NeuronSet] = {}
        random: dict[str, list[NeuronSet]] = {}
        for number, name in enumerate(tested):
            type_heads = heads[heads["relation"] == name]
            best = zip(type_heads["layer"].tolist(), type_heads["head"].tolist(), strict=True)
            chosen[name] = NeuronSet.of_heads(best, model.head_size)
            random[name] = [
                NeuronSet.of_heads(_other_heads(type_heads, model.heads, seed), model.head_size)
                for seed in seeds([spec.seed, number], RANDOM_SETS)
            ]
        questions = Questions.of(model, spec)
        rows = []
        measured = [(name, i) for name, of_type in tested.items() for i in of_type]
        for done, (name, i) in enumerate(measured):
            context.progress(done / len(measured), "switching heads off")
            answer = questions.answer(model, i)
            if isinstance(answer, str):  # never: these facts were answered before
                continue
            asked, before = answer
            sets = {(off, -1): neurons for off, neurons in chosen.items()}
            sets |= {(name, draw): neurons for draw, neurons in enumerate(random[name])}
            after = predict_many(model, asked.encoded, [Suppress(s) for s in sets.values()])
            for (off, draw), prediction in zip(sets, after, strict=True):
                rows.append(
                    {
                        "off": off,
                        "draw": draw,
                        "relation": name,
                        "fact": i,
                        "before": before.probability,
                        "after": prediction.probability,
                        "mrr_before": 1 / before.rank,
                        "mrr_after": 1 / prediction.rank,
                    }
                )
        return pd.DataFrame(rows)

    def plot(self, spec: KnowledgeTypesSpec, result: Result) -> go.Figure:
        """How much of each kind's answers the attention of each layer writes."""
        from neuronlab.figures.charts import matrix

        table = result.tables["value_layers"]
        table = table[table["part"] == "attention"]
        scores = table.pivot(index="relation", columns="layer", values="score")
        return matrix(scores.loc[list(result.numbers["per_type"])], "increase", signed=True)


def effects(off: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """What the heads of each type do to the facts of each type.

    Columns off, relation, facts, before, after, mrr_before, mrr_after (means over facts), change
    (of the probability), with ``_low`` and ``_high``: 95 % over facts, nan for one fact.

    Args:
        off: a row per fact and set of heads, as ``_switched_off`` makes them.
    """
    rows = []
    for (name, relation), group in off[off["draw"] < 0].groupby(["off", "relation"], sort=False):
        change = (group["after"] - group["before"]).to_numpy(float)
        (low,), (high,) = bootstrap(change[:, None], seed)
        rows.append(
            {"off": name, "relation": relation, "facts": len(group)}
            | group[["before", "after", "mrr_before", "mrr_after"]].mean().to_dict()
            | {"change": change.mean(), "change_low": low, "change_high": high}
        )
    return pd.DataFrame(rows)


def beside_random(off: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Whether a type's heads matter more to its facts than random heads of the same layers.

    Columns relation, facts, before, after, random (mean over facts and random sets), difference
    (after minus random, with ``_low`` and ``_high``: facts drawn with replacement), p (how often a
    random set leaves as little, the type's own being one of them). Both are needed: facts differ,
    and so do random sets, of which any one differs from their mean on enough facts.
    """
    rows = []
    for relation, group in off[off["off"] == off["relation"]].groupby("relation", sort=False):
        after = group.pivot(index="fact", columns="draw", values="after")
        random = after.drop(columns=-1).to_numpy(float)
        difference = after[-1].to_numpy(float) - random.mean(axis=1)
        (low,), (high,) = bootstrap(difference[:, None], seed)
        rows.append(
            {
                "relation": relation,
                "facts": len(after),
                "before": group["before"].mean(),
                "after": after[-1].mean(),
                "random": random.mean(),
                "difference": difference.mean(),
                "difference_low": low,
                "difference_high": high,
                "p": rank_p(after[-1].mean(), random.mean(axis=0), larger=False),
            }
        )
    return pd.DataFrame(rows)


def _other_heads(type_heads: pd.DataFrame, heads: int, seed: int) -> list[tuple[int, int]]:
    """As many other heads of each layer, drawn at random; any where there are too few others."""
    draw = np.random.default_rng(seed)
    everyone = np.arange(heads)
    random = []
    for layer, chosen in type_heads.groupby("layer")["head"]:
        others = np.setdiff1d(everyone, chosen)
        pool = others if len(others) >= len(chosen) else everyone
        drawn = draw.choice(pool, len(chosen), replace=False)
        random += [(int(layer), head) for head in drawn.tolist()]
    return random


def _members(parts: Sequence[Result]) -> dict[str, list[int]]:
    """The facts of each type that are used, by their numbers."""
    members: dict[str, list[int]] = {}
    for number, part in enumerate(parts):
        if part.numbers["state"] == "used":
            members.setdefault(part.numbers["relation"], []).append(number)
    return members


def _numbers(table: pd.DataFrame, size: int) -> Int[Tensor, " neuron"]:
    """Neurons as layer * size + index, each once."""
    return torch.from_numpy((table["layer"] * size + table["neuron"]).unique())


def _layers(parts: Sequence[Result], members: dict[str, list[int]]) -> pd.DataFrame:
    rows = []
    for name, facts in members.items():
        mean = np.mean([parts[i].arrays["layers"] for i in facts], axis=0)
        rows += [
            (name, layer, sublayer, float(mean[layer, i]))
            for i, sublayer in enumerate(SUBLAYERS)
            for layer in range(len(mean))
        ]
    return pd.DataFrame(rows, columns=["relation", "layer", "part", "score"])


def _query_layers(parts: Sequence[Result], members: dict[str, list[int]]) -> pd.DataFrame:
    rows = []
    for name, facts in members.items():
        mean = np.mean([parts[i].arrays["query_layers"] for i in facts], axis=0)
        rows += [
            (name, of, layer, sublayer, float(mean[o, layer, i]))
            for o, of in enumerate(SUBLAYERS)
            for i, sublayer in enumerate(SUBLAYERS)
            for layer in range(mean.shape[1])
        ]
    return pd.DataFrame(rows, columns=["relation", "of", "layer", "part", "score"])


KINDS = {"value_ffn": "FFN value", "value_attention": "attention value", "query_ffn": "FFN query"}


def _incidence(
    parts: Sequence[Result], facts: list[int], kind: str, model: Model
) -> Float[np.ndarray, "fact neuron"]:
    """1 where a neuron is among the best of a fact."""
    size = model.layers * model.sizes["attention" if kind == "value_attention" else "ffn"]
    incidence = np.zeros((len(facts), size), np.float32)
    for row, i in enumerate(facts):
        incidence[row, parts[i].arrays[kind]] = 1
    return incidence


def _sharing(parts: Sequence[Result], members: dict[str, list[int]], model: Model) -> pd.DataFrame:
    """How many of the best neurons of a fact more than half of its type's facts have."""
    rows = []
    for name, facts in members.items():
        for kind, words in KINDS.items():
            incidence = _incidence(parts, facts, kind, model)
            listed = incidence.sum(1).mean()
            common = (incidence.mean(0) > 0.5).sum() if len(facts) > 1 else math.nan
            rows.append((name, words, len(facts), common, common / listed))
    return pd.DataFrame(rows, columns=["relation", "neurons", "facts", "common", "fraction"])


def _overlap(parts: Sequence[Result], members: dict[str, list[int]], model: Model) -> pd.DataFrame:
    """Mean fraction of the best neurons that two different facts have in common."""
    facts = [i for of_type in members.values() for i in of_type]
    types = np.array([name for name, of_type in members.items() for _ in of_type])
    rows = []
    for kind, words in KINDS.items():
        incidence = _incidence(parts, facts, kind, model)
        listed = incidence.sum(1)
        both = incidence @ incidence.T / np.sqrt(np.outer(listed, listed))
        np.fill_diagonal(both, np.nan)
        chance = float(listed.mean() / incidence.shape[1])
        for a in members:
            for b in members:
                block = both[np.ix_(types == a, types == b)]
                mean = float(np.nanmean(block)) if np.isfinite(block).any() else math.nan
                rows.append((words, a, b, mean, chance))
    return pd.DataFrame(rows, columns=["neurons", "relation", "other", "overlap", "chance"])


def _heads(parts: Sequence[Result], members: dict[str, list[int]]) -> pd.DataFrame:
    """The heads that raise the gold token most, over every second fact of a type."""
    rows = []
    for name, facts in members.items():
        mean = np.mean([parts[i].arrays["heads"] for i in facts[::2]], axis=0)
        count = math.ceil(HEADS * mean.size)
        for rank, index in enumerate(np.argsort(-mean, axis=None)[:count], start=1):
            layer, head = divmod(int(index), mean.shape[1])
            rows.append((name, rank, layer, head, float(mean[layer, head])))
    return pd.DataFrame(rows, columns=["relation", "rank", "layer", "head", "increase"])
