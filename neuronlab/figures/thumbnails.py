"""Results as pictures of few pixels, by which people know them again in a list.

A picture is a grid: what is above zero is purple, what is below it orange, and the nearer to zero
the more transparent, so that it stands on light and on dark ground.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from pandas.api.types import is_numeric_dtype
from PIL import Image, ImageColor

from neuronlab.figures.colours import COMPONENT_NAMES, ON_EITHER
from neuronlab.runs import Result
from neuronlab.runs.result import ARRAYS, TABLE

# In pixels.
WIDE, HIGH = 160, 80
# The most cells side by side.
_ACROSS = 40

Grid = Float[np.ndarray, "row column"]


@dataclass(frozen=True)
class Source:
    """What a picture is drawn from.

    Attributes:
        part: the file of the result, which is all of it that is read.
        grid: the cells.
    """

    part: str
    grid: Callable[[Result], Grid]


def thumbnail(study: str, result: Result) -> bytes:
    """The picture of a result as a PNG of ``WIDE`` x ``HIGH`` pixels; b"" where it shows nothing.

    Args:
        study: its name, one of ``SOURCES``.
        result: of it, at least the part that the source names.
    """
    cells = SOURCES[study].grid(result)
    size = np.sqrt(np.abs(cells))  # few neurons have large scores: else one cell would be seen
    largest = np.nanmax(size, initial=0.0)
    if not largest:
        return b""
    against, towards = map(ImageColor.getrgb, ON_EITHER)
    pixels = np.zeros((*cells.shape, 4), np.uint8)
    pixels[..., :3] = np.where(cells[..., None] < 0, against, towards)
    pixels[..., 3] = np.nan_to_num(255 * size / largest).round()
    drawn = Image.fromarray(pixels).resize((WIDE, HIGH), Image.Resampling.NEAREST)
    file = io.BytesIO()
    drawn.save(file, "PNG", optimize=True)
    return file.getvalue()


def _of_table(
    name: str, row: str, column: str, value: str | Callable[[pd.DataFrame], str] = ""
) -> Source:
    """A table's rows by what two of its columns say; layers rise from below.

    Args:
        value: the column whose mean is in each cell; by default the number of rows that are
            something in both of the two is.
    """

    def grid(result: Result) -> Grid:
        table = result.tables[name]
        if not value:
            table = table[(table[row] != "") & (table[column] != "")]
        by = table.groupby([row, column], sort=False)
        of = value(table) if callable(value) else value
        cells = (by[of].mean() if of else by.size()).unstack(sort=False)
        if is_numeric_dtype(cells.columns):
            cells = cells.sort_index(axis=1)
        if row == "layer" and len(cells):
            cells = cells.reindex(range(int(cells.index.max()), -1, -1))
        return cells.to_numpy(float)

    return Source(name + TABLE, grid)


def _of_arrays(grid: Callable[[Mapping[str, np.ndarray]], Grid]) -> Source:
    return Source(ARRAYS, lambda result: grid(result.arrays))


def _components(arrays: Mapping[str, Float[np.ndarray, "layer neuron"]]) -> Grid:
    """Layers, the first at the bottom, by the components beside each other."""
    panels = [arrays[component] for component in COMPONENT_NAMES if component in arrays]
    each = (_binned(panel, _ACROSS // len(panels)) for panel in panels)
    apart = [np.pad(panel, ((0, 0), (0, 1)), constant_values=np.nan) for panel in each]
    return np.hstack(apart)[::-1, :-1]


def _strongest(arrays: Mapping[str, np.ndarray]) -> Grid:
    """Of every neuron the activation at its strongest place."""
    of = "top_value."
    return _components(
        {
            name.removeprefix(of): values[..., 0].astype(np.float32)
            for name, values in arrays.items()
            if name.startswith(of)
        }
    )


def _binned(values: Grid, most: int) -> Float[np.ndarray, "row bin"]:
    """So many columns at most: of neighbours in one, the strongest."""
    size = -(-values.shape[1] // most)
    columns = -(-values.shape[1] // size)
    bins = np.pad(np.nan_to_num(values), ((0, 0), (0, columns * size - values.shape[1])))
    bins = bins.reshape(len(values), columns, size)
    return np.take_along_axis(bins, np.abs(bins).argmax(2, keepdims=True), 2)[..., 0]


def _last(table: pd.DataFrame) -> str:
    """The last column, which is called by what was asked for."""
    return str(table.columns[-1])


# By study. Those that are not here leave what others start from, or files.
SOURCES = {
    "attribution": _of_arrays(_components),
    "value_query": _of_arrays(_components),
    "mutations": _of_arrays(lambda arrays: _binned(arrays["log_odds"].T, _ACROSS)),
    "method_comparison": _of_table("summary", "method", "control", "mrr"),
    "knowledge_types": _of_table("value_layers", "layer", "relation", "score"),
    "stability": _of_table("overlap", "pair", "k", "jaccard"),
    "language_independent": _of_table("neurons", "layer", "language"),
    "cross_lingual_editing": _of_table("matrix", "edit", "language", "relative"),
    "degenerate_pairs": _of_table("all_pairs", "neuron_a", "neuron_b", "p_ab"),
    "fact_checking": _of_table("by_relation", "scorer", "relation", "f1"),
    "fine_tune": _of_table("predictions", "part", "label", _last),
    "submodels": _of_table("submodels", "method", "fraction", "accuracy"),
    "neuron_transfer": _of_table("transfer", "neurons", "fraction", "accuracy"),
    "neuron_labels": _of_table("labels", "layer", "group"),
    "residue_labels": _of_table("labels", "layer", "concept"),
    "token_labels": _of_table("labels", "layer", "role"),
    "contexts": _of_arrays(_strongest),
    "context_explanation": _of_table("tokens", "text", "place", "activation"),
    "scaling": _of_table("grid", "sextile", "group", "share"),
    "steering": _of_table("trajectories", "condition", "step", _last),
}
