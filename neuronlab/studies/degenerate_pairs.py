"""Backup neurons: pairs of which either alone is dispensable, but not both (arXiv 2308.13198).

    potential = { n : P(n off) >= P0 (1 - T_low) }
    pairs     = { (a, b) in potential : P(both off) < P0 (1 - T_high) }

Two neurons that each cost 15 % pass both thresholds with no redundancy at all: independent effects
give P(a) P(b) / P0. Synergy is what both together leave, over that product: below 1 they back each
other up.

Most neurons are nearly silent: random candidates of the same layers give hardly a pair. Beside them
stand random ones that are as active as the candidates and write as much.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from neuronlab.attribution import attribute
from neuronlab.attribution.estimate import estimate, seconds
from neuronlab.attribution.request import Variant
from neuronlab.attribution.rescaling import rescaled
from neuronlab.cost import Cost
from neuronlab.models import Encoded, Model
from neuronlab.neurons import Neuron, NeuronSet
from neuronlab.neurons.activity import Activity
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM
from neuronlab.runs import Context, Result, Seed, Study
from neuronlab.statistics import rank_p, seeds
from neuronlab.studies.bases.one_prompt import PromptSpec
from neuronlab.studies.bases.prompts import Described, first_prompt

if TYPE_CHECKING:
    import plotly.graph_objects as go

T_LOW, T_HIGH = 0.20, 0.25


class DegeneratePairsSpec(PromptSpec):
    """Which prediction, and how its candidates are found.

    Attributes:
        candidates: how many of the best FFN neurons are paired.
        random_sets: candidate sets drawn at random from the same layers, for comparison, and as
            many that are as active.
    """

    study: ClassVar[str] = "degenerate_pairs"
    version: ClassVar[int] = 2

    method: str = "amig"
    variant: Variant = "sound"
    candidates: int = Field(20, ge=2, le=60)
    random_sets: int = Field(20, ge=2, le=100)
    seed: Seed = 0


class DegeneratePairsStudy(Study[DegeneratePairsSpec]):
    """Finds pairs of neurons of which either alone can be missed, but not both.

    Tables: ``candidates`` (layer, neuron, score, p: the target's probability without it),
    ``all_pairs`` (layer_a, neuron_a, layer_b, neuron_b, p_a, p_b, p_ab, product, synergy),
    ``random_pairs`` (null: "random" or "as_active", set, pairs). Numbers: ``p0``, ``pairs`` under
    the published thresholds, and ``random_pairs`` and ``as_active_pairs``: how many of them random
    candidate sets give (mean, sd, and p: how often as many as the candidates).
    """

    name = "degenerate_pairs"
    title = "Backup neurons"
    spec_type = DegeneratePairsSpec

    def default(self) -> DegeneratePairsSpec:
        """The capital of France on the small English model."""
        return DegeneratePairsSpec(
            model="smollm2-135m", text="The capital of France is", target=" Paris"
        )

    def example(self, model: Described) -> DegeneratePairsSpec:
        """The first of the model's own prompts."""
        return DegeneratePairsSpec(model=model.name, revision=model.revision, **first_prompt(model))

    def cost(self, spec: DegeneratePairsSpec, context: Context) -> Cost:
        """The candidates' attribution, and every pair of them and of the random ones."""
        model = context.model(spec.model, spec.revision)
        first = estimate(model, spec.prompt, spec.method, ("ffn",), "predicted").seconds
        sets = spec.candidates * (spec.candidates + 1) // 2 * (1 + 2 * spec.random_sets)
        # Of a causal model the prompt before the last token is read once for all sets.
        tokens = 1 if model.family.causal else model.encode(spec.prompt).input_ids.shape[1]
        choices = 0 if model.kind == "classifier" else sets
        return Cost(first + seconds(model, tokens, sets, choices))

    def run_shard(self, spec: DegeneratePairsSpec, shard: Any, context: Context) -> Result:
        """The whole study: one prompt is one shard."""
        context.progress(0.0, "loading the model")
        model = context.model(spec.model, spec.revision)
        scores = attribute(
            model,
            spec.prompt,
            method=spec.method,
            variant=spec.variant,
            components=("ffn",),
            progress=lambda fraction, message: context.progress(0.3 * fraction, message),
        )
        encoded = replace(model.encode(spec.prompt), target=int(scores.provenance["target"]))
        top = scores.top(spec.candidates)[["layer", "component", "neuron"]]
        best = [Neuron(int(layer), c, int(i)) for layer, c, i in top.itertuples(index=False)]
        context.progress(0.3, "switching pairs off")
        p0, alone, together = all_pairs(model, encoded, best, context)
        table = pairs_table(best, p0, alone, together)
        kept = published(table, p0)
        candidates = pd.DataFrame(
            [(n.layer, n.index, scores.score(n), p) for n, p in zip(best, alone, strict=True)],
            columns=["layer", "neuron", "score", "p"],
        )
        result = Result(
            {
                **scores.provenance,
                "p0": p0,
                "pairs": [_pair(row) for row in kept.itertuples()],
                "t_low": T_LOW,
                "t_high": T_HIGH,
            },
            {"candidates": candidates, "all_pairs": table},
        )
        context.preview(result, "the pairs; random ones beside them are next")
        random = self._random_pairs(spec, model, encoded, NeuronSet(best), p0, context)
        compared = {
            f"{null}_pairs": {
                "mean": float(counts.mean()),
                "sd": float(counts.std(ddof=1)),
                "p": rank_p(len(kept), counts.to_numpy(float)),
            }
            for null, counts in random.groupby("null", sort=False)["pairs"]
        }
        return Result(result.numbers | compared, result.tables | {"random_pairs": random})

    def _random_pairs(
        self,
        spec: DegeneratePairsSpec,
        model: Model,
        encoded: Encoded,
        best: NeuronSet,
        p0: float,
        context: Context,
    ) -> pd.DataFrame:
        """How many pairs each random candidate set gives."""
        activity = Activity.of(model, [encoded], ("ffn",))
        draws = [
            (null, number, drawn)
            for number, seed in enumerate(seeds(spec.seed, spec.random_sets))
            for null, drawn in (
                (RANDOM.key, best.matched_random(model.sizes, seed)),
                (AS_ACTIVE.key, activity.matched(best, seed)),
            )
        ]
        rows = []
        for done, (null, number, drawn) in enumerate(draws):
            context.progress(0.4 + 0.6 * done / len(draws), "pairs of random neurons")
            neurons = list(drawn)
            table = pairs_table(neurons, *all_pairs(model, encoded, neurons, context))
            rows.append((null, number, len(published(table, p0))))
        counts = pd.DataFrame(rows, columns=["null", "set", "pairs"])
        return counts.sort_values(["null", "set"], ascending=[False, True], ignore_index=True)

    def plot(self, spec: DegeneratePairsSpec, result: Result) -> go.Figure:
        """How many pairs the candidates have, beside random candidates."""
        from neuronlab.figures.degenerate import pair_counts

        return pair_counts(result.tables["random_pairs"], len(result.numbers["pairs"]))


def pairs_table(
    neurons: list[Neuron], p0: float, alone: np.ndarray, together: dict[tuple[int, int], float]
) -> pd.DataFrame:
    """Every pair with its probabilities, the product of independent effects, and the synergy."""
    rows = []
    for (i, j), p_ab in together.items():
        a, b = neurons[i], neurons[j]
        p_a, p_b = float(alone[i]), float(alone[j])
        product = p_a * p_b / p0
        synergy = p_ab / product if product else np.nan
        rows.append((a.layer, a.index, b.layer, b.index, p_a, p_b, p_ab, product, synergy))
    columns = ["layer_a", "neuron_a", "layer_b", "neuron_b"]
    return pd.DataFrame(rows, columns=[*columns, "p_a", "p_b", "p_ab", "product", "synergy"])


def _pair(row: Any) -> dict[str, Any]:
    """A row of ``pairs_table`` as the numbers have it."""
    return {
        "a": [int(row.layer_a), int(row.neuron_a)],
        "b": [int(row.layer_b), int(row.neuron_b)],
        "p_a": float(row.p_a),
        "p_b": float(row.p_b),
        "p_ab": float(row.p_ab),
    }


def published(
    table: pd.DataFrame, p0: float, t_low: float = T_LOW, t_high: float = T_HIGH
) -> pd.DataFrame:
    """The pairs that the published rule keeps, strongest synergy first."""
    potential = (table["p_a"] >= p0 * (1 - t_low)) & (table["p_b"] >= p0 * (1 - t_low))
    kept = table[potential & (table["p_ab"] < p0 * (1 - t_high))]
    return kept.sort_values("synergy", ignore_index=True)


def all_pairs(
    model: Model, encoded: Encoded, neurons: list[Neuron], context: Context
) -> tuple[float, np.ndarray, dict[tuple[int, int], float]]:
    """The target's probability as it is, without each neuron, and without each pair."""
    pairs = list(combinations(range(len(neurons)), 2))
    sets = [NeuronSet(), *(NeuronSet([n]) for n in neurons)]
    sets += [NeuronSet([neurons[i], neurons[j]]) for i, j in pairs]
    p0, *p = rescaled(model, encoded, sets, check=context.check).tolist()
    alone, together = p[: len(neurons)], p[len(neurons) :]
    return p0, np.array(alone), dict(zip(pairs, together, strict=True))
