"""Integrated gradients of every layer's neurons, adaptive, on the growing batch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
from jaxtyping import Float
from torch import Tensor

from neuronlab.attribution.growing_batch import GrowingBatch, Path
from neuronlab.attribution.quadrature import radau
from neuronlab.attribution.request import At, Attribution, Request, on_cpu

# A piece is tried with few nodes. One that is nearly right is tried with more; one that is far off
# is cut: the first time into many pieces, since a pass costs the same for one row as for thirty,
# and finely near zero, where a norm of an almost empty state makes paths sharp.
FEW, MORE = 4, 8
_NEARLY = 0.05
_FIRST_CUT = (0.0, 1 / 64, 1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1.0)
_CUT_AT_ZERO = (0.0, 1 / 16, 1 / 4, 1 / 2, 1.0)
_CUT = (0.0, 1 / 4, 1 / 2, 3 / 4, 1.0)
_MAX_ROUNDS = 12
_MAX_NODES = 800
# Differences of the objective below this fraction of it are rounding, not error.
_ROUNDING = 3e-6
# Activations that a pass may keep for the way back, in bytes.
MEMORY = 700_000_000


@dataclass
class _Interval:
    """A piece of one path, with the integral of the gradient over it."""

    at: At
    start: float
    stop: float
    order: int = FEW
    first_value: float = 0.0
    integral: Float[Tensor, "token neuron"] | float = 0.0

    @property
    def nodes(self) -> list[tuple[float, float]]:
        """(alpha, weight) of the rule on this piece."""
        length = self.stop - self.start
        return [
            (self.start + length * a, length * w) for a, w in zip(*radau(self.order), strict=True)
        ]

    def refined(self, gap: float) -> list[_Interval]:
        """What to evaluate instead; the gap is relative to the path's absolute attributions."""
        if self.order == FEW and gap < _NEARLY:
            return [_Interval(self.at, self.start, self.stop, MORE)]
        whole = self.stop - self.start == 1.0
        grid = _FIRST_CUT if whole else _CUT_AT_ZERO if self.start == 0.0 else _CUT
        ends = [self.start + (self.stop - self.start) * g for g in grid]
        return [_Interval(self.at, a, b) for a, b in pairwise(ends)]


def integrated_gradients(request: Request) -> Attribution:
    """IG_j = (a_j - b_j) * integral over alpha of dF/da_j at b + alpha (a - b).

    One path per layer and component, from the baseline b (zero by default) to the clean activation
    a (Sundararajan et al. 2017; zero baseline at the activations: Dai et al. 2022). Scores of a
    layer sum to F(a) - F(b): the gap to that is the error estimate. A path whose gap exceeds the
    tolerance is cut where its pieces' gaps are, until it fits.
    """
    last = (0.0, "integrating")
    batch = GrowingBatch(
        request.model,
        request.encoded,
        request.explained,
        everywhere=request.positions == "all",
        check=lambda: request.progress(*last),
    )
    pieces = {at: [_Interval(at, 0.0, 1.0)] for at in request.places}
    clean: dict[At, Tensor] = {}
    pending = [piece for of_path in pieces.values() for piece in of_path]
    used = dict.fromkeys(pieces, 0)
    value = 0.0
    for round_ in range(_MAX_ROUNDS):
        passes = list(_passes(request, batch, pending))
        for number, nodes in enumerate(passes):
            done = (number + 0.5) / len(passes)
            # Most paths need one round: the first counts for most of the work.
            fraction = 0.8 * done if round_ == 0 else 0.8 + 0.2 * (1 - 0.5 ** (round_ - 1 + done))
            message = "integrating" if round_ == 0 else f"refining, round {round_}"
            last = (min(fraction, 0.999), message)
            value = _evaluate(request, batch, nodes, clean, used)
        pending = []
        for at, of_path in pieces.items():
            pieces[at], new = _refine(of_path, value, clean[at], request, used[at])
            pending += new
        if not pending:
            break
    scores, rows = {}, []
    for at, of_path in pieces.items():
        difference = clean[at] - _baseline(request, at)
        scores[at] = on_cpu(difference * sum(piece.integral for piece in of_path))
        total = float(scores[at].double().sum())
        expected = value - of_path[0].first_value
        rows.append((*at, total, expected, abs(total - expected), used[at]))
    columns = ["layer", "component", "total", "expected", "gap", "nodes"]
    return Attribution(scores, pd.DataFrame(rows, columns=columns))


