"""What studies of a single prompt share: the question, and the proof by switching neurons off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from pydantic import StrictInt

from neuronlab.models import Model, Prompt
from neuronlab.neurons import Effect, NeuronScores, NeuronSet, Suppress, effect
from neuronlab.neurons.effect import CONTROLS, Control
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
    """What switching the top neurons off does, beside random sets: a part of a study's result.

    Numbers ``probability_random_…`` and ``probability_as_active_…`` are of the two kinds of random
    sets, ``activity_…`` how active these are (see ``Effect``); ``control`` names the stronger kind,
    and ``control_p`` is the chosen neurons' rank among its sets.
    """
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
        "control": str(proof.stronger),
        "control_p": proof.p(proof.stronger),
    }
    for control in CONTROLS:
        numbers[f"probability_{control.key}_mean"] = proof.mean(control)
        numbers[f"probability_{control.key}_sd"] = proof.sd(control)
        numbers[f"activity_{control.key}"] = proof.activity[control]
    first = proof.choices.head(10).rename(columns={"before": "probability"})
    first.insert(0, "rank", range(1, len(first) + 1))
    tables = {
        "predictions": first[["rank", "token", "index", "probability"]],
        "suppressed": proof.choices,
        "random_sets": pd.DataFrame(
            [
                {"control": control.value, "probability": probability}
                for control, probabilities in proof.controls.items()
                for probability in probabilities
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
    groups = result.tables["random_sets"].groupby("control", sort=False)["probability"]
    controls = {Control(name): tuple(values) for name, values in groups}
    proof = Effect(
        label=n["target_label"],
        choices=result.tables["suppressed"],
        probability=(n["probability"], n["probability_suppressed"]),
        rank=(n["rank"], n["rank_suppressed"]),
        controls=controls,
        activity={control: n[f"activity_{control.key}"] for control in controls},
    )
    return scores.select(top=SUPPRESSED), proof


def control_in(numbers: Mapping[str, Any]) -> tuple[str, float, float]:
    """The stronger control of a stored result: in words, and the probability's mean and sd."""
    control = Control(numbers["control"])
    mean, sd = (numbers[f"probability_{control.key}_{what}"] for what in ("mean", "sd"))
    return CONTROLS[control], mean, sd
