"""Neurons that a fact rests on in every language: language-independent neurons (2308.13198).

    L(f) = intersection over languages k of { neuron : score_k > tau_k * the highest score_k }

The scores are AMIG's by default. An intersection says something about the fact only beside three
others: of random sets with as many neurons in each layer; of the sets of another fact of the same
relation, in the other languages; and of a fact of another relation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from pydantic import Field, field_validator

from neuronlab.attribution import attribute
from neuronlab.attribution.estimate import estimate
from neuronlab.attribution.request import Variant
from neuronlab.errors import UserError
from neuronlab.facts import SETS, Fact
from neuronlab.facts.asking import TOP, answered, ask, prompt_text
from neuronlab.models import Model, Prompt, shared
from neuronlab.neurons import NeuronSet
from neuronlab.runs import Context, Result, Study
from neuronlab.studies.over_facts import OWN, FactsSpec, left_out

# The least threshold that can be chosen; what is below is not stored.
LEAST = 0.05
TAUS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
# Published: English .3, Chinese .2. For languages of which nothing is known, the latter.
DEFAULT_TAUS = {"en": 0.3}
OTHER_TAU = 0.2
_DRAWS = 2000

# The neurons above the threshold, by fact and language: each as layer * size + index.
Sets = Mapping[tuple[str, str], frozenset[int]]


class LanguageIndependentSpec(FactsSpec):
    """Which facts, in which languages.

    Attributes:
        per_relation: the first ones of each relation; None takes all.
        languages: two to six, of those the facts are in.
        two_shot: put two solved examples before the prompt, where the set has them.
        fact: one fact alone, by its name.
        method, variant: of the attribution.
    """

    study: ClassVar[str] = "language_independent"

    model: str = "gemma3-270m"
    languages: tuple[str, ...] = Field(("en", "zh"), min_length=2, max_length=6)
    two_shot: bool = True
    fact: str | None = None
    method: str = "amig"
    variant: Variant = "sound"

    @field_validator("languages")
    @classmethod
    def _each_once(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(languages)) < len(languages):
            raise ValueError("each language once")
        return languages

    def groups(self) -> list[dict[str, Fact]]:
        """The facts that are there in all the languages, each by language."""
        found: dict[tuple[str, str], dict[str, Fact]] = {}
        for fact in self._all():
            if fact.language in self.languages:
                of_fact = found.setdefault((fact.relation, fact.name), {})
                of_fact.setdefault(fact.language, fact)
        complete = {key: own for key, own in found.items() if len(own) == len(self.languages)}
        if not complete:
            raise UserError(
                f"No fact is there in all of {', '.join(self.languages)}: choose other languages, "
                "or give the same name to what is the same fact."
            )
        if self.fact is not None:
            complete = {key: own for key, own in complete.items() if key[1] == self.fact}
            if not complete:
                raise UserError(f"There is no fact '{self.fact}' in all of these languages.")
        names = [name for _, name in complete]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"Two relations have a fact '{twice}': give each a name of its own.")
        kept = []
        for relation in dict.fromkeys(relation for relation, _ in complete):
            kept += [own for key, own in complete.items() if key[0] == relation][
                : self.per_relation
            ]
        return kept

    def _all(self) -> list[Fact]:
        if self.facts == OWN:
            return list(self.own)
        known = SETS[self.facts]
        return [
            fact
            for language in self.languages
            if language in known.languages
            for fact in known.facts(
                language=language, two_shot=self.two_shot and known.has_two_shot
            )
        ]


class LanguageIndependentStudy(Study):
    """Scores of each fact in each language; what the sets have in common.

    Tables: ``facts`` (fact, relation, language, prompt, gold, whole, probability, rank, state),
    ``neurons`` (fact, language, layer, neuron, share: score over the highest, all above .05),
    ``overlap`` and ``sensitivity`` (see ``overlap`` and ``sensitivity``) at the published
    thresholds.
    """

    name = "language_independent"
    title = "One fact, many languages"
    spec_type = LanguageIndependentSpec

    def default(self) -> LanguageIndependentSpec:
        """Twenty-five capitals, languages and currencies each, in English and Chinese."""
        return LanguageIndependentSpec()

    def shards(self, spec: LanguageIndependentSpec) -> list[int]:
        """One per fact."""
        return list(range(len(spec.groups())))

    def seconds(self, model: Model, spec: LanguageIndependentSpec) -> float:
        """What the whole will take, roughly; no fact is left out."""
        groups = spec.groups()
        prompts = [Prompt(prompt_text(model, fact)) for fact in groups[0].values()]
        each = [estimate(model, p, spec.method, ("ffn",), "predicted").seconds for p in prompts]
        return len(groups) * sum(each)

    def run_shard(self, spec: LanguageIndependentSpec, shard: int, context: Context) -> Result:
        """One fact in all languages."""
        model = shared(spec.model, context.device)
        group = spec.groups()[shard]
        rows, neurons = [], []
        for number, language in enumerate(spec.languages):
            fact = group[language]
            name = fact.name or fact.prompt
            done = number / len(spec.languages)
            context.progress(done, f"{name} in {language}")
            row = {
                "fact": name,
                "relation": fact.relation,
                "language": language,
                "prompt": fact.prompt,
            }
            try:
                asked, before = answered(model, ask(model, fact))
            except UserError as error:
                rows.append(row | {"state": "impossible", "why": str(error)})
                continue
            state = "unknown" if spec.filtered and before.rank > TOP else "used"
            rows.append(
                row
                | {
                    "state": state,
                    "gold": before.label,
                    "whole": asked.whole,
                    "probability": before.probability,
                    "rank": before.rank,
                }
            )
            if state != "used":
                continue
            scores = attribute(
                model,
                Prompt(prompt_text(model, fact), target=before.target),
                method=spec.method,
                variant=spec.variant,
                components=("ffn",),
                progress=lambda part, _, done=done: context.progress(
                    done + part / len(spec.languages)
                ),
            )
            neurons.append(_above(scores["ffn"]).assign(fact=name, language=language))
        used = all(row["state"] == "used" for row in rows)
        tables = {"facts": pd.DataFrame(rows)}
        if used:
            tables["neurons"] = pd.concat(neurons, ignore_index=True)
        return Result(numbers={"layers": model.layers, "size": model.sizes["ffn"]}, tables=tables)

    def merge(self, spec: LanguageIndependentSpec, parts: list[Result], context: Context) -> Result:
        """All facts together; overlaps at the published thresholds."""
        facts = pd.concat([part.tables["facts"] for part in parts], ignore_index=True)
        used = [part.tables["neurons"] for part in parts if "neurons" in part.tables]
        worst = (
            facts.assign(bad=facts["state"].map({"used": 0, "unknown": 1, "impossible": 2}))
            .groupby("fact", sort=False)["bad"]
            .max()
        )
        states = [("used", "unknown", "impossible")[i] for i in worst]
        if not used:
            why = facts["why"].dropna() if "why" in facts else []
            raise UserError(
                next(
                    iter(why),
                    "The model knows none of these facts in all the languages: choose "
                    "others, or switch the filter off.",
                )
            )
        shape = parts[0].numbers["layers"], parts[0].numbers["size"]
        neurons = pd.concat(used, ignore_index=True)
        relations = dict(zip(facts["fact"], facts["relation"], strict=True))
        taus = default_taus(spec.languages)
        table = overlap(select(neurons, taus), relations, spec.languages, shape, spec.seed)
        numbers: dict[str, Any] = {
            "facts": len(used),
            "left_out": left_out(states),
            "layers": shape[0],
            "size": shape[1],
            "taus": taus,
            "shared": float(table["shared"].mean()),
            "expected": float(table["expected"].mean()),
            "same_relation": float(table["same_relation"].mean()),
            "other_relation": float(table["other_relation"].mean()),
            "empty": int((table["shared"] == 0).sum()),
        }
        return Result(
            numbers,
            {
                "facts": facts,
                "neurons": neurons,
                "overlap": table,
                "sensitivity": sensitivity(neurons, relations, spec.languages, shape),
            },
        )


def default_taus(languages: Sequence[str]) -> dict[str, float]:
    """The published thresholds."""
    return {language: DEFAULT_TAUS.get(language, OTHER_TAU) for language in languages}


def select(neurons: pd.DataFrame, taus: Mapping[str, float]) -> Sets:
    """The neurons above each language's threshold.

    Args:
        neurons: the table of that name of a result.
    """
    kept = neurons[neurons["share"] > neurons["language"].map(taus)]
    found: dict[tuple[str, str], frozenset[int]] = {
        key: frozenset()
        for key in neurons[["fact", "language"]]
        .drop_duplicates()
        .itertuples(index=False, name=None)
    }
    for key, own in kept.groupby(["fact", "language"], sort=False):
        found[key] = frozenset(own["place"])
    return found


def common(sets: Sets, languages: Sequence[str], facts: Sequence[str]) -> frozenset[int]:
    """What the sets of the languages have in common, each language's from the fact given for it."""
    own = [sets[fact, language] for fact, language in zip(facts, languages, strict=True)]
    return frozenset.intersection(*own)


