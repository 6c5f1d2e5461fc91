"""Which neurons wake the value neurons: query neurons (arXiv 2312.12141).

A value neuron's coefficient comes from its subkey: a row of the projection it belongs to. What the
subkey sees in the stream is a sum over what all layers below have written. The part u of that sum
takes its share of the value neuron's score:

    Q(u) += Imp(v) (u . k) / sum over u' of (u' . k)

k is the subkey times the weight of the block's own norm. A gated FFN has two subkeys, gate and up;
the activation is their product, and the score is the mean over both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from neuronlab.models import Encoded, Model
from neuronlab.models.components import SUBLAYERS, Sublayer
from neuronlab.models.stream import record

# How many of the best value neurons are asked who wakes them.
VALUE_NEURONS = 30
# A sum this small beside the absolute sum of its parts would blow all shares up.
GUARD = 0.05


class ValueNeuron(NamedTuple):
    """A neuron that writes at the predicted position.

    Attributes:
        position: where it reads: the token attended to, or the predicted position.
    """

    layer: int
    sublayer: Sublayer
    index: int  # type: ignore[assignment]  # the field hides tuple.index
    position: int


@dataclass(frozen=True)
class Shares:
    """How much of what each subkey sees comes from where; rows add up to 1.

    One row per subkey of a value neuron; zero in rows that are not trusted.

    Attributes:
        value: number of the value neuron of each row.
        subkey: its name ("value", "input", "gate", "up").
        trusted: whether the sum is large enough to be divided by.
        start, biases: the embedding's and all biases' share.
        attention, ffn: of each neuron of each layer, at the position that is read; zero in layers
            that come later.
    """

    value: list[int]
    subkey: list[str]
    trusted: Bool[Tensor, " row"]
    start: Float[Tensor, " row"]
    biases: Float[Tensor, " row"]
    attention: Float[Tensor, "row layer attention_neuron"]
    ffn: Float[Tensor, "row layer ffn_neuron"]

    @property
    def layers(self) -> Float[Tensor, "row layer 2"]:
        """Of each layer's attention (first) and FFN (second)."""
        return torch.stack([self.attention.sum(-1), self.ffn.sum(-1)], -1)

    def of(self, values: range) -> Shares:
        """The rows of some of the value neurons, which are numbered anew."""
        rows = [row for row, value in enumerate(self.value) if value in values]
        return Shares(
            [self.value[row] - values.start for row in rows],
            [self.subkey[row] for row in rows],
            self.trusted[rows],
            self.start[rows],
            self.biases[rows],
            self.attention[rows],
            self.ffn[rows],
        )


@dataclass(frozen=True)
class QueryScores:
    """Query scores, one row per kind of subkey; their mean is the score.

    Attributes:
        subkeys: names of the rows.
        used: how many value neurons each row sums over; the others' sums were too small.
        total: the sum of their scores, which all parts add up to.
        start, biases, layers, attention, ffn: see ``Shares``.
    """

    subkeys: tuple[str, ...]
    used: tuple[int, ...]
    total: Float[Tensor, " subkey"]
    start: Float[Tensor, " subkey"]
    biases: Float[Tensor, " subkey"]
    layers: Float[Tensor, "subkey layer 2"]
    attention: Float[Tensor, "subkey layer attention_neuron"]
    ffn: Float[Tensor, "subkey layer ffn_neuron"]


def value_neurons(table: pd.DataFrame, position: int) -> list[ValueNeuron]:
    """The neurons of a table of ``LogProbabilityIncrease.top``, all of one kind.

    Args:
        position: the predicted one, which FFN neurons read.
    """
    return [
        ValueNeuron(
            r.layer, r.component, r.neuron, position if r.component == "ffn" else r.position
        )
        for r in table.itertuples()
    ]


