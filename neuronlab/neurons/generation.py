"""How a language model goes on with a text, as it is and under interventions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import torch

from neuronlab.errors import UserError
from neuronlab.models import Model, Prompt
from neuronlab.neurons.interventions import Intervention, KeepOnly, applied
from neuronlab.neurons.predictions import check_finite


def generate(
    model: Model, text: str, *, tokens: int = 20, intervention: Intervention | None = None
) -> str:
    """What a causal language model writes after a text: the likeliest token, again and again.

        nl.generate(model, "The capital of France is", intervention=nl.Suppress(basket))

    Args:
        tokens: at most so many are written; fewer where the model ends, or its context does.
        intervention: at every step; "predicted" is the last token, which moves along.

    Returns:
        The continuation, without the text itself.

    Raises:
        UserError: the model writes no text, or the text or the set does not fit it.
    """
    return generate_many(model, text, [intervention], tokens=tokens)[0]


@torch.no_grad()
def generate_many(
    model: Model, text: str, interventions: Sequence[Intervention | None], *, tokens: int = 20
) -> list[str]:
    """The same under each of several interventions, as rows of one batch: see ``generate``."""
    if model.kind != "causal" or model.alphabet != "text":
        raise UserError(f"{model.title} writes no text: choose a causal language model.")
    from transformers import DynamicCache

    encoded = model.encode(Prompt(text))
    ends, written = end_tokens(model), [list[int]() for _ in interventions]
    rows = encoded.input_ids.expand(len(written), -1)
    # What was read need not be read again where it stays what it was.
    lasting = all(i is None or _lasts(i) for i in interventions)
    cache = DynamicCache(config=model.hf.config) if lasting else None
    for _ in range(min(tokens, model.max_tokens + 1 - encoded.length)):
        read = 0 if cache is None else cache.get_seq_length()
        with applied(model, encoded, interventions):
            hidden = model.hidden(
                rows[:, read:], -1, past_key_values=cache, use_cache=cache is not None
            )
            logits = model.logits(hidden)
        check_finite(model, logits)
        choices = logits.argmax(-1)
        for row, choice in zip(written, choices.tolist(), strict=True):
            row.append(choice)
        if all(ends.intersection(row) for row in written):
            break
        rows = torch.cat([rows, choices[:, None]], dim=1)
        encoded = replace(encoded, input_ids=rows[:1], position=encoded.position + 1)
    until = (itertools.takewhile(lambda token: token not in ends, row) for row in written)
    return [model.tokenizer.decode(list(row)) for row in until]


def _lasts(intervention: Intervention) -> bool:
    """Whether a token's neurons are changed in the same way whatever follows it."""
    shifts = isinstance(intervention, KeepOnly) and intervention.token_means
    return intervention.positions == "all" and not shifts


def end_tokens(model: Model) -> set[int]:
    """The tokens with which a language model says that its text is over."""
    settings = getattr(model.hf, "generation_config", None)
    ends = [model.tokenizer.eos_token_id, getattr(settings, "eos_token_id", None)]
    flat = [i for end in ends for i in (end if isinstance(end, list) else [end])]
    return {i for i in flat if i is not None}
