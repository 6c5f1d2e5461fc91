"""Which submodels of a classifier are judged, and what each is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from neuronlab.proteins.baselines import Judgement
from neuronlab.studies.bases.masks import (
    Mask,
    Scores,
    Selection,
    best,
    neurons_of,
    random_mask,
    select,
)
from neuronlab.studies.bases.protein_scores import differences

RANDOM, STRATIFIED = "random", "stratified random"
FULL, FLOOR = "full", "floor"
# Shares of one component's neurons that are switched off at equal budget.
BUDGETS = (0.1, 0.5)


def planned(
    scores: Mapping[str, Scores],
    fractions: Sequence[float],
    selections: Sequence[Selection],
    ablations: Sequence[str],
    seeds: Sequence[int],
) -> list[dict[str, Any]]:
    """Every submodel: how it was chosen, and the mask it keeps (None keeps all).

    Args:
        scores: by method.
        fractions: of the neurons that are kept.
        seeds: of random neurons; each draws a set of either kind.
    """
    plan: list[dict[str, Any]] = []

    def add(
        method: str,
        kept: Mask | None,
        fraction: float,
        selection: str = "",
        seed: int = 0,
        like: str = "",
    ) -> None:
        for ablation in ablations if method != FULL else ablations[:1]:
            row = {"method": method, "selection": selection, "like": like, "seed": seed}
            plan.append(row | {"fraction": fraction, "ablation": ablation, "kept": kept})

    sizes = next(iter(scores.values()))
    add(FULL, None, 1.0)
    add(FLOOR, {c: np.zeros_like(of_component, bool) for c, of_component in sizes.items()}, 0.0)
    for fraction in fractions:
        for selection in selections:
            strata: dict[str, Mask] = {}
            for method in scores:
                kept = select(scores[method], fraction, selection)
                add(method, kept, fraction, selection)
                strata[_stratum(method, selection)] = kept
            for whose, kept in strata.items():
                for number, seed in enumerate(seeds):
                    mask = random_mask(sizes, fraction, seed, kept)
                    add(STRATIFIED, mask, fraction, selection, number, whose)
        for number, seed in enumerate(seeds):
            add(RANDOM, random_mask(sizes, fraction, seed), fraction, seed=number)
    return plan


def _stratum(method: str, selection: str) -> str:
    """Whose counts per layer and component a choice has: with a quota all have the same."""
    return "" if selection == "quota" else method


def shares(plan: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """Where the kept neurons are: per component and layer, and the component's share of all.

    Stratified random neurons are where those are that they are compared with.
    """
    rows = []
    for row in plan:
        if row["method"] in (FULL, FLOOR, STRATIFIED) or row["ablation"] != plan[-1]["ablation"]:
            continue
        total = sum(int(mask.sum()) for mask in row["kept"].values())
        for c, mask in row["kept"].items():
            rows += [
                {
                    **{k: row[k] for k in ("method", "selection", "seed", "fraction")},
                    "component": c,
                    "layer": layer,
                    "kept": int(kept.sum()),
                    "density": float(kept.mean()),
                    "share": float(kept.sum() / total) if total else 0.0,
                }
                for layer, kept in enumerate(mask)
            ]
    return pd.DataFrame(rows)


def compared(plan: Sequence[Mapping[str, Any]], judged: Sequence[Judgement]) -> pd.DataFrame:
    """Every choice against random ones, all neurons and none, on the same test proteins."""
    alike: dict[tuple, list[Judgement]] = {}
    for row, judgement in zip(plan, judged, strict=True):
        alike.setdefault(_kind(row), []).append(judgement)
    full = next(judgements for kind, judgements in alike.items() if kind[0] == FULL)
    rows = []
    for row, judgement in zip(plan, judged, strict=True):
        if row["method"] in (FULL, FLOOR, RANDOM, STRATIFIED):
            continue
        whose = _stratum(row["method"], row["selection"])
        against = {
            STRATIFIED: alike[_kind({**row, "method": STRATIFIED, "like": whose})],
            RANDOM: alike[_kind({**row, "method": RANDOM, "selection": ""})],
            FULL: full,
            FLOOR: alike[_kind({**row, "method": FLOOR, "selection": "", "fraction": 0.0})],
        }
        place = {k: row[k] for k in ("method", "selection", "fraction", "ablation")}
        rows += differences(place, judgement, against)
    return pd.DataFrame(rows)


def _kind(row: Mapping[str, Any]) -> tuple:
    """What all random draws of a kind have in common."""
    return tuple(row[k] for k in ("method", "selection", "like", "fraction", "ablation"))


def switched_off(method: str, scores: Scores, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """Only one component's neurons off: its best by a method's scores, and random ones."""
    smallest = min(of_component.size for of_component in scores.values())
    rows: list[dict[str, Any]] = []
    for budget in BUDGETS:
        count = int(budget * smallest)
        for c in scores:
            chosen = {c: best(scores[c].ravel(), count).reshape(scores[c].shape)}
            place = {"component": c, "budget": budget, "neurons": int(chosen[c].sum())}
            rows.append({**place, "choice": method, "seed": 0, "off": neurons_of(chosen)})
            for number, seed in enumerate(seeds):
                mask = random_mask({c: scores[c]}, budget, seed, chosen)
                row = {"choice": RANDOM, "seed": number, "off": neurons_of(mask)}
                rows.append({**place, **row})
    return rows


def only_compared(
    only: Sequence[Mapping[str, Any]], judged: Sequence[Judgement], full: Judgement
) -> pd.DataFrame:
    """A component's best off, against random ones with as many in each layer, and none, off."""
    rows = []
    for row, judgement in zip(only, judged, strict=True):
        if row["choice"] == RANDOM:
            continue
        place = {k: row[k] for k in ("component", "budget")}
        drawn = [
            other
            for control, other in zip(only, judged, strict=True)
            if control["choice"] == RANDOM and all(control[k] == v for k, v in place.items())
        ]
        rows += differences(place, judgement, {RANDOM: drawn, FULL: [full]})
    return pd.DataFrame(rows)