def _baseline(request: Request, at: At) -> Tensor | float:
    return 0.0 if request.baseline is None else request.baseline[at][0, request.span]


Node = tuple[_Interval, float, float]


def _passes(request: Request, batch: GrowingBatch, pieces: list[_Interval]) -> Iterator[list[Node]]:
    """The nodes of all pieces, in portions whose memory is bounded."""
    portion: list[Node] = []
    spent = 0.0
    for piece in sorted(pieces, key=lambda p: p.at[0]):
        cost = row_bytes(request, batch.tokens_per_row, piece.at[0])
        for alpha, weight in piece.nodes:
            if portion and spent + cost > MEMORY:
                yield portion
                portion, spent = [], 0.0
            portion.append((piece, alpha, weight))
            spent += cost
    yield portion


def row_bytes(request: Request, tokens: int, layer: int) -> float:
    """Memory one row keeps for the backward pass when it joins at ``layer``, in bytes."""
    model = request.model
    hidden = model.hf.config.hidden_size
    width = 8 * hidden + 4 * model.sizes["ffn"] + 3 * sum(model.sizes.values())
    choices = len(model.labels) if model.kind == "classifier" else model.vocabulary
    prefix = request.encoded.input_ids.shape[1] * model.hf.config.num_attention_heads
    attention = 3 * prefix if tokens == 1 else 0
    per_layer = tokens * (width + attention)
    return 4.0 * ((model.layers - layer) * per_layer + 4 * choices)


def _evaluate(
    request: Request,
    batch: GrowingBatch,
    nodes: list[Node],
    clean: dict[At, Tensor],
    used: dict[At, int],
) -> float:
    """Add each node's share to its piece; returns the objective of the clean prompt."""
    by_path: dict[At, list[Node]] = {}
    for node in nodes:
        by_path.setdefault(node[0].at, []).append(node)
    paths = [Path(at, [n[1] for n in own], _baseline(request, at)) for at, own in by_path.items()]
    value, found = batch.run(paths)
    for at, own in by_path.items():
        result = found[at]
        clean[at] = result.clean
        used[at] += len(own)
        for row, (piece, alpha, weight) in enumerate(own):
            if alpha == piece.start:
                piece.first_value = float(result.values[row])
            piece.integral = piece.integral + weight * result.gradients[row]
    return value


def _refine(
    pieces: list[_Interval], value: float, clean: Tensor, request: Request, used: int
) -> tuple[list[_Interval], list[_Interval]]:
    """The pieces to keep and the new ones to evaluate; no new ones where the path fits."""
    pieces = sorted(pieces, key=lambda p: p.start)
    difference = clean - _baseline(request, pieces[0].at)
    ends = [piece.first_value for piece in pieces[1:]] + [value]
    gaps = [
        abs(float((difference * piece.integral).double().sum()) - (end - piece.first_value))
        for piece, end in zip(pieces, ends, strict=True)
    ]
    total = float((difference * sum(piece.integral for piece in pieces)).abs().sum())
    allowed = max(request.tolerance * total, _ROUNDING * max(abs(value), abs(ends[0])))
    if sum(gaps) <= allowed or used >= _MAX_NODES:
        return pieces, []
    kept, new = [], []
    for piece, gap in zip(pieces, gaps, strict=True):
        if gap > allowed / len(pieces):
            new += piece.refined(gap / total)
        else:
            kept.append(piece)
    return kept + new, new
