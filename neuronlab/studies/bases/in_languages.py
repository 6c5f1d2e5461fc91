"""What studies of facts in several languages share: which facts, and each language's neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field, field_validator

from neuronlab.attribution import attribute
from neuronlab.attribution.estimate import estimate
from neuronlab.attribution.request import Variant
from neuronlab.cost import Cost
from neuronlab.errors import UserError
from neuronlab.facts import SETS, Fact
from neuronlab.facts.asking import TOP, Asked, answered, ask, prompt_text
from neuronlab.models import Model, Prompt
from neuronlab.models.catalogue import use_of
from neuronlab.neurons import NeuronSet
from neuronlab.runs import Context, Result, Study
from neuronlab.studies.bases.over_facts import OWN, FactsSpec, left_out
from neuronlab.studies.bases.prompts import Described, completes_text

# The least threshold that can be chosen; what is below is not stored.
LEAST = 0.05
# Published: English .3, Chinese .2. For languages of which nothing is known, the latter.
DEFAULT_TAUS = {"en": 0.3}
OTHER_TAU = 0.2
# Refinement (Dai et al. 2022): the share of its wordings in which a neuron reaches the threshold.
IN_WORDINGS = 0.7
NONE_IN_ALL = (
    "The model knows none of these facts in all the languages: choose others, or switch the filter "
    "off."
)

# The neurons above the threshold, by fact and language: each as layer * size + index.
Sets = Mapping[tuple[str, str], frozenset[int]]
# A fact in every language, in one or several wordings.
Group = Mapping[str, tuple[Fact, ...]]


class LanguagesSpec(FactsSpec):
    """Which facts, in which languages.

    Attributes:
        per_relation: the first ones of each relation; None takes all.
        filtered: leave out facts the model does not know in every language (gold among its first
            ten choices).
        languages: two to six, of those the facts are in.
        two_shot: put two solved examples before the prompt, where the set has them.
        fact: one fact alone, by its name.
        wordings: as many of each fact, in each language; a neuron's share is the highest that 70 %
            of them reach. Probabilities are of the first.
        method, variant: of the attribution.
    """

    model: str = "gemma3-270m"
    languages: tuple[str, ...] = Field(("en", "zh"), min_length=2, max_length=6)
    two_shot: bool = True
    fact: str | None = None
    wordings: int = Field(1, ge=1, le=20)
    method: str = "amig"
    variant: Variant = "sound"

    @field_validator("languages")
    @classmethod
    def _each_once(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(languages)) < len(languages):
            raise ValueError("each language once")
        return languages

    def groups(self) -> list[Group]:
        """The facts asked about, each by language."""
        complete = self.everything()
        if self.fact is not None:
            complete = [group for group in complete if first_wording(group).name == self.fact]
            if not complete:
                raise UserError(f"There is no fact '{self.fact}' in all of these languages.")
        names = [first_wording(group).name for group in complete]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"Two relations have a fact '{twice}': give each a name of its own.")
        kept = []
        for relation in dict.fromkeys(first_wording(group).relation for group in complete):
            of_relation = [group for group in complete if first_wording(group).relation == relation]
            kept += of_relation[: self.per_relation]
        return kept

    def everything(self) -> list[Group]:
        """All facts that are there in all the languages."""
        wordings: dict[tuple[str, str], dict[str, list[Fact]]] = {}
        for fact in self.pool():
            if fact.language in self.languages:
                of_fact = wordings.setdefault((fact.relation, fact.name), {})
                of_fact.setdefault(fact.language, []).append(fact)
        complete: list[Group] = [
            {language: tuple(by_language[language][: self.wordings]) for language in self.languages}
            for by_language in wordings.values()
            if len(by_language) == len(self.languages)
        ]
        if not complete:
            raise UserError(
                f"No fact is there in all of {', '.join(self.languages)}: choose other languages, "
                "or give the same name to what is the same fact."
            )
        return complete

    def pool(self) -> list[Fact]:
        """The facts in any of the languages."""
        if self.facts == OWN:
            return list(self.own)
        fact_set = SETS[self.facts]
        return [
            fact
            for language in self.languages
            if language in fact_set.languages
            for fact in fact_set.facts(
                language=language,
                two_shot=self.two_shot and fact_set.has_two_shot,
                paraphrases=True,
            )
        ]

    def seconds(self, model: Model) -> float:
        """What the attributions will take, roughly, as if no fact were left out."""
        groups = self.groups()
        prompts = [
            Prompt(prompt_text(model, f)) for wordings in groups[0].values() for f in wordings
        ]
        each = [estimate(model, p, self.method, ("ffn",), "predicted").seconds for p in prompts]
        return len(groups) * sum(each)


L = TypeVar("L", bound=LanguagesSpec)


class AcrossLanguages(Study[L]):
    """A study with one shard per fact in all its languages."""

    unit = "facts"
    previews = True

    def example(self, model: Described) -> L | None:
        """The capital of France, in languages that a model may know."""
        if not completes_text(model):
            return None
        return self.spec_type(
            model=model.name,
            revision=model.revision,
            languages=use_of(model.name).example_languages,
            fact="capital/france",
            filtered=False,
        )

    def shards(self, spec: L, context: Context) -> list[int]:
        """The numbers of the facts."""
        return list(range(len(spec.groups())))

    def cost(self, spec: L, context: Context) -> Cost:
        """That of the attributions."""
        seconds = spec.seconds(context.model(spec.model, spec.revision))
        return Cost(seconds, at_most=True, remark=self.kept)


@dataclass(frozen=True)
class InLanguages:
    """One fact as a model knows it in every language.

    Attributes:
        facts: columns fact, relation, language, prompt, state ("used", "unknown", "impossible"),
            gold, whole (the gold token is all of the answer), probability, rank, why; one row per
            language.
        asked: by language, where it can be asked.
        neurons: columns layer, neuron, place, share (score over the highest; all above .05), fact,
            language. None where the fact is not used in all languages.
    """

    facts: pd.DataFrame
    asked: Mapping[str, Asked]
    neurons: pd.DataFrame | None

    @property
    def used(self) -> bool:
        """Whether the model knows it in every language, or is not asked to."""
        return self.neurons is not None


def in_languages(
    model: Model, spec: LanguagesSpec, group: Group, context: Context, *, neurons: bool = True
) -> InLanguages:
    """Ask a fact in every language, and score its neurons where it is used in all.

    Args:
        neurons: score them; else the table of neurons is empty.
    """
    rows, asked = [], {}
    for language, (fact, *_) in group.items():
        row: dict[str, Any] = {
            "fact": fact.title,
            "relation": fact.relation,
            "language": language,
            "prompt": fact.prompt,
        }
        try:
            asked[language], before = answered(model, ask(model, fact))
        except UserError as error:
            rows.append(row | {"state": "impossible", "why": str(error)})
            continue
        rows.append(
            row
            | {
                "state": "unknown" if spec.filtered and before.rank > TOP else "used",
                "gold": before.label,
                "whole": asked[language].whole,
                "probability": before.probability,
                "rank": before.rank,
            }
        )
    used = all(row["state"] == "used" for row in rows)
    tables = []
    for number, language in enumerate(group if used and neurons else ()):
        part = context.part(number / len(group), 1 / len(group))
        shares = _shares(model, spec, group[language], asked[language], part)
        tables.append(_above(shares).assign(fact=rows[0]["fact"], language=language))
    scored = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return InLanguages(pd.DataFrame(rows), asked, scored if used else None)


def _shares(
    model: Model, spec: LanguagesSpec, wordings: Sequence[Fact], first: Asked, context: Context
) -> Float[np.ndarray, "layer neuron"]:
    """Scores over the highest; of several wordings, what 70 % of them reach."""
    name, language = wordings[0].title, wordings[0].language
    shares = []
    for number, fact in enumerate(wordings):
        context.progress(number / len(wordings), f"{name} in {language}")
        try:
            asked = answered(model, ask(model, fact))[0] if number else first
        except UserError:  # a wording that cannot be asked tells nothing
            continue
        scores = attribute(
            model,
            Prompt(prompt_text(model, fact), target=asked.encoded.target),
            method=spec.method,
            variant=spec.variant,
            components=("ffn",),
            progress=context.part(number / len(wordings), 1 / len(wordings)).progress,
        )["ffn"]
        highest = float(scores.max())
        shares.append(scores / highest if highest > 0 else np.zeros_like(scores))
    reached = ceil(IN_WORDINGS * len(shares))
    return np.sort(np.stack(shares), axis=0)[-reached]


def default_taus(languages: Sequence[str]) -> dict[str, float]:
    """The published thresholds."""
    return {language: DEFAULT_TAUS.get(language, OTHER_TAU) for language in languages}


def select(neurons: pd.DataFrame, taus: Mapping[str, float]) -> Sets:
    """The neurons above each language's threshold.

    Args:
        neurons: the table of that name of a result.
    """
    kept = neurons[neurons["share"] > neurons["language"].map(taus)]
    keys = neurons[["fact", "language"]].drop_duplicates().itertuples(index=False, name=None)
    sets: dict[tuple[str, str], frozenset[int]] = dict.fromkeys(keys, frozenset())
    for key, places in kept.groupby(["fact", "language"], sort=False)["place"]:
        sets[key] = frozenset(places)
    return sets


def common(sets: Sets, languages: Sequence[str], facts: Sequence[str]) -> frozenset[int]:
    """What the sets of the languages have in common, each language's from the fact given for it."""
    return frozenset.intersection(*(sets[key] for key in zip(facts, languages, strict=True)))


