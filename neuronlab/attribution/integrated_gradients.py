"""Integrated gradients of every layer's neurons, adaptive, on the growing batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import cast

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuronlab.attribution.captum_reference import captum_integrated_gradients
from neuronlab.attribution.growing_batch import Gradients, GrowingBatch, Path
from neuronlab.attribution.quadrature import Rule, clenshaw_curtis
from neuronlab.attribution.registry import Method, register
from neuronlab.attribution.request import TOLERANCE, At, Attribution, Request, on_cpu
from neuronlab.models import COMPONENTS, Model
from neuronlab.models.device import free_memory

# A piece of a path is tried with few nodes. One that is not right yet gets twice as many, of which
# half are known already, up to so many, and as long as its error (as a fraction of the path's
# scores) makes that promising; else it is cut, geometrically next to zero, where a norm of an
# almost empty state makes paths sharp.
_FEW = 5
_FEWEST = 3
_MOST = 17
_PROMISING = 0.6
_CUT_WHOLE = (0.0, 1 / 64, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)
_CUT_AT_ZERO = (0.0, 1 / 256, 1 / 64, 1 / 16, 1 / 4, 1.0)
_CUT = (0.0, 1 / 4, 1 / 2, 3 / 4, 1.0)
# The first layer's attention and FFN write into a nearly empty residual stream: the paths of its
# queries and FFN neurons are never smooth, and where rows are cheap they start in pieces at once.
_SHARP = {(0, "query"), (0, "ffn")}
_CUT_FIRST_LAYER = tuple((k / 10) ** 1.5 for k in range(11))
_MAX_ROUNDS = 12
_MAX_NODES = 800
# Points of the usual loop, for each of which it runs the whole model. All paths together take no
# more work: where they would need far more, the function is so jagged that more seldom help.
_USUAL = 20
# Differences of the objective below this fraction of it are rounding, not error, in float32.
_ROUNDING = 3e-6
# More nodes mend an error when they leave at most this fraction of it.
_MENDED = 0.7
# As often in a row without that, and the error is taken for rounding where rounding is coarse.
_GIVES_UP = 2
# Behind these the gradient jumps as neurons change.
_JUMPING = (nn.ReLU, nn.ReLU6, nn.LeakyReLU)
# Activations that a pass may keep for the way back: in bytes, and on a GPU, where large passes are
# the fast ones, as a share of what is free.
_MEMORY = 1e9
_SHARE_OF_GPU = 0.4


@dataclass
class _Point:
    """The objective and its gradient at one alpha of a path.

    ``slope`` is the derivative of the objective with respect to alpha: the sum of what the scores
    would be if the gradient were the same all the way.
    """

    value: float
    slope: float
    gradient: Float[Tensor, "token neuron"]


@dataclass
class _Piece:
    """A piece of a path, and the order of its Clenshaw-Curtis rule."""

    start: float
    stop: float
    order: int
    integral: Float[Tensor, "token neuron"] | float = 0.0
    error: float = 0.0

    @property
    def alphas(self) -> list[float]:
        """The nodes; exact at the ends, which neighbours look up."""
        inner = clenshaw_curtis(self.order).nodes[1:-1]
        length = self.stop - self.start
        return [self.start, *(self.start + length * node for node in inner), self.stop]

    def close(
        self,
        points: dict[float, _Point],
        difference: Tensor,
        *,
        smooth: bool,
        continuous: bool,
    ) -> None:
        """Integrate, once all nodes are known, and estimate the error.

        ``error`` is in units of the scores, summed over the neurons. It is the larger of two. The
        gaps to completeness between neighbouring nodes see no error that cancels between neurons.
        The difference to the rule on every second node sees it, but overrates it where the gradient
        is ``smooth``: as the two converge, the error falls with about the power 1.5 of the relative
        difference. Where the gradient jumps, the error is about that difference. Where the
        objective jumps, too, and is not ``continuous``, gaps are no errors: the integral of the
        gradient does not have the jumps.
        """
        length = self.stop - self.start
        rule, coarse = clenshaw_curtis(self.order), clenshaw_curtis((self.order + 1) // 2)
        nodes = [points[alpha] for alpha in self.alphas]
        self.integral = length * _weighted(rule, nodes)
        coarser = length * _weighted(coarse, nodes[::2])
        size = float((difference * self.integral).abs().sum())
        apart = float((difference * (self.integral - coarser)).abs().sum())
        overrated = min(1.0, (apart / size) ** 0.5) if size and smooth else 1.0
        self.error = apart * overrated
        if continuous:
            values, slopes = np.array([(point.value, point.slope) for point in nodes]).T
            gaps = float(np.abs(length * rule.stretches @ slopes - np.diff(values)).sum())
            self.error = max(gaps, self.error)

    def refined(self, total: float, *, cheap: bool) -> list[_Piece]:
        """What to evaluate instead; ``total`` is the sum of the path's absolute scores."""
        whole = self.stop - self.start == 1.0
        # Where rows are dear, cutting a path into many pieces is the last resort.
        promising = self.error < _PROMISING * total or (whole and not cheap)
        if self.order < _MOST and promising:
            return [_Piece(self.start, self.stop, 2 * self.order - 1)]
        grid = _CUT_WHOLE if whole else _CUT_AT_ZERO if self.start == 0.0 else _CUT
        ends = [self.start + (self.stop - self.start) * g for g in grid[:-1]] + [self.stop]
        return _pieces(ends, _FEW if cheap else _FEWEST)


