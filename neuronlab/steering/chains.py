"""The properties of chains of proteins: step by step, and where they settled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from neuronlab.proteins.features import PROPERTIES
from neuronlab.steering import quality
from neuronlab.steering.goals import Goal

# Conditions of chains, beside those of random sets.
UNSTEERED, STEERED = "unsteered", "steered"
# The last part of every chain, whose mean is what it reached.
_SETTLED = 0.1
# A prediction costs as much as the residues it is of.
_PREDICTED_EVERY = 5
_CHAIN = ["condition", "set", "chain"]


def trajectories(chains: pd.DataFrame, goals: Sequence[Goal]) -> pd.DataFrame:
    """Columns condition, set, chain, step (0 at the start) and one for each goal's property.

    Of a property that a model predicts every fifth step, and all of the last tenth.

    Args:
        chains: condition, set, chain and sequences (of every step).
    """
    last = len(chains["sequences"].iloc[0]) - 1
    steps: Sequence[int] = range(last + 1)
    if any(PROPERTIES[goal.property].state for goal in goals):
        settled = range(last + 1 - _settled(last), last + 1)
        steps = sorted({*range(0, last + 1, _PREDICTED_EVERY), *settled})
    rows = chains.loc[chains.index.repeat(len(steps)), _CHAIN].reset_index(drop=True)
    rows["step"] = np.tile(steps, len(chains))
    sequences = [of_chain[step] for of_chain in chains["sequences"] for step in steps]
    return rows.assign(**{goal.property: goal.values(sequences) for goal in goals})


def reached(
    chains: pd.DataFrame, values: pd.DataFrame, start: str, places: Sequence[int]
) -> pd.DataFrame:
    """What every chain reached, and how far and how varied it still is.

    Args:
        chains: as ``trajectories`` takes them.
        values: of these chains, as ``trajectories`` gives them.
        start: their first sequence.
        places: residues that may change, counted from 0.

    Returns:
        A table of condition, set, chain, sequence (the last), each property (the mean over the last
        tenth of the steps), identity with the start, entropy and longest_repeat of the places.
    """
    steps = int(values["step"].max())
    settled = values[values["step"] > steps - _settled(steps)]
    means = settled.groupby(_CHAIN).mean(numeric_only=True).drop(columns="step")
    rows = []
    for row in chains.itertuples():
        sequence = row.sequences[-1]
        rows.append(
            {"condition": row.condition, "set": row.set, "chain": row.chain, "sequence": sequence}
            | means.loc[(row.condition, row.set, row.chain)].to_dict()
            | {
                "identity": quality.identity(sequence, start),
                "entropy": quality.entropy(sequence, places),
                "longest_repeat": quality.longest_repeat(sequence, places),
            }
        )
    return pd.DataFrame(rows)


def doses(chains: pd.DataFrame, goals: Sequence[Goal], places: Sequence[int]) -> pd.DataFrame:
    """What every chain reached: a, b, chain, each goal's property and entropy, as in ``reached``.

    Args:
        chains: a, b, chain and sequences (of every step).
        places: residues that may change, counted from 0.
    """
    rows = []
    for row in chains.itertuples():
        settled = row.sequences[-_settled(len(row.sequences) - 1) :]
        rows.append(
            {"a": row.a, "b": row.b, "chain": row.chain}
            | {goal.property: float(goal.values(settled).mean()) for goal in goals}
            | {"entropy": quality.entropy(row.sequences[-1], places)}
        )
    return pd.DataFrame(rows)


def median_chain(finals: pd.DataFrame, condition: str, name: str) -> int:
    """The row of ``finals`` whose property is the median of its condition, the lower of two."""
    values = finals.loc[finals["condition"] == condition, name]
    return int(values.sort_values(kind="stable").index[(len(values) - 1) // 2])


def path(chains: pd.DataFrame, finals: pd.DataFrame, name: str) -> pd.DataFrame:
    """Columns step (0 at the start) and sequence: of the steered chain of median property.

    Args:
        chains, finals: as ``reached`` takes and gives them.
        name: of the property.
    """
    chain = finals.loc[median_chain(finals, STEERED, name), "chain"]
    of_chain = chains[(chains["condition"] == STEERED) & (chains["chain"] == chain)]
    sequences = of_chain["sequences"].iloc[0]
    return pd.DataFrame({"step": range(len(sequences)), "sequence": sequences})


def _settled(steps: int) -> int:
    return max(1, round(_SETTLED * steps))
