"""What is asked of a model, and its form as token ids."""

from __future__ import annotations

from dataclasses import dataclass, replace

from jaxtyping import Int
from torch import Tensor

MASK = "[MASK]"
# Between the two texts of a classifier that reads two.
SEPARATOR = "[SEP]"
# How models write it; a person may write any of them for any model.
MASKS = (MASK, "<mask>")
# After these an answer goes on without a space, even if it begins with a letter.
_OPENING = "([{<\"'“‘«¿¡-–—/\\@#$€£_"


@dataclass(frozen=True)
class Prompt:
    """Text or protein plus what is asked about it.

    Attributes:
        text: the text, or the protein in one-letter codes; a decoder's may begin with other tokens
            of its vocabulary, such as "1" or "[HEAVY][HUMAN]". A masked language model's text holds
            ``[MASK]`` (or ``<mask>``) once; a classifier that reads two texts has ``[SEP]``
            between them.
        target: what is explained: text that follows the prompt (causal) or stands at the mask
            (masked), of which the first token counts, one residue, a class by its name; or the
            index of a token or class. ``None``: the model's own first choice.
        mask: for a masked protein model, the residue to hide, counted from 0.
        foil: what the target is compared with, given as a target is: what is explained is then
            the difference of the two log-probabilities. ``None``: the target alone.
        prefix: of an encoder-decoder, what its decoder has said so far, which the target goes on
            with. ``None``: what comes before the answer where the text holds a mask (``[MASK]``, or
            a sentinel such as ``<extra_id_0>``), else nothing but the decoder's start.

    Raises:
        TypeError: a field is of another type.
    """

    text: str
    target: str | int | None = None
    mask: int | None = None
    foil: str | int | None = None
    prefix: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.text, str):
            raise TypeError(f"A prompt's text is a str, not {type(self.text).__name__}.")
        for name, choice in (("target", self.target), ("foil", self.foil)):
            if not isinstance(choice, str | int | None) or isinstance(choice, bool):
                raise TypeError(f"A {name} is a str or an int, not {type(choice).__name__}.")
        if not isinstance(self.mask, int | None) or isinstance(self.mask, bool):
            raise TypeError(f"A mask is the number of a residue, not {type(self.mask).__name__}.")
        if not isinstance(self.prefix, str | None):
            raise TypeError(f"A prefix is a str, not {type(self.prefix).__name__}.")

    @property
    def unasked(self) -> Prompt:
        """What is read, without what is explained of it."""
        return replace(self, target=None, foil=None)


@dataclass(frozen=True)
class Encoded:
    """A prompt as a model takes it.

    Attributes:
        input_ids: one row of token ids; of an encoder-decoder, what the encoder reads.
        position: the token whose final hidden state is read to predict.
        target: index in the vocabulary or of the class; ``None`` where the prompt names none.
        tokens: the tokens as a person reads them, one per position; those of a prefix come last.
        note: sentences a person should see (several tokens in the target, …), or "".
        whole: whether the target is all of the answer, not the first of its tokens.
        foil: index of what the target is compared with; ``None`` where the prompt names none.
        prefix: one row of what an encoder-decoder's decoder reads, its start first; else ``None``.
    """

    input_ids: Int[Tensor, "1 token"]
    position: int
    target: int | None
    tokens: tuple[str, ...]
    note: str = ""
    whole: bool = True
    foil: int | None = None
    prefix: Int[Tensor, "1 prefix"] | None = None

    @property
    def ids(self) -> list[int]:
        """The ids of all tokens, those of a prefix last."""
        texts = self.input_ids, self.prefix
        return [token for ids in texts if ids is not None for token in ids[0].tolist()]

    @property
    def length(self) -> int:
        """The number of tokens, those of a prefix with them."""
        return self.input_ids.shape[1] + (0 if self.prefix is None else self.prefix.shape[1])


def joined(text: str, answer: str) -> str:
    """An answer as it follows a text: with a space where it begins a new word.

    Scripts without spaces, opening brackets and white space take none.
    """
    if not text or not answer or not _of_words(answer[0]):
        return answer
    last = text[-1]
    apart = _of_words(last) or (last not in _OPENING and not last.isspace() and not last.isalpha())
    return f" {answer}" if apart else answer


def _of_words(letter: str) -> bool:
    """Whether a letter belongs to a script that puts spaces between words, or is a digit."""
    return letter.isdigit() or letter.lower() != letter.upper()
