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

The exact forms of norm, coefficient and rank are not in the paper; these are the readings that make
sense of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.attribution.best_first import CERTIFIED, Found, best_first
from neuronlab.attribution.log_probability_increase import (
    Candidates,
    LogProbabilityIncrease,
    Scale,
    place_of,
)
from neuronlab.attribution.request import Attribution, Request, on_cpu
from neuronlab.errors import UserError
from neuronlab.models import Component
from neuronlab.models.stream import Readout, Stream, read_stream

# Logits that may be in memory at once while ranks are counted.
_LOGITS = 12_000_000
# Tokens of the vocabulary that bound a rank.
SAMPLE = 4096


def log_probability_increase(request: Request) -> Attribution:
    """Upper bounds, and exact scores where they are needed to prove the top."""
    scorer = LogProbabilityIncrease(_stream(request), request.target)
    return _searched(request, scorer, lambda values, states: values)


def probability_increase(request: Request) -> Attribution:
    """As log-probability increase, in probabilities: it grows with it at every state."""
    scorer = LogProbabilityIncrease(_stream(request), request.target)
    before = scorer.path.exp()
    return _searched(request, scorer, lambda values, states: before[states] * values.expm1())


def log_probability(request: Request) -> Attribution:
    """Log-probability of the target read off the neuron alone."""
    scorer = LogProbabilityIncrease(_stream(request), request.target, alone=True)
    return _searched(request, scorer, lambda values, states: values + scorer.path[states])


def norm(request: Request) -> Attribution:
    """Length of the neuron's vector: neither prompt nor target enter."""
    return _each(request, lambda coefficients, vectors: vectors.norm(dim=1))


def coefficient(request: Request) -> Attribution:
    """How strongly the neuron fires, without its sign."""
    return _each(request, lambda coefficients, vectors: coefficients.abs())


def coefficient_norm(request: Request) -> Attribution:
    """Length of what the neuron adds."""
    return _each(request, lambda coefficients, vectors: coefficients.abs() * vectors.norm(dim=1))


def rank(request: Request) -> Attribution:
    """How near to the top of the vocabulary the neuron puts the target."""
    return _ranked(request, torch.ones_like)


def coefficient_rank(request: Request) -> Attribution:
    """The same, times how strongly it fires."""
    return _ranked(request, torch.abs)


def _stream(request: Request) -> Stream:
    if request.model.kind == "classifier":
        raise UserError("This method needs a model that predicts tokens, not classes.")
    request.progress(0.0, "reading the residual stream")
    return read_stream(request.model, request.encoded)


def _candidates(request: Request, stream: Stream) -> list[Candidates]:
    """The neurons of each component in turn, layer by layer."""
    kinds: dict[Component, Candidates] = {
        "ffn": Candidates(1, stream.ffn[:, None]),
        "attention": Candidates(0, stream.attention.sum(1, keepdim=True)),
    }
    return [kinds[component] for component in request.components]


def _searched(request: Request, scorer: LogProbabilityIncrease, scale: Scale) -> Attribution:
    candidates = _candidates(request, scorer.stream)
    return _attribution(request, scorer.search(candidates, scale=scale, check=_check(request)))


def _check(request: Request) -> Callable[[], None]:
    return lambda: request.progress(0.7, "proving which are the best")


def _attribution(request: Request, found: Found) -> Attribution:
    model = request.model
    sizes = [model.layers * model.sizes[component] for component in request.components]
    scores = {}
    parts = zip(request.components, found.every.split(sizes), strict=True)
    for component, part in parts:
        rows = part.view(model.layers, 1, -1)
        scores |= {(layer, component): on_cpu(row) for layer, row in enumerate(rows)}
    return Attribution(scores, certified=min(CERTIFIED, len(found.every)))


def _each(request: Request, score: Callable[[Tensor, Tensor], Tensor]) -> Attribution:
    """Every neuron from its coefficient and its vector, as the weights have it."""
    model, stream = request.model, _stream(request)
    candidates = dict(zip(request.components, _candidates(request, stream), strict=True))
    scores = {}
    for layer, component in request.places:
        half, coefficients = candidates[component]
        vectors = model.family.vectors(model.block(layer), half)
        scores[layer, component] = on_cpu(score(coefficients[layer, 0], vectors.float())[None])
    return Attribution(scores)


def _ranked(request: Request, weigh: Callable[[Tensor], Tensor]) -> Attribution:
    """Weight of the coefficient over the rank of the target.

    Tokens of a sample of the vocabulary that rank above the target are a lower bound of all that
    do, at a fraction of the cost; the best by that bound are ranked among all tokens.
    """
    stream = _stream(request)
    readout = stream.readout
    vocabulary = len(readout.bias)
    sample = torch.arange(0, vocabulary, math.ceil(vocabulary / SAMPLE), device=readout.bias.device)
    sample = torch.cat([sample[sample != request.target], sample.new_tensor([request.target])])
    few = replace(
        readout,
        unembedding=readout.unembedding[sample],
        bias=readout.bias[sample],
        scale=readout.scale[sample],
    )
    candidates = _candidates(request, stream)
    bounds = []
    for number, (half, coefficients) in enumerate(candidates):
        for layer, own in enumerate(coefficients.squeeze(1)):
            done = (number + layer / len(coefficients)) / len(candidates)
            request.progress(0.7 * done, "ranking among some tokens")
            turned = _signs(own)[:, None] * stream.vectors(layer, half)
            bounds.append(weigh(own) / (_above(few, turned, -1) + 1))

    def exact(chosen: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
        turned, weights = [], []
        for number in chosen.tolist():
            one, layer, _, neuron = place_of(number, candidates)
            own = slice(neuron, neuron + 1)
            coefficients = one.coefficients[layer, 0, own]
            turned.append(_signs(coefficients)[:, None] * stream.vectors(layer, one.half, own))
            weights.append(weigh(coefficients))
        return torch.cat(weights) / (_above(readout, torch.cat(turned), request.target) + 1)

    step = min(256, math.ceil(_LOGITS / vocabulary))
    found = best_first(torch.cat(bounds), exact, CERTIFIED, step=step, check=_check(request))
    return _attribution(request, found)


def _signs(coefficients: Float[Tensor, " neuron"]) -> Float[Tensor, " neuron"]:
    """The way each neuron turns its vector; one that is silent does not."""
    return torch.where(coefficients < 0, -1.0, 1.0)


def _above(
    readout: Readout, vectors: Float[Tensor, "row hidden"], target: int
) -> Int[Tensor, " row"]:
    """How many tokens a vector puts above the target."""
    found = []
    for part in vectors.split(math.ceil(_LOGITS / len(readout.bias))):
        logits = readout.change(part)
        found.append((logits > logits[:, target, None]).sum(1))
    return torch.cat(found)
