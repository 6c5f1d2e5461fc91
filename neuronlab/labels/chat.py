"""Explanations by a causal language model of the catalogue, on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from neuronlab.errors import UserError
from neuronlab.labels.prompts import COUNT, TEMPERATURE, Messages, clean
from neuronlab.models import Model, shared
from neuronlab.neurons.generation import end_tokens
from neuronlab.progress import Check, Progress, unheard

MAX_NEW_TOKENS = 40
# Tokens read between two looks at whether the person cancelled.
_PIECE = 128


class Chat:
    """A chat model of the catalogue, a hub id or a folder; a base model is asked in plain text.

    Attributes:
        seed: of the sampling; the same seed and messages give the same labels.
    """

    def __init__(self, name: str, *, device: str = "auto", seed: int = 0) -> None:
        self.name = name
        self.device = device
        self.seed = seed

    @property
    def source(self) -> str:
        """What a result may say of where its labels come from."""
        return f"{self.name} on this machine"

    def explain(
        self,
        messages: Messages,
        *,
        count: int = COUNT,
        temperature: float = TEMPERATURE,
        check: Check = unheard,
    ) -> list[str]:
        """At most ``count`` labels of one neuron; fewer where the model says nothing of use.

        ``check`` is called between the pieces of work, and may raise to cancel.

        Raises:
            UserError: the model writes no text, cannot be loaded, or the prompt is too long for it.
        """
        model = shared(self.name, self.device)
        seed = hashlib.sha256(json.dumps([self.seed, messages]).encode()).digest()[:8]
        draw = torch.Generator(device="cpu").manual_seed(int.from_bytes(seed) >> 1)
        rows = sample(model, tokens(model, messages), count, temperature, draw, check)
        answers = [model.tokenizer.decode(row, skip_special_tokens=True) for row in rows]
        return [text for text in map(clean, answers) if text]

    def explain_many(
        self,
        many: Sequence[Messages],
        *,
        count: int = COUNT,
        temperature: float = TEMPERATURE,
        check: Check = unheard,
        progress: Progress | None = None,
    ) -> list[list[str]]:
        """``explain`` for each request in turn: one machine has one model."""
        answers = []
        for messages in many:
            answers.append(
                self.explain(messages, count=count, temperature=temperature, check=check)
            )
            if progress:
                progress(len(answers) / len(many), f"{len(answers)} of {len(many)} neurons")
        return answers


def tokens(model: Model, messages: Messages) -> list[int]:
    """The token ids of a chat, in the model's own form where it has one.

    Raises:
        UserError: the model writes no text, or the chat is too long for it.
    """
    if model.kind != "causal" or model.alphabet != "text":
        raise UserError(f"{model.title} writes no text: choose a causal language model.")
    tokenizer = model.tokenizer
    # What a protein's record says must not end the user's turn.
    special = [str(t) for t in getattr(tokenizer, "added_tokens_decoder", {}).values() if t.special]
    plain = []
    for message in messages:
        content = message["content"]
        for token in special:
            content = content.replace(token, " ")
        plain.append({"role": message["role"], "content": content})
    if getattr(tokenizer, "chat_template", None):
        ids = tokenizer(_templated(tokenizer, plain), add_special_tokens=False)["input_ids"]
    else:
        text = "\n\n".join(message["content"] for message in plain)
        ids = tokenizer(f"{text}\n\nAnswer:")["input_ids"]
    room = model.max_tokens - MAX_NEW_TOKENS
    if len(ids) > room:
        raise UserError(
            f"The prompt has {len(ids):,} tokens and {model.title} takes {room:,}: show fewer "
            "exemplars or cut their sequences shorter."
        )
    return ids


def _templated(tokenizer: Any, messages: Messages) -> str:
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    except TemplateError:  # some models know no system: it then opens the user's turn
        text = "\n\n".join(message["content"] for message in messages)
        messages = [{"role": "user", "content": text}]
        return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


@torch.no_grad()
def sample(
    model: Model,
    ids: Sequence[int],
    count: int,
    temperature: float,
    draw: torch.Generator,
    check: Check = unheard,
) -> list[list[int]]:
    """Continuations of one prompt, at most 40 tokens each, without the end's token.

    The prompt is read once, in pieces between which ``check`` may cancel; then all continuations
    are written at once. At temperature 0 each token is the likeliest.
    """
    from transformers import DynamicCache

    ends = end_tokens(model)
    prompt = model.ids([list(ids)])
    cache = DynamicCache(config=model.hf.config)
    with model.lock:
        for piece in prompt.split(_PIECE, dim=1):
            check()
            hidden = model.hidden(piece, -1, past_key_values=cache, use_cache=True)
        cache.batch_repeat_interleave(count)
        hidden = hidden.repeat_interleave(count, dim=0)
        rows: list[list[int]] = [[] for _ in range(count)]
        writing = set(range(count))
        for _ in range(MAX_NEW_TOKENS):
            check()
            chosen = _choose(model.logits(hidden), temperature, draw)
            writing -= {i for i in writing if int(chosen[i]) in ends}
            if not writing:
                break
            for i in writing:
                rows[i].append(int(chosen[i]))
            hidden = model.hidden(
                chosen[:, None].to(model.device), -1, past_key_values=cache, use_cache=True
            )
    return rows


def _choose(
    logits: Float[Tensor, "row token"], temperature: float, draw: torch.Generator
) -> Int[Tensor, " row"]:
    """One token a row, drawn on the processor: a seed then means the same on every device."""
    logits = logits.cpu()
    if temperature <= 0:
        return logits.argmax(-1)
    p = (logits / temperature).softmax(-1)
    return torch.multinomial(p, 1, generator=draw)[:, 0]
