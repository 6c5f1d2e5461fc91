"""The same integrated gradients by Captum, one layer and one node at a time: the reference."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from neuronlab.attribution.request import At, Attribution, Request, on_cpu


def captum_integrated_gradients(request: Request) -> Attribution:
    """``LayerIntegratedGradients`` of each layer and component, ``request.steps`` nodes each.

    Captum takes a layer's baseline from a forward pass on baseline inputs. Here the input is a
    gate that mixes the neurons: 1 is the clean activation, 0 the baseline. So Captum integrates
    along exactly the path that the fast engine takes.
    """
    scores: dict[At, Tensor] = {}
    rows = []
    for number, at in enumerate(request.places):
        request.progress(number / len(request.places), f"Captum, layer {at[0]}")
        with request.model.lock:
            scores[at], total, expected = one_place(request, at)
        gap = abs(total - expected)
        rows.append((*at, total, expected, gap, gap, request.steps))
    columns = ["layer", "component", "total", "expected", "gap", "error", "nodes"]
    return Attribution(scores, pd.DataFrame(rows, columns=columns))


def one_place(request: Request, at: At) -> tuple[Tensor, float, float]:
    """Scores of one layer's component, their sum, and what it should be; see above.

    The caller holds the model's lock.
    """
    # Of this method alone, and half a second.
    from captum.attr import LayerIntegratedGradients

    model, encoded = request.model, request.encoded
    site = model.site(*at)
    baseline = 0.0 if request.baseline is None else request.baseline[at]
    tokens = model.tokens_at(encoded, at)
    length = tokens.stop - tokens.start

    gate = torch.ones(1, length, device=model.device, dtype=model.dtype)
    current = gate

    def mix(neurons: Tensor) -> Tensor:
        return (baseline + current[..., None] * (neurons - baseline)).to(neurons.dtype)

    def forward(rows: Tensor) -> Tensor:
        nonlocal current
        current = rows
        ids = encoded.input_ids.expand(len(rows), -1)
        hidden = model.hidden(ids, encoded.position, encoded.prefix)
        return request.explained(model.logits(hidden))

    closed = gate.clone()
    closed[:, request.span(at)] = 0.0
    captum = LayerIntegratedGradients(forward, site.module)
    # Hooks run in the order of their registration: inside this context Captum's come second, so
    # what it takes for the layer are the mixed neurons.
    with model.edit({at: mix}):
        attributions = captum.attribute(
            gate,
            closed,
            n_steps=request.steps,
            attribute_to_layer_input=site.side == "input",
            internal_batch_size=max(1, 4096 // length),
        )
        with torch.no_grad():
            expected = float(forward(gate) - forward(closed))
    if isinstance(attributions, tuple):
        attributions = attributions[0]
    if site.columns is not None:
        attributions = attributions[..., site.columns.to(attributions.device)]
    scores = on_cpu(attributions[0, request.span(at)])
    return scores, float(scores.double().sum()), expected
