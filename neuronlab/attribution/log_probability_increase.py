"""How much each part of the residual stream raises the target's log-probability (2312.12141).

    Imp(v) = log p(w | x + v) - log p(w | x)

x is the state that attention (for what attention adds) or the FFN (for what the FFN adds) of the
layer adds to, and p is read out with frozen statistics, so that the logits are linear in the state.
With d the change of the logits that v makes and p the probabilities at x, Jensen's inequality gives

    Imp(v) = d_w - log sum_j p_j exp(d_j)  <=  d_w - sum_j p_j d_j

whose right side costs one product with the hidden state per neuron: a bound on every neuron, from
which a search rescores exactly only as many as it takes to prove which neurons are the best (an
algorithm of our own).
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.models.stream import Stream

# Logits that may be in memory at once while neurons are rescored.
_LOGITS = 12_000_000
# Rounding of bounds and scores in float32, as a fraction of the largest bound.
_ROUNDING = 1e-5


class LogProbabilityIncrease:
    """Scores of one prompt's neurons, heads and layers for one target."""

    def __init__(self, stream: Stream, target: int) -> None:
        """
        Args:
            target: index of the token whose log-probability is explained.
        """
        self.stream = stream
        self.target = target
        states = stream.states()
        self.logits = stream.readout.logits(states)
        self.normaliser = self.logits.logsumexp(-1)
        probabilities = self.logits[:-1].softmax(-1)
        weights = -probabilities
        weights[:, target] += 1.0
        self._slopes = stream.readout.gradient(weights)

    @property
    def path(self) -> Float[Tensor, " state"]:
        """Log-probability of the target at every state of ``Stream.states`` (logit lens)."""
        return self.logits[:, self.target] - self.normaliser

    def of(
        self, parts: Float[Tensor, "row hidden"], states: Int[Tensor, " row"]
    ) -> Float[Tensor, " row"]:
        """The exact increase of each part, added to the state of that number."""
        found = []
        step = max(1, _LOGITS // self.logits.shape[1])
        for some, at in zip(parts.split(step), states.split(step), strict=True):
            change = self.stream.readout.change(some)
            after = (self.logits[at] + change).logsumexp(-1)
            found.append(change[:, self.target] - (after - self.normaliser[at]))
        return torch.cat(found)

    def layers(self) -> Float[Tensor, "layer 2"]:
        """The increase of each layer's attention (first) and FFN (second), biases left out."""
        parts = self.stream.layer_parts()
        states = torch.arange(parts.shape[0] * 2, device=parts.device)
        return self.of(parts.flatten(0, 1), states).view(-1, 2)

    def heads(self) -> Float[Tensor, "layer head"]:
        """The increase of each head, over all positions it reads."""
        return torch.stack(
            [
                self.of(parts, torch.full((len(parts),), 2 * layer, device=parts.device))
                for layer in range(len(self.stream.maps))
                for parts in [self.stream.head_parts(layer).sum(0)]
            ]
        )

    def head_positions(self) -> Float[Tensor, "layer position head"]:
        """The increase of what each head reads from each position."""
        found = []
        for layer in range(len(self.stream.maps)):
            parts = self.stream.head_parts(layer)
            states = torch.full((parts.shape[0] * parts.shape[1],), 2 * layer, device=parts.device)
            found.append(self.of(parts.flatten(0, 1), states).view(parts.shape[:2]))
        return torch.stack(found)

    def ffn_bounds(self) -> Float[Tensor, "layer neuron"]:
        """At least the increase of each FFN neuron; close to it for all but the largest."""
        return self._bounds(1, self.stream.ffn[:, None]).squeeze(1)

    def attention_bounds(self) -> Float[Tensor, "layer position neuron"]:
        """The same for attention neurons at each position they read from."""
        return self._bounds(0, self.stream.attention)

    def top(
        self,
        count: int,
        *,
        ffn: bool = True,
        attention: bool = True,
        check: Callable[[], None] = lambda: None,
    ) -> pd.DataFrame:
        """The neurons of highest increase, proven: no neuron outside has a higher one.

        Args:
            ffn, attention: which neurons are searched.
            check: called between rescorings; an exception it raises ends the search.

        Returns:
            One row per neuron, best first: columns layer, component, neuron, position (an
            attention neuron's; -1 for FFN neurons), score, bound. ``attrs["rescored"]`` is how
            many neurons the proof took.
        """
        bounds, origin = [], []
        for half, wanted in ((1, ffn), (0, attention)):
            if wanted:
                found = self.ffn_bounds()[:, None] if half else self.attention_bounds()
                bounds.append(found.flatten())
                origin += [(half, found.shape)]
        every = torch.cat(bounds)
        order = every.argsort(descending=True)
        count = min(count, len(order))
        slack = _ROUNDING * float(every.abs().max())
        step = max(count, min(256, _LOGITS // self.logits.shape[1]))
        scores = every.new_empty(0)
        while len(scores) < len(order):
            check()
            scores = torch.cat([scores, self._exact(order[len(scores) :][:step], origin)])
            if len(scores) == len(order):
                break
            worst = scores.topk(count).values[-1]
            if float(worst) >= float(every[order[len(scores)]]) + slack:
                break
        best = scores.topk(count).indices
        rows = []
        for i, score in zip(order[best].tolist(), scores[best].tolist(), strict=True):
            half, layer, place, neuron = _place(i, origin)
            component, position = ("ffn", -1) if half else ("attention", place)
            rows.append((layer, component, neuron, position, score, float(every[i])))
        columns = ["layer", "component", "neuron", "position", "score", "bound"]
        table = pd.DataFrame(rows, columns=columns)
        table.attrs["rescored"] = len(scores)
        return table

    def _bounds(
        self, half: int, coefficients: Float[Tensor, "layer place neuron"]
    ) -> Float[Tensor, "layer place neuron"]:
        model = self.stream.model
        found = []
        for layer, block in enumerate(model.blocks):
            vectors = (model.family.attention_vectors, model.family.ffn_vectors)[half](block)
            slope, onward = self._slopes[2 * layer + half], self.stream.maps[layer][half]
            slope = slope if onward is None else slope @ onward
            found.append(coefficients[layer] * (vectors.float() @ slope))
        return torch.stack(found)

    def _exact(
        self, chosen: Int[Tensor, " row"], origin: list[tuple[int, torch.Size]]
    ) -> Float[Tensor, " row"]:
        stream, family = self.stream, self.stream.model.family
        parts, states = [], []
        for i in chosen.tolist():
            half, layer, place, neuron = _place(i, origin)
            block = stream.model.block(layer)
            if half:
                vector, coefficient = family.ffn_vectors(block), stream.ffn[layer, neuron]
            else:
                vector = family.attention_vectors(block)
                coefficient = stream.attention[layer, place, neuron]
            part, onward = coefficient * vector[neuron].float(), stream.maps[layer][half]
            parts.append(part if onward is None else onward @ part)
            states.append(2 * layer + half)
        return self.of(torch.stack(parts), torch.tensor(states, device=chosen.device))


def _place(index: int, origin: list[tuple[int, torch.Size]]) -> tuple[int, int, int, int]:
    """Half, layer, place and neuron of a number among all candidates."""
    for half, shape in origin:
        size = shape.numel()
        if index < size:
            layer, rest = divmod(index, shape[1] * shape[2])
            return half, layer, *divmod(rest, shape[2])
        index -= size
    raise IndexError(index)