@dataclass
class _Walk:
    """One path, from the baseline (alpha 0) to the clean neurons of one place (alpha 1)."""

    at: At
    open: list[_Piece]
    baseline: Float[Tensor, "token neuron"] | float
    done: list[_Piece] = field(default_factory=list)
    points: dict[float, _Point] = field(default_factory=dict)
    difference: Float[Tensor, "token neuron"] | float = 0.0
    nodes: int = 0
    rounding: float = _ROUNDING
    smooth: bool = True
    continuous: bool = True
    last_error: float = float("inf")
    unmended: int = 0

    @property
    def wanted(self) -> list[float]:
        """Where open pieces lack a point. The clean end comes with every pass."""
        return sorted({a for piece in self.open for a in piece.alphas} - self.points.keys() - {1.0})

    @property
    def size(self) -> float:
        """The sum of the absolute scores."""
        return float((self.difference * self.integral).abs().sum())

    @property
    def integral(self) -> Tensor:
        return cast(Tensor, sum(piece.integral for piece in self.done))

    @property
    def error(self) -> float:
        return sum(piece.error for piece in self.done)

    @property
    def gradient_r(self) -> float:
        """Correlation of the scores with those of the gradient at the clean neurons alone."""
        pair = torch.stack([self.integral, self.points[1.0].gradient]) * self.difference
        return float(torch.corrcoef(pair.flatten(1)).nan_to_num()[0, 1])

    def take(self, alphas: Sequence[float], value: float, result: Gradients) -> None:
        """Take what a pass gives at these points; ``value`` is the clean prompt's objective."""
        if not self.points:  # every pass brings the clean end
            self.difference = result.clean - self.baseline
            slope = float((self.difference * result.clean_gradient).sum())
            self.points[1.0] = _Point(value, slope, result.clean_gradient.clone())
        slopes = (self.difference * result.gradients).sum((1, 2)).tolist()
        values = result.values.tolist()
        nodes = zip(alphas, values, slopes, result.gradients, strict=True)
        for alpha, objective, slope, gradient in nodes:
            # A copy: what a pass found for all nodes need not be kept for the sake of one.
            self.points[alpha] = _Point(objective, slope, gradient.clone())
        self.nodes += len(alphas)

    def close(self) -> None:
        """Integrate the open pieces, whose nodes have all been evaluated."""
        difference = cast(Tensor, self.difference)
        for piece in self.open:
            piece.close(self.points, difference, smooth=self.smooth, continuous=self.continuous)
        self.done += self.open
        self.open = []

    def refine(self, tolerance: float, *, cheap: bool) -> None:
        """Open anew the pieces that keep the path from its tolerance."""
        size = self.size
        largest = max(abs(self.points[0.0].value), abs(self.points[1.0].value))
        allowed = max(tolerance * size, self.rounding * largest)
        if self.error <= allowed or self.nodes >= _MAX_NODES:
            return
        # Coarse rounding looks like error, and adds up over the nodes: more do not mend it.
        self.unmended = 0 if self.error <= _MENDED * self.last_error else self.unmended + 1
        if self.rounding > _ROUNDING and self.unmended >= _GIVES_UP:
            return
        self.last_error = self.error
        share = allowed / len(self.done)
        wrong = [piece for piece in self.done if piece.error > share]
        self.done = [piece for piece in self.done if piece.error <= share]
        self.open = [new for piece in wrong for new in piece.refined(size, cheap=cheap)]

    def forget(self) -> None:
        """Drop the points that no open piece uses, but the ends of the path."""
        used = {alpha for piece in self.open for alpha in piece.alphas} | {0.0, 1.0}
        self.points = {a: point for a, point in self.points.items() if a in used}


