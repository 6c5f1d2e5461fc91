"""Proteins as files give them: FASTA, read with limits; and two of trastuzumab."""

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from Bio.SeqIO.FastaIO import SimpleFastaParser

from neuronlab import uploads
from neuronlab.errors import UserError
from neuronlab.models.residues import upper

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
_FASTA = "The FASTA file"
EMPTY_FASTA = f"{_FASTA} has no sequence: it needs a line that begins with '>' and residues."


def residues(text: str) -> str:
    """The residues that a file gives, not yet checked: as one word, without a stop at the end.

    Only a to z become upper case, so that every other letter is still there to be refused.
    """
    return upper(text).removesuffix("*")


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
        raise uploads.too_large(_FASTA, MAX_FASTA_BYTES)
    text = uploads.text_of(_FASTA, data)
    if not text.strip():
        raise UserError(EMPTY_FASTA)
    if not is_fasta(text):
        raise UserError("The file is not FASTA: its first line must begin with '>'.")
    proteins: list[Protein] = []
    for entry in fasta_entries(io.StringIO(text, newline=None)):
        if len(proteins) == MAX_FASTA_ENTRIES:
            raise uploads.too_many(_FASTA, MAX_FASTA_ENTRIES, "entries")
        if entry.sequence:
            name = entry.name or f"sequence {len(proteins) + 1}"
            proteins.append(Protein(name, entry.sequence))
    if not proteins:
        raise UserError(EMPTY_FASTA)
    return proteins
