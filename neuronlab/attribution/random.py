"""Random scores: what any other method has to beat."""

import torch

from neuronlab.attribution.registry import Method, register
from neuronlab.attribution.request import Attribution, Request


def random(request: Request) -> Attribution:
    """Uniform between 0 and 1, drawn from the seed; the model is not run."""
    generator = torch.Generator(device="cpu").manual_seed(request.seed)
    tokens = request.encoded.input_ids.shape[1] if request.positions == "all" else 1
    sizes = request.model.sizes
    empty = {
        at: torch.empty(tokens, sizes[at[1]], device="cpu", dtype=torch.float32)
        for at in request.places
    }
    return Attribution({at: one.uniform_(generator=generator) for at, one in empty.items()})


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
