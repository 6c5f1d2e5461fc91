"""Architecture-adapted integrated gradients, for many languages (AMIG, arXiv 2308.13198).

The path begins where the prompt says as little as possible: at the mean of the activations that
the neurons have when one token of the prompt, each in turn, is replaced by the mask (models that
fill in) or by the end of text (models that go on). With b that mean and a the clean activation:

    sound:    (a - b) * integral of dF/da at b + alpha (a - b)
    authors:  a * mean over k = 0 .. 19 of dF/da at b + k/20 (a - b)

The sound form is integrated gradients from that baseline, and complete. The authors' code
multiplies by the activation instead of the difference, so that its scores do not add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from neuronlab.attribution.growing_batch import GrowingBatch, Path
from neuronlab.attribution.integrated_gradients import (
    integrated_gradients,
    memory_of_pass,
    row_bytes,
)
from neuronlab.attribution.registry import Method, register
from neuronlab.attribution.request import At, Attribution, Request, on_cpu
from neuronlab.models import Component, Encoded, Model
from neuronlab.models.hooks import Edit, Neurons

STEPS = 20
# Tokens that run together while a baseline is made.
_TOKENS = 4096


def amig(request: Request) -> Attribution:
    """The sound form, or the authors'; the request brings the baseline."""
    return _authors(request) if request.variant == "authors" else integrated_gradients(request)


@torch.no_grad()
def mean_baseline(
    model: Model, encoded: Encoded, components: Sequence[Component]
) -> dict[At, Tensor]:
    """Mean activations over prompts with one token replaced, (1, token, neuron) per place."""
    length = encoded.input_ids.shape[1]
    rows = encoded.input_ids.expand(length, -1).clone()
    rows.fill_diagonal_(blank_token(model))
    places = model.places(components)
    sums: dict[At, Tensor] = {}
    precise = torch.promote_types(model.dtype, torch.float32)

    def add(at: At) -> Edit:
        def function(neurons: Neurons) -> Neurons:
            total = neurons.sum(0, keepdim=True, dtype=precise)
            sums[at] = sums[at] + total if at in sums else total
            return neurons

        return function

    with model.lock, model.edit({at: add(at) for at in places}):
        for part in rows.split(max(1, _TOKENS // length)):
            model.hidden(part, encoded.position, encoded.prefix)
    return {at: total / length for at, total in sums.items()}


def blank_token(model: Model) -> int:
    """The token that says nothing: the mask, or for models without one the end of text."""
    tokenizer = model.tokenizer
    masked = not model.family.causal and tokenizer.mask_token_id is not None
    return tokenizer.mask_token_id if masked else tokenizer.eos_token_id


def _authors(request: Request) -> Attribution:
    batch = GrowingBatch(
        request.model,
        request.encoded,
        request.explained,
        everywhere=request.positions == "all",
        check=lambda: request.progress(0.5, "integrating"),
    )
    alphas = [k / STEPS for k in range(STEPS)]
    scores: dict[At, Tensor] = {}
    portion: list[Path] = []
    spent, room = 0.0, memory_of_pass(request.model.device)
    assert request.baseline is not None  # zero is no choice of this method
    for number, at in enumerate(request.places):
        cost = STEPS * row_bytes(request, batch.tokens_per_row, at[0])
        if portion and spent + cost > room:
            scores |= _scores(batch, portion)
            request.progress(number / len(request.places), "integrating")
            portion, spent = [], 0.0
        portion.append(Path(at, alphas, request.baseline[at][0, request.span(at)]))
        spent += cost
    return Attribution(scores | _scores(batch, portion))


def _scores(batch: GrowingBatch, paths: Sequence[Path]) -> dict[At, Tensor]:
    _, results = batch.run(paths)
    return {at: on_cpu(path.clean * path.gradients.mean(0)) for at, path in results.items()}


register(
    Method(
        name="amig",
        order=30,
        title="Integrated gradients from a mean baseline",
        paper="arXiv 2308.13198",
        summary="AMIG: integrated gradients from a baseline that fits the architecture: the mean "
        "over prompts in which one token is replaced by the mask or the end of text.",
        needs="a target",
        cost="as integrated gradients, and one forward pass per token",
        engines={"fast": amig},
        integrates=True,
        baselines=("mean",),
        variants=("sound", "authors"),
    )
)
