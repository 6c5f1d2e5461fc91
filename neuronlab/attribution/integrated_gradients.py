"""Integrated gradients of every layer's neurons, adaptive, on the growing batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.attribution.growing_batch import Gradients, GrowingBatch, Path
from neuronlab.attribution.quadrature import Rule, lobatto
from neuronlab.attribution.request import At, Attribution, Request, on_cpu
from neuronlab.models import COMPONENTS

# A piece of a path is tried with few nodes. One that is nearly right is tried with more; one that
# is far off is cut: a whole path into many pieces, since a pass costs nearly the same for one row
# as for thirty, and geometrically next to zero, where a norm of an almost empty state makes paths
# sharp. The path of a value is nearly straight: attention weighs it and passes it on.
FEW, MORE = 4, 7
_FEW_VALUES = 3
_NEARLY = 0.25
_CUT_WHOLE = (0.0, 1 / 64, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)
_CUT_AT_ZERO = (0.0, 1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0)
_CUT = (0.0, 1 / 4, 1 / 2, 3 / 4, 1.0)
# The first layer's attention and FFN write into a nearly empty residual stream: the paths of its
# queries and FFN neurons are never smooth, and where rows are cheap they start in pieces at once.
_SHARP = {(0, "query"), (0, "ffn")}
_CUT_FIRST_LAYER = tuple((k / 10) ** 1.5 for k in range(11))
_FIRST_LAYER_ORDER = 5
_MAX_ROUNDS = 12
_MAX_NODES = 800
# Differences of the objective below this fraction of it are rounding, not error.
_ROUNDING = 3e-6
# Activations that a pass may keep for the way back, in bytes.
MEMORY = 1e9


@dataclass
class _Point:
    """What is known at one alpha of a path.

    ``slope`` is the derivative of the objective with respect to alpha: the sum of what the scores
    would be if the gradient were the same all the way.
    """

    value: float
    slope: float
    gradient: Float[Tensor, "token neuron"]


@dataclass
class _Piece:
    """A piece of a path, with the sum of the rule and of its check over the inner nodes."""

    start: float
    stop: float
    order: int = FEW
    inner: Float[Tensor, "token neuron"] | float = 0.0
    inner_check: Float[Tensor, "token neuron"] | float = 0.0
    heights: dict[int, tuple[float, float]] = field(default_factory=dict)
    integral: Float[Tensor, "token neuron"] | float = 0.0
    error: float = 0.0

    @property
    def rule(self) -> Rule:
        return lobatto(self.order)

    def at(self, node: int) -> float:
        """Alpha of a node of the rule; exact at the ends, which neighbours look up."""
        if node == self.order - 1:
            return self.stop
        return self.start + (self.stop - self.start) * self.rule.nodes[node]

    def add(self, node: int, point: _Point) -> None:
        """What was found at an inner node."""
        length = self.stop - self.start
        self.inner = self.inner + length * self.rule.weights[node] * point.gradient
        self.inner_check = self.inner_check + length * self.rule.check[node] * point.gradient
        self.heights[node] = point.value, point.slope

    def close(self, ends: dict[float, _Point], difference: Tensor) -> None:
        """Integrate, once the inner nodes and both ends are known, and estimate the error.

        ``error`` is in units of the scores, summed over the neurons. It is the larger of two. The
        gaps to completeness between neighbouring nodes see no error that cancels between neurons.
        The difference to the rule of lower degree sees it, but overrates it: as the two converge,
        the error falls with about the power 1.5 of the relative difference.
        """
        length = self.stop - self.start
        first, last = ends[self.start], ends[self.stop]
        rule = self.rule
        self.integral = self.inner + length * (
            rule.weights[0] * first.gradient + rule.weights[-1] * last.gradient
        )
        check = self.inner_check + length * rule.check[-1] * last.gradient
        size = float((difference * self.integral).abs().sum())
        apart = float((difference * (self.integral - check)).abs().sum())
        inner = [self.heights[node] for node in range(1, self.order - 1)]
        values, slopes = np.array([(first.value, first.slope), *inner, (last.value, last.slope)]).T
        gaps = float(np.abs(length * rule.stretches @ slopes - np.diff(values)).sum())
        self.error = max(gaps, apart * min(1.0, (apart / size) ** 0.5) if size else 0.0)

    def refined(self, total: float) -> list[_Piece]:
        """What to evaluate instead; ``total`` is the sum of the path's absolute scores."""
        if self.order < MORE and self.error < _NEARLY * total:
            return [_Piece(self.start, self.stop, MORE)]
        whole = self.stop - self.start == 1.0
        grid = _CUT_WHOLE if whole else _CUT_AT_ZERO if self.start == 0.0 else _CUT
        return _pieces([self.start + (self.stop - self.start) * g for g in grid[:-1]] + [self.stop])