def neuron_set(places: frozenset[int], size: int, name: str = "") -> NeuronSet:
    """The places as FFN neurons."""
    return NeuronSet([(place // size, "ffn", place % size) for place in places], name)


def first_wording(group: Group) -> Fact:
    """The fact in its first language, as it is worded first."""
    return next(iter(group.values()))[0]


def _above(share: Float[np.ndarray, "layer neuron"]) -> pd.DataFrame:
    layer, neuron = np.nonzero(share > LEAST)
    return pd.DataFrame(
        {
            "layer": layer,
            "neuron": neuron,
            "place": layer * share.shape[1] + neuron,
            "share": share[layer, neuron].astype(np.float32),
        }
    ).sort_values("share", ascending=False, ignore_index=True)


def states(facts: pd.DataFrame) -> list[str]:
    """Per fact the worst of its languages: "used", "unknown" or "impossible"."""
    order = ("used", "unknown", "impossible")
    numbers = facts["state"].map(order.index)
    return [order[worst] for worst in numbers.groupby(facts["fact"], sort=False).max()]


def notes(facts: pd.DataFrame) -> dict[str, Any]:
    """What has to be said with a result: facts left out, and answers scored by their first token.

    Args:
        facts: the tables of that name of all parts.
    """
    whole = facts["whole"].dropna().astype(bool)
    return {"left_out": left_out(states(facts)), "first_tokens": int((~whole).sum())}


def used_parts(parts: Sequence[Result], table: str) -> list[Result]:
    """The parts with this table.

    Raises:
        UserError: there is none; the sentence says why.
    """
    used = [part for part in parts if table in part.tables]
    if not used:
        facts = pd.concat([part.tables["facts"] for part in parts], ignore_index=True)
        why = facts["why"].dropna() if "why" in facts else []
        raise UserError(next(iter(why), NONE_IN_ALL))
    return used
