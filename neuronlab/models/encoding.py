"""From a prompt to token ids, the place that is asked and what is explained there."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from neuronlab.errors import UserError
from neuronlab.models.prompt import MASK, MASKS, SEPARATOR, Encoded, Prompt, joined
from neuronlab.models.residues import clean_sequence
from neuronlab.models.token_model import FIRST_SENTINEL, SENTINEL, TokenModel


def encode(model: TokenModel, prompt: Prompt) -> Encoded:
    """Token ids, the predicted position and the target's index.

    Raises:
        UserError: empty or too long, no mask or several, a mask where none is filled in, target
            outside the vocabulary, a token without an embedding, a sequence the model's alphabet
            does not cover. One sentence that says what to do.
    """
    for typed in (prompt.text, prompt.target, prompt.foil, prompt.prefix):
        if isinstance(typed, str) and not _whole(typed):
            raise UserError("A character of the text is broken (half of a pair): type it anew.")
    if prompt.prefix is not None and model.kind != "seq2seq":
        raise UserError(f"{model.title} has no decoder that a prefix could be of: leave it out.")
    prefix: list[int] = []
    before = prompt.text
    if model.alphabet == "protein":
        ids, position, notes = _protein(model, prompt)
    elif model.kind == "seq2seq":
        ids, before, prefix = _two_texts(model, prompt)
        position, notes = len(ids) + len(prefix) - 1, []
        if prompt.prefix is None:  # what fills a mask is a word of its own, however it is written
            target, foil = _word(before, prompt.target), _word(before, prompt.foil)
            prompt = replace(prompt, target=target, foil=foil)
    else:
        ids, position, notes = _text(model, prompt)
    notes += _check_tokens(model, prompt, ids, prefix)
    context = ids if model.kind != "seq2seq" else prefix
    target, whole = _choice(model, before, prompt.target, context, notes)
    foil, _ = _choice(model, before, prompt.foil, context, notes)
    check_foil(model, target, foil)
    return Encoded(
        input_ids=model.ids([ids]),
        position=position,
        target=target,
        tokens=tuple(model.token(i) for i in ids + prefix),
        note=" ".join(notes),
        whole=whole,
        foil=foil,
        prefix=model.ids([prefix]) if prefix else None,
    )


def _check_tokens(
    model: TokenModel, prompt: Prompt, ids: list[int], prefix: list[int]
) -> list[str]:
    """Raise UserError where the model cannot read the tokens; notes on those that say nothing."""
    notes = []
    limit = model.max_tokens
    for what, tokens in (("prompt", ids), ("prefix", prefix)):
        if len(tokens) > limit:
            raise UserError(
                f"The {what} has {len(tokens):,} tokens and {model.title} takes {limit:,}: shorten "
                "it."
            )
        written = prompt.text if what == "prompt" else prompt.prefix or ""
        if count := _unread(model, tokens, written):
            notes.append(
                f"{count} of the {len(tokens)} tokens of the {what} are "
                f"{model.tokenizer.unk_token}: {model.title} has none for what is written there."
            )
    if prompt.mask is not None and (model.kind != "masked" or model.alphabet == "text"):
        raise UserError(f"{model.title} fills in no residue: leave out the one to hide.")
    unknown = [i for i in ids + prefix if not 0 <= i < model.embeddings]
    if unknown:
        raise UserError(
            f"{model.title} has no embedding for '{model.token(unknown[0])}', which its tokenizer "
            "knows: leave it out, or use the tokenizer that belongs to these weights."
        )
    return notes


def check_foil(model: TokenModel, target: int | None, foil: int | None) -> None:
    """Raise UserError where target and foil are the same token or class."""
    if foil is not None and foil == target:
        differs = "" if model.kind == "classifier" else ", of another first token"
        raise UserError(
            f"Target and foil are the same, '{_shown(model.label(foil))}': name another "
            f"foil{differs}."
        )


def _unread(model: TokenModel, tokens: list[int], text: str) -> int:
    """How many tokens stand for what the vocabulary lacks, and were not typed as such.

    Some decoders have their end of text in its place, which says nothing.
    """
    tokenizer = model.tokenizer
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown in (tokenizer.eos_token_id, tokenizer.bos_token_id):
        return 0
    return max(tokens.count(unknown) - text.count(tokenizer.unk_token), 0)


def _whole(text: str) -> bool:
    """Whether all characters can be written; a lone surrogate, of a broken file, cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(text: str) -> str:
    """A text within a sentence: on one line, and not too long."""
    text = " ".join(text.split())
    return text if len(text) <= 80 else f"{text[:77]}…"


def _check_length(model: TokenModel, text: str) -> None:
    if not text.strip():
        raise UserError("The prompt is empty: type a text whose next word you want explained.")
    # Beyond any model's reach: refuse before the tokenizer spends time on it.
    if len(text) > 100 * model.max_tokens:
        raise UserError(f"The prompt has {len(text):,} characters: shorten it.")


