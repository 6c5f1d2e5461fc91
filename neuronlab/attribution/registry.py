"""The methods there are: pages, CLI and notebooks list them from here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from neuronlab.attribution import direct
from neuronlab.attribution.activation import activation
from neuronlab.attribution.amig import amig
from neuronlab.attribution.captum_reference import captum_integrated_gradients
from neuronlab.attribution.gradient_x_activation import gradient_x_activation
from neuronlab.attribution.integrated_gradients import integrated_gradients
from neuronlab.attribution.random import random
from neuronlab.attribution.request import Attribution, Request, Variant
from neuronlab.errors import UserError
from neuronlab.models.components import ALL_COMPONENTS, COMPONENTS, Component

Engine = Literal["fast", "captum"]
Baseline = Literal["zero", "input", "mean"]


@dataclass(frozen=True)
class Method:
    """An attribution method.

    Attributes:
        needs, cost: in plain words, shown beside the choice.
        engines: implementations by name; "fast" is the default.
        differentiates: whether objective and target enter at all.
        integrates: whether it walks a path (so baseline, tolerance and steps matter).
        components: those it can score.
        everywhere: whether it can score neurons at all positions.
        baselines: where its path may begin (see ``attribute``), the default first.
        variants: forms it has; the default first.
        tokens_each: through how many tokens of the unembedding it sends every neuron.
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
    components: tuple[Component, ...] = ALL_COMPONENTS
    everywhere: bool = True
    baselines: tuple[Baseline, ...] = ("zero", "input", "mean")
    variants: tuple[Variant, ...] = ("sound",)
    tokens_each: int = 0

    @property
    def default_components(self) -> tuple[Component, ...]:
        """Query, key, value and FFN, as far as the method can score them."""
        return tuple(c for c in COMPONENTS if c in self.components)


# What they cost, and through how many tokens of the unembedding they send every neuron.
_PASS = "one forward pass", 0
_SEARCH = "one forward pass and a few hundred neurons through the unembedding", 0
_VOCABULARY = "one forward pass and every neuron through some thousand tokens", direct.SAMPLES[0]

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
            name="amig",
            title="AMIG",
            paper="arXiv 2308.13198",
            summary="Integrated gradients from a baseline that fits the architecture: the mean "
            "over prompts in which one token is replaced by the mask or the end of text.",
            needs="a target",
            cost="as integrated gradients, and one forward pass per token",
            engines={"fast": amig},
            integrates=True,
            baselines=("mean",),
            variants=("sound", "authors"),
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
        *(
            Method(
                name=name,
                title=title,
                paper="arXiv 2312.12141",
                summary=summary,
                needs="a model that predicts tokens",
                cost=cost,
                engines={"fast": direct.method(name)},
                differentiates=False,
                components=("ffn", "attention"),
                everywhere=False,
                tokens_each=tokens_each,
            )
            for name, title, summary, (cost, tokens_each) in (
                (
                    "log_probability_increase",
                    "Log-probability increase",
                    "How much the target's log-probability rises where the neuron is added to the "
                    "residual stream. The best hundred are proven, the others have upper bounds.",
                    _SEARCH,
                ),
                (
                    "log_probability",
                    "Log-probability",
                    "The target's log-probability read off the neuron alone. The best hundred are "
                    "proven, the others have upper bounds.",
                    _SEARCH,
                ),
                (
                    "probability_increase",
                    "Probability increase",
                    "As log-probability increase, in probabilities: it sees the last layers only.",
                    _SEARCH,
                ),
                (
                    "norm",
                    "Norm",
                    "The length of the neuron's vector. Neither prompt nor target enter.",
                    _PASS,
                ),
                (
                    "coefficient",
                    "Coefficient",
                    "How strongly a neuron fires, without its sign. The target does not enter.",
                    _PASS,
                ),
                (
                    "rank",
                    "Rank",
                    "One over the rank at which the neuron's vector puts the target. The best "
                    "hundred are proven, the others have upper bounds.",
                    _VOCABULARY,
                ),
                (
                    "coefficient_norm",
                    "Coefficient x norm",
                    "The length of what the neuron adds. The target does not enter.",
                    _PASS,
                ),
                (
                    "coefficient_rank",
                    "Coefficient x rank",
                    "How strongly a neuron fires, over the rank at which it puts the target. The "
                    "best hundred are proven, the others have upper bounds.",
                    _VOCABULARY,
                ),
            )
        ),
    )
}


def method(name: str) -> Method:
    """The method of that name. Raises UserError, listing the names there are."""
    if not isinstance(name, str) or name not in METHODS:
        shown = " ".join(str(name).split())[:60]
        raise UserError(f"There is no method '{shown}'; there is {', '.join(METHODS)}.")
    return METHODS[name]


def methods() -> pd.DataFrame:
    """One row per method: name, title, paper, what it needs, what it costs, engines."""
    columns = ("name", "title", "paper", "summary", "needs", "cost")
    rows = [
        {c: getattr(m, c) for c in columns} | {"engines": ", ".join(m.engines)}
        for m in METHODS.values()
    ]
    return pd.DataFrame(rows)
