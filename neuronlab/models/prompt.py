"""What is asked of a model, and its form as token ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jaxtyping import Int
from torch import Tensor

from neuronlab.errors import UserError
from neuronlab.proteins.sequences import clean_sequence

if TYPE_CHECKING:
    from neuronlab.models.model import Model

MASK = "[MASK]"


@dataclass(frozen=True)
class Prompt:
    """Text or protein plus what is asked about it.

    Attributes:
        text: the text, or the protein in one-letter codes. A masked language model's text holds
            ``[MASK]`` (or the tokenizer's own mask) once.
        target: one token of the vocabulary at the next position (causal) or at the mask (masked),
            one residue, or the index of a class. ``None``: the model's own first choice.
        mask: for a masked protein model, the residue to hide, counted from 0.
    """

    text: str
    target: str | int | None = None
    mask: int | None = None


@dataclass(frozen=True)
class Encoded:
    """A prompt as a model takes it.

    Attributes:
        input_ids: one row of token ids.
        position: the token whose final hidden state is read to predict.
        target: index in the vocabulary or of the class; ``None`` where the prompt names none.
        tokens: the tokens as a person reads them, one per position.
        note: a sentence a person should see (several tokens in the target, …), or "".
    """

    input_ids: Int[Tensor, "1 token"]
    position: int
    target: int | None
    tokens: tuple[str, ...]
    note: str = ""


def encode(model: Model, prompt: Prompt) -> Encoded:
    """Token ids, the predicted position and the target's index.

    Raises:
        UserError: empty or too long, no mask or several, target outside the vocabulary, a
            sequence the model's alphabet does not cover. One sentence that says what to do.
    """
    ids, hidden_residue = (_protein if model.alphabet == "protein" else _text)(model, prompt)
    limit = model.max_tokens
    if len(ids) > limit:
        raise UserError(
            f"The prompt has {len(ids):,} tokens and {model.title} takes {limit:,}: shorten it."
        )
    if model.kind == "causal":
        position = len(ids) - 1
    elif model.kind == "classifier":
        position = len(ids) - 1 if model.family.causal else 0
    else:
        masks = [i for i, token in enumerate(ids) if token == model.tokenizer.mask_token_id]
        if hidden_residue is not None:
            masks = [hidden_residue]
        if len(masks) != 1:
            raise UserError(f"Put {MASK} in the text once: it holds the place to predict.")
        position = masks[0]
    target, note = _target(model, prompt)
    return Encoded(
        input_ids=model.ids([ids]),
        position=position,
        target=target,
        tokens=tuple(model.token(i) for i in ids),
        note=note,
    )


def _text(model: Model, prompt: Prompt) -> tuple[list[int], None]:
    if not prompt.text.strip():
        raise UserError("The prompt is empty: type a text whose next word you want explained.")
    text = prompt.text
    if model.kind == "masked":
        text = text.replace(MASK, model.tokenizer.mask_token)
    # Beyond any model's reach: refuse before the tokenizer spends time on it.
    if len(text) > 100 * model.max_tokens:
        raise UserError(f"The prompt has {len(text):,} characters: shorten it.")
    return model.tokenizer(text, verbose=False)["input_ids"], None


def _protein(model: Model, prompt: Prompt) -> tuple[list[int], int | None]:
    tokenizer = model.tokenizer
    sequence = clean_sequence(prompt.text, model.residues)
    ids = [tokenizer.convert_tokens_to_ids(residue) for residue in sequence]
    if model.kind == "masked":
        if prompt.mask is None:
            raise UserError("Choose the residue to hide: a masked model predicts one residue.")
        if not 0 <= prompt.mask < len(sequence):
            raise UserError(f"The hidden residue must be one of the {len(sequence)} residues.")
        ids[prompt.mask] = tokenizer.mask_token_id
    start = [tokenizer.cls_token_id]
    end = [tokenizer.sep_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id]
    hidden = None if model.kind != "masked" else prompt.mask + len(start)
    return start + ids + end, hidden


def _target(model: Model, prompt: Prompt) -> tuple[int | None, str]:
    target = prompt.target
    if target is None:
        return None, ""
    if model.kind == "classifier":
        labels = model.labels
        if isinstance(target, str) and target in labels:
            return labels.index(target), ""
        if isinstance(target, int) and 0 <= target < len(labels):
            return target, ""
        raise UserError(f"There is no class '{target}': choose one of {', '.join(labels)}.")
    if isinstance(target, int):
        if 0 <= target < model.vocabulary:
            return target, ""
        raise UserError(f"There is no token {target}: the vocabulary has {model.vocabulary:,}.")
    if model.alphabet == "protein":
        residue = target.strip().upper()
        if len(residue) != 1 or residue not in model.residues:
            known = "".join(sorted(model.residues))
            raise UserError(f"'{target}' is no residue this model knows: choose one of {known}.")
        return model.tokenizer.convert_tokens_to_ids(residue), ""
    ids = model.tokenizer(target, add_special_tokens=False)["input_ids"]
    # A tokenizer that marks word starts (▁) writes one for a leading space it was not given.
    while len(ids) > 1 and not model.token(ids[0]).strip():
        ids = ids[1:]
    if not ids or ids[0] == model.tokenizer.unk_token_id != model.tokenizer.eos_token_id:
        raise UserError(f"'{target}' is not in the vocabulary of {model.title}: try another word.")
    if len(ids) > 1:
        first = model.token(ids[0])
        return ids[0], f"'{target}' is {len(ids)} tokens; it is scored by its first, '{first}'."
    return ids[0], ""
