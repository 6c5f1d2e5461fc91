"""How a language model goes on with a text, as it is and under interventions."""

from __future__ import annotations

from dataclasses import replace

import torch

from neuronlab.errors import UserError
from neuronlab.models import Model, Prompt
from neuronlab.neurons.interventions import Intervention
from neuronlab.neurons.predictions import predict


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
    if model.kind != "causal" or model.alphabet != "text":
        raise UserError(f"{model.title} writes no text: choose a causal language model.")
    encoded = replace(model.encode(Prompt(text)), target=0)  # of no interest, but must be some
    ends, written = end_tokens(model), list[int]()
    for _ in range(min(tokens, model.max_tokens + 1 - encoded.input_ids.shape[1])):
        choice = int(predict(model, encoded, intervention=intervention).logits.argmax())
        if choice in ends:
            break
        written.append(choice)
        ids = torch.cat([encoded.input_ids, model.ids([[choice]])], dim=1)
        encoded = replace(encoded, input_ids=ids, position=encoded.position + 1)
    return model.tokenizer.decode(written)


def end_tokens(model: Model) -> set[int]:
    """The tokens with which a language model says that its text is over."""
    settings = getattr(model.hf, "generation_config", None)
    ends = [model.tokenizer.eos_token_id, getattr(settings, "eos_token_id", None)]
    flat = [i for end in ends for i in (end if isinstance(end, list) else [end])]
    return {i for i in flat if i is not None}
