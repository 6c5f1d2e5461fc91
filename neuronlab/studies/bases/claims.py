"""Checking one claim against its alternatives by a relation's neurons (arXiv 2308.13198).

What a study of fact-checking found of a relation is asked about something it never saw. It is the
task of forced choice: several candidates are known, and the one that its neurons speak for most is
called true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from neuronlab.attribution import attribute
from neuronlab.attribution.request import Variant
from neuronlab.errors import UserError
from neuronlab.facts.asking import prompt_text
from neuronlab.facts.checking import PROBABILITY
from neuronlab.facts.fact import Fact
from neuronlab.models import Model, Prompt
from neuronlab.neurons import NeuronSet, predict

# Each costs an attribution.
MOST = 8


def check(
    model: Model,
    text: str,
    candidates: Sequence[str],
    neurons: Mapping[str, NeuronSet],
    *,
    joiner: str = " ",
    method: str = "amig",
    variant: Variant = "sound",
) -> pd.DataFrame:
    """How much neurons speak for each candidate, beside what the model finds probable.

    Args:
        text: the claim up to its answer: "The capital of Japan is".
        candidates: two to `MOST` answers; each is judged by its first token.
        neurons: FFN neurons by what they are called; none of them empty.
        joiner: what stands between the text and an answer.
        method, variant: of attribution, as the neurons were found.

    Returns:
        A row per candidate, in their order: candidate, token (what is judged), whole (whether that
        is all of it), one column per kind of neurons (the mean of their scores towards the
        candidate), probability.

    Raises:
        UserError: the model cannot be asked this, there are too few or too many candidates, or two
            of them begin with the same token.
    """
    asked = list(dict.fromkeys(answer.strip() for answer in candidates if answer.strip()))
    if not 2 <= len(asked) <= MOST:
        raise UserError(f"Name two to {MOST} candidates: the answer and its alternatives.")
    fact = Fact(text.rstrip(), (), joiner=joiner)
    prompt = prompt_text(model, fact)
    tokens: dict[int, str] = {}
    rows = []
    for answer in asked:
        encoded = model.encode(Prompt(prompt, target=f"{fact.joiner}{answer}"))
        assert encoded.target is not None  # the prompt names one
        if encoded.target in tokens:
            raise UserError(
                f"To this model '{answer}' begins as '{tokens[encoded.target]}' does: "
                "leave out one of them."
            )
        tokens[encoded.target] = answer
        question = Prompt(prompt, target=encoded.target)
        scores = attribute(model, question, method=method, variant=variant, components=("ffn",))
        means = {
            kind: sum(scores.score(neuron) for neuron in of_kind) / len(of_kind)
            for kind, of_kind in neurons.items()
        }
        rows.append(
            {
                "candidate": answer,
                "token": model.label(encoded.target),
                "whole": encoded.whole,
                **means,
                PROBABILITY: predict(model, question).probability,
            }
        )
    return pd.DataFrame(rows)
