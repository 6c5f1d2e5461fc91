"""How much each part of the residual stream raises the target's log-probability (2312.12141).

    Imp(v) = log p(w | x + v) - log p(w | x)

x is the state that attention (for what attention adds) or the FFN (for what the FFN adds) of the
layer adds to, and p is read out with frozen statistics, so that the logits are linear in the state.
With d the change of the logits that v makes and p the probabilities at x, Jensen's inequality gives

    Imp(v) = d_w - log sum_j p_j exp(d_j)  <=  d_w - sum_j p_j d_j

whose right side costs one product with the hidden state per neuron: a bound on every neuron, from
which a search rescores exactly only as many as it takes to prove which neurons are the best (an
algorithm of our own).

Of a target that is compared with a foil f, the logarithm is gone: log p_w - log p_f is a difference
of two logits, linear in the state, and d_w - d_f is the increase itself, of every neuron.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.attribution.best_first import CERTIFIED, Level, Proof, best_first
from neuronlab.attribution.request import LOGITS
from neuronlab.models.components import Sublayer
from neuronlab.models.stream import Stream, state_before
from neuronlab.progress import Check, unheard


class Candidates(NamedTuple):
    """Neurons to search: those of attention or of the FFN.

    Attributes:
        coefficients: what each neuron's vector is multiplied by: one place for FFN neurons, one
            per position for attention neurons, or their sum.
    """

    sublayer: Sublayer
    coefficients: Float[Tensor, "layer place neuron"]


# Makes scores of increases in log-probability, given the state each was added to; it may not
# change the order of the neurons of a state.
Scale = Callable[[Float[Tensor, " row"], Int[Tensor, " row"]], Float[Tensor, " row"]]


def summed(stream: Stream, sublayer: Sublayer) -> Candidates:
    """The FFN neurons, or the attention neurons summed over the positions they read from."""
    if sublayer == "ffn":
        return Candidates("ffn", stream.ffn[:, None])
    return Candidates("attention", stream.attention.sum(1, keepdim=True))


class LogProbabilityIncrease:
    """Scores of one prompt's neurons, heads and layers for one target."""

    def __init__(
        self, stream: Stream, target: int, *, foil: int | None = None, alone: bool = False
    ) -> None:
        """
        Args:
            target: index of the token whose log-probability is explained.
            foil: index of the one whose log-probability is taken away from it; ``bounds`` are then
                the increases themselves.
            alone: add each part to nothing at all, where all tokens are equally probable, instead
                of the state it belongs to: log p(w | v) without its constant.
        """
        self.stream = stream
        self.target = target
        self.foil = foil
        states = stream.states()
        if alone:
            self.logits = states.new_zeros(len(states), len(stream.readout.bias))
        else:
            self.logits = stream.readout.logits(states)
        self.normaliser = self.logits.logsumexp(-1)
        if foil is None:
            weights = -self.logits[:-1].softmax(-1)
        else:
            weights = torch.zeros_like(self.logits[:-1])
            weights[:, foil] = -1.0
        weights[:, target] += 1.0
        self._slopes = stream.readout.gradient(weights)

    @property
    def path(self) -> Float[Tensor, " state"]:
        """Log-probability of the target at every state of ``Stream.states`` (logit lens)."""
        return self.logits[:, self.target] - self.normaliser

    def in_probability(
        self, values: Float[Tensor, " row"], states: Int[Tensor, " row"]
    ) -> Float[Tensor, " row"]:
        """Increases in log-probability as increases in probability: a ``Scale``."""
        return self.path.exp()[states] * values.expm1()

    def of(
        self, parts: Float[Tensor, "row hidden"], states: Int[Tensor, " row"]
    ) -> Float[Tensor, " row"]:
        """The exact increase of each part, added to the state of that number."""
        increases = []
        for some, at in zip(parts.split(self._step), states.split(self._step), strict=True):
            change = self.stream.readout.change(some)
            after = (self.logits[at] + change).logsumexp(-1)
            increases.append(change[:, self.target] - (after - self.normaliser[at]))
        return torch.cat(increases)

    @property
    def _step(self) -> int:
        return max(1, LOGITS // self.logits.shape[1])

    def layers(self) -> Float[Tensor, "layer 2"]:
        """The increase of each layer's attention (first) and FFN (second), biases left out."""
        parts = self.stream.layer_parts()
        states = torch.arange(parts.shape[0] * 2, device=parts.device, dtype=torch.long)
        return self.of(parts.flatten(0, 1), states).view(-1, 2)

    def biases(self) -> Float[Tensor, "layer 2"]:
        """The increase of what the biases of each layer's attention and FFN add."""
        parts = self.stream.biases
        states = torch.arange(parts.shape[0] * 2, device=parts.device, dtype=torch.long)
        return self.of(parts.flatten(0, 1), states).view(-1, 2)

    def heads(self) -> Float[Tensor, "layer head"]:
        """The increase of each head, over all positions it reads."""
        layers = range(self.stream.model.layers)
        parts = torch.stack([self.stream.head_parts(layer).sum(0) for layer in layers])
        states = 2 * torch.arange(len(parts), device=parts.device, dtype=torch.long)
        states = states[:, None].expand(parts.shape[:2]).flatten()
        return self.of(parts.flatten(0, 1), states).view(parts.shape[:2])

    def head_positions(
        self, heads: Sequence[tuple[int, int]] | None = None
    ) -> Float[Tensor, "head position"]:
        """The increase of what heads read from each position.

        Args:
            heads: (layer, head) each; all, layer by layer, by default.
        """
        if heads is None:
            every = range(self.stream.heads)
            heads = [(layer, head) for layer in range(self.stream.model.layers) for head in every]
        layers = {layer: self.stream.head_parts(layer) for layer in {layer for layer, _ in heads}}
        parts = torch.stack([layers[layer][:, head] for layer, head in heads])
        numbers = [2 * layer for layer, _ in heads]
        states = torch.tensor(numbers, device=parts.device, dtype=torch.long)
        states = states[:, None].expand(parts.shape[:2]).flatten()
        return self.of(parts.flatten(0, 1), states).view(parts.shape[:2])

    def head_position_bounds(self) -> Float[Tensor, "layer position head"]:
        """At least the increase of what each head reads from each position."""
        bounds = self.bounds(self.attention_neurons)
        return bounds.unflatten(-1, (self.stream.heads, -1)).sum(-1)

    @property
    def ffn_neurons(self) -> Candidates:
        """Every FFN neuron."""
        return summed(self.stream, "ffn")

    @property
    def attention_neurons(self) -> Candidates:
        """Every attention neuron, at each position it reads from."""
        return Candidates("attention", self.stream.attention)

    def bounds(self, candidates: Candidates) -> Float[Tensor, "layer place neuron"]:
        """At least the increase of each; close to it for all but the largest."""
        sublayer, coefficients = candidates
        bounds = []
        for layer, block in enumerate(self.stream.model.blocks):
            vectors = self.stream.model.family.vectors(block, sublayer)
            slope = self._slopes[state_before(layer, sublayer)]
            onward = self.stream.maps[layer, sublayer]
            slope = slope if onward is None else slope @ onward
            bounds.append(coefficients[layer] * (vectors.float() @ slope))
        return torch.stack(bounds)

    def search(
        self,
        candidates: Sequence[Candidates],
        count: int = CERTIFIED,
        *,
        scale: Scale = lambda values, states: values,
        check: Check = unheard,
    ) -> Proof:
        """Rescore from the highest bound down until the best ``count`` are proven.

        Args:
            check: called between rescorings; an exception it raises ends the search.
        """
        parts = []
        for one in candidates:
            bounds = self.bounds(one)
            numbers = [state_before(layer, one.sublayer) for layer in range(len(bounds))]
            states = torch.tensor(numbers, device=bounds.device, dtype=torch.long)
            states = states[:, None, None].expand_as(bounds)
            parts.append(scale(bounds.flatten(), states.flatten()))
        exact = Level(
            lambda chosen: self._exact(chosen, candidates, scale), max(1, self._step // 2)
        )
        return best_first(torch.cat(parts), [exact], count, check=check)

    def top(
        self,
        count: int,
        candidates: Sequence[Candidates] | None = None,
        *,
        check: Check = unheard,
    ) -> pd.DataFrame:
        """The neurons of highest increase, proven: no neuron outside has a higher one.

        Args:
            candidates: all FFN neurons, and attention neurons at each position, by default.
            check: as in ``search``.

        Returns:
            One row per neuron, best first: columns layer, component, neuron, position (an
            attention neuron's; -1 for FFN neurons), score, bound. ``attrs["rescored"]`` is how
            many neurons the proof took.
        """
        candidates = candidates or (self.ffn_neurons, self.attention_neurons)
        return self.table(self.search(candidates, count, check=check), candidates, count)

    def table(self, proof: Proof, candidates: Sequence[Candidates], count: int) -> pd.DataFrame:
        """The best of a search, as ``top`` gives them."""
        best = proof.scores.topk(min(count, len(proof.scores))).indices
        rows = []
        for i, score in zip(
            proof.rescored[best].tolist(), proof.scores[best].tolist(), strict=True
        ):
            one, layer, place, neuron = place_of(i, candidates)
            position = -1 if one.sublayer == "ffn" else place
            rows.append((layer, one.sublayer, neuron, position, score, float(proof.bounds[i])))
        columns = ["layer", "component", "neuron", "position", "score", "bound"]
        table = pd.DataFrame(rows, columns=columns)
        table.attrs["rescored"] = len(proof.scores)
        return table

    def _exact(
        self, chosen: Int[Tensor, " row"], candidates: Sequence[Candidates], scale: Scale
    ) -> Float[Tensor, " row"]:
        coefficients, vectors, states = gather(self.stream, chosen, candidates)
        return scale(self.of(coefficients[:, None] * vectors, states), states)


def gather(
    stream: Stream, chosen: Int[Tensor, " row"], candidates: Sequence[Candidates]
) -> tuple[Float[Tensor, " row"], Float[Tensor, "row hidden"], Int[Tensor, " row"]]:
    """Coefficient, vector and number of the state it is added to, of the candidates chosen."""
    coefficients, states = [], []
    rows: dict[tuple[int, Sublayer], list[tuple[int, int]]] = {}
    for row, number in enumerate(chosen.tolist()):
        one, layer, place, neuron = place_of(number, candidates)
        coefficients.append(one.coefficients[layer, place, neuron])
        states.append(state_before(layer, one.sublayer))
        rows.setdefault((layer, one.sublayer), []).append((row, neuron))
    vectors = stream.start.new_empty(len(chosen), len(stream.start))
    for at, pairs in rows.items():
        places, neurons = zip(*pairs, strict=True)
        vectors[list(places)] = stream.vectors(*at, list(neurons))
    return torch.stack(coefficients), vectors, chosen.new_tensor(states)


def place_of(index: int, candidates: Sequence[Candidates]) -> tuple[Candidates, int, int, int]:
    """Where a number among all candidates belongs: layer, place and neuron."""
    for one in candidates:
        shape = one.coefficients.shape
        if index < shape.numel():
            layer, rest = divmod(index, shape[1] * shape[2])
            return one, layer, *divmod(rest, shape[2])
        index -= shape.numel()
    raise IndexError(index)
