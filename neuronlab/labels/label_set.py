"""Labels of one model's neurons, with how they were made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from neuronlab import uploads
from neuronlab.models import READABLE, Component
from neuronlab.neurons import Neuron

SCHEMA = 2
REQUIRED = ("model", "layer", "component", "neuron", "label")
COLUMNS = (
    *REQUIRED,
    "source",
    "correlation",
    "control_correlation",
    "beaten",
    "concept",
    "group",
    "effect",
    "q",
)
TEXTS = ("model", "component", "label", "source", "concept", "group")
# What a number may be at least and at most.
RANGES = {
    "layer": (0, 9_999),
    "neuron": (0, 9_999_999),
    "correlation": (-1, 1),
    "control_correlation": (-1, 1),
    "beaten": (0, 1),
    "effect": (-1, 1),
    "q": (0, 1),
}
MAX_TEXT = 1_000


@dataclass(frozen=True, eq=False)
class LabelSet:
    """The labels of one model's neurons.

    Attributes:
        rows: the columns ``COLUMNS``, each neuron once, by component, layer and neuron; a neuron
            without a label has "", a number that is not known is nan.
        card: how it was made: model, source, neurons, labelled, spec (as in spec.json; empty where
            not known), versions (neuronlab, schema) and created (ISO 8601).
    """

    rows: pd.DataFrame
    card: Mapping[str, Any]

    @classmethod
    def of(cls, spec: Mapping[str, Any], labels: pd.DataFrame, created: str = "") -> LabelSet:
        """The set of a finished study of labels.

        Args:
            spec: its spec, as in spec.json.
            labels: its table of that name.
            created: when it was finished; now, if not given.
        """
        from neuronlab import __version__

        cleaned = {text: clean(text) for name in TEXTS for text in labels[name].unique()}
        rows = labels.assign(**{name: labels[name].map(cleaned) for name in TEXTS})
        versions = {"neuronlab": __version__, "schema": SCHEMA}
        return set_of(rows, spec, versions, created or now())

    @property
    def model(self) -> str:
        """The model whose neurons these are."""
        return self.card["model"]

    @property
    def source(self) -> str:
        """Who explained them."""
        return self.card["source"]

    @cached_property
    def key(self) -> str:
        """16 hex digits of what the rows and the spec say: the same set has the same key."""
        content = hashlib.sha256(json.dumps(self.card["spec"], sort_keys=True).encode())
        for name in COLUMNS:
            values = self.rows[name]
            texts = name in TEXTS
            content.update(
                json.dumps(values.tolist()).encode() if texts else values.to_numpy().tobytes()
            )
        return content.hexdigest()[:16]

    def label_of(self, neuron: Neuron) -> pd.Series | None:
        """The row of a neuron; None where it has no label."""
        try:
            row = self.rows.iloc[self._index.get_loc(neuron)]
        except KeyError:
            return None
        return row if row["label"] else None

    def where(
        self,
        layer: int | None = None,
        component: Component | None = None,
        minimum_correlation: float | None = None,
    ) -> pd.DataFrame:
        """The rows of a layer, of a component, or with a correlation of at least that."""
        kept = np.ones(len(self.rows), bool)
        if layer is not None:
            kept &= self.rows["layer"].to_numpy() == layer
        if component is not None:
            kept &= (self.rows["component"] == component).to_numpy()
        if minimum_correlation is not None:
            kept &= self.rows["correlation"].to_numpy() >= minimum_correlation
        return self.rows[kept].reset_index(drop=True)

    @cached_property
    def _index(self) -> pd.MultiIndex:
        return pd.MultiIndex.from_frame(self.rows[["layer", "component", "neuron"]])


def set_of(
    labels: pd.DataFrame, spec: Mapping[str, Any], versions: Mapping[str, Any], created: str
) -> LabelSet:
    """The set of these rows, in order, with a card that counts them.

    Args:
        labels: rows with some of ``COLUMNS``; a number that is missing is not known.
        spec, versions, created: of the card.
    """
    rows = labels.reindex(columns=list(COLUMNS))
    place = rows["component"].map(READABLE.index)
    order = np.lexsort([rows["neuron"], rows["layer"], place])
    rows = rows.iloc[order].reset_index(drop=True)
    numbers = [name for name in RANGES if name not in REQUIRED]
    rows = rows.astype({"layer": int, "neuron": int, **dict.fromkeys(numbers, float)})
    rows = rows.astype(dict.fromkeys(TEXTS, "str"))
    rows[numbers] = rows[numbers].where(rows[numbers].notna(), np.nan)  # one nan, one hash
    sources = rows.loc[rows["label"] != "", "source"].unique()
    card = {
        "model": rows["model"].iloc[0],
        "source": ", ".join(sources[:3]) + (", …" if len(sources) > 3 else ""),
        "neurons": len(rows),
        "labelled": int((rows["label"] != "").sum()),
        "spec": dict(spec),
        "versions": dict(versions),
        "created": created,
    }
    return LabelSet(rows, card)


def clean(text: str) -> str:
    """A text as a person may see it, of at most ``MAX_TEXT`` letters."""
    return uploads.line(text[: 4 * MAX_TEXT], MAX_TEXT)


def now() -> str:
    """This moment, as ISO 8601."""
    return datetime.now(UTC).isoformat()
