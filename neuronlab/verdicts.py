"""How far a result can be trusted, in words: of inputs unlike a model's training, and of errors."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass
from typing import Literal

from neuronlab.models.catalogue import use_of
from neuronlab.models.entries import Use
from neuronlab.models.residues import doubt
from neuronlab.proteins.antibodies import variable_domain

# Of the sum of absolute scores.
_ERROR_DOUBTFUL, _ERROR_BAD = 0.05, 0.25
# A model that gives its target less hardly says it.
_HARDLY = 0.01
_DECIDED = 2 / 3
# How much longer than what a model knows a protein may be before nothing can be said of it.
_BEYOND = 1.25
# Of the languages that the catalogue names; any other is written in Latin letters.
_SCRIPTS = {"zh": "CJK", "ja": "CJK"}


@dataclass(frozen=True)
class Verdict:
    """One reason to trust a result or not.

    Attributes:
        level: "bad" is a result not to be interpreted.
        words: the reason, a few words.
    """

    level: Literal["good", "doubtful", "bad"]
    words: str


def domain(model: str, text: str, alphabet: str) -> Verdict | None:
    """Whether a prompt is of the kind that a model was made for.

    Args:
        model: its name.
        text: a prompt, or a protein in one-letter codes.
        alphabet: "text" or "protein".

    Returns:
        None of a text where the catalogue does not say what the model's languages are.

    Example:
        >>> domain("antiberty", "MQIFVKTLTGKTITLEVEPSDTIENVKAKIQDKEGIPPDQQR", "protein").level
        'bad'
    """
    return (_of_protein if alphabet == "protein" else _of_text)(use_of(model), text)


def _of_protein(use: Use, sequence: str) -> Verdict:
    if doubt([sequence]):
        return Verdict("bad", "looks like DNA or RNA; this model knows proteins")
    if use.only == "antibodies":
        chain = variable_domain(sequence)
        if not chain:
            return Verdict("bad", "no variable domain of an antibody; this model knows no other")
        return Verdict("good", f"variable domain of a {chain} chain, which this model knows")
    count, most = len(sequence), use.residues
    kind = "peptides" if use.only else "proteins"
    if not most or count <= most:
        return Verdict("good", f"{count} residues; this model knows {use.only or 'any protein'}")
    level: Literal["doubtful", "bad"] = "bad" if count > _BEYOND * most else "doubtful"
    return Verdict(level, f"{count} residues; this model knows {kind} up to {most}")


def _of_text(use: Use, text: str) -> Verdict | None:
    scripts = Counter(script for script in map(_script, text) if script)
    if not use.languages or not scripts:
        return None
    script = scripts.most_common(1)[0][0]
    if script in {_SCRIPTS.get(language, "LATIN") for language in use.languages}:
        return Verdict("good", f"{_named(script)} script, which this model knows")
    return Verdict("bad", f"{_named(script)} script; this model was not made for its languages")


def _script(letter: str) -> str:
    """Of Unicode's name of a letter, what tells the script; "" of what is no letter."""
    if not letter.isalpha():
        return ""
    first = unicodedata.name(letter, "").split(" ")[0]
    return "CJK" if first in ("CJK", "HIRAGANA", "KATAKANA") else first


def _named(script: str) -> str:
    return "Chinese or Japanese" if script == "CJK" else script.capitalize()


def _size(share: float, below: str = "") -> str:
    """A share in percent, with one digit; of a smaller one only that it is."""
    return f"{share:.1%}" if share >= 0.001 else f"{below}0.1 %"


def precision(error: float | None) -> Verdict | None:
    """What the error estimated for scores allows.

    Args:
        error: of all scores together, as a fraction of their absolute sum; None where a method
            has none.
    """
    if error is None:
        return None
    words = f"estimated error {_size(error, 'below ')}"
    if error <= _ERROR_DOUBTFUL:
        return Verdict("good", words)
    if error <= _ERROR_BAD:
        return Verdict("doubtful", f"{words}: the order of close scores is open")
    return Verdict("bad", f"{words}: do not interpret")


def additivity(gap: float | None, *, continuous: bool) -> Verdict | None:
    """What scores lack to their sum where that is no error of theirs, but a router's choice.

    Args:
        gap: of all scores together, as a fraction of their absolute sum; None where a method is
            not complete.
        continuous: whether the model computes without jumps: then the error says it all.
    """
    if gap is None or continuous:
        return None
    size = _size(gap)
    if gap <= _ERROR_DOUBTFUL:
        return Verdict("good", f"scores add up to within {size}, though the router's choice jumps")
    words = f"the router's choice jumps along the path: scores do not add up by {size}"
    return Verdict("doubtful", words)


def decision(probability: float) -> Verdict | None:
    """A doubt where a classifier of two classes gives neither of them two to one."""
    likelier = max(probability, 1 - probability)
    if likelier >= _DECIDED:
        return None
    return Verdict("doubtful", f"the model is undecided: it gives one class {likelier:.0%}")


def confidence(probability: float) -> Verdict | None:
    """A doubt where what is explained is what the model hardly says."""
    if probability >= _HARDLY:
        return None
    return Verdict("doubtful", f"the model gives this {probability:.2%}: it hardly says it")
