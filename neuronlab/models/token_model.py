"""A model from outside: which tokens go in, and among which tokens or classes it chooses."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache, cached_property
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from neuronlab.models.entries import Alphabet, Kind
from neuronlab.models.families import Family
from neuronlab.models.residues import RESIDUES

# What stands for a part that is left out, where a family marks such parts so.
FIRST_SENTINEL = "<extra_id_0>"
SENTINEL = re.compile(r"<extra_id_\d+>")
# Attention over more tokens than this costs more memory than the app promises to use.
MAX_TOKENS = 2048
# What a part of a letter is decoded to.
_PARTIAL = "\ufffd"


class TokenModel:
    """What ``encoding`` asks of a model; the neurons are in ``Model``.

    Attributes:
        hf, tokenizer: the transformers module itself and its tokenizer.
    """

    def __init__(
        self,
        hf: Any,
        tokenizer: Any,
        family: Family,
        *,
        name: str,
        title: str,
        kind: Kind,
        alphabet: Alphabet,
    ) -> None:
        self.hf = hf
        self.tokenizer = tokenizer
        self.family = family
        self.name = name
        self.title = title
        self.kind: Kind = kind
        self.alphabet: Alphabet = alphabet

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.hf.device

    @property
    def vocabulary(self) -> int:
        """Number of tokens that can be predicted."""
        head = self.hf.get_output_embeddings()
        return self.hf.config.vocab_size if head is None else len(head.weight)

    @property
    def embeddings(self) -> int:
        """Number of tokens that can be read."""
        return len(self.hf.get_input_embeddings().weight)

    @property
    def labels(self) -> list[str]:
        """Names of the classes of a classifier, by index."""
        return [str(self.hf.config.id2label[i]) for i in range(self.hf.config.num_labels)]

    @property
    def residues(self) -> str:
        """The amino acids in a protein model's vocabulary, one letter each."""
        return "".join(self.residue_tokens)

    @cached_property
    def residue_tokens(self) -> dict[str, int]:
        """The tokens of these, by their letters; some vocabularies have them as words (▁M)."""
        vocabulary = self.tokenizer.get_vocab()
        tokens = {
            letter: vocabulary.get(letter, vocabulary.get(f"▁{letter}")) for letter in RESIDUES
        }
        return {letter: token for letter, token in tokens.items() if token is not None}

    @property
    def decoder_start(self) -> int | None:
        """The token with which an encoder-decoder's decoder begins; None where nothing names it."""
        settings = getattr(self.hf, "generation_config", None), self.hf.config
        names = "decoder_start_token_id", "bos_token_id"
        tokens = (getattr(each, name, None) for name in names for each in settings)
        return next((token for token in tokens if token is not None), None)

    @property
    def max_tokens(self) -> int:
        """The longest prompt, special tokens included."""
        names = "max_position_embeddings", "max_seq_len"
        positions = next(filter(None, (getattr(self.hf.config, n, None) for n in names)), None)
        if positions is None:
            return MAX_TOKENS
        return min(positions - self.family.first_position, MAX_TOKENS)

    def token(self, index: int) -> str:
        """One token as a person reads it, with its leading space; bytes of a letter as \\xe2."""
        text = self.decoded(index)
        if _PARTIAL not in text:
            return text
        piece = self.tokenizer.convert_ids_to_tokens(int(index))
        byte_of = _byte_level()
        if not set(piece) <= byte_of.keys():  # a vocabulary that spells bytes out: <0xE2>
            return piece
        return bytes(byte_of[letter] for letter in piece).decode("utf-8", "backslashreplace")

    def decoded(self, index: int) -> str:
        """What one token decodes to; all bytes that are part of a letter look alike."""
        piece = self.tokenizer.convert_ids_to_tokens(int(index))
        if piece is None:
            return f"<{index}>"
        if "▁" in piece:
            return piece.replace("▁", " ")
        if index in self.tokenizer.all_special_ids:
            return piece
        return self.tokenizer.decode([int(index)]) or piece

    def hides(self, index: int) -> bool:
        """Whether a token stands for what is left out of a text."""
        piece = self.tokenizer.convert_ids_to_tokens(int(index)) or ""
        return index == self.tokenizer.mask_token_id or bool(SENTINEL.search(piece))

    def label(self, index: int) -> str:
        """The name of what is predicted: a class or a token."""
        return self.labels[index] if self.kind == "classifier" else self.token(index)

    @cached_property
    def special_ends(self) -> tuple[list[int], list[int]]:
        """The tokens that the tokenizer puts before and after the residues of a protein."""
        residue = self.residues[0]
        ids = self.tokenizer(residue, verbose=False)["input_ids"]
        at = ids.index(self.residue_tokens[residue])
        # What a causal model is asked comes after the last residue, not after the end.
        return ids[:at], [] if self.kind == "causal" else ids[at + 1 :]

    @property
    def residues_at(self) -> slice:
        """Where the residues are among the tokens of a protein: between the special ones."""
        start, end = self.special_ends
        return slice(len(start), -len(end) or None)

    def ids(self, numbers: Sequence[Any]) -> Int[Tensor, ...]:
        """Whole numbers (token ids, indices of neurons) as a tensor on the model's device."""
        return torch.tensor(numbers, device=self.device, dtype=torch.long)


@cache
def _byte_level() -> dict[str, int]:
    """Which byte each letter of a byte-level vocabulary stands for."""
    from transformers.convert_slow_tokenizer import bytes_to_unicode  # a second, once

    return {letter: byte for byte, letter in bytes_to_unicode().items()}
