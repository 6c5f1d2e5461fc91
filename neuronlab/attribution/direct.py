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


def _searched(request: Request, scorer: LogProbabilityIncrease, scale: Scale) -> Attribution:
    kinds: dict[Component, Candidates] = {
        "ffn": scorer.ffn_neurons,
        "attention": scorer.summed_attention_neurons,
    }
    found = scorer.search(
        [kinds[component] for component in request.components], scale=scale, check=_check(request)
    )
    return _attribution(request, found)


def _check(request: Request) -> Callable[[], None]:
    return lambda: request.progress(0.7, "proving which are the best")


def _attribution(request: Request, found: Found) -> Attribution:
    """The candidates are the neurons of each component in turn, layer by layer."""
    model = request.model
    sizes = [model.layers * model.sizes[component] for component in request.components]
    scores = {}
    parts = zip(request.components, found.every.split(sizes), strict=True)
    for component, part in parts:
        rows = part.view(model.layers, 1, -1)
        scores |= {(layer, component): on_cpu(row) for layer, row in enumerate(rows)}
    return Attribution(scores, certified=min(CERTIFIED, len(found.every)))


def _neurons(
    stream: Stream, layer: int, component: Component
) -> tuple[Float[Tensor, " neuron"], Float[Tensor, "neuron hidden"]]:
    """Coefficients and vectors of a layer's neurons, as the weights have them."""
    family, block = stream.model.family, stream.model.block(layer)
    if component == "ffn":
        return stream.ffn[layer], family.ffn_vectors(block).float()
    return stream.attention[layer].sum(0), family.attention_vectors(block).float()


def _each(request: Request, score: Callable[[Tensor, Tensor], Tensor]) -> Attribution:
    """Every neuron from its coefficient and its vector."""
    stream = _stream(request)
    return Attribution({at: on_cpu(score(*_neurons(stream, *at))[None]) for at in request.places})


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
    bounds, weights = [], []
    places = [(la, c) for c in request.components for la in range(request.model.layers)]
    for done, (layer, component) in enumerate(places):
        request.progress(0.7 * done / len(places), "ranking among some tokens")
        coefficients, vectors = _neurons(stream, layer, component)
        above = _above(few, _turned(stream, layer, component, coefficients, vectors), -1)
        weights.append(weigh(coefficients))
        bounds.append(weights[-1] / (above + 1))
    starts = torch.tensor([0] + [len(part) for part in bounds]).cumsum(0)
    weight = torch.cat(weights)

    def exact(chosen: Int[Tensor, " row"]) -> Float[Tensor, " row"]:
        rows = []
        for number in chosen.tolist():
            i = int(torch.searchsorted(starts, number, right=True)) - 1
            neuron = slice(number - int(starts[i]), number - int(starts[i]) + 1)
            coefficients, vectors = _neurons(stream, *places[i])
            rows.append(_turned(stream, *places[i], coefficients[neuron], vectors[neuron]))
        return weight[chosen] / (_above(readout, torch.cat(rows), request.target) + 1)

    step = min(256, math.ceil(_LOGITS / vocabulary))
    found = best_first(torch.cat(bounds), exact, CERTIFIED, step=step, check=_check(request))
    return _attribution(request, found)


def _turned(
    stream: Stream,
    layer: int,
    component: Component,
    coefficients: Float[Tensor, " neuron"],
    vectors: Float[Tensor, "neuron hidden"],
) -> Float[Tensor, "neuron hidden"]:
    """Vectors in the final state's coordinates, turned the way their neurons fire."""
    turned = torch.where(coefficients < 0, -1.0, 1.0)[:, None] * vectors
    onward = stream.maps[layer][component == "ffn"]
    return turned if onward is None else turned @ onward.T


def _above(
    readout: Readout, vectors: Float[Tensor, "row hidden"], target: int
) -> Int[Tensor, " row"]:
    """How many tokens a vector puts above the target."""
    found = []
    for part in vectors.split(math.ceil(_LOGITS / len(readout.bias))):
        logits = readout.change(part)
        found.append((logits > logits[:, target, None]).sum(1))
    return torch.cat(found)
