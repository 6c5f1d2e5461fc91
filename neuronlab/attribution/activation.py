"""The magnitude of the activation: the cheapest score, blind to the target."""

from neuronlab.attribution.registry import Method, register
from neuronlab.attribution.request import Attribution, Request, on_cpu


def activation(request: Request) -> Attribution:
    """|a| of every neuron (paper 2312.10770, activation-based selection).

    It says how loud a neuron is, not what for: the target does not enter.
    """
    seen = request.model.read(request.encoded, request.components)
    return Attribution({at: on_cpu(n[0, request.span(at)]).abs() for at, n in seen.items()})


register(
    Method(
        name="activation",
        order=40,
        title="Activation",
        paper="arXiv 2312.10770",
        summary="How strongly a neuron fires. The target does not enter.",
        needs="nothing",
        cost="one forward pass",
        engines={"fast": activation},
        differentiates=False,
    )
)
