"""What a neuron says by itself: log-probability increase and the seven it was compared with.

Arxiv 2312.12141, table 2. With m the neuron's coefficient (activation; of an attention neuron:
attention weights times values, summed over positions), v its vector (row of the output projection),
x the state it is added to, w the target, and the final norm's statistics frozen:

    log_probability_increase   log p(w | x + m v) - log p(w | x)
    log_probability            log p(w | m v)
    probability_increase       p(w | x + m v) - p(w | x)
    norm                       |v|
    coefficient                |m|
    rank                       1 / rank of w among the logits of sign(m) v
    coefficient_norm           |m| |v|
    coefficient_rank           |m| / rank

Of a target that is compared with a foil, the first two are equal and exact: the change of the
difference of the two logits. The exact forms of norm, coefficient and rank are not in the paper;
these are the readings that make sense of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.attribution.best_first import CERTIFIED, Level, Proof, best_first
from neuronlab.attribution.log_probability_increase import (
    Candidates,
    LogProbabilityIncrease,
    Scale,
    gather,
    summed,
)
from neuronlab.attribution.registry import Method, register
from neuronlab.attribution.request import LOGITS, At, Attribution, Request, on_cpu
from neuronlab.errors import UserError
from neuronlab.models.components import Sublayer
from neuronlab.models.frozen import Readout
from neuronlab.models.stream import Stream, read_stream

# Tokens of the vocabulary that bound a rank: of all neurons, then of those that may be the best.
SAMPLES = (1024, 8192)
_STEP = 4096


class Direct:
    """The methods on one request; what they share is computed once.

    Each has the name under which it is registered.
    """

    def __init__(self, request: Request, certified: int = CERTIFIED) -> None:
        """
        Args:
            certified: how many neurons at the top are proven where a method searches.

        Raises:
            UserError: the model has no language head.
        """
        if request.model.kind == "classifier":
            raise UserError("This method needs a model that predicts tokens, not classes.")
        self.request = request
        self.count = certified

    @cached_property
    def stream(self) -> Stream:
        """The residual stream at the predicted position."""
        self.request.progress(0.0, "reading the residual stream")
        return read_stream(self.request.model, self.request.encoded)

    @cached_property
    def scorer(self) -> LogProbabilityIncrease:
        """Log-probability increase of the target."""
        return LogProbabilityIncrease(self.stream, self.request.target, foil=self.request.foil)

    def log_probability_increase(self) -> Attribution:
        """Upper bounds, and exact scores where they are needed to prove the top."""
        if self.request.foil is not None:
            return self._linear()
        return self._searched(self.scorer, lambda values, states: values)

    def probability_increase(self) -> Attribution:
        """As log-probability increase, in probabilities: it grows with it at every state."""
        return self._searched(self.scorer, self.scorer.in_probability)

    def log_probability(self) -> Attribution:
        """Log-probability of the target read off the neuron alone."""
        if self.request.foil is not None:  # linear: the same whatever the neuron is added to
            return self._linear()
        scorer = LogProbabilityIncrease(self.stream, self.request.target, alone=True)
        return self._searched(scorer, lambda values, states: values + scorer.path[states])

    def norm(self) -> Attribution:
        """Length of the neuron's vector: neither prompt nor target enter."""
        return self._each(lambda coefficients, vectors: vectors.norm(dim=1))

    def coefficient(self) -> Attribution:
        """How strongly the neuron fires, without its sign."""
        return self._each(lambda coefficients, vectors: coefficients.abs())

    def coefficient_norm(self) -> Attribution:
        """Length of what the neuron adds."""
        return self._each(lambda coefficients, vectors: coefficients.abs() * vectors.norm(dim=1))

    def rank(self) -> Attribution:
        """How near to the top of the vocabulary the neuron puts the target."""
        return self._ranked(torch.ones_like)

    def coefficient_rank(self) -> Attribution:
        """The same, times how strongly it fires."""
        return self._ranked(torch.abs)

    @cached_property
    def _candidates(self) -> list[Candidates]:
        """The neurons of each component in turn, layer by layer."""
        return [
            summed(self.stream, cast(Sublayer, component)) for component in self.request.components
        ]

    def _linear(self) -> Attribution:
        """Of a target that is compared with a foil: exact for every neuron, without a search."""
        bounds = [self.scorer.bounds(one) for one in self._candidates]
        places = zip(self.request.components, bounds, strict=True)
        return Attribution(
            {(layer, c): on_cpu(row) for c, rows in places for layer, row in enumerate(rows)}
        )

    def _searched(self, scorer: LogProbabilityIncrease, scale: Scale) -> Attribution:
        proof = scorer.search(self._candidates, self.count, scale=scale, check=self._check)
        return self._attribution(proof)

    def _check(self) -> None:
        self.request.progress(0.7, "proving which are the best")

    def _attribution(self, proof: Proof) -> Attribution:
        model, components = self.request.model, self.request.components
        sizes = [model.layers * model.sizes[component] for component in components]
        scores: dict[At, Tensor] = {}
        for component, part in zip(components, proof.every.split(sizes), strict=True):
            rows = part.view(model.layers, 1, -1)
            scores |= {(layer, component): on_cpu(row) for layer, row in enumerate(rows)}
        return Attribution(scores, certified=min(self.count, len(proof.every)))

    def _each(self, score: Callable[[Tensor, Tensor], Tensor]) -> Attribution:
        """Every neuron from its coefficient and its vector, as the weights have it."""
        model = self.request.model
        candidates = dict(zip(self.request.components, self._candidates, strict=True))
        scores = {}
        for layer, component in self.request.places:
            sublayer, coefficients = candidates[component]
            vectors = model.family.vectors(model.block(layer), sublayer)
            scores[layer, component] = on_cpu(score(coefficients[layer, 0], vectors.float())[None])
        return Attribution(scores)

    def _ranked(self, weigh: Callable[[Tensor], Tensor]) -> Attribution:
        """Weight of the coefficient over the rank of the target.

        Tokens of a sample of the vocabulary that rank above the target are a lower bound of all
        that do, at a fraction of the cost; the best by that bound are ranked among more, then all.
        """
        coefficients = torch.cat([c.flatten() for _, c in self._candidates])
        weights = weigh(coefficients)

        def level(readout: Readout, step: int) -> Level:
            def score(chosen: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
                above = _above(readout, self._turned(chosen), self._target_in(readout))
                return weights[chosen] / (above + 1)

            return Level(score, step)

        vocabulary = len(self.stream.readout.bias)
        levels = [level(self._sampled(tokens), _STEP) for tokens in SAMPLES[1:]]
        step = min(256, math.ceil(LOGITS / vocabulary))
        levels.append(level(self.stream.readout, step))
        bounds = weights / (self._above_in_sample + 1)
        return self._attribution(best_first(bounds, levels, self.count, check=self._check))

    @cached_property
    def _above_in_sample(self) -> Int[Tensor, " candidate"]:
        """Of each neuron, how many tokens of the smallest sample it puts above the target."""
        few, above = self._sampled(SAMPLES[0]), []
        for number, (sublayer, coefficients) in enumerate(self._candidates):
            for layer, of_layer in enumerate(coefficients.squeeze(1)):
                done = (number + layer / len(coefficients)) / len(self._candidates)
                self.request.progress(0.7 * done, "ranking among some tokens")
                turned = _signs(of_layer)[:, None] * self.stream.vectors(layer, sublayer)
                above.append(_above(few, turned, self._target_in(few)))
        return torch.cat(above)

    @cached_property
    def _far_first(self) -> Int[Tensor, " token"]:
        """All tokens, those far from the average token first."""
        unembedding = self.stream.readout.unembedding
        return (unembedding - unembedding.mean(0)).norm(dim=1).argsort(descending=True)

    def _sampled(self, tokens: int) -> Readout:
        """The readout of some tokens of the vocabulary, the target last.

        Of those far from the average token: they are on top of others most often.
        """
        readout, target = self.stream.readout, self.request.target
        sample = self._far_first[:tokens]
        sample = torch.cat([sample[sample != target], sample.new_tensor([target])])
        return replace(
            readout,
            unembedding=readout.unembedding[sample],
            bias=readout.bias[sample],
            scale=readout.scale[sample],
        )

    def _target_in(self, readout: Readout) -> int:
        return self.request.target if readout is self.stream.readout else -1

    def _turned(self, chosen: Int[Tensor, " row"]) -> Float[Tensor, "row hidden"]:
        """Vectors of candidates, each the way its coefficient turns it."""
        coefficients, vectors, _ = gather(self.stream, chosen, self._candidates)
        return _signs(coefficients)[:, None] * vectors


def _signs(coefficients: Float[Tensor, " neuron"]) -> Float[Tensor, " neuron"]:
    """The way each neuron turns its vector; one that is silent does not."""
    ones = torch.ones_like(coefficients)
    return torch.where(coefficients < 0, -ones, ones)


def _above(
    readout: Readout, vectors: Float[Tensor, "row hidden"], target: int
) -> Int[Tensor, " row"]:
    """How many tokens a vector puts above the target."""
    counts = []
    for part in vectors.split(math.ceil(LOGITS / len(readout.bias))):
        logits = readout.change(part)
        counts.append((logits > logits[:, target, None]).sum(1))
    return torch.cat(counts)


_SHARED: dict[str, Any] = {
    "paper": "arXiv 2312.12141",
    "needs": "a model that predicts tokens",
    "differentiates": False,
    "components": ("ffn", "attention"),
    "everywhere": False,
}
_PASS = _SHARED | {"cost": "one forward pass"}
_SEARCH = _SHARED | {"cost": "one forward pass and a few hundred neurons through the unembedding"}
_VOCABULARY = _SHARED | {
    "cost": "one forward pass and every neuron through some thousand tokens",
    "contrasts": False,
    "tokens_each": SAMPLES[0],
}
register(
    Method(
        name="log_probability_increase",
        order=60,
        title="Log-probability increase",
        summary="How much the target's log-probability rises where the neuron is added to the "
        "residual stream. The best hundred are proven, the others have upper bounds.",
        engines={"fast": lambda request: Direct(request).log_probability_increase()},
        **_SEARCH,
    )
)
register(
    Method(
        name="log_probability",
        order=61,
        title="Log-probability",
        summary="The target's log-probability read off the neuron alone. The best hundred are "
        "proven, the others have upper bounds.",
        engines={"fast": lambda request: Direct(request).log_probability()},
        **_SEARCH,
    )
)
register(
    Method(
        name="probability_increase",
        order=62,
        title="Probability increase",
        summary="As log-probability increase, in probabilities: it sees the last layers only.",
        contrasts=False,
        engines={"fast": lambda request: Direct(request).probability_increase()},
        **_SEARCH,
    )
)
register(
    Method(
        name="norm",
        order=63,
        title="Norm",
        summary="The length of the neuron's vector. Neither prompt nor target enter.",
        engines={"fast": lambda request: Direct(request).norm()},
        **_PASS,
    )
)
register(
    Method(
        name="coefficient",
        order=64,
        title="Coefficient",
        summary="How strongly a neuron fires, without its sign. The target does not enter.",
        engines={"fast": lambda request: Direct(request).coefficient()},
        **_PASS,
    )
)
register(
    Method(
        name="rank",
        order=65,
        title="Rank",
        summary="One over the rank at which the neuron's vector puts the target. The best "
        "hundred are proven, the others have upper bounds.",
        engines={"fast": lambda request: Direct(request).rank()},
        **_VOCABULARY,
    )
)
register(
    Method(
        name="coefficient_norm",
        order=66,
        title="Coefficient x norm",
        summary="The length of what the neuron adds. The target does not enter.",
        engines={"fast": lambda request: Direct(request).coefficient_norm()},
        **_PASS,
    )
)
register(
    Method(
        name="coefficient_rank",
        order=67,
        title="Coefficient x rank",
        summary="How strongly a neuron fires, over the rank at which it puts the target. The "
        "best hundred are proven, the others have upper bounds.",
        engines={"fast": lambda request: Direct(request).coefficient_rank()},
        **_VOCABULARY,
    )
)
