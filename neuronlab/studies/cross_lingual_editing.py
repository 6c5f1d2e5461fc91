"""Editing a fact's neurons in one language, measured in all (arXiv 2308.13198).

Edits: the neurons of one language; the language-independent ones; those of all languages one after
the other, each neuron once (the authors' code undoes each edit before the next). Suppressing
multiplies their activations at the predicted position by 0, enhancing by 2. Measured on the fact
itself, on another fact of its relation and on one of another relation, in every language, beside
the same edit of random neurons of the same layers, and of random ones that are as active on the
fact, and write as much: most neurons are nearly silent, and editing those does nothing.

    relative change = (p after - p before) / p before
    SR = |related / unrelated, enhanced| + |related / unrelated, suppressed|

where related and unrelated are the mean relative changes of the facts themselves and of the facts
of another relation. SR is a ratio of means: without its parts it says nothing.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pandas as pd
from jaxtyping import Float
from pydantic import Field

from neuronlab.attribution.estimate import seconds
from neuronlab.attribution.rescaling import rescaled
from neuronlab.cost import Cost
from neuronlab.facts.asking import Asked
from neuronlab.models import Model
from neuronlab.neurons import NeuronSet
from neuronlab.neurons.activity import Activity
from neuronlab.neurons.effect import Control
from neuronlab.runs import Context, Result
from neuronlab.statistics import FEWEST, bootstrap, expanded, resampled, seeds
from neuronlab.studies.bases.in_languages import (
    AcrossLanguages,
    Group,
    LanguagesSpec,
    default_taus,
    first_wording,
    in_languages,
    neuron_set,
    notes,
    select,
    used_parts,
)

if TYPE_CHECKING:
    import plotly.graph_objects as go

CHANGES = {"suppress": 0.0, "enhance": 2.0}
SHARED, IN_TURN = "language-independent", "one after the other"
FACT, SAME, OTHER = "fact", "same relation", "other relation"
# Random neurons of the same layers, and those that are as active, too.
NULLS = tuple(control.key for control in Control)
# Facts that are tried until one is known in all languages.
_TRIED = 25


class CrossLingualEditingSpec(LanguagesSpec):
    """Which facts, in which languages, and whose neurons are edited.

    Attributes:
        taus: threshold of each language; the published ones where there is none.
        random_sets: random sets of either kind beside each edit.
    """

    study: ClassVar[str] = "cross_lingual_editing"
    version: ClassVar[int] = 2

    taus: dict[str, float] = Field(default_factory=dict)
    random_sets: int = Field(5, ge=1, le=50)

    @property
    def thresholds(self) -> dict[str, float]:
        """The threshold of every language."""
        return {k: self.taus.get(k, tau) for k, tau in default_taus(self.languages).items()}


class CrossLingualEditingStudy(AcrossLanguages[CrossLingualEditingSpec]):
    """Switches off or amplifies a fact's neurons of one language, and measures it in all.

    Tables: ``facts`` (see ``InLanguages``), ``edits`` (fact, relation, edit, neurons, change,
    about, measured_on: the fact's name, language, before, after, random, as_active: probabilities,
    the last two means over random sets), ``matrix`` and ``success`` (see the functions).
    """

    name = "cross_lingual_editing"
    title = "Edit a fact across languages"
    spec_type = CrossLingualEditingSpec

    def default(self) -> CrossLingualEditingSpec:
        """Twenty-five capitals, languages and currencies each, in English and Chinese."""
        return CrossLingualEditingSpec()

    def cost(self, spec: CrossLingualEditingSpec, context: Context) -> Cost:
        """That of the attributions and of every edit."""
        model = context.model(spec.model, spec.revision)
        edits = len(CHANGES) * (len(spec.languages) + 2) * (1 + len(NULLS) * spec.random_sets)
        rows = 3 * len(spec.languages) * edits
        # A row of a causal model is one token, and joins half way up.
        editing = len(spec.groups()) * seconds(model, 1, rows // 2, rows)
        attributions = super().cost(spec, context)
        return replace(attributions, seconds=attributions.seconds + editing)

    def run_shard(self, spec: CrossLingualEditingSpec, shard: int, context: Context) -> Result:
        """One fact, edited in every way."""
        model = context.model(spec.model, spec.revision)
        group = spec.groups()[shard]
        fact = in_languages(model, spec, group, context.part(0, 0.7))
        tables = {"facts": fact.facts}
        if not fact.used:
            return Result(tables=tables)
        name, relation = fact.facts.iloc[0][["fact", "relation"]]
        above = select(fact.neurons, spec.thresholds)
        by_language = {k: above.get((name, k), frozenset()) for k in spec.languages}
        size = model.sizes["ffn"]
        edits = {k: neuron_set(places, size) for k, places in by_language.items()}
        edits[SHARED] = neuron_set(frozenset.intersection(*by_language.values()), size)
        edits[IN_TURN] = neuron_set(frozenset.union(*by_language.values()), size)
        # The same random sets for every prompt.
        prompts = [asked.encoded for asked in fact.asked.values()]
        activity = Activity.of(model, prompts, ("ffn",))
        sets = [NeuronSet()]
        for i, edit in enumerate(edits.values()):
            draws = seeds([spec.seed, shard, i], spec.random_sets)
            sets += [edit, *(edit.matched_random(model.sizes, seed) for seed in draws)]
            sets += [activity.matched(edit, seed) for seed in draws]
        measured = {FACT: (name, fact.asked)}
        measured |= _others(model, spec, group, fact.asked, context)
        rows = []
        for i, (about, (measured_on, asked)) in enumerate(measured.items()):
            for j, (language, one) in enumerate(asked.items()):
                done = (i + j / len(asked)) / len(measured)
                context.progress(0.7 + 0.3 * done, f"editing {name}")
                rows += [
                    {"about": about, "measured_on": measured_on, "language": language, **row}
                    for row in _measure(model, one, edits, sets, context)
                ]
        tables["edits"] = pd.DataFrame(rows).assign(fact=name, relation=relation)
        return Result(tables=tables)

    def merge(
        self, spec: CrossLingualEditingSpec, parts: Sequence[Result], context: Context
    ) -> Result:
        """Means over facts, with intervals."""
        facts = pd.concat([part.tables["facts"] for part in parts], ignore_index=True)
        used = used_parts(parts, "edits")
        edits = pd.concat([part.tables["edits"] for part in used], ignore_index=True)
        table = matrix(edits, spec.seed)
        about_it = table[table["about"] == FACT]
        empty = edits[edits["edit"] == SHARED].groupby("fact")["neurons"].max() == 0
        numbers: dict[str, Any] = {
            "facts": len(used),
            **notes(facts),
            "taus": spec.thresholds,
            "empty": int(empty.sum()),
            "relative_change": {
                change: {
                    edit: dict(zip(rows["language"], rows["relative"], strict=True))
                    for edit, rows in of_change.groupby("edit", sort=False)
                }
                for change, of_change in about_it.groupby("change", sort=False)
            },
        }
        tables = {"facts": facts, "edits": edits, "matrix": table}
        if OTHER in set(edits["about"]):
            tables["success"] = success(edits, spec.seed)
        return Result(numbers, tables)

    def plot(self, spec: CrossLingualEditingSpec, result: Result) -> go.Figure:
        """What switching a fact's neurons off does in every language."""
        from neuronlab.figures.languages import edit_matrix

        table = result.tables["matrix"]
        return edit_matrix(table[(table["change"] == "suppress") & (table["about"] == FACT)])


