"""Facts as prompts of a model, and whether it knows them (the filter of arXiv 2312.12141)."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import torch

from neuronlab.errors import UserError
from neuronlab.facts.fact import Fact
from neuronlab.models import MASK, Encoded, Model, Prompt
from neuronlab.neurons import Prediction, predict

# The gold token of a known fact is among as many of the model's first choices.
TOP = 10


@dataclass(frozen=True)
class Asked:
    """A fact as a model is asked about it.

    Attributes:
        encoded: token ids, with the gold token as target.
        golds: first tokens of the accepted answers; the target is one of them.
        whole: whether the target is all of its answer, not just the beginning.
    """

    fact: Fact
    encoded: Encoded
    golds: tuple[int, ...]
    whole: bool


def ask(model: Model, fact: Fact) -> Asked:
    """The fact as this model is asked about it; the target is the first answer it has a token for.

    Raises:
        UserError: the model cannot be asked this.
    """
    text = prompt_text(model, fact)
    model.encode(Prompt(text))  # what is wrong with the prompt is not its answers' fault
    golds = _golds(model, fact, text)
    if not golds:
        prompt, answers = _short(fact.prompt), _short(", ".join(fact.answers))
        raise UserError(
            f"No answer of '{prompt}' is in the vocabulary of {model.title}: {answers}."
        )
    first = next(iter(golds.values()))
    return Asked(fact, first, tuple(golds), first.whole)


def _golds(model: Model, fact: Fact, text: str) -> dict[int, Encoded]:
    """The prompt with each first token of an answer as target; with a note where it is not all."""
    golds: dict[int, Encoded] = {}
    for answer in fact.answers:
        with suppress(UserError):  # not in the vocabulary
            encoded = model.encode(Prompt(text, target=f"{fact.joiner}{answer}"))
            assert encoded.target is not None  # the prompt names one
            if encoded.target not in golds or encoded.whole:
                golds[encoded.target] = encoded
    return golds


def prompt_text(model: Model, fact: Fact) -> str:
    """The prompt with a mask where the model needs one.

    Raises:
        UserError: the model does not continue text, or not there.
    """
    if model.alphabet != "text" or model.kind in ("classifier", "encoder"):
        raise UserError(f"{model.title} does not continue text: choose a language model.")
    if model.kind == "causal" and MASK in fact.prompt:
        raise UserError(
            f"{model.title} predicts the next token and cannot fill in '{_short(fact.prompt)}': "
            "use prompts that end where the answer begins."
        )
    masked = model.kind in ("masked", "seq2seq") and MASK not in fact.prompt
    return f"{fact.prompt}{fact.joiner}{MASK}." if masked else fact.prompt


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}…"


def ask_all(model: Model, facts: Sequence[Fact]) -> list[Asked | None]:
    """All facts; None for those the model cannot be asked.

    Raises:
        UserError: it can be asked none; the sentence says why of the last.
    """
    asked: list[Asked | None] = []
    problem = UserError("There are no facts: choose another set.")
    for fact in facts:
        try:
            asked.append(ask(model, fact))
        except UserError as error:
            problem = error
            asked.append(None)
    if not any(asked):
        raise problem
    return asked


def answered(model: Model, asked: Asked) -> tuple[Asked, Prediction]:
    """What the model says; the target becomes the accepted answer it finds most probable."""
    prediction = predict(model, asked.encoded)
    best = max(asked.golds, key=lambda token: float(prediction.logits[token]))
    if best == asked.encoded.target:
        return asked, prediction
    encoded = _golds(model, asked.fact, prompt_text(model, asked.fact))[best]
    asked = replace(asked, encoded=encoded, whole=encoded.whole)
    return asked, replace(prediction, target=best)


def knows(prediction: Prediction, rivals: Collection[int]) -> bool:
    """Whether the gold token is among the first ten choices, and above all of its rivals."""
    others = torch.tensor(sorted(rivals), device="cpu", dtype=torch.long)
    gold = prediction.logits[prediction.target]
    return prediction.rank <= TOP and bool((prediction.logits[others] < gold).all())


def rivals(asked: Asked, others: Sequence[Asked | None]) -> set[int]:
    """Gold tokens of the other facts of its relation that are no answer to this one."""
    golds = {token for other in _of_relation(asked, others) for token in other.golds}
    return golds - set(asked.golds)


def wrong_answer(
    model: Model, asked: Asked, others: Sequence[Asked | None], seed: str
) -> int | None:
    """First token of the answer of another fact of its relation that is no answer to this one.

    Args:
        seed: of the draw among these facts.

    Returns:
        The token, or None where no such fact gives one.
    """
    drawn = _of_relation(asked, others)
    random.Random(seed).shuffle(drawn)
    text = prompt_text(model, asked.fact)
    for other in drawn:
        alone = (replace(asked.fact, answers=(answer,)) for answer in other.fact.answers)
        first = next((token for fact in alone for token in _golds(model, fact, text)), None)
        if first is not None and first not in asked.golds:
            return first
    return None


def _of_relation(asked: Asked, others: Sequence[Asked | None]) -> list[Asked]:
    return [o for o in others if o is not None and o.fact.relation == asked.fact.relation]
