"""The methods there are: pages, CLI and notebooks list them from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from neuronlab.attribution.activation import activation
from neuronlab.attribution.captum_reference import captum_integrated_gradients
from neuronlab.attribution.gradient_x_activation import gradient_x_activation
from neuronlab.attribution.integrated_gradients import integrated_gradients
from neuronlab.attribution.random import random
from neuronlab.attribution.request import Attribution, Request
from neuronlab.errors import UserError

Engine = Literal["fast", "captum"]


@dataclass(frozen=True)
class Method:
    """An attribution method.

    Attributes:
        needs, cost: in plain words, shown beside the choice.
        engines: implementations by name; "fast" is the default.
        differentiates: whether objective and target enter at all.
        integrates: whether it walks a path (so baseline, tolerance and steps matter).
    """

    name: str
    title: str
    paper: str
    summary: str
    needs: str
    cost: str
    engines: dict[str, Callable[[Request], Attribution]]
    differentiates: bool = True
    integrates: bool = False


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method(
            name="integrated_gradients",
            title="Integrated gradients",
            paper="Sundararajan et al. 2017; Dai et al. 2022; arXiv 2312.10770",
            summary="Turns each layer's neurons up from zero and adds up how the prediction "
            "follows. Scores of a layer sum to what the layer contributes.",
            needs="a target",
            cost="about 4 rows per layer and component, one forward and one backward pass",
            engines={"fast": integrated_gradients, "captum": captum_integrated_gradients},
            integrates=True,
        ),
        Method(
            name="gradient_x_activation",
            title="Gradient x activation",
            paper="Shrikumar et al. 2017",
            summary="The slope of the prediction times the activation: the last step of "
            "integrated gradients alone.",
            needs="a target",
            cost="one forward and one backward pass",
            engines={"fast": gradient_x_activation},
        ),
        Method(
            name="activation",
            title="Activation",
            paper="arXiv 2312.10770",
            summary="How strongly a neuron fires. The target does not enter.",
            needs="nothing",
            cost="one forward pass",
            engines={"fast": activation},
            differentiates=False,
        ),
        Method(
            name="random",
            title="Random",
            paper="arXiv 2312.10770",
            summary="Drawn by chance: what every other method has to beat.",
            needs="nothing",
            cost="none",
            engines={"fast": random},
            differentiates=False,
        ),
    )
}


def method(name: str) -> Method:
    """The method of that name. Raises UserError, listing the names there are."""
    if name not in METHODS:
        raise UserError(f"There is no method '{name}'; there is {', '.join(METHODS)}.")
    return METHODS[name]


def methods() -> pd.DataFrame:
    """One row per method: name, title, paper, what it needs, what it costs, engines."""
    columns = ("name", "title", "paper", "summary", "needs", "cost")
    rows = [
        {c: getattr(m, c) for c in columns} | {"engines": ", ".join(m.engines)}
        for m in METHODS.values()
    ]
    return pd.DataFrame(rows)
