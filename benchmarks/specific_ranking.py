"""Does a ranking less its mean over bystanders find neurons that carry an answer alone?

Ten methods on facts that SmolLM2 answers right at first. A fact's bystanders are others: four of
its relation and four of others are subtracted, four and four more judge. The best 1 to 100 FFN
neurons of either ranking are zeroed at all positions. Prints tables for docs/results.md: not a
timing, but a result. What was scored is kept in --out, so that a killed run goes on where it was.
"""

from __future__ import annotations

import argparse
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

import neuronlab as nl
from neuronlab.facts import SETS
from neuronlab.facts.asking import Asked, answered, ask, prompt_text
from neuronlab.models import Model
from neuronlab.neurons import NeuronScores, NeuronSet, Suppress
from neuronlab.neurons.predictions import predict_over
from neuronlab.neurons.specificity import specific_scores
from neuronlab.studies.method_comparison import COMPARED

COUNTS = (1, 3, 10, 30, 100)
# Of either kind: so many bystanders are subtracted, and so many judge.
EACH = 4
# What is subtracted: nothing, bystanders of both kinds, of the relation alone, or of others alone.
RANKINGS = ("raw", "specific", "less its relation", "less others")


def answered_right(model: Model, per_relation: int) -> dict[str, list[Asked]]:
    """Facts by relation that the model answers right at first, no answer twice."""
    kept: dict[str, list[Asked]] = defaultdict(list)
    for fact in SETS["knowledge_types"].facts():
        of_relation = kept[fact.relation]
        if len(of_relation) == per_relation:
            continue
        asked, prediction = answered(model, ask(model, fact))
        taken = {one.encoded.target for one in of_relation}
        if prediction.rank == 1 and asked.encoded.target not in taken:
            of_relation.append(asked)
    return {name: facts for name, facts in kept.items() if len(facts) > 2 * EACH}


def scored(model: Model, asked: Asked, folder: Path) -> dict[str, np.ndarray]:
    """Every method's scores of a fact's FFN neurons."""
    path = folder / f"{asked.fact.name.replace('/', '_')}.npz"
    if path.exists():
        return dict(np.load(path))
    prompt = nl.Prompt(prompt_text(model, asked.fact), target=asked.encoded.target)
    arrays = {
        name: nl.attribute(
            model, prompt, method=name, components=("ffn",), objective="log_probability"
        )["ffn"]
        for name in COMPARED
    }
    np.savez(path, **arrays)
    return arrays


def drawn(facts: dict[str, list[Asked]], at: tuple[str, int]) -> dict[str, list[tuple[str, int]]]:
    """A fact's bystanders: of its relation and of others, to subtract and to judge."""
    dice = random.Random(str(at))
    same = [(at[0], i) for i in range(len(facts[at[0]])) if i != at[1]]
    other = [(name, i) for name in facts if name != at[0] for i in range(len(facts[name]))]
    dice.shuffle(same)
    dice.shuffle(other)
    return {
        "same": same[:EACH],
        "other": other[:EACH],
        "judging same": same[EACH : 2 * EACH],
        "judging other": other[EACH : 2 * EACH],
    }


def judged(
    model: Model,
    facts: dict[str, list[Asked]],
    scores: dict[tuple[str, int], dict[str, np.ndarray]],
    at: tuple[str, int],
) -> list[dict]:
    """Changes of log-probability of one fact and its bystanders, by method, ranking and count."""
    groups = drawn(facts, at)
    less = {
        "specific": [*groups["same"], *groups["other"]],
        "less its relation": groups["same"],
        "less others": groups["other"],
    }
    labels, sets = [], []
    for name in COMPARED:
        of_fact = NeuronScores({"ffn": scores[at][name]})
        for ranking in RANKINGS:
            ranked = of_fact
            if ranking != "raw":
                others = [NeuronScores({"ffn": scores[each][name]}) for each in less[ranking]]
                ranked = specific_scores(of_fact, others)
            for count in COUNTS if ranking in RANKINGS[:2] else (10,):
                labels.append({"method": name, "ranking": ranking, "count": count})
                sets.append(NeuronSet(ranked.select(top=count)))
    judges = [at, *groups["judging same"], *groups["judging other"]]
    asked = [facts[name][i].encoded for name, i in judges]
    choices = predict_over(model, asked, [None, *map(Suppress, sets)])
    targets = [encoded.target for encoded in asked]
    logs = np.log(choices[:, range(len(asked)), targets].numpy().clip(1e-30))
    changes = logs[1:] - logs[0]
    same = changes[:, 1 : 1 + len(groups["judging same"])].mean(1)
    other = changes[:, 1 + len(groups["judging same"]) :].mean(1)
    kept = (choices[1:].argmax(-1) == choices[0].argmax(-1)).numpy()[:, 1:].mean(1)
    return [
        {**label, "answer": answer, "same": s, "other": o, "kept": k}
        for label, answer, s, o, k in zip(labels, changes[:, 0], same, other, kept, strict=True)
    ]


def interval(values: Sequence[float]) -> str:
    """A mean over facts with its 95 % bootstrap interval."""
    values = np.asarray(values)
    means = values[np.random.default_rng(0).integers(0, len(values), (4000, len(values)))].mean(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    """Score, judge, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--per-relation", type=int, default=11)
    parser.add_argument("--out", type=Path, default=Path("specific_ranking"))
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    model = nl.load("smollm2-135m")
    facts = answered_right(model, options.per_relation)
    places = [(name, i) for name in facts for i in range(len(facts[name]))]
    print({name: len(of) for name, of in facts.items()}, f"{len(places)} facts", flush=True)
    scores = {}
    for number, at in enumerate(places):
        scores[at] = scored(model, facts[at[0]][at[1]], options.out)
        print(f"scored {number + 1}/{len(places)}", end="\r", flush=True)
    rows = []
    for number, at in enumerate(places):
        rows += [{"relation": at[0], **row} for row in judged(model, facts, scores, at)]
        print(f"judged {number + 1}/{len(places)}", end="\r", flush=True)
    table = pd.DataFrame(rows)
    table.to_csv(options.out / "changes.csv", index=False)
    report(table)


def report(table: pd.DataFrame) -> None:
    """Tables of means with intervals, and of differences between rankings, paired by fact."""
    for count in COUNTS:
        print(f"\n{count} neurons\n")
        print("| method | ranking | answer | same relation | other relations | bystanders kept |")
        print("|---|---|---|---|---|---|")
        some = table[table["count"] == count]
        for (name, ranking), of in some.groupby(["method", "ranking"], sort=False):
            cells = [interval(of[column]) for column in ("answer", "same", "other")]
            print(f"| {name} | {ranking} | {' | '.join(cells)} | {of['kept'].mean():.0%} |")
    print("\nSpecific less raw, ten neurons, paired by fact\n")
    print("| method | answer | same relation | other relations |")
    print("|---|---|---|---|")
    ten = table[table["count"] == 10]
    for name, of in ten.groupby("method", sort=False):
        raw, specific = (of[of["ranking"] == r].reset_index() for r in RANKINGS[:2])
        cells = [interval(specific[c] - raw[c]) for c in ("answer", "same", "other")]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
