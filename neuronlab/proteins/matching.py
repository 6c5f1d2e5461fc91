"""Find the chain of a structure that is a given protein."""

from dataclasses import dataclass

from Bio.Align import PairwiseAligner

from neuronlab.errors import UserError
from neuronlab.proteins.structures import UNKNOWN, Chain, Residue, Structure

MIN_IDENTITY = 0.9
MIN_COVERED = 0.5


@dataclass(frozen=True)
class Match:
    """Where the residues of a sequence are in a structure.

    Attributes:
        chain: id of the chain.
        residues: one per residue of the sequence; None where the structure does not show it.
        identity: share of identical letters among the residues that are shown and not ``X``,
            which says nothing for or against; 0 to 1.
        covered: share of the sequence that these are, 0 to 1.
    """

    chain: str
    residues: tuple[Residue | None, ...]
    identity: float
    covered: float

    @property
    def accepted(self) -> bool:
        """Whether the chain can be taken for the protein."""
        return self.identity >= MIN_IDENTITY and self.covered >= MIN_COVERED


def match(structure: Structure, sequence: str) -> Match:
    """The chain that fits a sequence best, and where each of its residues is in that chain.

    Raises:
        UserError: no chain is this protein: fewer than 90 % of the letters agree, or less than
            half of the sequence is there.
    """
    matches = [align(chain, read, sequence) for chain, read in structure.chains.items()]
    best = max(matches, key=lambda m: (m.accepted, m.identity * m.covered))
    if not best.accepted:
        raise UserError(
            f"The structure is of another protein: its best chain, '{best.chain}', is "
            f"{best.identity:.0%} identical over {best.covered:.0%} of the sequence; upload the "
            "structure of this very protein."
        )
    return best


def align(name: str, chain: Chain, sequence: str) -> Match:
    """Where each residue of a sequence is in a chain, accepted or not.

    Args:
        name: id of the chain.
    """
    letters, places = _spaced(chain, len(sequence))
    pairs = _aligner().align(sequence, letters)[0].indices.T
    shown = {i: j for i, j in pairs if i >= 0 and j >= 0 and places[j] is not None}
    named = [(sequence[i], letters[j]) for i, j in shown.items()]
    named = [pair for pair in named if UNKNOWN not in pair]
    same = sum(one == other for one, other in named)
    residues = tuple(places[shown[i]] if i in shown else None for i in range(len(sequence)))
    return Match(name, residues, same / max(len(named), 1), len(named) / len(sequence))


def _spaced(chain: Chain, room: int) -> tuple[str, list[Residue | None]]:
    """The chain with unknown letters where numbers are skipped: residues that are not seen.

    They hold both ends of a missing loop in place where letters alone leave a choice. Some files
    skip numbers for other reasons: at most ``room`` are filled in, and the alignment may drop them.
    """
    letters: list[str] = []
    places: list[Residue | None] = []
    last: int | None = None
    for letter, residue in zip(chain.sequence, chain.residues, strict=True):
        missing = 0 if last is None else residue.number - last - 1
        if 0 < missing <= room:
            letters.append(UNKNOWN * missing)
            places += [None] * missing
            room -= missing
        letters.append(letter)
        places.append(residue)
        last = residue.number
    return "".join(letters), places


def _aligner() -> PairwiseAligner:
    aligner = PairwiseAligner(mode="global", wildcard=UNKNOWN)
    aligner.match_score, aligner.mismatch_score = 1, -1
    # A loop that is not seen costs the same however long it is; tails cost nothing.
    aligner.open_gap_score, aligner.extend_gap_score = -5, 0
    aligner.end_gap_score = 0
    return aligner
