"""A protein in one-letter codes, as a person typed it and as models read it."""

import string
from collections.abc import Collection

from neuronlab.errors import UserError

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
# With those that vocabularies have for what is unknown, ambiguous or rare.
RESIDUES = AMINO_ACIDS + "XBZUO"
# Of other letters, some are two in upper case ("ß") and some become a residue ("ſ").
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)


def clean_sequence(text: str, letters: Collection[str] = AMINO_ACIDS) -> str:
    """The sequence in upper case without white space.

    Args:
        text: one-letter codes as typed; lower case and line breaks are accepted.
        letters: the residues the model knows.

    Raises:
        UserError: nothing is left, or a character is no residue; the sentence says which and where.
    """
    sequence = upper(text)
    if not sequence:
        raise UserError("The sequence is empty: paste a protein in one-letter codes.")
    if text.lstrip().startswith(">"):
        raise UserError("This looks like FASTA: upload it as a file, or paste the residues alone.")
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


def upper(text: str) -> str:
    """As one word in upper case; letters other than a to z stay as they are."""
    return "".join(text.split()).translate(_UPPER)
