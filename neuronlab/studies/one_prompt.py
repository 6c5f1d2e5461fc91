"""What studies of a single prompt share: the question, and the proof by switching neurons off."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pydantic import StrictInt

from neuronlab.models import Model, Prompt
from neuronlab.neurons import Effect, NeuronScores, NeuronSet, Suppress, effect
from neuronlab.runs import Result, Spec

SUPPRESSED = 10


class PromptSpec(Spec):
    """What is asked of which model.

    Attributes:
        revision: what the weights are; part of the key, so that other weights are another run.
    """

    model: str
    revision: str = ""
    text: str
    target: str | StrictInt | None = None
    mask: StrictInt | None = None

    @property
    def prompt(self) -> Prompt:
        """What is asked of the model."""
        return Prompt(self.text, target=self.target, mask=self.mask)


def prove(model: Model, spec: PromptSpec, scores: NeuronScores) -> Result:
    """What switching the top neurons off does, beside random sets: a part of a study's result."""
    chosen = scores.select(top=SUPPRESSED)
    prompt = Prompt(spec.text, target=int(scores.provenance["target"]), mask=spec.mask)
    proof = effect(model, prompt, chosen, Suppress)
    numbers: dict[str, Any] = {
        "target_label": proof.label,
        "note": model.encode(spec.prompt).note,
        "probability": proof.probability[0],
        "rank": proof.rank[0],
        "suppressed": len(chosen),
        "probability_suppressed": proof.probability[1],
        "rank_suppressed": proof.rank[1],
        "probability_random_mean": proof.random_mean,
        "probability_random_sd": proof.random_sd,
    }
    first = proof.choices.head(10).rename(columns={"before": "probability"})
    first.insert(0, "rank", range(1, len(first) + 1))
    tables = {
        "predictions": first[["rank", "token", "index", "probability"]],
        "suppressed": proof.choices,
        "random_sets": pd.DataFrame({"probability": proof.random}),
    }
    return Result(numbers, tables)


def proof_in(result: Result, scores: NeuronScores) -> tuple[NeuronSet, Effect] | None:
    """The neurons that a stored result switched off, and what that did.

    None for a result of a study's first version, which did not keep it.

    Args:
        scores: the ranking whose top was switched off.
    """
    if "suppressed" not in result.tables:
        return None
    n = result.numbers
    found = Effect(
        label=n["target_label"],
        choices=result.tables["suppressed"],
        probability=(n["probability"], n["probability_suppressed"]),
        rank=(n["rank"], n["rank_suppressed"]),
        random=tuple(result.tables["random_sets"]["probability"]),
    )
    return scores.select(top=SUPPRESSED), found