def _weighted(rule: Rule, points: Sequence[_Point]) -> Tensor:
    parts = (w * point.gradient for w, point in zip(rule.weights, points, strict=True))
    return cast(Tensor, sum(parts))


def _pieces(ends: Sequence[float], order: int) -> list[_Piece]:
    return [_Piece(start, stop, order) for start, stop in pairwise(ends)]


def _untried(at: At, *, cheap: bool) -> list[_Piece]:
    """The pieces a path starts with. The path of a value is nearly straight: attention weighs it
    and passes it on.
    """
    if cheap and at in _SHARP:
        return _pieces(_CUT_FIRST_LAYER, _FEW)
    return _pieces((0.0, 1.0), _FEW if cheap and at[1] != "value" else _FEWEST)


def _rounding(model: Model) -> float:
    """Differences of the objective below this fraction of it are rounding."""
    if model.dtype.itemsize < torch.float32.itemsize:
        return torch.finfo(model.dtype).eps
    if model.device.type == "cuda" and torch.get_float32_matmul_precision() != "highest":
        return 2.0**-10  # products keep the ten bits of TF32
    return _ROUNDING


def _smooth(model: Model) -> bool:
    """Whether the gradient changes without jumps as neurons do: not behind a ReLU or a router."""
    jumps = any(isinstance(module, _JUMPING) for module in model.hf.modules())
    return model.family.continuous and not jumps