def matrix(edits: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Mean relative changes over facts, with 95 % intervals, and what they are made of.

    Columns edit, change, about, language, facts, neurons (mean), relative, before and after (mean
    probabilities); for each of ``NULLS`` its own relative change, and beyond_…: relative less that,
    paired by fact. All changes have ``_low`` and ``_high``. No fact is left out, however large its
    change; but what had probability 0 has no relative change.
    """
    edits = _relative(edits)
    keys = ["edit", "change", "about", "language"]
    rows = []
    for key, group in edits.groupby(keys, sort=False):
        values = group[["relative", *(f"{null}_relative" for null in NULLS)]].dropna()
        values = values.set_axis(["relative", *NULLS], axis=1)
        for null in NULLS:
            values[f"beyond_{null}"] = values["relative"] - values[null]
        row = dict(zip(keys, key, strict=True))
        row |= {"facts": len(values), "neurons": group["neurons"].mean()}
        low = high = mean = np.full(values.shape[1], np.nan)
        if len(values):
            mean = values.to_numpy(float).mean(axis=0)
            low, high = bootstrap(values.to_numpy(float), seed)
        for i, name in enumerate(values):
            row |= {name: mean[i], f"{name}_low": low[i], f"{name}_high": high[i]}
        rows.append(row | {"before": group["before"].mean(), "after": group["after"].mean()})
    return pd.DataFrame(rows)


def stronger(row: pd.Series) -> str:
    """Which of ``NULLS`` comes nearer to the edit, or further beyond it: the one to be beaten.

    Args:
        row: of ``matrix``.
    """
    sign = 1.0 if row["relative"] >= 0 else -1.0
    return min(NULLS, key=lambda null: sign * row[f"beyond_{null}"])


def clear(row: pd.Series) -> bool:
    """Whether the edit does more than the stronger of ``NULLS``, by the interval over facts.

    It is not clear on fewer than ``FEWEST`` facts.

    Args:
        row: of ``matrix``.
    """
    if row["facts"] < FEWEST:
        return False
    null = stronger(row)
    low, high = row[f"beyond_{null}_low"], row[f"beyond_{null}_high"]
    return bool(low > 0 if row["relative"] >= 0 else high < 0)


def success(edits: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """The paper's success rate per edit and language, with the ratios it adds up.

    Columns edit, language, facts, then for each change ``{change}_related``,
    ``{change}_unrelated`` (mean relative changes) and ``{change}_ratio``; success, with ``_low``
    and ``_high`` (facts drawn with replacement). Facts without an unrelated one are left out.
    """
    edits = _relative(edits[edits["about"].isin([FACT, OTHER])])
    rows = []
    for (edit, language), group in edits.groupby(["edit", "language"], sort=False):
        wide = group.pivot(index="fact", columns=["change", "about"], values="relative").dropna()
        means = resampled(len(wide), seed) @ wide.to_numpy(float)
        drawn = _success(dict(zip(wide.columns, means.T, strict=True)))
        mean = wide.mean().to_dict()
        row = {"edit": edit, "language": language, "facts": len(wide)}
        for change in CHANGES:
            related, unrelated = mean[change, FACT], mean[change, OTHER]
            row |= {
                f"{change}_related": related,
                f"{change}_unrelated": unrelated,
                f"{change}_ratio": _ratio(related, unrelated),
            }
        (low,), (high,) = expanded(drawn[:, None], len(wide))
        measured = {"success": float(_success(mean)), "success_low": low, "success_high": high}
        rows.append(row | measured)
    return pd.DataFrame(rows)


def _success(means: Mapping[tuple[str, str], Any]) -> Any:
    return sum(abs(_ratio(means[change, FACT], means[change, OTHER])) for change in CHANGES)


def _ratio(related: Any, unrelated: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.divide(related, unrelated)


def _relative(edits: pd.DataFrame) -> pd.DataFrame:
    before = edits["before"].where(edits["before"] > 0)
    columns = {"relative": "after", **{f"{null}_relative": null for null in NULLS}}
    changes = {name: (edits[column] - before) / before for name, column in columns.items()}
    return edits.assign(**changes)


def _others(
    model: Model,
    spec: CrossLingualEditingSpec,
    group: Group,
    asked: Mapping[str, Asked],
    context: Context,
) -> dict[str, tuple[str, Mapping[str, Asked]]]:
    """A fact of the same relation and one of another: known in all languages, other answers."""
    first = first_wording(group)
    draw = random.Random(f"{spec.seed} {first.relation} {first.name}")
    candidates = [other for other in spec.everything() if other != group]
    draw.shuffle(candidates)
    filtered = spec.model_copy(update={"filtered": True})
    measured = {}
    for about in (SAME, OTHER):
        fitting = [
            other
            for other in candidates
            if (first_wording(other).relation == first.relation) == (about == SAME)
        ]
        for other in fitting[:_TRIED]:
            fact = in_languages(model, filtered, other, context, neurons=False)
            if fact.used and not any(
                set(fact.asked[k].golds) & set(asked[k].golds) for k in spec.languages
            ):
                measured[about] = fact.facts["fact"].iloc[0], fact.asked
                break
    return measured


def _measure(
    model: Model,
    asked: Asked,
    edits: Mapping[str, NeuronSet],
    sets: Sequence[NeuronSet],
    context: Context,
) -> list[dict[str, Any]]:
    """One prompt under nothing, then under each edit followed by its random sets, null by null."""
    rows = []
    for change, factor in CHANGES.items():
        p = rescaled(model, asked.encoded, sets, factor, check=context.check).numpy(force=True)
        each: Float[np.ndarray, "edit set"] = p[1:].reshape(len(edits), -1)
        rows += [
            {
                "edit": edit,
                "neurons": len(neurons),
                "change": change,
                "before": float(p[0]),
                "after": float(after[0]),
                **dict(zip(NULLS, after[1:].reshape(len(NULLS), -1).mean(1).tolist(), strict=True)),
            }
            for (edit, neurons), after in zip(edits.items(), each, strict=True)
        ]
    return rows
