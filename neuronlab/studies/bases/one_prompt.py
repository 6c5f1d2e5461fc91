"""What studies of a single prompt share: the question, and the proof by switching neurons off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pandas as pd
from pydantic import Field, StrictInt

from neuronlab.models import Model, Prompt
from neuronlab.neurons import Effect, NeuronScores, NeuronSet, Suppress, effect
from neuronlab.neurons.effect import CONTROLS, Control
from neuronlab.runs import Result, Spec

SUPPRESSED = 10


class PromptSpec(Spec):
    """What is asked of which model.

    Attributes:
        revision: what the weights are; part of the key, so that other weights are another run.
        prefix: what an encoder-decoder's decoder has said; without one a spec is written as before
            there were any.
    """

    model: str
    revision: str = ""
    text: str
    target: str | StrictInt | None = None
    mask: StrictInt | None = None
    prefix: str | None = Field(None, exclude_if=lambda prefix: prefix is None)

    @property
    def prompt(self) -> Prompt:
        """What is asked of the model."""
        return Prompt(self.text, target=self.target, mask=self.mask, prefix=self.prefix)


def prove(model: Model, spec: PromptSpec, scores: NeuronScores) -> Result:
    """What switching the top neurons off does, beside random sets: a part of a study's result.

    Numbers ``probability_random_…`` and ``probability_as_active_…`` are of the two kinds of random
    sets, ``activity_…`` how active these are (see ``Effect``); ``control`` names the stronger kind,
    and ``control_p`` is the chosen neurons' rank among its sets. Where the prompt has a foil, what
    is judged are log-odds: ``log_odds``, ``log_odds_suppressed``, ``log_odds_random_…`` and so on.
    """
    chosen = scores.select(top=SUPPRESSED)
    prompt = replace(spec.prompt, target=int(scores.provenance["target"]))
    proof = effect(model, prompt, chosen, Suppress)
    numbers: dict[str, Any] = {
        "target_label": proof.label,
        "note": model.encode(spec.prompt).note,
        "probability": proof.probability[0],
        "rank": proof.rank[0],
        "suppressed": len(chosen),
        "probability_suppressed": proof.probability[1],
        "rank_suppressed": proof.rank[1],
        "control": str(proof.stronger),
        "control_p": proof.p(proof.stronger),
    }
    if proof.log_odds is not None:
        numbers["log_odds"], numbers["log_odds_suppressed"] = proof.log_odds
    judged = judged_in(numbers)
    for control in CONTROLS:
        numbers[f"{judged}_{control.key}_mean"] = proof.mean(control)
        numbers[f"{judged}_{control.key}_sd"] = proof.sd(control)
        numbers[f"activity_{control.key}"] = proof.activity[control]
    first = proof.choices.head(10).rename(columns={"before": "probability"})
    first.insert(0, "rank", range(1, len(first) + 1))
    tables = {
        "predictions": first[["rank", "token", "index", "probability"]],
        "suppressed": proof.choices,
        "random_sets": pd.DataFrame(
            [
                {"control": control.value, judged: value}
                for control, values in proof.controls.items()
                for value in values
            ]
        ),
    }
    return Result(numbers, tables)


def proof_in(result: Result, scores: NeuronScores) -> tuple[NeuronSet, Effect]:
    """The neurons that a stored result switched off, and what that did.

    Args:
        scores: the ranking whose top was switched off.
    """
    n = result.numbers
    judged = judged_in(n)
    groups = result.tables["random_sets"].groupby("control", sort=False)[judged]
    controls = {Control(name): tuple(values) for name, values in groups}
    proof = Effect(
        label=n["target_label"],
        choices=result.tables["suppressed"],
        probability=(n["probability"], n["probability_suppressed"]),
        rank=(n["rank"], n["rank_suppressed"]),
        controls=controls,
        activity={control: n[f"activity_{control.key}"] for control in controls},
        foil=n.get("foil_label", ""),
        log_odds=(n["log_odds"], n["log_odds_suppressed"]) if judged == "log_odds" else None,
    )
    return scores.select(top=SUPPRESSED), proof


def judged_in(numbers: Mapping[str, Any]) -> str:
    """What a stored proof judges: "probability" of the target, or "log_odds" against a foil."""
    return "log_odds" if "log_odds" in numbers else "probability"


def control_in(numbers: Mapping[str, Any]) -> tuple[str, float, float]:
    """The stronger control of a stored result: in words, and mean and sd of what is judged."""
    control = Control(numbers["control"])
    judged = judged_in(numbers)
    mean, sd = (numbers[f"{judged}_{control.key}_{what}"] for what in ("mean", "sd"))
    return CONTROLS[control], mean, sd