@dataclass
class _Walk:
    """One path, from the baseline (alpha 0) to the clean neurons of one place (alpha 1)."""

    at: At
    open: list[_Piece]
    baseline: Float[Tensor, "token neuron"] | float
    done: list[_Piece] = field(default_factory=list)
    ends: dict[float, _Point] = field(default_factory=dict)
    difference: Float[Tensor, "token neuron"] | float = 0.0
    nodes: int = 0

    @property
    def wanted(self) -> list[_Node]:
        """The nodes that open pieces lack. The clean end comes with every pass."""
        ends = {piece.start for piece in self.open} - self.ends.keys()
        return [_Node(self, alpha) for alpha in sorted(ends)] + [
            _Node(self, piece.at(node), piece, node)
            for piece in self.open
            for node in range(1, piece.order - 1)
        ]

    @property
    def size(self) -> float:
        """The sum of the absolute scores."""
        return float((self.difference * self.integral).abs().sum())

    @property
    def integral(self) -> Tensor:
        return sum(piece.integral for piece in self.done)

    @property
    def error(self) -> float:
        return sum(piece.error for piece in self.done)

    @property
    def gradient_r(self) -> float:
        """Correlation of the scores with those of the gradient at the clean neurons alone."""
        pair = torch.stack([self.integral, self.ends[1.0].gradient]) * self.difference
        return float(torch.corrcoef(pair.flatten(1)).nan_to_num()[0, 1])

    def close(self) -> None:
        """Integrate the open pieces, whose nodes have all been evaluated."""
        for piece in self.open:
            piece.close(self.ends, self.difference)
        self.done += self.open
        self.open = []

    def refine(self, tolerance: float) -> None:
        """Open anew the pieces that keep the path from its tolerance."""
        size = self.size
        largest = max(abs(self.ends[0.0].value), abs(self.ends[1.0].value))
        allowed = max(tolerance * size, _ROUNDING * largest)
        if self.error <= allowed or self.nodes >= _MAX_NODES:
            return
        share = allowed / len(self.done)
        wrong = [piece for piece in self.done if piece.error > share]
        self.done = [piece for piece in self.done if piece.error <= share]
        self.open = [new for piece in wrong for new in piece.refined(size)]


@dataclass
class _Node:
    """A point on a path: inside a piece, or (without one) where pieces meet."""

    walk: _Walk
    alpha: float
    piece: _Piece | None = None
    number: int = 0

    def found(self, point: _Point) -> None:
        if self.piece is None:
            self.walk.ends[self.alpha] = replace(point, gradient=point.gradient.clone())
        else:
            self.piece.add(self.number, point)
        self.walk.nodes += 1


def _pieces(ends: Sequence[float], order: int = FEW) -> list[_Piece]:
    return [_Piece(start, stop, order) for start, stop in pairwise(ends)]


def _untried(at: At, cheap: bool) -> list[_Piece]:
    """The pieces a path starts with."""
    if cheap and at in _SHARP:
        return _pieces(_CUT_FIRST_LAYER, _FIRST_LAYER_ORDER)
    return _pieces((0.0, 1.0), _FEW_VALUES if at[1] == "value" else FEW)


