"""Random scores: what any other method has to beat."""

import torch
from torch import Tensor

from neuronlab.attribution.registry import Method, register
from neuronlab.attribution.request import At, Attribution, Request


def random(request: Request) -> Attribution:
    """Uniform between 0 and 1, drawn from the seed; the model is not run.

    At all tokens each has a number of its own; where neurons differ in how many tokens they are at,
    as in an encoder-decoder, each neuron has one, in equal parts.
    """
    generator = torch.Generator(device="cpu").manual_seed(request.seed)
    model, encoded = request.model, request.encoded
    everywhere, alike = request.positions == "all", len(model.stacks) == 1

    def drawn(at: At) -> Tensor:
        there = model.tokens_at(encoded, at)
        tokens = there.stop - there.start if everywhere else 1
        shape = tokens if alike else 1, model.sizes[at[1]]
        numbers = torch.empty(shape, device="cpu", dtype=torch.float32)
        numbers.uniform_(generator=generator)
        return numbers if alike else numbers.expand(tokens, -1) / tokens

    return Attribution({at: drawn(at) for at in request.places})


register(
    Method(
        name="random",
        order=50,
        title="Random",
        paper="arXiv 2312.10770",
        summary="Drawn by chance: what every other method has to beat.",
        needs="nothing",
        cost="none",
        engines={"fast": random},
        differentiates=False,
        draws=True,
    )
)