@torch.no_grad()
def shares(model: Model, encoded: Encoded, values: Sequence[ValueNeuron]) -> Shares:
    """Who makes the subkeys of these value neurons fire; one forward pass."""
    positions = sorted({v.position for v in values})
    written = record(model, encoded, positions)
    keys, value, names = [], [], []
    for number, v in enumerate(values):
        for name, row in model.subkeys(v.layer, v.sublayer, [v.index]).items():
            keys.append(row)
            value.append(number)
            names.append(name)
    rows = torch.cat(keys)
    reads = [model.read_state(values[i].layer, values[i].sublayer) for i in value]
    at = [positions.index(values[i].position) for i in value]
    products = {
        sublayer: rows.new_zeros(len(rows), model.layers, model.sizes[sublayer])
        for sublayer in SUBLAYERS
    }
    biases = rows.new_zeros(len(rows))
    coefficients = {"attention": written.attention, "ffn": written.ffn}
    # From the highest state read downwards; below a norm, a subkey is told in what enters the norm.
    for number in reversed(range(max(reads))):
        layer, sublayer = number // 2, SUBLAYERS[number % 2]
        active = [i for i, state in enumerate(reads) if state > number]
        places = [at[i] for i in active]
        subkeys = rows[active]
        norm = written.stream_norms[layer, sublayer]
        if norm is not None:
            biases[active] += subkeys @ norm.shift
            subkeys = rows[active] = norm.of(places).back(subkeys)
        subkeys = subkeys * model.family.branch_factor(model.block(layer))
        branch = written.branch_norms[layer, sublayer]
        if branch is not None:
            biases[active] += subkeys @ branch.shift
            subkeys = branch.of(places).back(subkeys)
        bias = model.output_bias(layer, sublayer)
        if bias is not None:
            biases[active] += subkeys @ bias.float()
        vectors = model.family.vectors(model.block(layer), sublayer).float()
        products[sublayer][active, layer] = coefficients[sublayer][layer, places] * (
            subkeys @ vectors.T
        )
    start = (rows * written.start[at]).sum(-1)
    of_layers = torch.stack([part.sum(-1) for part in products.values()])
    whole = start + biases + of_layers.sum((0, 2))
    absolute = start.abs() + biases.abs() + of_layers.abs().sum((0, 2))
    trusted = whole.abs() >= GUARD * absolute
    factor = torch.where(trusted, 1 / whole, 0.0)
    attention, ffn = (part * factor[:, None, None] for part in products.values())
    return Shares(value, names, trusted, start * factor, biases * factor, attention, ffn)


def shares_of(
    model: Model, encoded: Encoded, tables: Mapping[str, pd.DataFrame]
) -> dict[str, Shares]:
    """The same for tables of value neurons, all in one pass; the shares of each table."""
    values = {name: value_neurons(table, encoded.position) for name, table in tables.items()}
    everyone = shares(model, encoded, list(chain.from_iterable(values.values())))
    parts, start = {}, 0
    for name, neurons in values.items():
        parts[name] = everyone.of(range(start, start + len(neurons)))
        start += len(neurons)
    return parts


def query_scores(shares: Shares, scores: Iterable[float]) -> QueryScores:
    """Add up the shares, each times its value neuron's score."""
    subkeys = tuple(dict.fromkeys(shares.subkey))
    trusted = shares.trusted.tolist()
    kept = [
        [name == subkey and good for subkey, good in zip(shares.subkey, trusted, strict=True)]
        for name in subkeys
    ]
    values = shares.start.new_tensor(list(scores))[shares.value]
    weights = values.new_tensor(kept) * values
    return QueryScores(
        subkeys=subkeys,
        used=tuple(map(sum, kept)),
        total=weights.sum(1),
        start=weights @ shares.start,
        biases=weights @ shares.biases,
        layers=torch.einsum("sr,rlh->slh", weights, shares.layers),
        attention=torch.einsum("sr,rln->sln", weights, shares.attention),
        ffn=torch.einsum("sr,rln->sln", weights, shares.ffn),
    )