def integrated_gradients(request: Request) -> Attribution:
    """IG_j = (a_j - b_j) * integral over alpha of dF/da_j at b + alpha (a - b).

    One path per layer and component, from the baseline b (zero by default) to the clean activation
    a (Sundararajan et al. 2017; zero baseline at the activations: Dai et al. 2022). Scores of a
    layer sum to F(a) - F(b), on every stretch of the path, and rules of two degrees on the same
    nodes agree: what is missing to either is the error estimate. A path that exceeds the tolerance
    is cut where its error is, until it fits.
    """
    last = (0.0, "integrating")
    batch = GrowingBatch(
        request.model,
        request.encoded,
        request.explained,
        everywhere=request.positions == "all",
        check=lambda: request.progress(*last),
    )
    cheap = batch.tokens_per_row == 1
    walks = {
        at: _Walk(
            at,
            _untried(at, cheap),
            0.0 if request.baseline is None else request.baseline[at][0, request.span],
        )
        for at in request.places
    }
    for round_ in range(_MAX_ROUNDS):
        passes = list(_passes(request, batch, walks.values()))
        for number, nodes in enumerate(passes):
            done = (number + 0.5) / len(passes)
            # Most paths need one round: the first counts for most of the work.
            fraction = 0.8 * done if round_ == 0 else 0.8 + 0.2 * (1 - 0.5 ** (round_ - 1 + done))
            message = "integrating" if round_ == 0 else f"refining, round {round_}"
            last = (min(fraction, 0.999), message)
            _evaluate(batch, nodes)
        for walk in walks.values():
            walk.close()
        if round_ + 1 < _MAX_ROUNDS:
            for walk in walks.values():
                walk.refine(request.tolerance)
        if not any(walk.open for walk in walks.values()):
            break
    scores, rows = {}, []
    for at, walk in walks.items():
        scores[at] = on_cpu(walk.difference * walk.integral)
        total = float(scores[at].double().sum())
        expected = walk.ends[1.0].value - walk.ends[0.0].value
        gap = abs(total - expected)
        rows.append((*at, total, expected, gap, walk.error, walk.gradient_r, walk.nodes))
    columns = ["layer", "component", "total", "expected", "gap", "error", "gradient_r", "nodes"]
    return Attribution(scores, pd.DataFrame(rows, columns=columns))


def _passes(request: Request, batch: GrowingBatch, walks: Iterable[_Walk]) -> Iterator[list[_Node]]:
    """The nodes that all paths lack, in portions whose memory is bounded."""
    portion: list[_Node] = []
    spent = 0.0
    for walk in sorted(walks, key=lambda w: w.at[0]):
        cost = row_bytes(request, batch.tokens_per_row, walk.at[0])
        for node in walk.wanted:
            if portion and spent + cost > MEMORY:
                yield portion
                portion, spent = [], 0.0
            portion.append(node)
            spent += cost
    if portion:
        yield portion


def row_bytes(request: Request, tokens: int, layer: int) -> float:
    """Memory one row keeps for the backward pass when it joins at ``layer``, in bytes."""
    model = request.model
    hidden = model.hf.config.hidden_size
    width = 8 * hidden + 4 * model.sizes["ffn"] + 3 * sum(model.sizes[c] for c in COMPONENTS)
    choices = len(model.labels) if model.kind == "classifier" else model.vocabulary
    prefix = request.encoded.input_ids.shape[1] * model.hf.config.num_attention_heads
    attention = 3 * prefix if tokens == 1 else 0
    per_layer = tokens * (width + attention)
    return 4.0 * ((model.layers - layer) * per_layer + 4 * choices)


def _evaluate(batch: GrowingBatch, nodes: list[_Node]) -> None:
    """Run one portion and tell every node what was found there."""
    by_place: dict[At, list[_Node]] = {}
    for node in nodes:
        by_place.setdefault(node.walk.at, []).append(node)
    value, found = batch.run(
        [
            Path(at, [node.alpha for node in own], own[0].walk.baseline)
            for at, own in by_place.items()
        ]
    )
    for at, own in by_place.items():
        result: Gradients = found[at]
        walk = own[0].walk
        if 1.0 not in walk.ends:
            walk.difference = result.clean - walk.baseline
            slope = float((walk.difference * result.clean_gradient).sum())
            walk.ends[1.0] = _Point(value, slope, result.clean_gradient)
        values = result.values.tolist()
        slopes = (walk.difference * result.gradients).sum((1, 2)).tolist()
        for node, *known in zip(own, values, slopes, result.gradients, strict=True):
            node.found(_Point(*known))