def integrated_gradients(request: Request) -> Attribution:
    """IG_j = (a_j - b_j) * integral over alpha of dF/da_j at b + alpha (a - b).

    One path per layer and component, from the baseline b (zero by default) to the clean activation
    a (Sundararajan et al. 2017; zero baseline at the activations: Dai et al. 2022). Scores of a
    layer sum to F(a) - F(b), on every stretch of the path, and rules of two degrees on the same
    nodes agree: what is missing to either is the error estimate. A path that exceeds the tolerance
    gets more nodes or is cut where its error is, until it fits, or until all paths together have
    taken as much work as the usual loop over 20 points would; a finer tolerance than the default
    may take as many times as much. The error that is left is told. Of a mixture of experts, where
    F jumps as a router chooses others, it is that of the integral alone: what the scores lack to
    F(a) - F(b) is the gap.
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
    rounding, smooth = _rounding(request.model), _smooth(request.model)
    walks = {
        at: _Walk(
            at,
            _untried(at, cheap=cheap),
            0.0 if request.baseline is None else request.baseline[at][0, request.span(at)],
            rounding=rounding,
            smooth=smooth,
            continuous=request.model.family.continuous,
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
            _refine(request, batch, walks.values())
        for walk in walks.values():
            walk.forget()
        if not any(walk.open for walk in walks.values()):
            break
    return _attribution(walks.values())


def _refine(request: Request, batch: GrowingBatch, walks: Iterable[_Walk]) -> None:
    """Open anew what keeps paths from the tolerance, while there is room, the nearest to it first.

    Work is counted in tokens that pass a block, forward and backward.
    """
    walks, layers = list(walks), request.model.layers
    loop = sum(_USUAL * request.encoded.length * (2 * layers - walk.at[0]) for walk in walks)
    room = loop * max(1.0, TOLERANCE / request.tolerance)

    def work(walk: _Walk, nodes: int) -> int:
        return nodes * batch.tokens_per_row * 2 * (layers - walk.at[0])

    spent = sum(work(walk, walk.nodes) for walk in walks)
    for walk in sorted(walks, key=lambda walk: walk.error / (walk.size or 1.0)):
        done = walk.done
        walk.refine(request.tolerance, cheap=batch.tokens_per_row == 1)
        more = work(walk, len(walk.wanted))
        if spent + more > room:
            walk.done, walk.open = done, []
        else:
            spent += more


def _attribution(walks: Iterable[_Walk]) -> Attribution:
    """Scores of the paths walked, and how well each adds up."""
    scores, rows = {}, []
    for walk in walks:
        scores[walk.at] = on_cpu(walk.difference * walk.integral)
        total = float(scores[walk.at].double().sum())
        expected = walk.points[1.0].value - walk.points[0.0].value
        gap = abs(total - expected)
        rows.append((*walk.at, total, expected, gap, walk.error, walk.gradient_r, walk.nodes))
    columns = ["layer", "component", "total", "expected", "gap", "error", "gradient_r", "nodes"]
    return Attribution(scores, pd.DataFrame(rows, columns=columns))


def _passes(
    request: Request, batch: GrowingBatch, walks: Iterable[_Walk]
) -> Iterator[list[tuple[_Walk, float]]]:
    """The points that all paths lack, in portions whose memory is bounded."""
    portion: list[tuple[_Walk, float]] = []
    spent, room = 0.0, memory_of_pass(request.model.device)
    for walk in sorted(walks, key=lambda w: w.at[0]):
        cost = row_bytes(request, batch.tokens_per_row, walk.at[0])
        for alpha in walk.wanted:
            if portion and spent + cost > room:
                yield portion
                portion, spent = [], 0.0
            portion.append((walk, alpha))
            spent += cost
    if portion:
        yield portion


def memory_of_pass(device: torch.device) -> float:
    """Bytes that one pass may keep for the way back."""
    if device.type == "cpu":
        return _MEMORY
    return max(_MEMORY, _SHARE_OF_GPU * free_memory(str(device)))


def row_bytes(request: Request, tokens: int, layer: int) -> float:
    """Memory one row keeps for the backward pass when it joins at ``layer``, in bytes."""
    model = request.model
    hidden = model.hf.config.hidden_size
    width = 8 * hidden + 4 * model.sizes["ffn"] + 3 * sum(model.sizes[c] for c in COMPONENTS)
    choices = len(model.labels) if model.kind == "classifier" else model.vocabulary
    prefix = request.encoded.input_ids.shape[1] * model.hf.config.num_attention_heads
    attention = 3 * prefix if tokens == 1 else 0
    per_layer = tokens * (width + attention)
    return float(model.dtype.itemsize * (model.layers - layer) * per_layer + 4 * 4 * choices)


def _evaluate(batch: GrowingBatch, portion: list[tuple[_Walk, float]]) -> None:
    """Run one portion and tell every path what was found at its points."""
    alphas: dict[At, list[float]] = {}
    walks: dict[At, _Walk] = {}
    for walk, alpha in portion:
        alphas.setdefault(walk.at, []).append(alpha)
        walks[walk.at] = walk
    value, results = batch.run(
        [Path(at, nodes, walks[at].baseline) for at, nodes in alphas.items()]
    )
    for at, nodes in alphas.items():
        walks[at].take(nodes, value, results[at])


register(
    Method(
        name="integrated_gradients",
        order=10,
        title="Integrated gradients",
        paper="Sundararajan et al. 2017; Dai et al. 2022; arXiv 2312.10770",
        summary="Turns each layer's neurons up from zero and adds up how the prediction "
        "follows. Scores of a layer sum to what the layer contributes.",
        needs="a target",
        cost="about 4 rows per layer and component, one forward and one backward pass",
        engines={"fast": integrated_gradients, "captum": captum_integrated_gradients},
        integrates=True,
    )
)
