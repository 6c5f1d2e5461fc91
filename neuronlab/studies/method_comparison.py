"""Which method finds the neurons? Table 2 of arXiv 2312.12141, on any model and any facts.

The paper tells what is left of the right answer. Beside it here: two kinds of random neurons, what
the same neurons do to other prompts, and which differences between methods are more than chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from zlib import crc32

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import field_validator
from torch import Tensor, stack

from neuronlab.attribution import METHODS, method
from neuronlab.attribution.direct import Direct
from neuronlab.attribution.estimate import seconds
from neuronlab.attribution.request import Attribution, Request
from neuronlab.errors import UserError
from neuronlab.facts import Fact
from neuronlab.facts.asking import prompt_text
from neuronlab.models import Encoded, Model, Prompt
from neuronlab.neurons import Activity, NeuronSet, Prediction, Suppress, predict_many
from neuronlab.neurons.effect import AS_ACTIVE, CONTROLS, RANDOM
from neuronlab.runs import Context, Result
from neuronlab.statistics import expanded, pairwise, resampled, seeds
from neuronlab.studies.bases.bystanders import PLAIN_PROMPTS
from neuronlab.studies.bases.over_facts import (
    NONE_KNOWN,
    FactsSpec,
    OverFacts,
    Questions,
    left_out,
    metrics,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

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
MEASURES = ("probability", "mrr", "log_probability")
# What a method's neurons are zeroed on: the fact they were found for, facts of other relations,
# and prompts that ask for no fact.
FACT, OTHER, PLAIN = "fact", "other relation", "plain"
OTHERS = 2
# Other facts that are tried until so many are known.
_TRIED = 10


class MethodComparisonSpec(FactsSpec):
    """Which methods, on which facts.

    Attributes:
        methods: names of the registry that score FFN neurons.
    """

    study: ClassVar[str] = "method_comparison"
    version: ClassVar[int] = 2

    methods: tuple[str, ...] = COMPARED

    @field_validator("methods")
    @classmethod
    def _in_the_registry(cls, methods: tuple[str, ...]) -> tuple[str, ...]:
        if not methods or not set(methods) <= METHODS.keys():
            raise ValueError(f"choose methods from {', '.join(METHODS)}")
        return tuple(name for name in dict.fromkeys([*COMPARED, *METHODS]) if name in methods)


class MethodComparisonStudy(OverFacts[MethodComparisonSpec]):
    """Zero each method's top FFN neurons, fact by fact, and see how far the gold token falls.

    Tables: ``rows`` (fact, method, k, control, rank, probability, log_probability; ``control`` is
    "" for the method's neurons, and "random" or "as active" for as many others, see
    ``neurons.effect``), ``summary`` (means over facts with 95 % intervals), ``differences`` and
    ``specificity`` (see the functions), ``bystanders`` (fact, method, about, before, after: what
    zeroing a fact's ten neurons does to the top choice of other prompts), ``facts`` (prompt, gold,
    state). Numbers: the summary at k = 10, and ``leaders``: per measure the methods that are not
    told apart from the best one.
    """

    name = "method_comparison"
    title = "Which method finds the neurons?"
    spec_type = MethodComparisonSpec
    small: ClassVar[dict[str, Any]] = {"per_relation": 1}

    def default(self) -> MethodComparisonSpec:
        """All ten methods on 75 facts."""
        return MethodComparisonSpec()

    def seconds_each(self, model: Model, spec: MethodComparisonSpec, tokens: int) -> float:
        """Searches, gradients, and the model under every set; measured on SmolLM2."""
        gradients = sum(
            _GRADIENT_PASSES.get(name, 1) for name in spec.methods if name not in DIRECT
        )
        searches = sum(_SEARCHED.get(name, 0) for name in spec.methods)
        sets = (1 + len(CONTROLS)) * len(KS) + OTHERS + len(PLAIN_PROMPTS)
        passes = sets * len(spec.methods) + gradients
        return seconds(model, tokens, passes, searches)

    def run_shard(self, spec: MethodComparisonSpec, shard: int, context: Context) -> Result:
        """All methods on one fact."""
        model = self.suited(context.model(spec.model, spec.revision))
        questions = Questions.of(model, spec)
        answer = questions.answer(model, shard)
        if isinstance(answer, str):
            return Result(numbers={"state": answer})
        question, before = answer
        rows = [_row("original", 0, "", before)]
        activity = Activity.of(model, [question.encoded], ("ffn",))
        request = Request(
            model,
            question.encoded,
            before.target,
            ("ffn",),
            seed=spec.seed,
            progress=lambda fraction, message: context.check(),
        )
        direct = Direct(request, max(KS))
        changes, names, zeroed = [], [], {}
        for number, name in enumerate(spec.methods):
            done = 0.6 * number / len(spec.methods)
            context.progress(done, f"fact {shard + 1}: {METHODS[name].title}")
            best = _best(scored(name, direct)(), max(KS))
            for k in KS:
                chosen = NeuronSet([(layer, "ffn", neuron) for layer, neuron in best[:k]])
                (seed,) = seeds([spec.seed, shard, crc32(name.encode()), k], 1)
                sets = {
                    "": chosen,
                    RANDOM.value: chosen.matched_random(model.sizes, seed),
                    AS_ACTIVE.value: activity.matched(chosen, seed),
                }
                changes += [Suppress(neurons) for neurons in sets.values()]
                names += [(name, k, control) for control in sets]
                if k == K:
                    zeroed[name] = Suppress(chosen)
        context.progress(0.6, f"fact {shard + 1}: zeroing neurons")
        after = predict_many(model, question.encoded, changes)
        rows += [_row(*name, prediction) for name, prediction in zip(names, after, strict=True)]
        context.progress(0.85, f"fact {shard + 1}: asking other prompts")
        bystanders = _bystanders(model, _others(model, questions, spec, shard), zeroed)
        tables = {"rows": pd.DataFrame(rows), "bystanders": bystanders}
        numbers = {
            "state": "used",
            "prompt": question.fact.prompt,
            "gold": before.label,
            "whole": question.whole,
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
        rows, bystanders = (
            pd.concat([part.tables[name].assign(fact=i) for i, part in used], ignore_index=True)
            for name in ("rows", "bystanders")
        )
        summary = metrics(rows, ["method", "k", "control"], spec.seed)
        # One control of a kind for all: as many neurons as any method zeroed, of the same layers.
        controls = rows[rows["control"] != ""].assign(method=POOLED)
        summary = pd.concat(
            [summary, metrics(controls, ["method", "k", "control"], spec.seed)], ignore_index=True
        )
        facts = [
            {"fact": i, **{name: part.numbers.get(name) for name in ("state", "prompt", "gold")}}
            for i, part in enumerate(parts)
        ]
        compared = differences(rows, spec.seed)
        return Result(
            numbers={
                **at(summary, K),
                "leaders": {measure: leaders(compared, K, measure) for measure in MEASURES},
                "facts": len(used),
                "k": K,
                "asked": len(parts),
                "left_out": left_out(states),
                "first_tokens": sum(not part.numbers["whole"] for _, part in used),
            },
            tables={
                "rows": rows,
                "summary": summary,
                "differences": compared,
                "bystanders": bystanders,
                "specificity": specificity(rows, bystanders, spec.seed),
                "facts": pd.DataFrame(facts),
            },
        )

    def plot(self, spec: MethodComparisonSpec, result: Result) -> go.Figure:
        """What is left of the right answer with each method's ten neurons zeroed."""
        from neuronlab.figures.methods import after_zeroing

        summary, titles = result.tables["summary"], {m: METHODS[m].title for m in spec.methods}
        now, metric = at(summary, K), "probability"
        rows = summary[(summary["k"] == K) & (summary["control"] == "")]
        controls = {control: now[control.key][metric] for control in CONTROLS}
        return after_zeroing(rows, titles, metric, now["original"][metric], controls)


