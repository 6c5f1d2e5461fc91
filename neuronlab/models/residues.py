"""A protein in one-letter codes, as a person typed it and as models read it."""

import string
from collections.abc import Collection, Sequence

from neuronlab.errors import UserError

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
# What vocabularies have besides, for what is unknown, ambiguous or rare.
_BESIDES = {"X": "any", "B": "D or N", "Z": "E or Q", "U": "selenocysteine", "O": "pyrrolysine"}
RESIDUES = AMINO_ACIDS + "".join(_BESIDES)
# Of DNA and RNA, N for any; all of them stand for amino acids, too.
_NUCLEOTIDES = frozenset("ACGTUN")
# By chance one residue in three is such a letter; repeats of one or two residues are proteins, too.
_LEAST, _LEAST_DIFFERENT = 15, 3
# Of other letters, some are two in upper case ("ß") and some become a residue ("ſ").
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def clean_sequence(text: str, letters: Collection[str] = AMINO_ACIDS) -> str:
    """The sequence in upper case without white space.

    Args:
        text: one-letter codes as typed; lower case and line breaks are accepted, and FASTA of a
            single protein, whose first line is left out.
        letters: the residues the model knows.

    Raises:
        UserError: nothing is left, or a character is no residue; the sentence says which and where.
    """
    text = text.lstrip()
    if text.startswith(">"):
        text = "\n".join(text.splitlines()[1:])
        if not text.strip():
            raise UserError(
                "This looks like the first line of FASTA: paste the residues in lines below it, or "
                "alone."
            )
        if ">" in text:
            raise UserError("These are several proteins in FASTA: paste one of them.")
    sequence = upper(text)
    if not sequence:
        raise UserError("The sequence is empty: paste a protein in one-letter codes.")
    for place, letter in enumerate(sequence, start=1):
        if letter in letters:
            continue
        if letter.isdigit():
            hint = "a digit; remove numbers from the sequence"
        elif letter in "-.":
            hint = "a gap; remove gaps from the sequence"
        elif letter == "*":
            hint = "a stop; remove it"
        else:
            hint = f"no residue this model knows; use {''.join(sorted(letters))}"
        raise UserError(f"Character {place} of the sequence, '{letter}', is {hint}.")
    return sequence


def doubt(sequences: Sequence[str]) -> str:
    """A sentence where sequences look like DNA or RNA given as proteins; "" where none does.

    All letters of nucleotides are letters of amino acids, so that nothing else tells.
    """
    count = sum(map(_like_dna, sequences))
    if not count:
        return ""
    some = "This sequence has" if len(sequences) == 1 else f"{count:,} of the sequences have"
    return (
        f"{some} no letters but those of DNA or RNA. As protein, A, C, G and T are read as "
        "alanine, cysteine, glycine and threonine: if this is DNA, translate it and give the "
        "protein."
    )


def besides(sequence: str) -> str:
    """A sentence where a sequence has letters other than the 20 amino acids'; "" where not."""
    letters = [f"{letter} ({what})" for letter, what in _BESIDES.items() if letter in sequence]
    if not letters:
        return ""
    return (
        f"This sequence has letters that are none of the 20 amino acids: {', '.join(letters)}. "
        "Models have hardly seen them: give the residues where they are known."
    )


def _like_dna(sequence: str) -> bool:
    letters = set(sequence)
    return (
        len(sequence) >= _LEAST
        and letters <= _NUCLEOTIDES
        and len(letters - {"N"}) >= _LEAST_DIFFERENT
    )


def upper(text: str) -> str:
    """As one word in upper case; letters other than a to z stay as they are."""
    return "".join(text.split()).translate(_UPPER)
