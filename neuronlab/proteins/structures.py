"""Read a PDB or mmCIF file with limits, and find the chain that is a given protein."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from Bio.Align import PairwiseAligner
from Bio.Data.PDBData import protein_letters_3to1_extended
from Bio.PDB import MMCIFIO, MMCIFParser, PDBParser
from Bio.PDB.Model import Model
from Bio.PDB.Residue import DisorderedResidue, Residue

from neuronlab.errors import UserError

Format = Literal["pdb", "cif"]
# (residue number, insertion code) as the file has them; the code is "" where there is none.
ResidueId = tuple[int, str]

MAX_BYTES = 20_000_000
MAX_ATOMS = 100_000
MIN_IDENTITY = 0.9
MIN_COVERED = 0.5
UNKNOWN = "X"


@dataclass(frozen=True)
class Chain:
    """The residues of a chain that have coordinates, in the order of the file.

    Attributes:
        sequence: one letter each, modified residues as what they were made from, ``X`` where that
            is not known.
        residues: the id of each letter's residue.
    """

    sequence: str
    residues: tuple[ResidueId, ...]


@dataclass(frozen=True)
class Structure:
    """The first model of a structure file.

    Attributes:
        format: of the text.
        text: what the 3D viewer draws.
        chains: chain id -> its residues, for the chains that are protein; ids are the authors'.
    """

    format: Format
    text: str
    chains: dict[str, Chain]


@dataclass(frozen=True)
class Match:
    """Where the residues of a sequence are in a structure.

    Attributes:
        chain: id of the chain.
        residues: one per residue of the sequence; None where the structure does not show it.
        identity: share of identical letters among the residues that are shown, 0 to 1.
        covered: share of the sequence that is shown, 0 to 1.
    """

    chain: str
    residues: tuple[ResidueId | None, ...]
    identity: float
    covered: float

    @property
    def accepted(self) -> bool:
        """Whether the chain can be taken for the protein."""
        return self.identity >= MIN_IDENTITY and self.covered >= MIN_COVERED


def read_structure(name: str, data: bytes) -> Structure:
    """The first model of a PDB or mmCIF file; the content tells which it is.

    Args:
        name: of the file, for messages.
        data: the file's content.

    Raises:
        UserError: not text, neither format, unreadable, without protein, or over the limits on
            bytes and atoms.
    """
    if len(data) > MAX_BYTES:
        limit = MAX_BYTES // 1_000_000
        raise UserError(f"{name} is larger than {limit} MB: upload the chain you need alone.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(
            f"{name} is not plain text: unpack it if it is compressed, or save it as UTF-8."
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    form = _format(text)
    if form is None:
        raise UserError(f"{name} has no atoms in PDB or mmCIF format: upload a structure file.")
    if form == "pdb":
        text = text.partition("\nENDMDL")[0]
    if sum(_is_atom(line) for line in text.splitlines()) > MAX_ATOMS:
        raise UserError(
            f"{name} has more than {MAX_ATOMS:,} atoms: upload the chain you need alone."
        )
    parser = PDBParser(QUIET=True) if form == "pdb" else MMCIFParser(QUIET=True, PERMISSIVE=True)
    try:
        models = list(parser.get_structure("structure", io.StringIO(text)))
        if len(models) > 1:
            # The viewer would draw all models of an mmCIF file into one another.
            form, text = "cif", _only(models[0])
        chains = {chain.id: _chain(chain) for chain in models[0]}
    # On damaged files the parsers fail in as many ways as there is code in them.
    except Exception as error:
        raise UserError(
            f"{name} cannot be read: save the structure again as PDB or mmCIF.", details=repr(error)
        ) from error
    chains = {chain: read for chain, read in chains.items() if read.sequence}
    if not chains:
        raise UserError(f"{name} has no protein chain: upload the structure of a protein.")
    return Structure(form, text, chains)


def match(structure: Structure, sequence: str) -> Match:
    """The chain that fits a sequence best, and where each of its residues is in that chain.

    Raises:
        UserError: no chain is this protein: fewer than 90 % of the letters agree, or less than
            half of the sequence is there.
    """
    matches = [_align(chain, read, sequence) for chain, read in structure.chains.items()]
    best = max(matches, key=lambda m: (m.accepted, m.identity * m.covered))
    if not best.accepted:
        raise UserError(
            f"The structure is of another protein: its best chain, '{best.chain}', is "
            f"{best.identity:.0%} identical over {best.covered:.0%} of the sequence; upload the "
            "structure of this very protein."
        )
    return best


def _format(text: str) -> Format | None:
    if "_atom_site." in text and text.lstrip().startswith(("data_", "#")):
        return "cif"
    return "pdb" if any(map(_is_atom, text.splitlines())) else None


def _is_atom(line: str) -> bool:
    return line.startswith(("ATOM ", "HETATM"))


def _only(model: Model) -> str:
    writer, text = MMCIFIO(), io.StringIO()
    writer.set_structure(model)
    writer.save(text)
    return text.getvalue()


def _chain(residues: Iterable[Residue | DisorderedResidue]) -> Chain:
    letters = [(r, _letter(r)) for r in residues]
    shown = [(letter, (r.id[1], r.id[2].strip())) for r, letter in letters if letter]
    return Chain("".join(letter for letter, _ in shown), tuple(place for _, place in shown))


def _letter(residue: Residue | DisorderedResidue) -> str:
    """Empty for what is no residue of a protein chain; a calcium ion has an atom CA, too."""
    letter = protein_letters_3to1_extended.get(residue.get_resname().strip(), "")
    backbone = ("CA",) if letter else ("N", "CA", "C")
    return (letter or UNKNOWN) if all(atom in residue for atom in backbone) else ""


def _align(name: str, chain: Chain, sequence: str) -> Match:
    letters, places = _spaced(chain, len(sequence))
    pairs = _aligner().align(sequence, letters)[0].indices.T
    found = {i: j for i, j in pairs if i >= 0 and j >= 0 and places[j] is not None}
    same = sum(sequence[i] == letters[j] for i, j in found.items())
    residues = tuple(places[found[i]] if i in found else None for i in range(len(sequence)))
    return Match(name, residues, same / max(len(found), 1), len(found) / len(sequence))


def _spaced(chain: Chain, room: int) -> tuple[str, list[ResidueId | None]]:
    """The chain with unknown letters where numbers are skipped: residues that are not seen.

    They hold both ends of a missing loop in place where letters alone leave a choice. Some files
    skip numbers for other reasons: at most ``room`` are filled in, and the alignment may drop them.
    """
    letters, places, last = [], [], None
    for letter, place in zip(chain.sequence, chain.residues, strict=True):
        missing = 0 if last is None else place[0] - last - 1
        if 0 < missing <= room:
            letters.append(UNKNOWN * missing)
            places += [None] * missing
            room -= missing
        letters.append(letter)
        places.append(place)
        last = place[0]
    return "".join(letters), places


def _aligner() -> PairwiseAligner:
    aligner = PairwiseAligner(mode="global", wildcard=UNKNOWN)
    aligner.match_score, aligner.mismatch_score = 1, -1
    # A loop that is not seen costs the same however long it is; tails cost nothing.
    aligner.open_gap_score, aligner.extend_gap_score = -5, 0
    aligner.end_gap_score = 0
    return aligner
