"""Telling true facts from false ones by their neurons (arXiv 2308.13198).

A candidate is a prompt with an answer: the right one, or one of another fact of its relation. Its
score is the mean attribution, towards that answer, of the relation's neurons; above a threshold
lambda it is called true. The relation's neurons come from the facts of its training part: those
that occur often in degenerate pairs, or often among the facts' own neurons. Lambda is the one that
gives the best F1 on the training part, where each fact is scored by the neurons of the others.

Every candidate is one of two, so that calling all of them true gives recall 1 and F1 .667: the line
to beat. The authors' code names false negatives false positives, so that its precision and recall
are swapped, and compares with an exact match of the first choice, which is nearly never met.
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
from neuronlab.models import Encoded, Model, Prompt, shared
from neuronlab.neurons import Neuron, NeuronScores
from neuronlab.runs import Context, Result
from neuronlab.statistics import resampled
from neuronlab.studies.degenerate_pairs import all_pairs, pairs_table, published
from neuronlab.studies.in_languages import neuron_set
from neuronlab.studies.over_facts import (
    NONE_KNOWN,
    OWN,
    FactsSpec,
    OverFacts,
    Questions,
    left_out,
)

DEGENERATE, KNOWLEDGE, RANDOM = "degenerate", "knowledge", "random"
PROBABILITY, PAIR, FIRST, ALWAYS = "probability", "p_true_over_p_wrong", "top_1", "always_true"
SCORERS = {
    DEGENERATE: "Degenerate neurons",
    KNOWLEDGE: "All knowledge neurons",
    RANDOM: "Random neurons",
    PROBABILITY: "Probability of the candidate",
    PAIR: "More probable of the two",
    FIRST: "Model's first choice",
    ALWAYS: "Always true",
}
# What is fixed beforehand and not chosen on the training part.
FIXED = {PAIR: 0.0, FIRST: -1.5, ALWAYS: -1.0}
# A fact's own neurons, as a fraction of its highest score; a relation's, of its highest count.
TAU = 0.3
OFTEN = 0.3
_NO_ANSWER = "alone"


class FactCheckingSpec(FactsSpec):
    """Which facts are checked, and how.

    Attributes:
        filtered: off: a model that knows a fact ranks its answer above the others by definition.
        language, two_shot: of a set that has several languages, or solved examples.
        test: share of each relation's facts that nothing is chosen on.
        candidates: how many of a training fact's best FFN neurons are paired.
        random_sets: as many random sets like each relation's degenerate neurons; their means count.
    """

    study: ClassVar[str] = "fact_checking"

    facts: str = "knowledge_types"
    filtered: bool = False
    language: str = "en"
    two_shot: bool = False
    test: float = Field(0.2, gt=0, lt=1)
    method: str = "amig"
    variant: Variant = "sound"
    candidates: int = Field(20, ge=2, le=60)
    random_sets: int = Field(5, ge=1, le=50)

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


class FactCheckingStudy(OverFacts):
    """Score true and false candidates by neurons and by probability.

    Tables: ``candidates`` (fact, relation, prompt, candidate, true, test, and a score per scorer:
    ``random_0`` … for the random sets), ``scorers`` and ``by_relation`` (see ``measured``),
    ``neurons`` (relation, kind, layer, neuron, count: in how many pairs, or facts). Scores of
    neurons and of ``probability`` are in standard deviations of the relation's training scores
    from their mean. Numbers: per scorer ``lambda``, precision, recall, f1 and auc, on the test
    part.
    """

    name = "fact_checking"
    title = "Fact-checking"
    spec_type = FactCheckingSpec

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
        model = shared(spec.model, context.device, spec.revision)
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
        candidates, neurons = [], []
        for number, (relation, own) in enumerate(whole.items()):
            context.progress(number / len(whole), f"scoring {relation}")
            rows, counts = _relation(relation, own, spec)
            candidates += rows
            neurons += counts
        table = pd.DataFrame(candidates)
        scorers, lambdas = measured(table, spec.seed)
        relations = [
            measured(own, spec.seed, lambdas)[0].assign(relation=relation)
            for relation, own in table.groupby("relation", sort=False)
        ]
        found = {(relation, kind) for relation, kind, *_ in neurons}
        columns = ["lambda", "precision", "recall", "f1", "auc"]
        tests = table[table["test"]]
        numbers: dict[str, Any] = {
            row["scorer"]: {name: row[name] for name in columns} for _, row in scorers.iterrows()
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
                "by_relation": pd.concat(relations, ignore_index=True),
                "neurons": pd.DataFrame(neurons, columns=names),
            },
        )


def columns_of(scorer: str, table: pd.DataFrame) -> list[str]:
    """The columns of a scorer in the table of candidates: one, or one per random set."""
    if scorer != RANDOM:
        return [scorer]
    return [name for name in table if name.startswith(f"{RANDOM}_")]


def measured(
    table: pd.DataFrame, seed: int = 0, lambdas: dict[str, float] | None = None
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Precision, recall, F1 and AUC of every scorer on the test part, with 95 % intervals.

    Args:
        table: ``candidates`` of a result: a true and a wrong row per fact, next to each other.
        lambdas: threshold per column; by default the best on the table's training part.

    Returns:
        One row per scorer (lambda, train_f1, then each measure with ``_low`` and ``_high``; facts
        are drawn with replacement, both candidates together; means over random sets), and the
        thresholds.
    """
    train, test = table[~table["test"]], table[table["test"]]
    lambdas = dict(lambdas or {})
    rows = []
    for scorer in SCORERS:
        found, drawn, train_f1 = [], [], []
        columns = columns_of(scorer, table)
        for column in columns:
            true, wrong = scores_of(train, column)
            if column not in lambdas:
                lambdas[column] = FIXED.get(scorer, best_threshold(true, wrong))
            train_f1.append(decide(true, wrong, lambdas[column])["f1"])
            true, wrong = scores_of(test, column)
            found.append(decide(true, wrong, lambdas[column]))
            drawn.append(_drawn(true, wrong, lambdas[column], seed))
        row = {
            "scorer": scorer,
            "lambda": float(np.mean([lambdas[column] for column in columns])),
            "train_f1": float(np.mean(train_f1)),
        }
        for name in found[0]:
            low, high = np.percentile(np.mean([one[name] for one in drawn], axis=0), [2.5, 97.5])
            mean = float(np.mean([one[name] for one in found]))
            row |= {name: mean, f"{name}_low": float(low), f"{name}_high": float(high)}
        rows.append(row)
    return pd.DataFrame(rows), lambdas


