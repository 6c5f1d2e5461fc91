"""Telling true facts from false ones by their neurons (arXiv 2308.13198).

Every fact gives two candidates, its answer and a wrong one; what scorers are asked to do with them,
and what they are measured by, is in ``neuronlab.facts.checking``.

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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from pydantic import Field

from neuronlab.attribution import attribute
from neuronlab.attribution.estimate import estimate, seconds
from neuronlab.attribution.request import Variant
from neuronlab.errors import UserError
from neuronlab.facts import SETS, Fact
from neuronlab.facts.asking import prompt_text, wrong_answer
from neuronlab.facts.checking import (
    ALWAYS,
    DEGENERATE,
    FIRST,
    JUDGED,
    KNOWLEDGE,
    NULLS,
    PROBABILITY,
    SCORERS,
    columns_of,
    compared,
    measured,
    tied,
)
from neuronlab.models import Encoded, Model, Prompt
from neuronlab.neurons import Neuron
from neuronlab.neurons.activity import Activity
from neuronlab.runs import Context, Result
from neuronlab.statistics import seeds
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

if TYPE_CHECKING:
    import plotly.graph_objects as go

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
        fact_set = SETS[self.facts]
        return fact_set.facts(
            language=self.language,
            two_shot=self.two_shot and fact_set.has_two_shot,
            paraphrases=True,
        )

    def held_out(self) -> list[bool]:
        """For each chosen fact whether it is in the test part."""
        facts = self.chosen()
        test = [False] * len(facts)
        for relation in dict.fromkeys(fact.relation for fact in facts):
            of_relation = [i for i, fact in enumerate(facts) if fact.relation == relation]
            random.Random(f"{self.seed} {relation}").shuffle(of_relation)
            for i in of_relation[: max(1, round(self.test * len(of_relation)))]:
                test[i] = True
        return test


class FactCheckingStudy(OverFacts[FactCheckingSpec]):
    """Score true and false candidates by neurons and by probability.

    Tables, whose functions and scorers are in ``neuronlab.facts.checking``: ``candidates`` (fact,
    relation, prompt, candidate, true, test, and a score per scorer; of those in ``DRAWN`` one per
    random set: ``random_like_degenerate_0`` …), ``scorers`` and ``by_relation`` (see ``measured``),
    ``comparisons`` (see ``compared``), ``neurons`` (relation, kind, layer, neuron, count: in how
    many pairs, or facts). Scores of neurons and of ``probability`` are in standard deviations of
    the relation's training scores from their mean, and equal where they differ by rounding.
    Numbers: per scorer ``lambda`` and those of its measures on the test part that are defined.
    """

    name = "fact_checking"
    title = "Fact-checking"
    spec_type = FactCheckingSpec
    of_one_stream = False
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
        model = self.suited(context.model(spec.model, spec.revision))
        questions = Questions.of(model, spec)
        answer = questions.answer(model, shard)
        if isinstance(answer, str):
            return Result(numbers={"state": answer})
        asked, before = answer
        wrong = wrong_answer(model, asked, questions.asked, f"{spec.seed} {shard}")
        if wrong is None:
            return Result(numbers={"state": _NO_ANSWER, "relation": asked.fact.relation})
        other = replace(before, target=wrong)
        arrays = {}
        for i, (name, prediction) in enumerate((("true", before), ("wrong", other))):
            arrays[name] = attribute(
                model,
                Prompt(prompt_text(model, asked.fact), target=prediction.target),
                method=spec.method,
                variant=spec.variant,
                components=("ffn",),
                progress=context.part(0.4 * i, 0.4).progress,
            )["ffn"]
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
        states = [part.numbers["state"] for part in parts]
        if "used" not in states and _NO_ANSWER not in states:
            raise UserError(NONE_KNOWN)
        used = {i: part for i, part in enumerate(parts) if states[i] == "used"}
        by_relation: dict[str, dict[int, Result]] = {}
        for i, part in used.items():
            by_relation.setdefault(part.numbers["relation"], {})[i] = part
        divided = {
            relation: facts
            for relation, facts in by_relation.items()
            if {fact.numbers["test"] for fact in facts.values()} == {True, False}
        }
        if not divided:
            raise UserError(
                "No relation has facts for both the training and the test part: take more facts "
                "of each."
            )
        table, neurons = self._scored(spec, divided, context)
        scorers, lambdas = measured(table, spec.seed)
        relations = [
            measured(rows, spec.seed, lambdas)[0].assign(relation=relation)
            for relation, rows in table.groupby("relation", sort=False)
        ]
        columns = ["lambda", *JUDGED, "accuracy", "spearman"]
        numbers: dict[str, Any] = {
            row["scorer"]: {name: row[name] for name in columns if not np.isnan(row[name])}
            for _, row in scorers.iterrows()
        }
        tested = int(table["test"].sum())
        asked = dict.fromkeys(part.numbers.get("relation") for part in parts)
        paired = set(neurons.loc[neurons["kind"] == DEGENERATE, "relation"])
        numbers |= {
            "facts": {"train": (len(table) - tested) // 2, "test": tested // 2},
            "left_out": left_out(states),
            "alone": states.count(_NO_ANSWER),
            "one_part": [relation for relation in asked if relation not in (None, *divided)],
            "without_pairs": [relation for relation in divided if relation not in paired],
            "first_tokens": sum(not part.numbers["whole"] for part in used.values()),
        }
        tables = {
            "candidates": table,
            "scorers": scorers,
            "comparisons": compared(table, lambdas, spec.seed),
            "by_relation": pd.concat(relations, ignore_index=True),
            "neurons": neurons,
        }
        return Result(numbers, tables)

    def _scored(
        self,
        spec: FactCheckingSpec,
        relations: Mapping[str, Mapping[int, Result]],
        context: Context,
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The tables ``candidates`` and ``neurons`` of all relations."""
        model = context.model(spec.model, spec.revision)
        asked = Questions.of(model, spec).asked
        candidates, neurons = [], []
        for number, (relation, facts) in enumerate(relations.items()):
            context.progress(number / len(relations), f"scoring {relation}")
            questions = [asked[i] for i, fact in facts.items() if not fact.numbers["test"]]
            train = [question.encoded for question in questions if question is not None]
            activity = Activity.of(model, train, ("ffn",))
            draws = seeds([spec.seed, number], spec.random_sets)
            table, counts = _relation(relation, facts, activity, draws)
            candidates.append(table)
            neurons += counts
        table = pd.concat(candidates, ignore_index=True)
        for column in [column for scorer in SCORERS for column in columns_of(scorer, table)]:
            table[column] = tied(table[column])
        names = ["relation", "kind", "layer", "neuron", "count"]
        return table, pd.DataFrame(neurons, columns=names)

    def plot(self, spec: FactCheckingSpec, result: Result) -> go.Figure:
        """F1 of each way to tell true from wrong, judging one candidate."""
        from neuronlab.figures.degenerate import bars

        return bars(result.tables["scorers"], SCORERS, "f1")


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
    relation: str, facts: Mapping[int, Result], activity: Activity, draws: Sequence[int]
) -> tuple[pd.DataFrame, list[tuple]]:
    """A relation's candidates with their scores, and its neurons."""
    size = next(iter(facts.values())).arrays["true"].shape[1]
    counts = _counts(facts)
    totals = {kind: sum(of_fact.values(), Counter()) for kind, of_fact in counts.items()}
    neurons = {kind: _often(total) for kind, total in totals.items()}
    controls: dict[str, frozenset[int]] = {}
    for kind, places in neurons.items():
        controls |= _controls(kind, places, size, activity, draws)
    rows = []
    for i, fact in facts.items():
        sets = neurons
        if not fact.numbers["test"] and len(counts[KNOWLEDGE]) > 1:
            # a fact does not choose what it is scored by
            sets = {kind: _often(totals[kind] - counts[kind][i]) for kind in totals}
        rows += [{"fact": i, **row} for row in _candidates(fact, sets | controls)]
    table = pd.DataFrame(rows)
    for column in [*neurons, *controls, PROBABILITY]:
        train = table.loc[~table["test"], column]
        spread = train.std(ddof=0)
        table[column] = (table[column] - train.mean()) / (spread if spread > 0 else 1.0)
    counted = [
        (relation, kind, place // size, place % size, totals[kind][place])
        for kind, places in neurons.items()
        for place in sorted(places, key=lambda place: -totals[kind][place])
    ]
    return table, counted


def _counts(facts: Mapping[int, Result]) -> dict[str, dict[int, Counter[int]]]:
    """For each training fact: in how many of its pairs a neuron is, and which are its own."""
    counts: dict[str, dict[int, Counter[int]]] = {DEGENERATE: {}, KNOWLEDGE: {}}
    for i, fact in facts.items():
        if not fact.numbers["test"]:
            pairs, scores = fact.numbers["pairs"], fact.arrays["true"]
            counts[DEGENERATE][i] = Counter(place for pair in pairs for place in pair)
            counts[KNOWLEDGE][i] = Counter(np.flatnonzero(scores > TAU * scores.max()).tolist())
    return counts


def _candidates(fact: Result, sets: Mapping[str, frozenset[int]]) -> list[dict[str, Any]]:
    """The true and the wrong candidate of a fact, with scores not yet in standard deviations."""
    n = fact.numbers
    return [
        {
            "relation": n["relation"],
            "prompt": n["prompt"],
            "candidate": n[name],
            "true": name == "true",
            "test": n["test"],
            **{kind: _mean(fact.arrays[name], places) for kind, places in sets.items()},
            PROBABILITY: float(np.log(max(n[f"p_{name}"], 1e-38))),
            FIRST: -float(n[f"rank_{name}"]),
            ALWAYS: 0.0,
        }
        for name in ("true", "wrong")
    ]


def _controls(
    kind: str, places: frozenset[int], size: int, activity: Activity, draws: Sequence[int]
) -> dict[str, frozenset[int]]:
    """Random sets like a relation's neurons of a kind, by the column of their scores."""
    neurons = neuron_set(places, size)
    random, as_active = NULLS[kind]
    sets = {}
    for number, seed in enumerate(draws):
        sets[f"{random}_{number}"] = neurons.matched_random({"ffn": size}, seed)
        sets[f"{as_active}_{number}"] = activity.matched(neurons, seed)
    return {
        column: frozenset(neuron.layer * size + neuron.index for neuron in drawn)
        for column, drawn in sets.items()
    }


def _often(counts: Counter[int]) -> frozenset[int]:
    most = max(counts.values(), default=0)
    return frozenset(place for place, count in counts.items() if count > OFTEN * most)


def _mean(scores: np.ndarray, places: frozenset[int]) -> float:
    return float(scores.reshape(-1)[sorted(places)].mean()) if places else 0.0
