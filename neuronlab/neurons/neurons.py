"""One neuron, and sets of neurons."""

from __future__ import annotations

import html
import json
import operator
import random
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, cast

import pandas as pd

from neuronlab.errors import UserError
from neuronlab.models.components import READABLE, Component

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from neuronlab.models import Model


# Neurons of a set that a notebook shows.
_SHOWN = 10


class Neuron(NamedTuple):
    """(layer, component, index), all counted from 0."""

    layer: int
    component: Component
    index: int  # type: ignore[assignment]  # the field hides tuple.index

    def __str__(self) -> str:
        return f"{self.layer}.{self.component}.{self.index}"

    @classmethod
    def parse(cls, text: str) -> Neuron:
        """The neuron written as ``layer.component.index``, as in ``22.ffn.1674``."""
        try:
            layer, component, index = text.strip().split(".")
            neuron = cls(int(layer), cast(Component, component), int(index))
            if component not in READABLE or min(neuron.layer, neuron.index) < 0:
                raise ValueError("no such place")
        except ValueError:
            shown = " ".join(text.split())[:60]
            raise UserError(
                f"'{shown}' is not a neuron: write layer.component.index, 22.ffn.1674."
            ) from None
        return neuron


def _checked(neuron: tuple[int, str, int]) -> Neuron:
    try:
        layer, component, index = neuron
        layer, index = operator.index(layer), operator.index(index)  # NumPy's numbers, too
    except (TypeError, ValueError):
        raise TypeError(f"A neuron is (layer, component, index), not {neuron!r}.") from None
    if component not in READABLE or layer < 0 or index < 0:
        raise UserError(
            f"There is no neuron {layer}.{component}.{index}: layers and indices count from 0, and "
            f"components are {', '.join(READABLE)}."
        )
    return Neuron(layer, component, index)


@dataclass(frozen=True)
class NeuronSet:
    """A named set of neurons with set algebra (``|``, ``&``, ``-``), kept in sorted order.

    Raises:
        TypeError: something given is no (layer, component, index).
        UserError: a component that does not exist, or a negative number: those would count from
            the end and change other neurons than were meant.
    """

    neurons: frozenset[Neuron] = frozenset()
    name: str = field(default="", compare=False)

    def __init__(self, neurons: Iterable[tuple[int, str, int]] = (), name: str = "") -> None:
        object.__setattr__(self, "neurons", frozenset(map(_checked, neurons)))
        object.__setattr__(self, "name", name)

    @classmethod
    def of_heads(cls, heads: Iterable[tuple[int, int]], head_size: int) -> NeuronSet:
        """All attention neurons of some heads, each (layer, head)."""
        return cls(
            (layer, "attention", head * head_size + dimension)
            for layer, head in heads
            for dimension in range(head_size)
        )

    def __iter__(self) -> Iterator[Neuron]:
        return iter(sorted(self.neurons))

    def __len__(self) -> int:
        return len(self.neurons)

    def __contains__(self, neuron: object) -> bool:
        return neuron in self.neurons

    def __or__(self, other: NeuronSet) -> NeuronSet:
        return NeuronSet(self.neurons | other.neurons, self.name)

    def __and__(self, other: NeuronSet) -> NeuronSet:
        return NeuronSet(self.neurons & other.neurons, self.name)

    def __sub__(self, other: NeuronSet) -> NeuronSet:
        return NeuronSet(self.neurons - other.neurons, self.name)

    def __repr__(self) -> str:
        shown = ", ".join(str(n) for n in list(self)[:5])
        return f"NeuronSet({len(self)} neurons: {shown}{', …' if len(self) > 5 else ''})"

    def _repr_html_(self) -> str:
        """In a notebook: how many neurons there are, and the first ten."""
        more = f", of which these are the first {_SHOWN}" if len(self) > _SHOWN else ""
        name = f"{html.escape(self.name)}: " if self.name else ""
        table = self.to_frame().head(_SHOWN).to_html(index=False)
        return f"<p>{name}{len(self):,} neurons{more}</p>{table}"

    def plot(self) -> go.Figure:
        """How many neurons of each layer are in the set, by component: a figure of plotly."""
        from neuronlab.figures.charts import stacked_layers, standalone
        from neuronlab.figures.colours import COMPONENT_NAMES

        table = self.to_frame().rename(columns={"component": "role"})
        roles: dict[str, str] = {c: COMPONENT_NAMES[c] for c in READABLE if c in self.counts()}
        layers = max((n.layer for n in self), default=-1) + 1
        return standalone(stacked_layers(table, roles, layers))

    def check(self, model: Model) -> None:
        """Raises UserError where the model does not have one of the neurons."""
        for layer, component, index in self.neurons:
            there = layer < model.layers and model.has(layer, component)
            if not there or index >= model.sizes[component]:
                raise UserError(
                    f"Neuron {layer}.{component}.{index} is not in {model.title}: the set was made "
                    "on another model."
                )

    def by_place(self) -> dict[tuple[int, Component], list[int]]:
        """Indices per (layer, component)."""
        places: dict[tuple[int, Component], list[int]] = {}
        for layer, component, index in self:
            places.setdefault((layer, component), []).append(index)
        return places

    def matched_random(self, sizes: Mapping[Component, int], seed: int) -> NeuronSet:
        """As many other neurons in each layer and component, drawn at random.

        Args:
            sizes: neurons per layer of each component.
            seed: same seed, same set.

        The set's own neurons are left out wherever enough others exist.
        """
        draw = random.Random(seed)
        chosen: list[Neuron] = []
        missing = self.counts().keys() - sizes.keys()
        if missing:
            raise UserError(f"How many {missing.pop()} neurons a layer has is not said.")
        for (layer, component), indices in self.by_place().items():
            everyone = range(sizes[component])
            others = [i for i in everyone if Neuron(layer, component, i) not in self.neurons]
            pool = others if len(others) >= len(indices) else list(everyone)
            chosen += [Neuron(layer, component, i) for i in draw.sample(pool, len(indices))]
        return NeuronSet(chosen, f"random like {self.name or 'set'} #{seed}")

    def counts(self) -> Counter[Component]:
        """How many neurons of each component."""
        return Counter(n.component for n in self.neurons)

    def to_frame(self) -> pd.DataFrame:
        """Columns layer, component, neuron."""
        return pd.DataFrame(list(self), columns=["layer", "component", "neuron"])

    def to_json(self) -> str:
        """The set as JSON: name and neurons written ``layer.component.index``."""
        return json.dumps({"name": self.name, "neurons": [str(n) for n in self]})

    @classmethod
    def from_json(cls, text: str) -> NeuronSet:
        """Reads what ``to_json`` wrote. Raises UserError where it is something else."""
        try:
            data = json.loads(text)
            return cls([Neuron.parse(n) for n in data["neurons"]], str(data.get("name", "")))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError("This is not a neuron set: export one from a basket first.") from None