def _text(model: TokenModel, prompt: Prompt) -> tuple[list[int], int, list[str]]:
    text = prompt.text
    _check_length(model, text)
    if model.kind == "causal" and any(mask in text for mask in MASKS):
        raise UserError(
            f"{model.title} goes on where the text ends and fills in nothing: end the prompt where "
            f"the answer begins, without {MASK}."
        )
    notes: list[str] = []
    ids = _tokenized(model, text, notes)
    if model.kind == "masked":
        masks = [i for i, token in enumerate(ids) if token == model.tokenizer.mask_token_id]
        if len(masks) != 1:
            raise UserError(f"Put {MASK} in the text once: it holds the place to predict.")
        return ids, masks[0], notes
    if model.kind == "classifier":
        return ids, _pooled(model, ids), notes
    if text[-1].isspace() and text[-1] != "\n":
        notes.append("The prompt ends with a space, which most models expect before the answer.")
    return ids, len(ids) - 1, notes


def _two_texts(model: TokenModel, prompt: Prompt) -> tuple[list[int], str, list[int]]:
    """What an encoder reads, and what its decoder does, in words and as token ids."""
    text, prefix = prompt.text, prompt.prefix
    _check_length(model, text)
    mask = (FIRST_SENTINEL if model.family.sentinels else model.tokenizer.mask_token) or MASK
    if sum(map(text.count, MASKS)) > 1:
        raise UserError(f"Put {MASK} in the text once: it holds the place to predict.")
    for written in MASKS:
        text = text.replace(written, mask)
    sentinel = SENTINEL.search(text) if model.family.sentinels else None
    if prefix is None and sentinel:
        prefix = sentinel[0]
    elif prefix is None and model.family.restates and mask in text:
        prefix = text.partition(mask)[0].rstrip()
    prefix = prefix or ""
    return model.tokenizer(text, verbose=False)["input_ids"], prefix, _tokenized(model, prefix, [])


def _word(before: str, answer: str | int | None) -> str | int | None:
    return joined(before, answer) if isinstance(answer, str) else answer


def _beginning(tokenizer: Any) -> list[int]:
    """The special tokens that a tokenizer puts before a text."""
    ids, plain = (tokenizer("a", add_special_tokens=each)["input_ids"] for each in (True, False))
    starts = (i for i in range(len(ids)) if ids[i : i + len(plain)] == plain)
    return ids[: next(starts, 0)]


def _tokenized(model: TokenModel, text: str, notes: list[str]) -> list[int]:
    """Token ids; a causal model's without the end that a tokenizer adds, and with one beginning.

    A decoder's are as those of a causal model, behind its start.
    """
    tokenizer = model.tokenizer
    if model.kind == "masked":
        for mask in MASKS:
            text = text.replace(mask, tokenizer.mask_token)
    texts = [text]
    if model.kind == "classifier" and tokenizer.sep_token and text.count(SEPARATOR) == 1:
        texts = [part.strip() for part in text.split(SEPARATOR)]
    ids = tokenizer(*texts, verbose=False)["input_ids"]
    if model.kind == "seq2seq":
        plain = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        return [model.decoder_start, *_beginning(tokenizer), *plain]
    if model.kind != "causal":
        return ids
    plain = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    starts = [i for i in range(len(ids) - len(plain) + 1) if ids[i : i + len(plain)] == plain]
    if not starts:
        return ids
    before = ids[: starts[0]]
    if len(before) + len(plain) < len(ids):
        notes.append("The end that the tokenizer adds is left out: the text is to go on.")
    if before and plain[: len(before)] == before:
        notes.append("The text has its beginning token already: no second one is added.")
        before = []
    return before + plain


def _pooled(model: TokenModel, ids: list[int]) -> int:
    """The token that a classifier's head reads: the first, or of decoders the last but padding."""
    if not model.family.causal:
        return 0
    padding = model.hf.config.pad_token_id
    last = len(ids) - 1
    return next((i for i in range(last, -1, -1) if ids[i] != padding), last)


def _protein(model: TokenModel, prompt: Prompt) -> tuple[list[int], int, list[str]]:
    tokenizer = model.tokenizer
    opening, text = _opening(model, prompt.text) if model.kind == "causal" else ([], prompt.text)
    sequence = clean_sequence(text, model.residues)
    ids = [model.residue_tokens[residue] for residue in sequence]
    start, end = model.special_ends
    start = opening or start
    if model.kind == "masked":
        if prompt.mask is None:
            raise UserError("Choose the residue to hide: a masked model predicts one residue.")
        if not 0 <= prompt.mask < len(sequence):
            raise UserError(f"The hidden residue must be one of the {len(sequence)} residues.")
        ids[prompt.mask] = tokenizer.mask_token_id
        return start + ids + end, prompt.mask + len(start), []
    whole = start + ids + end
    return whole, _pooled(model, whole) if model.kind == "classifier" else len(whole) - 1, []