def decide(
    true: Float[np.ndarray, " fact"], wrong: Float[np.ndarray, " fact"], threshold: float
) -> dict[str, float]:
    """What calling everything above a threshold true gives.

    Precision is the share of true ones among those called true (0 where none is), recall the share
    of the true ones that are called true, F1 their harmonic mean, AUC the probability that a true
    candidate scores higher than a wrong one of any fact, ties counting half.
    """
    said, falsely = float((true > threshold).mean()), float((wrong > threshold).mean())
    precision = said / (said + falsely) if said else 0.0
    above = (true[:, None] > wrong).mean() + 0.5 * (true[:, None] == wrong).mean()
    return {
        "precision": precision,
        "recall": said,
        "f1": 2 * said / (said + falsely + 1),
        "auc": float(above),
    }


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


def _drawn(true: np.ndarray, wrong: np.ndarray, threshold: float, seed: int) -> dict[str, Any]:
    """The measures of every resample of facts."""
    weights = resampled(len(true), seed)
    said, falsely = weights @ (true > threshold), weights @ (wrong > threshold)
    called = said + falsely
    above = (true[:, None] > wrong) + 0.5 * (true[:, None] == wrong)
    return {
        "precision": np.divide(said, called, out=np.zeros_like(said), where=called > 0),
        "recall": said,
        "f1": 2 * said / (called + 1),
        "auc": ((weights @ above) * weights).sum(axis=1),
    }


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
    relation: str, own: Sequence[tuple[int, Result]], spec: FactCheckingSpec
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
    controls = [
        _matched(neurons[DEGENERATE], shape[1], f"{spec.seed} {relation} {number}")
        for number in range(spec.random_sets)
    ]
    rows = []
    for i, part in own:
        n = part.numbers
        sets = dict(neurons)
        if not n["test"] and len(train) > 1:  # a fact does not choose what it is scored by
            sets = {kind: _often(totals[kind] - occurring[kind][i]) for kind in totals}
        sets |= {f"{RANDOM}_{number}": places for number, places in enumerate(controls)}
        for name, other in (("true", "wrong"), ("wrong", "true")):
            flat = part.arrays[name].reshape(-1)
            scores = {kind: _mean(flat, places) for kind, places in sets.items()}
            p, q = (np.log(max(n[f"p_{one}"], 1e-38)) for one in (name, other))
            rows.append(
                {
                    "fact": i,
                    "relation": relation,
                    "prompt": n["prompt"],
                    "candidate": n[name],
                    "true": name == "true",
                    "test": n["test"],
                    **scores,
                    PROBABILITY: p,
                    PAIR: p - q,
                    FIRST: -float(n[f"rank_{name}"]),
                    ALWAYS: 0.0,
                }
            )
    table = pd.DataFrame(rows)
    for column in [*neurons, *(f"{RANDOM}_{k}" for k in range(spec.random_sets)), PROBABILITY]:
        known = table.loc[~table["test"], column]
        spread = known.std(ddof=0)
        table[column] = (table[column] - known.mean()) / (spread if spread > 0 else 1.0)
    counted = [
        (relation, kind, place // shape[1], place % shape[1], totals[kind][place])
        for kind, places in neurons.items()
        for place in sorted(places, key=lambda place: -totals[kind][place])
    ]
    return table.to_dict("records"), counted


def _own_neurons(scores: Float[np.ndarray, "layer neuron"]) -> Iterable[int]:
    return np.flatnonzero(scores > TAU * scores.max()).tolist()


def _often(counts: Counter[int]) -> frozenset[int]:
    most = max(counts.values(), default=0)
    return frozenset(place for place, count in counts.items() if count > OFTEN * most)


def _mean(scores: np.ndarray, places: frozenset[int]) -> float:
    return float(scores[sorted(places)].mean()) if places else 0.0


def _matched(places: frozenset[int], size: int, seed: str) -> frozenset[int]:
    number = random.Random(seed).randrange(1 << 30)
    drawn = neuron_set(places, size).matched_random({"ffn": size}, number)
    return frozenset(neuron.layer * size + neuron.index for neuron in drawn)
