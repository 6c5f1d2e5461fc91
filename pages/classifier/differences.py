"""What two classifiers differ in on the same proteins, in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from neuronlab.studies.bases.submodel_plan import FULL, STRATIFIED
from neuronlab.widgets.exports import NOTHING

# What the columns of a comparison are called.
AGAINST = {STRATIFIED: "against random, same counts", FULL: "against all neurons"}
SAME = "not told apart"
# How often random neurons may do as well by chance where a choice is called better.
CHANCE = 0.05


def verdict(low: float, high: float, p: float = np.nan) -> str:
    """What a difference shows: "more" or "less" where its interval leaves out 0, and, where there
    is a p (two-sided), random draws are hardly as far off; else that they are not told apart.
    """
    if p >= CHANCE:
        return SAME
    return "more" if low > 0 else "less" if high < 0 else SAME


def verdict_on(row: Any) -> str:
    """The verdict on a row of a comparison; a single random draw shows nothing."""
    one_draw = "random" in row.against and np.isnan(row.p)
    return SAME if one_draw else verdict(row.low, row.high, row.p)


def difference(row: Any) -> str:
    """A difference, its interval, and what it shows."""
    if not np.isfinite([row.difference, row.low, row.high]).all():
        return "no value"
    p = "" if np.isnan(row.p) else f", p = {row.p:.2g}"
    shows = verdict_on(row)
    return f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]{p}: {shows}"


def comparison(
    table: pd.DataFrame, columns: dict[str, str], against: dict[str, str]
) -> pd.DataFrame:
    """Differences side by side.

    Args:
        table: of one metric; what ``Judgement.above`` says, and against what.
        columns: that tell rows apart, and how they are called.
        against: what is compared with, and how its column is called.
    """
    words = table.assign(words=[difference(row) for row in table.itertuples()])
    groups = words.groupby(list(columns), sort=False)
    rows = [
        dict(zip(columns.values(), place, strict=True))
        | {against[r.against]: r.words for r in group.itertuples() if r.against in against}
        for place, group in groups
    ]
    return pd.DataFrame(rows).fillna(dict.fromkeys(against.values(), NOTHING))