def _opening(model: TokenModel, text: str) -> tuple[list[int], str]:
    """The tokens that a decoder's protein is typed with before its residues, and the text without.

    Such as ProGen's "1", or the chain and the species of IgLM: "[HEAVY][HUMAN]". They take the
    place of what the tokenizer puts there.
    """
    vocabulary = model.tokenizer.get_vocab()
    others = [t for t in vocabulary if any(map(str.isalnum, t)) and not t.isalpha()]
    others.sort(key=len, reverse=True)
    ids, text = list[int](), text.lstrip()
    while token := next((other for other in others if text.startswith(other)), ""):
        ids.append(vocabulary[token])
        text = text.removeprefix(token).lstrip()
    return ids, text


def _choice(
    model: TokenModel, text: str, target: str | int | None, ids: list[int], notes: list[str]
) -> tuple[int | None, bool]:
    """Index of a target or foil, and whether it is all of the answer.

    Args:
        text, ids: what it goes on with, or stands in.
    """
    if target is None:
        return None, True
    if model.kind == "classifier":
        labels = model.labels
        if isinstance(target, str) and target in labels:
            return labels.index(target), True
        if isinstance(target, int) and 0 <= target < len(labels):
            return target, True
        raise UserError(
            f"There is no class '{_shown(str(target))}': choose one of {', '.join(labels)}."
        )
    if isinstance(target, int):
        if 0 <= target < model.vocabulary:
            return target, True
        raise UserError(f"There is no token {target}: the vocabulary has {model.vocabulary:,}.")
    if model.alphabet == "protein":
        residue = target.strip().upper()
        if len(residue) != 1 or residue not in model.residues:
            letters = "".join(sorted(model.residues))
            raise UserError(
                f"'{_shown(target)}' is no residue this model knows: choose one of {letters}."
            )
        return model.residue_tokens[residue], True
    answer = _answer(model, text, target, ids, notes)
    tokenizer = model.tokenizer
    missing = not answer or answer[0] == tokenizer.unk_token_id != tokenizer.eos_token_id
    if missing or answer[0] >= model.vocabulary:
        raise UserError(
            f"'{_shown(target)}' is not in the vocabulary of {model.title}: try another word."
        )
    if len(answer) > 1 and not model.token(answer[0]).strip():
        raise UserError(
            f"'{_shown(target)}' begins with a token that is a space and no more: end the prompt "
            "with the space, and give the answer without it."
        )
    if len(answer) > 1:
        first = model.token(answer[0])
        notes.append(f"'{target}' is {len(answer)} tokens; it is scored by its first, '{first}'.")
    return answer[0], len(answer) == 1


def _answer(
    model: TokenModel, text: str, answer: str, ids: list[int], notes: list[str]
) -> list[int]:
    """Token ids of an answer where it stands: how a word is cut depends on what is around it."""
    if not answer.strip():
        return []
    at_mask = model.kind == "masked"
    in_place = (
        _at_mask(model, text, answer.strip()) if at_mask else _after(model, text, answer, ids)
    )
    if in_place:
        if not at_mask and in_place != _after(model, text, joined(text, answer), ids):
            notes.append(
                f"'{answer}' goes on within the prompt's last word: begin it with a space where it "
                "is a word of its own."
            )
        return in_place
    if not at_mask and (in_place := _after(model, text, joined(text, answer), ids)):
        notes.append(f"'{answer}' melts with the prompt's last word: it is taken as a new word.")
        return in_place
    # It melts with what is around it: as it is cut alone.
    alone = model.tokenizer(answer, add_special_tokens=False)["input_ids"]
    # A tokenizer that marks word starts (▁) writes one for a leading space it was not given.
    while len(alone) > 1 and not model.token(alone[0]).strip():
        alone = alone[1:]
    if not at_mask:
        notes.append(f"'{_shown(answer)}' melts with the end of the prompt: it is taken alone.")
    return alone


def _after(model: TokenModel, text: str, answer: str, ids: list[int]) -> list[int]:
    """What an answer adds to the tokens of a text; empty where it changes the text's own."""
    together = _tokenized(model, text + answer, [])
    return together[len(ids) :] if together[: len(ids)] == ids else []


def _at_mask(model: TokenModel, text: str, answer: str) -> list[int]:
    """The tokens of an answer in the place of the mask; empty where others reach into it."""
    tokenizer = model.tokenizer
    if not tokenizer.is_fast:  # it does not tell where its tokens are
        return []
    masks = map(re.escape, {*MASKS, tokenizer.mask_token})
    before, after = re.split("|".join(masks), text, maxsplit=1)
    start, stop = len(before), len(before) + len(answer)
    cut = tokenizer(before + answer + after, return_offsets_mapping=True, verbose=False)
    tokens = []
    for token, (begin, end) in zip(cut["input_ids"], cut["offset_mapping"], strict=True):
        if begin < stop and end > start:
            if end > stop or before[begin:].strip():
                return []
            tokens.append(token)
    return tokens