def scored(name: str, direct: Direct) -> Callable[[], Attribution]:
    """A method on the request of ``direct``, with which the direct methods share their work."""
    if name in DIRECT:
        return getattr(direct, name)
    return lambda: method(name).engines["fast"](direct.request)


def at(summary: pd.DataFrame, k: int) -> dict[str, dict]:
    """``methods``, ``original``, ``random`` and ``as_active`` of the summary with k neurons zeroed.

    The last two are of the controls of all methods together.
    """

    def of(row: pd.Series) -> dict[str, float]:
        return {n: float(row[n]) for n in MEASURES}

    rows = summary[summary["k"] == k]
    chosen = rows[rows["control"] == ""]
    pooled = rows[rows["method"] == POOLED].set_index("control")
    return {
        "methods": {row["method"]: of(row) for _, row in chosen.iterrows()},
        "original": of(summary[summary["method"] == "original"].iloc[0]),
        **{control.key: of(pooled.loc[control.value]) for control in CONTROLS},
    }


def differences(rows: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """How much more a method leaves than another, fact by fact, for all pairs of methods.

    Columns k, measure, method, other (which leaves less in the mean), difference (mean over facts),
    low, high: 95 % intervals that hold for all pairs at once (see ``statistics.pairwise``).
    """
    chosen = rows[(rows["control"] == "") & (rows["method"] != "original")]
    chosen = chosen.assign(mrr=1 / chosen["rank"])
    lines = []
    for k, of_k in chosen.groupby("k", sort=False):
        for measure in MEASURES:
            wide = of_k.pivot(index="fact", columns="method", values=measure)
            difference, low, high = pairwise(wide.to_numpy(float), seed)
            order = wide.mean().argsort().tolist()
            lines += [
                (k, measure, *wide.columns[[i, j]], difference[i, j], low[i, j], high[i, j])
                for place, j in enumerate(order)
                for i in order[place + 1 :]
            ]
    columns = ["k", "measure", "method", "other", "difference", "low", "high"]
    return pd.DataFrame(lines, columns=columns)


def leaders(differences: pd.DataFrame, k: int, measure: str) -> list[str]:
    """The best method and those that the facts do not tell apart from it; [] where it is alone."""
    rows = differences[(differences["k"] == k) & (differences["measure"] == measure)]
    if rows.empty:
        return []
    best = rows["other"].iloc[0]
    near = rows[(rows["other"] == best) & ~(rows["low"] > 0)]
    return [best, *near["method"]]


def specificity(rows: pd.DataFrame, bystanders: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """What is left after zeroing a fact's ten neurons: of the fact, and of other prompts.

    Columns method, about ("fact", "other relation", "plain"), left, low, high: the probability
    afterwards, summed over facts, over that before, and its 95 % interval over facts. Of a fact
    that is the right answer's, of plain prompts that of the first choice.
    """
    chosen = rows[(rows["control"] == "") & (rows["k"] == K)]
    before = rows[rows["method"] == "original"].set_index("fact")["probability"]
    of_fact = pd.DataFrame(
        {
            "fact": chosen["fact"],
            "method": chosen["method"],
            "about": FACT,
            "before": chosen["fact"].map(before),
            "after": chosen["probability"],
        }
    )
    every = pd.concat([of_fact, bystanders], ignore_index=True)
    lines = []
    for (about, method_), group in every.groupby(["about", "method"], sort=False):
        sums = group.groupby("fact")[["before", "after"]].mean().to_numpy(float)
        drawn = resampled(len(sums), seed) @ sums
        low, high = expanded(drawn[:, [1]] / drawn[:, [0]], len(sums))
        left = float(sums[:, 1].sum() / sums[:, 0].sum())
        lines.append((method_, about, left, float(low[0]), float(high[0])))
    return pd.DataFrame(lines, columns=["method", "about", "left", "low", "high"])


def _others(
    model: Model, questions: Questions, spec: MethodComparisonSpec, shard: int
) -> list[tuple[str, Encoded]]:
    """Prompts on which a fact's neurons should do little: what they are, and as they are asked."""
    asked = questions.asked[shard]
    relation = None if asked is None else asked.fact.relation
    numbers = [
        number
        for number, question in enumerate(questions.asked)
        if question is not None and question.fact.relation != relation
    ]
    (draw,) = seeds([spec.seed, shard], 1)
    prompts: list[tuple[str, Encoded]] = []
    for number in np.random.default_rng(draw).permutation(numbers)[:_TRIED].tolist():
        answer = questions.answer(model, number)
        if not isinstance(answer, str):
            prompts.append((OTHER, answer[0].encoded))
        if len(prompts) == OTHERS:
            break
    plain = (prompt_text(model, Fact(text, ())) for text in PLAIN_PROMPTS)
    return prompts + [(PLAIN, model.encode(Prompt(text))) for text in plain]


def _bystanders(
    model: Model, prompts: Sequence[tuple[str, Encoded]], zeroed: Mapping[str, Suppress]
) -> pd.DataFrame:
    """What zeroing each method's neurons does to other prompts, whatever these are asked about."""
    lines = []
    for about, encoded in prompts:
        unchanged, *changed = predict_many(model, encoded, [None, *zeroed.values()])
        lines += [
            (name, about, unchanged.probability, prediction.probability)
            for name, prediction in zip(zeroed, changed, strict=True)
        ]
    return pd.DataFrame(lines, columns=["method", "about", "before", "after"])


def _best(attribution: Attribution, count: int) -> list[tuple[int, int]]:
    of_layers = [attribution.scores[i, "ffn"].sum(0) for i in range(len(attribution.scores))]
    scores: Float[Tensor, "layer neuron"] = stack(of_layers)
    indices = scores.flatten().topk(min(count, scores.numel())).indices.tolist()
    return [divmod(i, scores.shape[1]) for i in indices]


def _row(name: str, k: int, control: str, prediction: Prediction) -> dict:
    return {
        "method": name,
        "k": k,
        "control": control,
        "rank": prediction.rank,
        "probability": prediction.probability,
        "log_probability": prediction.log_probability,
    }
