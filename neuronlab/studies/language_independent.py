"""Neurons that a fact rests on in every language: language-independent neurons (2308.13198).

    L(f) = intersection over languages k of { neuron : score_k > tau_k * the highest score_k }

The scores are AMIG's by default. An intersection says something about the fact only beside three
others: of random sets with as many neurons in each layer; of the sets of another fact of the same
relation, in the other languages; and of a fact of another relation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Int

from neuronlab.runs import Context, Result
from neuronlab.statistics import rank_p
from neuronlab.studies.bases.in_languages import (
    AcrossLanguages,
    LanguagesSpec,
    Sets,
    common,
    default_taus,
    in_languages,
    notes,
    select,
    used_parts,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

TAUS = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
_DRAWS = 2000
_AVERAGED = ["shared", "expected", "same_relation", "other_relation"]


class LanguageIndependentSpec(LanguagesSpec):
    """Which facts, in which languages."""

    study: ClassVar[str] = "language_independent"


class LanguageIndependentStudy(AcrossLanguages[LanguageIndependentSpec]):
    """Finds the neurons that a fact has in common in several languages.

    Tables: ``facts`` and ``neurons`` (see ``InLanguages``), ``overlap`` and ``sensitivity`` (see
    the functions) at the published thresholds.
    """

    name = "language_independent"
    title = "One fact, many languages"
    spec_type = LanguageIndependentSpec

    def default(self) -> LanguageIndependentSpec:
        """Twenty-five capitals, languages and currencies each, in English and Chinese."""
        return LanguageIndependentSpec()

    def run_shard(self, spec: LanguageIndependentSpec, shard: int, context: Context) -> Result:
        """One fact in all languages."""
        model = context.model(spec.model, spec.revision)
        fact = in_languages(model, spec, spec.groups()[shard], context)
        tables = {"facts": fact.facts}
        if fact.used:
            tables["neurons"] = fact.neurons
        return Result(numbers={"layers": model.layers, "size": model.sizes["ffn"]}, tables=tables)

    def merge(
        self, spec: LanguageIndependentSpec, parts: Sequence[Result], context: Context
    ) -> Result:
        """All facts together; overlaps at the published thresholds."""
        facts = pd.concat([part.tables["facts"] for part in parts], ignore_index=True)
        used = used_parts(parts, "neurons")
        shape = parts[0].numbers["layers"], parts[0].numbers["size"]
        neurons = pd.concat([part.tables["neurons"] for part in used], ignore_index=True)
        relations = dict(zip(facts["fact"], facts["relation"], strict=True))
        taus = default_taus(spec.languages)
        table = overlap(select(neurons, taus), relations, spec.languages, shape, spec.seed)
        numbers: dict[str, Any] = {
            "facts": len(used),
            **notes(facts),
            "layers": shape[0],
            "size": shape[1],
            "taus": taus,
            **table[_AVERAGED].mean().to_dict(),
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

    def plot(self, spec: LanguageIndependentSpec, result: Result) -> go.Figure:
        """Neurons in common by threshold, beside those of other facts and of random sets."""
        from neuronlab.figures.languages import thresholds

        return thresholds(result.tables["sensitivity"])


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
        shared = common(sets, languages, [fact] * len(languages))
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
                "shared": len(shared),
                "expected": expected_overlap(counts, shape[1]),
                "p": rank_p(len(shared), random.astype(float)),
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
        rows.append(
            {
                "tau": tau,
                **table[_AVERAGED].mean().to_dict(),
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
        shared = np.full(_DRAWS, counts[0, layer])
        for count in counts[1:, layer]:
            shared = draw.hypergeometric(shared, size - shared, count)
        total += shared
    return total


def _per_layer(places: frozenset[int], shape: tuple[int, int]) -> np.ndarray:
    layers = np.array(sorted(places), int) // shape[1]
    return np.bincount(layers, minlength=shape[0])
