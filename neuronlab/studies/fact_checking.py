"""Telling true facts from false ones by their neurons (arXiv 2308.13198).

A candidate is a prompt with an answer: the right one, or one of another fact of its relation. Two
tasks are asked of every scorer, and are not compared with each other:

- **judging** one candidate, of which nothing else is known: above a threshold lambda it is called
  true. Every second candidate is true, so that calling all of them true gives recall 1 and F1
  .667: the line to beat. Lambda is the one that gives the best F1 on the training part.
- **forced choice** between both candidates of a fact: the one with the higher score is called
  true, and half of the guesses would be right.

A score is the mean attribution, towards the answer, of the relation's neurons. They come from the
facts of its training part: those that occur often in degenerate pairs, or often among the facts'
own neurons; in the training part each fact is scored by the neurons of the others. Beside either
kind stand random neurons of the same layers, and random ones that are as active on the training
part and write as much. Spearman's correlation of a score with the candidate's probability says how
far it tells more than the model's own choice.

The authors' code names false negatives false positives, so that its precision and recall are
swapped, and compares with an exact match of the first choice, which is nearly never met.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from pydantic import Field

from neuronlab.attribution import attribute
from neuronlab.attribution.estimate import estimate, seconds
from neuronlab.attribution.request import Variant
from neuronlab.errors import UserError
from neuronlab.facts import SETS, Fact
from neuronlab.facts.asking import Asked, prompt_text
from neuronlab.models import Encoded, Model, Prompt
from neuronlab.neurons import Neuron, NeuronScores
from neuronlab.neurons.activity import Activity
from neuronlab.neurons.effect import AS_ACTIVE, RANDOM
from neuronlab.runs import Context, Result
from neuronlab.statistics import (
    FEWEST,
    area,
    expanded,
    proportion,
    rank_correlation,
    rank_p,
    resampled,
    rounded,
    seeds,
)
from neuronlab.studies.bases.in_languages import neuron_set
from neuronlab.studies.bases.over_facts import (
    NONE_KNOWN,
    OWN,
    FactsSpec,
    OverFacts,
    Questions,
    left_out,
)
from neuronlab.studies.degenerate_pairs import all_pairs, pairs_table, published

DEGENERATE, KNOWLEDGE = "degenerate", "knowledge"
PROBABILITY, FIRST, ALWAYS = "probability", "top_1", "always_true"
# Beside each kind of neurons: random ones of the same layers, and those that are as active, too.
NULLS = {
    kind: (f"{RANDOM.key}_like_{kind}", f"{AS_ACTIVE.key}_as_{kind}")
    for kind in (DEGENERATE, KNOWLEDGE)
}
SCORERS = {
    DEGENERATE: "Degenerate neurons",
    NULLS[DEGENERATE][0]: "Random, like degenerate",
    NULLS[DEGENERATE][1]: "Random, as active as degenerate",
    KNOWLEDGE: "All knowledge neurons",
    NULLS[KNOWLEDGE][0]: "Random, like knowledge",
    NULLS[KNOWLEDGE][1]: "Random, as active as knowledge",
    PROBABILITY: "Probability of the candidate",
    FIRST: "Model's first choice",
    ALWAYS: "Always true",
}
DRAWN = tuple(null for nulls in NULLS.values() for null in nulls)
# What is fixed beforehand and not chosen on the training part.
FIXED = {FIRST: -1.5, ALWAYS: -1.0}
JUDGED = ("precision", "recall", "f1", "auc")
# What neurons are compared by with others: two of judging, one of the forced choice.
COMPARED = ("f1", "auc", "accuracy")
# Scores that are nearer to each other, in standard deviations, differ by rounding.
TIED = 1e-5
# A fact's own neurons, as a fraction of its highest score; a relation's, of its highest count.
TAU = 0.3
OFTEN = 0.3
_NO_ANSWER = "alone"


class FactCheckingSpec(FactsSpec):
    """Which facts are checked, and how.

    Attributes:
        filtered: off: to leave out what the model does not know would choose facts by what is
            tested, which answer it finds more probable.
        language, two_shot: of a set that has several languages, or solved examples.
        test: share of each relation's facts that nothing is chosen on.
        candidates: how many of a training fact's best FFN neurons are paired.
        random_sets: as many of each of ``NULLS``, for each relation.
    """

    study: ClassVar[str] = "fact_checking"
    version: ClassVar[int] = 2

    facts: str = "knowledge_types"
    filtered: bool = False
    language: str = "en"
    two_shot: bool = False
    test: float = Field(0.2, gt=0, lt=1)
    method: str = "amig"
    variant: Variant = "sound"
    candidates: int = Field(20, ge=2, le=60)
    random_sets: int = Field(20, ge=1, le=50)

    def pool(self) -> list[Fact]:
        """The facts in the language."""
        if self.facts == OWN:
            return [fact for fact in self.own if fact.language == self.language]
        known = SETS[self.facts]
        return known.facts(
            language=self.language, two_shot=self.two_shot and known.has_two_shot, paraphrases=True
        )

    def held_out(self) -> list[bool]:
        """For each chosen fact whether it is in the test part."""
        facts = self.chosen()
        test = [False] * len(facts)
        for relation in dict.fromkeys(fact.relation for fact in facts):
            own = [i for i, fact in enumerate(facts) if fact.relation == relation]
            random.Random(f"{self.seed} {relation}").shuffle(own)
            for i in own[: max(1, round(self.test * len(own)))]:
                test[i] = True
        return test


class FactCheckingStudy(OverFacts[FactCheckingSpec]):
    """Score true and false candidates by neurons and by probability.

    Tables: ``candidates`` (fact, relation, prompt, candidate, true, test, and a score per scorer;
    of those in ``DRAWN`` one per random set: ``random_like_degenerate_0`` …), ``scorers`` and
    ``by_relation`` (see ``measured``), ``comparisons`` (see ``compared``), ``neurons`` (relation,
    kind, layer, neuron, count: in how many pairs, or facts). Scores of neurons and of
    ``probability`` are in standard deviations of the relation's training scores from their mean,
    and equal where they differ by rounding. Numbers: per scorer ``lambda`` and those of its
    measures on the test part that are defined.
    """

    name = "fact_checking"
    title = "Fact-checking"
    spec_type = FactCheckingSpec
    small: ClassVar[dict[str, Any]] = {"per_relation": 4, "facts": "six_languages"}

    def default(self) -> FactCheckingSpec:
        """All six kinds of facts in English."""
        return FactCheckingSpec(model="smollm2-135m")

    def seconds_each(self, model: Model, spec: FactCheckingSpec, tokens: int) -> float:
        """Two attributions, and the pairs of the facts that are trained on."""
        prompt = Prompt(prompt_text(model, spec.chosen()[0]))
        each = estimate(model, prompt, spec.method, ("ffn",), "predicted").seconds
        rows = spec.candidates * (spec.candidates + 1) // 2
        per_row = 1 if model.family.causal else tokens
        return 2 * each + (1 - spec.test) * seconds(model, per_row, rows // 2, rows)

    def run_shard(self, spec: FactCheckingSpec, shard: int, context: Context) -> Result:
        """One fact: attributions towards the right and a wrong answer."""
        model = context.model(spec.model, spec.revision)
        questions = Questions.of(model, spec)
        found = questions.answer(model, shard)
        if isinstance(found, str):
            return Result(numbers={"state": found})
        asked, before = found
        wrong = _wrong(model, asked, questions.asked, f"{spec.seed} {shard}")
        if wrong is None:
            return Result(numbers={"state": _NO_ANSWER, "relation": asked.fact.relation})
        other = replace(before, target=wrong)
        arrays = {}
        for i, (name, said) in enumerate((("true", before), ("wrong", other))):
            scores = _scores(model, spec, asked, said.target, context.part(0.4 * i, 0.4))
            arrays[name] = scores["ffn"]
        test = spec.held_out()[shard]
        pairs = []
        if not test:
            encoded = replace(asked.encoded, target=before.target)
            pairs = _pairs(model, encoded, arrays["true"], spec.candidates, context.part(0.8, 0.2))
        numbers = {
            "state": "used",
            "relation": asked.fact.relation,
            "prompt": asked.fact.prompt,
            "whole": asked.whole,
            "test": test,
            "true": before.label,
            "wrong": other.label,
            "p_true": before.probability,
            "p_wrong": other.probability,
            "rank_true": before.rank,
            "rank_wrong": other.rank,
            "pairs": pairs,
        }
        return Result(numbers, arrays=arrays)

    def merge(self, spec: FactCheckingSpec, parts: Sequence[Result], context: Context) -> Result:
        """Each relation's neurons, every scorer's threshold, and what they give on the test."""
        of_fact = [part.numbers["state"] for part in parts]
        used = [(i, part) for i, part in enumerate(parts) if part.numbers["state"] == "used"]
        if "used" not in of_fact and _NO_ANSWER not in of_fact:
            raise UserError(NONE_KNOWN)
        by_relation: dict[str, list[tuple[int, Result]]] = {}
        for i, part in used:
            by_relation.setdefault(part.numbers["relation"], []).append((i, part))
        whole = {
            relation: own
            for relation, own in by_relation.items()
            if {part.numbers["test"] for _, part in own} == {True, False}
        }
        if not whole:
            raise UserError(
                "No relation has facts for both the training and the test part: take more facts "
                "of each."
            )
        model = context.model(spec.model, spec.revision)
        asked = Questions.of(model, spec).asked
        candidates, neurons = [], []
        for number, (relation, own) in enumerate(whole.items()):
            context.progress(number / len(whole), f"scoring {relation}")
            train = [asked[i].encoded for i, part in own if not part.numbers["test"]]
            activity = Activity.of(model, train, ("ffn",))
            draws = seeds([spec.seed, number], spec.random_sets)
            rows, counts = _relation(relation, own, activity, draws)
            candidates += rows
            neurons += counts
        table = pd.DataFrame(candidates)
        for column in [c for scorer in SCORERS for c in columns_of(scorer, table)]:
            table[column] = _tied(table[column])
        scorers, lambdas = measured(table, spec.seed)
        relations = [
            measured(own, spec.seed, lambdas)[0].assign(relation=relation)
            for relation, own in table.groupby("relation", sort=False)
        ]
        found = {(relation, kind) for relation, kind, *_ in neurons}
        columns = ["lambda", *JUDGED, "accuracy", "spearman"]
        tests = table[table["test"]]
        numbers: dict[str, Any] = {
            row["scorer"]: {name: row[name] for name in columns if not np.isnan(row[name])}
            for _, row in scorers.iterrows()
        }
        numbers |= {
            "facts": {"train": (len(table) - len(tests)) // 2, "test": len(tests) // 2},
            "left_out": left_out(of_fact),
            "alone": of_fact.count(_NO_ANSWER),
            "one_part": [
                relation
                for relation in dict.fromkeys(part.numbers.get("relation") for part in parts)
                if relation is not None and relation not in whole
            ],
            "without_pairs": [r for r in whole if (r, DEGENERATE) not in found],
            "first_tokens": sum(not part.numbers["whole"] for _, part in used),
        }
        names = ["relation", "kind", "layer", "neuron", "count"]
        return Result(
            numbers,
            {
                "candidates": table,
                "scorers": scorers,
                "comparisons": compared(table, lambdas, spec.seed),
                "by_relation": pd.concat(relations, ignore_index=True),
                "neurons": pd.DataFrame(neurons, columns=names),
            },
        )


def columns_of(scorer: str, table: pd.DataFrame) -> list[str]:
    """The columns of a scorer in the table of candidates: one, or one per random set."""
    if scorer not in DRAWN:
        return [scorer]
    return [name for name in table if name.rpartition("_")[0] == scorer]


def measured(
    table: pd.DataFrame, seed: int = 0, lambdas: dict[str, float] | None = None
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Every scorer at both tasks on the test part, with 95 % intervals.

    Args:
        table: ``candidates`` of a result: a true and a wrong row per fact, next to each other.
        lambdas: threshold per column; by default the best on the table's training part.

    Returns:
        One row per scorer (lambda, train_f1, then with ``_low`` and ``_high``: the measures of
        ``decide``, accuracy of the forced choice, and spearman, the rank correlation with the
        candidate's probability, nan where all scores are equal), and the thresholds. Facts are
        drawn with replacement, both candidates together; the interval of the accuracy is Wilson's.
        Means over random sets.
    """
    train, test = table[~table["test"]], table[table["test"]]
    lambdas = dict(lambdas or {})
    rows = []
    for scorer in SCORERS:
        columns, train_f1 = columns_of(scorer, table), []
        for column in columns:
            true, wrong = scores_of(train, column)
            if column not in lambdas:
                lambdas[column] = FIXED.get(scorer, best_threshold(true, wrong))
            train_f1.append(decide(true, wrong, lambdas[column])["f1"])
        row = {
            "scorer": scorer,
            "lambda": float(np.mean([lambdas[column] for column in columns])),
            "train_f1": float(np.mean(train_f1)),
        }
        for name, samples in _samples(test, columns, lambdas, seed).items():
            value, *ends = _interval(samples.mean(axis=0), len(test) // 2)
            row |= dict(zip((name, f"{name}_low", f"{name}_high"), (value, *ends), strict=True))
        right = np.mean([chosen(*scores_of(test, column)) for column in columns], axis=0)
        _, row["accuracy_low"], row["accuracy_high"] = proportion(right)
        rows.append(row)
    return pd.DataFrame(rows), lambdas


def compared(table: pd.DataFrame, lambdas: dict[str, float], seed: int = 0) -> pd.DataFrame:
    """Neurons against their random sets, the probability, and always answering true.

    Args:
        table, lambdas: see ``measured``.

    Returns:
        Columns scorer, against, measure, difference, with ``_low`` and ``_high`` (95 %: the same
        facts are drawn for both; nan for fewer than ``FEWEST`` facts), p (against random sets: how
        often one of them does as well; else nan). See ``verdict``.
    """
    test = table[table["test"]]
    facts = len(test) // 2
    samples = {
        scorer: _samples(test, columns_of(scorer, table), lambdas, seed) for scorer in SCORERS
    }
    rows = []
    for scorer, nulls in NULLS.items():
        for against in (*nulls, PROBABILITY, ALWAYS):
            for measure in COMPARED:
                ours, theirs = samples[scorer][measure], samples[against][measure]
                difference = ours.mean(axis=0) - theirs.mean(axis=0)
                value, *ends = _interval(difference, facts)
                low, high = ends if facts >= FEWEST else (np.nan, np.nan)
                p = rank_p(ours[0, 0], theirs[:, 0]) if against in DRAWN else np.nan
                rows.append((scorer, against, measure, value, low, high, p))
    names = ["scorer", "against", "measure", "difference"]
    return pd.DataFrame(rows, columns=[*names, "difference_low", "difference_high", "p"])


def verdict(row: pd.Series) -> str:
    """Whether a scorer does "better" or "worse" than the other, or is "like" it: not clear.

    Better, or worse, than random sets is what is clear over facts and reached, or missed, by nearly
    no set: of any one set the difference from their mean is clear on enough facts.

    Args:
        row: of ``compared``.
    """
    if row["difference_high"] < 0 and not row["p"] < 0.95:
        return "worse"
    return "better" if row["difference_low"] > 0 and not row["p"] > 0.05 else "like"


def stronger(comparisons: pd.DataFrame, scorer: str, measure: str) -> pd.Series:
    """The row of the random sets that do better: those to be beaten."""
    rows = comparisons[
        (comparisons["scorer"] == scorer)
        & (comparisons["measure"] == measure)
        & comparisons["against"].isin(NULLS[scorer])
    ]
    return rows.loc[rows["difference"].idxmin()]


def decide(
    true: Float[np.ndarray, " fact"], wrong: Float[np.ndarray, " fact"], threshold: float
) -> dict[str, float]:
    """What calling everything above a threshold true gives.

    Precision is the share of true ones among those called true (0 where none is), recall the share
    of the true ones that are called true, F1 their harmonic mean, AUC the probability that a true
    candidate scores higher than a wrong one of any fact, ties counting half.
    """
    found = _judged(true, wrong, threshold, _once(len(true)))
    return {name: float(value[0]) for name, value in found.items()}


def chosen(
    true: Float[np.ndarray, " fact"], wrong: Float[np.ndarray, " fact"]
) -> Float[np.ndarray, " fact"]:
    """The forced choice: 1 where the true candidate scores higher, one half where both tie."""
    return (true > wrong) + 0.5 * (true == wrong)


def _samples(
    test: pd.DataFrame, columns: Sequence[str], lambdas: dict[str, float], seed: int
) -> dict[str, Float[np.ndarray, "column sample"]]:
    """All measures of each column: first as it is, then of every resample of facts."""
    facts = len(test) // 2
    weights = np.concatenate([_once(facts), resampled(facts, seed)])
    probability = np.concatenate(scores_of(test, PROBABILITY))
    found = []
    for column in columns:
        true, wrong = scores_of(test, column)
        both, twice = np.concatenate([true, wrong]), np.tile(weights, 2)
        found.append(
            {
                **_judged(true, wrong, lambdas[column], weights),
                "accuracy": weights @ chosen(true, wrong),
                "spearman": rank_correlation(both, probability, twice),
            }
        )
    return {name: np.stack([one[name] for one in found]) for name in found[0]}


def _judged(
    true: Float[np.ndarray, " fact"],
    wrong: Float[np.ndarray, " fact"],
    threshold: float,
    weights: Float[np.ndarray, "sample fact"],
) -> dict[str, Float[np.ndarray, " sample"]]:
    said, falsely = weights @ (true > threshold), weights @ (wrong > threshold)
    called = said + falsely
    positive = np.repeat([True, False], len(true))
    return {
        "precision": np.divide(said, called, out=np.zeros_like(said), where=called > 0),
        "recall": said,
        "f1": 2 * said / (called + 1),
        "auc": area(positive, np.concatenate([true, wrong]), np.tile(weights, 2)),
    }


def _once(facts: int) -> Float[np.ndarray, "1 fact"]:
    return np.full((1, facts), 1 / facts)


def _interval(samples: Float[np.ndarray, " sample"], facts: int) -> tuple[float, float, float]:
    """The first of the samples, and the ends of what the others say."""
    (low,), (high,) = expanded(samples[1:, None], facts)
    return float(samples[0]), float(low), float(high)


def best_threshold(true: Float[np.ndarray, " fact"], wrong: Float[np.ndarray, " fact"]) -> float:
    """The threshold with the highest F1, half way between neighbouring scores."""
    scores = np.unique(np.concatenate([true, wrong]))
    cuts = np.concatenate([[scores[0] - 1.0], (scores[1:] + scores[:-1]) / 2])
    said = (true > cuts[:, None]).mean(axis=1)
    falsely = (wrong > cuts[:, None]).mean(axis=1)
    return float(cuts[np.argmax(2 * said / (said + falsely + 1))])


def curves(table: pd.DataFrame) -> pd.DataFrame:
    """ROC and precision-recall of every scorer on the test part, one curve per random set.

    Columns scorer, column, threshold, false_positive_rate, true_positive_rate (recall), precision;
    from the highest threshold to the lowest.
    """
    test = table[table["test"]]
    rows = []
    for scorer in SCORERS:
        for column in columns_of(scorer, table):
            true, wrong = scores_of(test, column)
            for cut in [np.inf, *np.unique(np.concatenate([true, wrong]))[::-1]]:
                said, falsely = float((true >= cut).mean()), float((wrong >= cut).mean())
                precision = said / (said + falsely) if said + falsely else 1.0
                rows.append((scorer, column, float(cut), falsely, said, precision))
    names = ["scorer", "column", "threshold"]
    names += ["false_positive_rate", "true_positive_rate", "precision"]
    return pd.DataFrame(rows, columns=names)


def scores_of(
    table: pd.DataFrame, column: str
) -> tuple[Float[np.ndarray, " fact"], Float[np.ndarray, " fact"]]:
    """Scores of the true and of the wrong candidates, in the order of the facts."""
    true: Bool[np.ndarray, " candidate"] = table["true"].to_numpy(bool)
    scores = table[column].to_numpy(float)
    return scores[true], scores[~true]


def _wrong(model: Model, asked: Asked, others: Sequence[Asked | None], seed: str) -> int | None:
    """First token of another fact's answer, of the same relation, that does not answer this one."""
    rivals = [
        other.fact
        for other in others
        if other is not None and other.fact.relation == asked.fact.relation
    ]
    random.Random(seed).shuffle(rivals)
    text = prompt_text(model, asked.fact)
    for rival in rivals:
        for answer in rival.answers:
            try:
                encoded = model.encode(Prompt(text, target=f"{asked.fact.joiner}{answer}"))
            except UserError:  # not in the vocabulary
                continue
            if encoded.target not in asked.golds:
                return encoded.target
            break
    return None


def _scores(
    model: Model, spec: FactCheckingSpec, asked: Asked, target: int, context: Context
) -> NeuronScores:
    return attribute(
        model,
        Prompt(prompt_text(model, asked.fact), target=target),
        method=spec.method,
        variant=spec.variant,
        components=("ffn",),
        progress=context.progress,
    )


def _pairs(
    model: Model, encoded: Encoded, scores: np.ndarray, count: int, context: Context
) -> list[list[int]]:
    """The fact's degenerate pairs under the published rule, as places."""
    size = scores.shape[1]
    best = np.argsort(-scores, axis=None)[:count].tolist()
    neurons = [Neuron(place // size, "ffn", place % size) for place in best]
    p0, alone, together = all_pairs(model, encoded, neurons, context)
    kept = published(pairs_table(neurons, p0, alone, together), p0)
    return [
        [int(r.layer_a * size + r.neuron_a), int(r.layer_b * size + r.neuron_b)]
        for r in kept.itertuples()
    ]


def _relation(
    relation: str, own: Sequence[tuple[int, Result]], activity: Activity, draws: Sequence[int]
) -> tuple[list[dict], list[tuple]]:
    """A relation's candidates with their scores, and its neurons."""
    shape = own[0][1].arrays["true"].shape
    train = [i for i, part in own if not part.numbers["test"]]
    occurring = {
        DEGENERATE: {
            i: Counter(n for pair in part.numbers["pairs"] for n in pair)
            for i, part in own
            if i in train
        },
        KNOWLEDGE: {i: Counter(_own_neurons(part.arrays["true"])) for i, part in own if i in train},
    }
    totals = {kind: sum(counts.values(), Counter()) for kind, counts in occurring.items()}
    neurons = {kind: _often(total) for kind, total in totals.items()}
    controls: dict[str, frozenset[int]] = {}
    for kind, places in neurons.items():
        controls |= _controls(kind, places, shape[1], activity, draws)
    rows = []
    for i, part in own:
        n = part.numbers
        sets = dict(neurons)
        if not n["test"] and len(train) > 1:  # a fact does not choose what it is scored by
            sets = {kind: _often(totals[kind] - occurring[kind][i]) for kind in totals}
        sets |= controls
        for name in ("true", "wrong"):
            flat = part.arrays[name].reshape(-1)
            scores = {kind: _mean(flat, places) for kind, places in sets.items()}
            rows.append(
                {
                    "fact": i,
                    "relation": relation,
                    "prompt": n["prompt"],
                    "candidate": n[name],
                    "true": name == "true",
                    "test": n["test"],
                    **scores,
                    PROBABILITY: float(np.log(max(n[f"p_{name}"], 1e-38))),
                    FIRST: -float(n[f"rank_{name}"]),
                    ALWAYS: 0.0,
                }
            )
    table = pd.DataFrame(rows)
    for column in [*neurons, *controls, PROBABILITY]:
        known = table.loc[~table["test"], column]
        spread = known.std(ddof=0)
        table[column] = (table[column] - known.mean()) / (spread if spread > 0 else 1.0)
    counted = [
        (relation, kind, place // shape[1], place % shape[1], totals[kind][place])
        for kind, places in neurons.items()
        for place in sorted(places, key=lambda place: -totals[kind][place])
    ]
    return table.to_dict("records"), counted


def _controls(
    kind: str, places: frozenset[int], size: int, activity: Activity, draws: Sequence[int]
) -> dict[str, frozenset[int]]:
    """Random sets like a relation's neurons of a kind, by the column of their scores."""
    neurons = neuron_set(places, size)
    random, as_active = NULLS[kind]
    found = {}
    for number, seed in enumerate(draws):
        found[f"{random}_{number}"] = neurons.matched_random({"ffn": size}, seed)
        found[f"{as_active}_{number}"] = activity.matched(neurons, seed)
    return {
        column: frozenset(neuron.layer * size + neuron.index for neuron in drawn)
        for column, drawn in found.items()
    }


def _tied(scores: pd.Series) -> Float[np.ndarray, " candidate"]:
    """Scores that differ by rounding made equal: the lowest of them."""
    in_order = np.sort(scores.to_numpy(float))
    places = rounded(scores.to_numpy(float), TIED)
    return in_order[np.searchsorted(np.sort(places), places)]


def _own_neurons(scores: Float[np.ndarray, "layer neuron"]) -> Iterable[int]:
    return np.flatnonzero(scores > TAU * scores.max()).tolist()


def _often(counts: Counter[int]) -> frozenset[int]:
    most = max(counts.values(), default=0)
    return frozenset(place for place, count in counts.items() if count > OFTEN * most)


def _mean(scores: np.ndarray, places: frozenset[int]) -> float:
    return float(scores[sorted(places)].mean()) if places else 0.0
