"""What a model predicts, as it is and under interventions."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from neuronlab.errors import UserError
from neuronlab.models import Encoded, Model, Prompt
from neuronlab.models.encoding import check_foil
from neuronlab.neurons.interventions import Intervention, applied, edits_of
from neuronlab.progress import Fraction, unheard

if TYPE_CHECKING:
    import plotly.graph_objects as go

# Rows that run together: enough to use the machine, few enough to bound the memory.
_TOKENS_PER_BATCH = 4096
_LOGITS_PER_BATCH = 20_000_000


@dataclass(frozen=True)
class Prediction:
    """Probabilities of one prompt's continuations or classes.

    Attributes:
        logits: float32, over the vocabulary or the classes.
        target: the index asked about; the model's first choice where the prompt names none.
        foil: the index that it is compared with, where the prompt names one.
    """

    model: Model
    logits: Float[Tensor, " choice"]
    target: int
    note: str = ""
    foil: int | None = None

    @property
    def probabilities(self) -> Float[Tensor, " choice"]:
        """What the logits stand for: see ``Model.probabilities``."""
        return self.model.probabilities(self.logits)

    @property
    def probability(self) -> float:
        """Probability of the target, 0 to 1."""
        return float(self.probabilities[self.target])

    @property
    def log_probability(self) -> float:
        """Natural logarithm of the target's probability."""
        return float(self.model.log_probabilities(self.logits)[self.target])

    @property
    def log_odds(self) -> float:
        """Log-probability of the target less that of the foil, natural logarithms.

        Raises:
            UserError: the prompt names no foil.
        """
        if self.foil is None:
            raise UserError("Nothing to compare with: give the prompt a foil.")
        logs = self.model.log_probabilities(self.logits)
        return float(logs[self.target] - logs[self.foil])

    @property
    def rank(self) -> int:
        """1 for the most probable choice."""
        return int((self.logits > self.logits[self.target]).sum()) + 1

    @property
    def label(self) -> str:
        """The target as a person reads it."""
        return self.model.label(self.target)

    def _repr_html_(self) -> str:
        """In a notebook: the target's probability, and the first five choices."""
        words = f"“{self.label}” has probability {self.probability:.4f}, rank {self.rank:,}"
        return f"<p>{html.escape(words)}</p>{self.top(5).to_html(index=False)}"

    def plot(self) -> go.Figure:
        """The ten most probable choices: a figure of plotly."""
        from neuronlab.figures.charts import predictions, standalone

        return standalone(predictions(self.top(10), self.target))

    def top(self, count: int = 10) -> pd.DataFrame:
        """The most probable choices, at least one: columns rank, token, index, probability."""
        if count < 1:
            raise UserError(f"The first {count} choices are none: ask for at least 1.")
        values, indices = self.probabilities.topk(min(count, len(self.logits)))
        return pd.DataFrame(
            {
                "rank": range(1, len(values) + 1),
                "token": [self.model.label(i) for i in indices.tolist()],
                "index": indices.tolist(),
                "probability": values.tolist(),
            }
        )


def predict(
    model: Model, prompt: Prompt | Encoded, *, intervention: Intervention | None = None
) -> Prediction:
    """What the model predicts, optionally under an intervention.

    Raises:
        UserError: the prompt or the set does not fit the model, or its numbers overflow.
    """
    return predict_many(model, prompt, [intervention])[0]


@torch.no_grad()
def predict_many(
    model: Model, prompt: Prompt | Encoded, interventions: Sequence[Intervention | None]
) -> list[Prediction]:
    """One prediction per intervention, run as batches of rows.

    The target is the same for all: the prompt's, or the first choice of the unchanged model.

    Raises:
        UserError: as ``predict``; or that first choice is the prompt's foil.
    """
    encoded = prompt if isinstance(prompt, Encoded) else model.encode(prompt)
    choices = len(model.labels) if model.kind == "classifier" else model.vocabulary
    step = max(1, min(_TOKENS_PER_BATCH // encoded.length, _LOGITS_PER_BATCH // choices))
    target = encoded.target
    asked = list(interventions) if target is not None else [None, *interventions]
    logits: list[Tensor] = []
    for start in range(0, len(asked), step):
        part = asked[start : start + step]
        with applied(model, encoded, part):
            ids = encoded.input_ids.expand(len(part), -1)
            logits += model.logits(model.hidden(ids, encoded.position, encoded.prefix)).cpu()
    for row in logits:
        check_finite(model, row)
    if target is None:
        target = int(logits.pop(0).argmax())
    check_foil(model, target, encoded.foil)
    return [Prediction(model, row.clone(), target, encoded.note, encoded.foil) for row in logits]


def check_finite(model: Model, logits: Float[Tensor, "*row choice"]) -> None:
    """Raise UserError where a model's numbers overflowed on the way to its logits."""
    if logits.isnan().any():
        raise UserError(
            f"{model.title} overflows in {str(model.dtype).removeprefix('torch.')}: load it in "
            "float32 or bfloat16, or change neurons by less."
        )


@torch.no_grad()
def predict_over(
    model: Model,
    prompts: Sequence[Encoded],
    interventions: Sequence[Intervention | None],
    progress: Fraction = unheard,
) -> Float[Tensor, "intervention prompt choice"]:
    """Probabilities under the same interventions on many prompts; each is prepared once.

    Args:
        interventions: at all positions, since the predicted one differs between prompts.
        progress: called with a fraction after every batch; an exception it raises ends the work.

    Raises:
        UserError: a set does not fit the model.
    """
    if any(i is not None and i.positions != "all" for i in interventions):
        raise ValueError("interventions on many prompts are at all positions")
    longest = max(prompt.length for prompt in prompts)
    choices = len(model.labels) if model.kind == "classifier" else model.vocabulary
    step = max(1, min(_TOKENS_PER_BATCH // longest, _LOGITS_PER_BATCH // choices))
    shape = len(interventions), len(prompts), choices
    probabilities = torch.empty(shape, device="cpu", dtype=torch.float32)
    for start in range(0, len(interventions), step):
        part = interventions[start : start + step]
        edits = edits_of(model, part)
        for number, prompt in enumerate(prompts):
            ids = prompt.input_ids.expand(len(part), -1)
            with model.lock, model.edit(edits):
                logits = model.logits(model.hidden(ids, prompt.position, prompt.prefix))
            rows = slice(start, start + len(part))
            probabilities[rows, number] = model.probabilities(logits).cpu()
            done = (number + 1) / len(prompts) * len(part)
            progress((start + done) / len(interventions))
    return probabilities
