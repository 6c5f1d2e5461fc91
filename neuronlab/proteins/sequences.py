"""Check a protein sequence as a person typed it, and read FASTA files with limits."""

import io
from collections.abc import Collection
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
EMPTY_FASTA = "The FASTA file has no sequence: it needs a line that begins with '>' and residues."


def clean_sequence(text: str, letters: Collection[str] = AMINO_ACIDS) -> str:
    """The sequence in upper case without white space.

    Args:
        text: one-letter codes as typed; lower case and line breaks are accepted.
        letters: the residues the model knows.

    Raises:
        UserError: nothing is left, or a character is no residue; the sentence says which and where.
    """
    sequence = "".join(text.split()).upper()
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


@dataclass(frozen=True)
class Protein:
    """A named sequence, as read: not yet checked against a model's alphabet."""

    name: str
    sequence: str


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
    if not text.lstrip().startswith(">"):
        raise UserError("The file is not FASTA: its first line must begin with '>'.")
    proteins = []
    for title, sequence in SimpleFastaParser(io.StringIO(text)):
        if len(proteins) == MAX_FASTA_ENTRIES:
            raise UserError(
                f"The FASTA file has more than {MAX_FASTA_ENTRIES:,} entries: upload a smaller one."
            )
        if sequence:
            proteins.append(Protein(title.strip() or f"sequence {len(proteins) + 1}", sequence))
    if not proteins:
        raise UserError(EMPTY_FASTA)
    return proteins
