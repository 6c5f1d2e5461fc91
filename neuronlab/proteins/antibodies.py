"""Which sequences are an antibody's variable domain, and where it binds: its three regions."""

from __future__ import annotations

from typing import Literal

from Bio.Align import PairwiseAligner

from neuronlab.errors import UserError
from neuronlab.proteins.sequences import TRASTUZUMAB_VH, TRASTUZUMAB_VL

# IMGT's regions of trastuzumab, from which other domains are read.
REGIONS = {
    "heavy": (TRASTUZUMAB_VH, ("GFNIKDTY", "IYPTNGYT", "SRWGGDGFYAMDY")),
    "light": (TRASTUZUMAB_VL, ("QDVNTA", "SAS", "QQHYTTPPT")),
}
# What looks like an antibody's variable domain: of such a length, and near enough to one.
DOMAIN_LENGTHS = range(90, 146)
# BLOSUM62, local alignment to trastuzumab's domains. Germline domains of seven species reach 129 to
# 463, the 3,000 protein chains that come with the app at most 79, T-cell receptors 54 to 149.
DOMAIN_SCORE = 120


def variable_domain(sequence: str) -> Literal["heavy", "light", ""]:
    """Which antibody chain's variable domain a sequence looks like, alone; nothing if none.

    By its likeness to trastuzumab's two (``DOMAIN_SCORE``); half a millisecond.
    """
    if len(sequence) not in DOMAIN_LENGTHS:
        return ""
    aligner = PairwiseAligner(scoring="blastp", mode="local")
    heavy, light = (aligner.score(sequence, one) for one in (TRASTUZUMAB_VH, TRASTUZUMAB_VL))
    if max(heavy, light) < DOMAIN_SCORE:
        return ""
    return "heavy" if heavy >= light else "light"


def regions(sequence: str) -> tuple[range, range, range]:
    """The three regions, as residues counted from 0: what lies between the aligned frameworks.

    Raises:
        UserError: the sequence does not look like one variable domain.
    """
    kind = variable_domain(sequence)
    if not kind:
        raise UserError(
            "This does not look like an antibody's variable domain (some 100 to 130 residues): "
            "choose the free residues yourself."
        )
    reference, loops = REGIONS[kind]
    # Loops differ in length: a gap is opened once and may be long; ends cost nothing.
    aligner = PairwiseAligner(scoring="blastp", mode="global")
    aligner.extend_gap_score = -0.2
    aligner.end_gap_score = 0
    columns = aligner.align(reference, sequence)[0].indices
    place = {int(i): int(j) for i, j in columns.T if i >= 0 and j >= 0}
    spans: list[range] = []
    start = 0
    for letters in loops:
        start = reference.index(letters, start + 20)  # a framework lies before each
        before = max((j for i, j in place.items() if i < start), default=-1)
        after = min(
            (j for i, j in place.items() if i >= start + len(letters)), default=len(sequence)
        )
        spans.append(range(before + 1, after))
    first, second, third = spans
    # A long loop may be aligned over the framework's edge; but from the cysteine (IMGT's 23) and
    # the tryptophan (41) that every domain has, the edges are as far away in all.
    start = reference.index(loops[0])
    cysteine, tryptophan = place.get(start - 4, -1), place.get(start + len(loops[0]) + 2, -1)
    if cysteine >= 0 and sequence[cysteine] == "C" and cysteine + 4 < first.stop:
        first = range(cysteine + 4, first.stop)
    if sequence[tryptophan] == "W" and first.start < tryptophan - 2 < second.stop - 17:
        first = range(first.start, tryptophan - 2)
        second = range(tryptophan + 15, second.stop)
    return first, second, third


def imgt_numbers(sequence: str) -> list[str]:
    """IMGT's number of each residue of a variable domain, such as "31" or "112.1".

    Loops have their gaps, and their insertions, in the middle; frameworks lack the positions that
    their kind of chain lacks (10 in heavy and lambda, 73 in all, 81 and 82 in most light ones).
    Residues before position 1 count down from 0, those after the domain on from its end.

    Raises:
        UserError: the sequence does not look like one variable domain.
    """
    first, second, third = regions(sequence)
    lambda_like = first.start == 25 and sequence[5] == "Q"
    lacks_ten = variable_domain(sequence) == "heavy" or lambda_like
    before = [n for n in range(26, -len(sequence), -1) if n != 10 or not lacks_ten]
    between = second.stop, third.start
    lacking = {39: (), 38: (73,), 37: (73, 82)}.get(between[1] - between[0], (73, 81, 82))
    framework = [n for n in range(104, -len(sequence), -1) if n not in lacking]
    return [
        *map(str, reversed(before[: first.start])),
        *_loop(range(27, 39), len(first)),
        *map(str, range(39, 39 + second.start - first.stop)),
        *_loop(range(56, 66), len(second)),
        *map(str, reversed(framework[: between[1] - between[0]])),
        *_loop(range(105, 118), len(third)),
        *map(str, range(118, 118 + len(sequence) - third.stop)),
    ]


def _loop(positions: range, count: int) -> list[str]:
    """The numbers of a loop's residues: gaps in the middle, or insertions, first before its right.

    Of 13 positions, 14 residues are 105 to 111, 112.1, 112 to 117; the next is 111.1.
    """
    left, room = -(-len(positions) // 2), len(positions)
    if count <= room:
        begin, end = -(-count // 2), count // 2
        return [str(n) for n in (*positions[:begin], *positions[room - end :])]
    more = count - room
    before = [f"{positions[left - 1]}.{i}" for i in range(1, more // 2 + 1)]
    after = [f"{positions[left]}.{i}" for i in range(-(-more // 2), 0, -1)]
    return [*map(str, positions[:left]), *before, *after, *map(str, positions[left:])]


def determining(sequence: str) -> tuple[int, ...]:
    """All residues of the three regions, counted from 0. Raises UserError as ``regions``."""
    return tuple(place for region in regions(sequence) for place in region)
