"""What every attribution method is asked, and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.models import COMPONENTS, Component, Encoded, Model
from neuronlab.progress import Progress, unheard

Objective = Literal["probability", "log_probability", "logit"]
Positions = Literal["predicted", "all"]
Variant = Literal["sound", "authors"]
At = tuple[int, Component]
# Coarse as it looks: the estimate is mostly three to ten times the error, and the right-hand sum
# over 20 points that is common practice errs by 1 to 17 %.
TOLERANCE = 0.05
# Logits that a method may have in memory at once.
LOGITS = 12_000_000


@dataclass(frozen=True)
class Request:
    """One question to a method.

    Attributes:
        target: index of the token or class whose ``objective`` is explained.
        foil: index of the one that the target is compared with: the difference of the two
            objectives is explained. None: the target's alone.
        positions: neurons at the predicted position alone, or at all of them; see ``Model.span``.
        baseline: where paths begin, per (layer, component), (1, token, neuron); None is zero.
        tolerance: integrated gradients: the estimated error allowed in a layer, summed over its
            neurons, as a fraction of the sum of its absolute scores.
        variant: of a method that has two forms: as it should be, or as its authors wrote it.
        progress: told how far the work is (0 to 1) and what it does; may raise to cancel.
    """

    model: Model
    encoded: Encoded
    target: int
    components: tuple[Component, ...] = COMPONENTS
    objective: Objective = "probability"
    positions: Positions = "predicted"
    baseline: dict[At, Tensor] | None = None
    tolerance: float = TOLERANCE
    steps: int = 50
    seed: int = 0
    variant: Variant = "sound"
    progress: Progress = field(default=unheard, repr=False)
    foil: int | None = None

    @property
    def places(self) -> list[At]:
        """Every layer with each component asked about that it has."""
        return self.model.places(self.components)

    def span(self, at: At) -> slice:
        """The tokens whose neurons are scored, of those that have neurons there."""
        return self.model.span(self.encoded, at, everywhere=self.positions == "all")

    def explained(self, logits: Float[Tensor, "row choice"]) -> Float[Tensor, " row"]:
        """The objective of the target, less that of a foil, one number per row."""
        if self.objective == "log_probability":
            logits = self.model.log_probabilities(logits)
        elif self.objective == "probability":
            logits = self.model.probabilities(logits)
        if self.foil is None:
            return logits[:, self.target]
        return logits[:, self.target] - logits[:, self.foil]


@dataclass
class Attribution:
    """A method's answer: scores per token (one where only the predicted position was asked).

    Attributes:
        scores: per (layer, component) (token, neuron), float32, on the CPU.
        quality, certified: see ``NeuronScores``.
    """

    scores: dict[At, Float[Tensor, "token neuron"]]
    quality: pd.DataFrame = field(default_factory=pd.DataFrame)
    certified: int | None = None


def on_cpu(scores: Tensor) -> Tensor:
    """Float32 on the CPU, cut off from any graph."""
    return scores.detach().to("cpu", torch.float32)
