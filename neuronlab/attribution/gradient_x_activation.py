"""Gradient times activation: all layers in one forward and one backward pass."""

import torch
from torch import Tensor

from neuronlab.attribution.registry import Method, register
from neuronlab.attribution.request import At, Attribution, Request, on_cpu
from neuronlab.models.hooks import Edit, Neurons, before


def gradient_x_activation(request: Request) -> Attribution:
    """a * dF/da at the clean activation: integrated gradients with a single node at its end."""
    model, encoded = request.model, request.encoded
    seen: dict[At, Tensor] = {}

    def keep(at: At) -> Edit:
        def function(neurons: Neurons) -> Neurons:
            # A new tensor is written back, so that what follows depends on it also where several
            # components share one projection.
            seen[at] = neurons.view_as(neurons)
            return seen[at]

        return function

    # The parameters are frozen: gradients have to start somewhere, at the first blocks' inputs.
    first = [layers.start for layers in model.stacks.values()]
    start = {at: (model.block(at), lambda hidden: hidden.detach().requires_grad_()) for at in first}
    edits = model.edit({at: keep(at) for at in request.places})
    with model.lock, torch.enable_grad(), before(start), edits:
        hidden = model.hidden(encoded.input_ids, encoded.position, encoded.prefix)
        value = request.explained(model.logits(hidden)).sum()
        gradients = torch.autograd.grad(value, list(seen.values()))
    scores = {
        at: on_cpu((neurons * gradient)[0, request.span(at)])
        for (at, neurons), gradient in zip(seen.items(), gradients, strict=True)
    }
    return Attribution(scores)


register(
    Method(
        name="gradient_x_activation",
        order=20,
        title="Gradient x activation",
        paper="Shrikumar et al. 2017",
        summary="The slope of the prediction times the activation: the last step of "
        "integrated gradients alone.",
        needs="a target",
        cost="one forward and one backward pass",
        engines={"fast": gradient_x_activation},
    )
)
