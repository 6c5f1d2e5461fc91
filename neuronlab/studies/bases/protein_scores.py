"""Neurons of a protein classifier: their scores summed over proteins, and submodels judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np

from neuronlab.attribution.registry import Baseline
from neuronlab.attribution.streamed import Streamed
from neuronlab.errors import UserError
from neuronlab.models import Component, Model
from neuronlab.proteins.baselines import Judgement
from neuronlab.proteins.labelled import LabelledProtein
from neuronlab.runs import Context, Result


def classifier(context: Context, name: str, revision: str = "") -> Model:
    """The model of a run. Raises UserError where it is no protein classifier."""
    model = context.model(name, revision)
    if model.kind != "classifier" or model.alphabet != "protein":
        raise UserError(f"{model.title} is no protein classifier: choose one, or tune one first.")
    return model


def score(
    model: Model,
    proteins: Sequence[LabelledProtein],
    methods: Sequence[str],
    components: Sequence[Component],
    baseline: Baseline,
    context: Context,
    targets: Callable[[LabelledProtein], int] = lambda protein: protein.label,
) -> Streamed:
    """Sums over proteins; their own label is explained unless told otherwise."""
    sums = Streamed()
    for number, protein in enumerate(proteins):
        context.progress(number / len(proteins), f"scoring {protein.name}")
        sums.add(
            model,
            protein.sequence,
            targets(protein),
            secondary=protein.secondary,
            methods=methods,
            components=components,
            baseline=baseline,
        )
    return sums


def packed(sums: Streamed) -> Result:
    """The sums as a result."""
    numbers = {"proteins": sums.proteins, "residues": sums.residues, "states": sums.states}
    return Result(numbers, arrays={f"{what}.{c}": total for (what, c), total in sums.sums.items()})


def unpacked(result: Result) -> Streamed:
    """The sums that were packed."""
    sums: dict[tuple[str, Component], np.ndarray] = {}
    for name, total in result.arrays.items():
        what, component = name.split(".")
        sums[what, cast(Component, component)] = total
    numbers = result.numbers
    return Streamed(sums, numbers["proteins"], numbers["residues"], numbers["states"])


def differences(
    place: Mapping[str, Any], judgement: Judgement, against: Mapping[str, Sequence[Judgement]]
) -> list[dict[str, Any]]:
    """A place's judgement against others: rows with ``against`` and what ``above`` says."""
    return [
        {**place, "against": name, **difference}
        for name, others in against.items()
        for difference in judgement.above(others)
    ]


def judged_rows(
    plan: Sequence[Mapping[str, Any]], judged: Sequence[Judgement]
) -> list[dict[str, Any]]:
    """What was kept or switched off, without the neurons themselves, and its metrics."""
    return [
        {k: v for k, v in row.items() if k not in ("kept", "off")} | judgement.row()
        for row, judgement in zip(plan, judged, strict=True)
    ]
