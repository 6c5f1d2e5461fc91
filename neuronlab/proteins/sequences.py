"""Check a protein sequence as a person typed it, and read FASTA files with limits."""

import io
import string
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from Bio.SeqIO.FastaIO import SimpleFastaParser

from neuronlab.errors import UserError

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
MAX_FASTA_BYTES = 2_000_000
MAX_FASTA_ENTRIES = 1_000
# Trastuzumab's variable domains: of the heavy and the light chain (PDB 1N8Z, chains B and A).
TRASTUZUMAB_VH = (
    "EVQLVESGGGLVQPGGSLRLSCAASGFNIKDTYIHWVRQAPGKGLEWVARIYPTNGYTRYADSVKGRFTISADTSKNTAYLQMNSLRAED"
    "TAVYYCSRWGGDGFYAMDYWGQGTLVTVSS"
)
TRASTUZUMAB_VL = (
    "DIQMTQSPSSLSASVGDRVTITCRASQDVNTAVAWYQQKPGKAPKLLIYSASFLYSGVPSRFSGSRSGTDFTLTISSLQPEDFATYYCQQ"
    "HYTTPPTFGQGTKVEIK"
)
# Of other letters, some are two in upper case ("ß") and some become a residue ("ſ").
_UPPER = str.maketrans(string.ascii_lowercase, string.ascii_uppercase)
EMPTY_FASTA = "The FASTA file has no sequence: it needs a line that begins with '>' and residues."


def clean_sequence(text: str, letters: Collection[str] = AMINO_ACIDS) -> str:
    """The sequence in upper case without white space.

    Args:
        text: one-letter codes as typed; lower case and line breaks are accepted.
        letters: the residues the model knows.

    Raises:
        UserError: nothing is left, or a character is no residue; the sentence says which and where.
    """
    sequence = _upper(text)
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


def residues(text: str) -> str:
    """The residues that a file gives, not yet checked: as one word, without a stop at the end.

    Only a to z become upper case, so that every other letter is still there to be refused.
    """
    return _upper(text).removesuffix("*")


def _upper(text: str) -> str:
    return "".join(text.split()).translate(_UPPER)


@dataclass(frozen=True)
class Protein:
    """A named sequence, as read: not yet checked against a model's alphabet."""

    name: str
    sequence: str


def is_fasta(text: str) -> bool:
    """Whether the first line with text begins with ">"; also of that line alone."""
    return text.lstrip().startswith(">")


def fasta_entries(lines: Iterable[str]) -> Iterator[Protein]:
    """The entries of FASTA, as they are read; names and sequences may be empty.

    Args:
        lines: of text that was opened with ``newline=None``, so that a bare CR ends a line, too.
    """
    # Unicode has more ends of lines than files are opened with.
    parts = (part for line in lines for part in line.splitlines())
    for title, sequence in SimpleFastaParser(f"{part.strip()}\n" for part in parts):
        yield Protein(title.strip(), residues(sequence))


def read_fasta(data: bytes) -> list[Protein]:
    """The entries of a FASTA file.

    Raises:
        UserError: empty, not text, not FASTA, or over the limits on bytes and entries.
    """
    if len(data) > MAX_FASTA_BYTES:
        limit = MAX_FASTA_BYTES // 1_000_000
        raise UserError(f"The FASTA file is larger than {limit} MB: upload only what you need.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError("The FASTA file is not plain text: save it as UTF-8.") from None
    if not text.strip():
        raise UserError(EMPTY_FASTA)
    if not is_fasta(text):
        raise UserError("The file is not FASTA: its first line must begin with '>'.")
    proteins: list[Protein] = []
    for entry in fasta_entries(io.StringIO(text, newline=None)):
        if len(proteins) == MAX_FASTA_ENTRIES:
            raise UserError(
                f"The FASTA file has more than {MAX_FASTA_ENTRIES:,} entries: upload a smaller one."
            )
        if entry.sequence:
            name = entry.name or f"sequence {len(proteins) + 1}"
            proteins.append(Protein(name, entry.sequence))
    if not proteins:
        raise UserError(EMPTY_FASTA)
    return proteins