def neuron_set(places: frozenset[int], size: int, name: str = "") -> NeuronSet:
    """The places as FFN neurons."""
    return NeuronSet([(place // size, "ffn", place % size) for place in places], name)


def overlap(
    sets: Sets,
    relations: Mapping[str, str],
    languages: Sequence[str],
    shape: tuple[int, int],
    seed: int = 0,
) -> pd.DataFrame:
    """Per fact: sizes, the intersection, and what it has to be compared with.

    Columns fact, relation, one per language (size of its set), shared, expected and p (of random
    sets with as many neurons in each layer: the mean, and how often they share as many),
    same_relation and other_relation (the mean intersection of the fact's set in the first language
    with another fact's in the others; NaN where there is no other fact).
    """
    facts = list(dict.fromkeys(fact for fact, _ in sets))
    draw = np.random.default_rng(seed)
    first, rest = languages[0], languages[1:]
    others = {fact: common(sets, rest, [fact] * len(rest)) for fact in facts}
    rows = []
    for fact in facts:
        found = common(sets, languages, [fact] * len(languages))
        counts = np.stack([_per_layer(sets[fact, language], shape) for language in languages])
        random = _random_overlap(counts, shape[1], draw)
        mismatched: dict[bool, list[int]] = {True: [], False: []}
        for other in facts:
            if other != fact:
                same = relations[other] == relations[fact]
                mismatched[same].append(len(sets[fact, first] & others[other]))
        rows.append(
            {
                "fact": fact,
                "relation": relations[fact],
                **{language: len(sets[fact, language]) for language in languages},
                "shared": len(found),
                "expected": expected_overlap(counts, shape[1]),
                "p": (1 + int((random >= len(found)).sum())) / (1 + len(random)),
                "same_relation": np.mean(mismatched[True]) if mismatched[True] else np.nan,
                "other_relation": np.mean(mismatched[False]) if mismatched[False] else np.nan,
            }
        )
    return pd.DataFrame(rows)


def sensitivity(
    neurons: pd.DataFrame,
    relations: Mapping[str, str],
    languages: Sequence[str],
    shape: tuple[int, int],
) -> pd.DataFrame:
    """Means over facts for one threshold in all languages: columns tau, shared, expected, …"""
    rows = []
    for tau in TAUS:
        table = overlap(select(neurons, dict.fromkeys(languages, tau)), relations, languages, shape)
        columns = ["shared", "expected", "same_relation", "other_relation"]
        rows.append(
            {
                "tau": tau,
                **table[columns].mean().to_dict(),
                "empty": float((table["shared"] == 0).mean()),
            }
        )
    return pd.DataFrame(rows)


def expected_overlap(counts: Int[np.ndarray, "language layer"], size: int) -> float:
    """Mean intersection of random sets with as many neurons in each layer."""
    return float((np.prod(counts / size, axis=0) * size).sum())


def _random_overlap(
    counts: np.ndarray, size: int, draw: np.random.Generator
) -> Int[np.ndarray, " draw"]:
    total = np.zeros(_DRAWS, int)
    for layer in range(counts.shape[1]):
        common_ = np.full(_DRAWS, counts[0, layer])
        for own in counts[1:, layer]:
            common_ = draw.hypergeometric(common_, size - common_, own)
        total += common_
    return total


def _per_layer(places: frozenset[int], shape: tuple[int, int]) -> np.ndarray:
    layers = np.array(sorted(places), int) // shape[1]
    return np.bincount(layers, minlength=shape[0])


def _above(scores: Float[np.ndarray, "layer neuron"]) -> pd.DataFrame:
    highest = float(scores.max())
    share = scores / highest if highest > 0 else np.zeros_like(scores)
    layer, neuron = np.nonzero(share > LEAST)
    return pd.DataFrame(
        {
            "layer": layer,
            "neuron": neuron,
            "place": layer * scores.shape[1] + neuron,
            "share": share[layer, neuron].astype(np.float32),
        }
    ).sort_values("share", ascending=False, ignore_index=True)
