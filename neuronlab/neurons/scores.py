"""Scores of all neurons of a model for one prompt, with where they come from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from jaxtyping import Float32

from neuronlab.errors import UserError
from neuronlab.models.components import READABLE, Component
from neuronlab.models.model import names_of_layers, with_layer_names
from neuronlab.neurons.neurons import Neuron, NeuronSet

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Neurons of one component of a model; the largest have some ten million.
MOST = 100_000_000
Scores = Float32[np.ndarray, "layer neuron"]


@dataclass(frozen=True)
class NeuronScores:
    """One number per neuron: how much it matters for the prediction.

    Attributes:
        arrays: per component (layers, neurons), float32; positive speaks for the target. NaN in
            layers that have no such neurons, as an encoder's have none of cross-attention.
            Of encoder-decoders all tables have what a layer is called beside its number, as
            ``layer_name``: "encoder 0", "decoder 0".
        provenance: model, revision, prompt, target, method, settings, versions.
        quality: one row per layer and component with the method's own error estimate, where it
            has one: columns layer, component, total (of the scores), expected (by completeness),
            gap (between the two), error (estimated, summed over the neurons), nodes; of
            the fast engine also gradient_r (correlation with gradient x activation).
        tokens: scores of the top neurons at each token; columns layer, component, neuron, then one
            column per token position ("0", "1", …); empty unless asked for.
        token_totals: the sum over all neurons at each token: columns token, text, then one per
            component, and of encoder-decoders the stack that reads the token; empty unless asked
            for.
        certified: how many neurons at the top are proven to be the best, in their order, with
            exact scores, where the others have upper bounds; None where every score is a score.
    """

    arrays: Mapping[Component, Scores]
    provenance: Mapping[str, Any] = field(default_factory=dict)
    quality: pd.DataFrame = field(default_factory=pd.DataFrame)
    tokens: pd.DataFrame = field(default_factory=pd.DataFrame)
    token_totals: pd.DataFrame = field(default_factory=pd.DataFrame)
    certified: int | None = None

    def __getitem__(self, component: Component) -> Scores:
        return self.arrays[component]

    def __iter__(self) -> Iterator[Component]:
        return iter(c for c in READABLE if c in self.arrays)

    @property
    def layer_names(self) -> list[str]:
        """How layers are called: see ``names_of_layers``; an encoder-decoder's provenance tells."""
        stacks = self.provenance.get("stacks")
        return names_of_layers(stacks or {"": max(len(each) for each in self.arrays.values())})

    def named(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table with layers, and beside them their ``layer_name`` where there are two stacks."""
        return with_layer_names(table, self.provenance.get("stacks", {}))

    @property
    def components(self) -> tuple[Component, ...]:
        """The components that were scored."""
        return tuple(self)

    def plot(self) -> go.Figure:
        """Scores for and against the target in every layer, by component: a figure of plotly.

        A notebook shows it on its own; elsewhere ``plot().show()`` opens it in a browser.
        """
        from neuronlab.figures.charts import layer_profile, standalone

        return standalone(layer_profile(self))

    def _repr_html_(self) -> str:
        """In a notebook: the ten best neurons."""
        return self.top(10).to_html(index=False)

    def score(self, neuron: Neuron) -> float:
        """The score of one neuron."""
        return float(self.arrays[neuron.component][neuron.layer, neuron.index])

    def top(self, count: int = 10, *, magnitude: bool = False) -> pd.DataFrame:
        """The neurons of highest score: columns rank, layer, component, neuron, score.

        Args:
            count: at least 1.
            magnitude: order by the absolute value instead.

        Raises:
            UserError: less than one is asked for.
        """
        if count < 1:
            raise UserError(f"The first {count} neurons are none: ask for at least 1.")
        parts = []
        for component in self:
            scores = self.arrays[component]
            order = np.abs(scores) if magnitude else scores
            flat = order.ravel()
            best = np.argpartition(-flat, min(count, flat.size) - 1)[:count]  # NaN comes last
            best = best[~np.isnan(flat[best])]
            layer, neuron = np.unravel_index(best, scores.shape)
            part = {"layer": layer, "component": component, "neuron": neuron}
            parts.append(pd.DataFrame(part | {"score": scores[layer, neuron]}))
        table = pd.concat(parts, ignore_index=True)
        by = table["score"].abs() if magnitude else table["score"]
        table = table.assign(by=by).sort_values(
            ["by", "layer", "component", "neuron"], ascending=[False, True, True, True]
        )
        table = table.drop(columns="by").head(count).reset_index(drop=True)
        table.insert(0, "rank", np.arange(1, len(table) + 1))
        return self.named(table)

    def select(self, *, top: int | None = None, threshold: float | None = None) -> NeuronSet:
        """The set of highest-scored neurons.

        Args:
            top: how many.
            threshold: all neurons above this fraction of the highest score (Dai et al. 2022).

        Raises:
            UserError: both or neither are given, or a number out of range.
        """
        if (top is None) == (threshold is None):
            raise UserError("Give either top=… or threshold=… to select neurons.")
        if threshold is not None and not 0 <= threshold <= 1:
            raise UserError(f"A threshold is a fraction of the highest score, 0 to 1: {threshold}.")
        if top is not None:
            table = self.top(top)
            rows = table[["layer", "component", "neuron"]].itertuples(index=False)
            return NeuronSet([(int(a), b, int(c)) for a, b, c in rows], f"top {top}")
        assert threshold is not None
        highest = max(float(np.nanmax(self.arrays[c])) for c in self)
        chosen = [
            (int(layer), c, int(neuron))
            for c in self
            for layer, neuron in np.argwhere(self.arrays[c] > threshold * highest)
        ]
        return NeuronSet(chosen if highest > 0 else [], f"above {threshold:g} of the maximum")

    def to_frame(self) -> pd.DataFrame:
        """Every neuron: columns layer, component, neuron, score."""
        parts = []
        for component in self:
            scores = self.arrays[component]
            layer, neuron = np.indices(scores.shape).reshape(2, -1)
            part = {"layer": layer, "component": component, "neuron": neuron}
            parts.append(pd.DataFrame(part | {"score": scores.ravel()}))
        return self.named(pd.concat(parts, ignore_index=True).dropna(ignore_index=True))

    def save(self, path: str | Path) -> None:
        """Every neuron as parquet; provenance, quality and token scores in its metadata."""
        frame = self.to_frame()
        frame.attrs = {
            "neuronlab": json.dumps(
                {
                    "provenance": dict(self.provenance),
                    "quality": self.quality.to_dict("list"),
                    "tokens": self.tokens.to_dict("list"),
                    "token_totals": self.token_totals.to_dict("list"),
                    "certified": self.certified,
                }
            )
        }
        frame.to_parquet(path)

    @classmethod
    def load(cls, path: str | Path) -> NeuronScores:
        """Reads what ``save`` wrote. Raises UserError where the file is something else."""
        try:
            frame = pd.read_parquet(path)
            extra = json.loads(frame.attrs["neuronlab"])
            arrays = {}
            for component, part in frame.groupby("component"):
                shape = int(part["layer"].max()) + 1, int(part["neuron"].max()) + 1
                if part[["layer", "neuron"]].min().min() < 0 or shape[0] * shape[1] > MOST:
                    raise ValueError("numbers of neurons out of range")
                array = np.full(shape, np.nan, np.float32)
                array[part["layer"], part["neuron"]] = part["score"]
                arrays[component] = array
            names = ("quality", "tokens", "token_totals")
            tables = {name: pd.DataFrame(extra[name]) for name in names}
            return cls(arrays, extra["provenance"], certified=extra.get("certified"), **tables)
        except (OSError, LookupError, RecursionError, TypeError, ValueError) as error:
            raise UserError(f"'{path}' holds no neuron scores.", details=str(error)) from error
