"""Antibody germline genes: fetched once from the package that carries them, and kept as a table."""

import ast
import csv
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.models.entries import WheelFile
from neuronlab.models.wheels import FetchFailed, download
from neuronlab.progress import Progress, unheard

WHEEL = WheelFile(
    package="anarci",
    version="2026.2.13.2",
    sha256="8f88d49857abc2c5427c6cc903ebdac7b35e6636635eaa9d60bd8f0d4e7d14b7",
    size=1_166_101,
)
MEMBER = "anarci/germlines.py"
TITLE = "Antibody germline genes"
CHAINS = {"H": "heavy", "K": "kappa", "L": "lambda"}  # the package has T-cell receptors, too
GAP = "-"


class Germline(NamedTuple):
    """One allele of a germline gene.

    Attributes:
        allele: its IMGT name, such as "IGHV1-18*01"; the same name may occur in several species.
        gene: "V" or "J".
        chain: "heavy", "kappa" or "lambda".
        sequence: the residues without IMGT's gaps.
    """

    allele: str
    gene: str
    chain: str
    species: str
    sequence: str

    @property
    def family(self) -> str:
        """Such as "IGHV1"."""
        return re.findall(r"^[A-Z]*\d*", self.allele)[0]


def file() -> Path:
    """Where the table of this version is kept, whether or not it is there yet."""
    return home.folder() / "corpora" / f"germlines-{WHEEL.version}.tsv.gz"


def fetch(progress: Progress | None = None) -> Path:
    """Download the package, check it, and keep the genes; returns the file of the table.

    `progress(fraction, message)` is called all the while and may raise to cancel. The package is
    neither installed nor imported.

    Raises:
        FetchFailed: it cannot be downloaded or written, or is not the one that was tested.
    """
    path = file()
    report = progress or unheard
    try:
        with home.publish(path) as made:
            download((WHEEL,), (MEMBER,), made.parent, title=TITLE, report=report)
            _write(parse((made.parent / MEMBER).read_text("utf-8")), made)
    except OSError as error:
        raise FetchFailed(
            f"{TITLE} could not be written: check the free disk space and your rights on "
            f"{home.folder()}, then try again.",
            details=str(error),
        ) from error
    report(1.0, f"{TITLE} are ready")
    return path


def read() -> list[Germline]:
    """The alleles in the table, all of them.

    Raises:
        UserError: it has not been fetched or is damaged.
    """
    path = file()
    if not path.is_file():
        raise UserError(
            f"{TITLE} are not on this machine yet: fetch them first, with a connection to PyPI or "
            "a mirror of it."
        )
    try:
        with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
            return [Germline(*row) for row in csv.reader(lines, delimiter="\t")]
    except (OSError, EOFError, zlib.error, ValueError, TypeError, csv.Error) as error:
        raise UserError(
            f"The file of {TITLE.lower()} on this machine is damaged: fetch them again.",
            details=f"{path}: {error!r}",
        ) from error


def parse(text: str) -> Iterator[Germline]:
    """The alleles of antibodies in the package's module, which is read and never run.

    Its one assignment is gene -> chain -> species -> allele -> residues at IMGT's positions.
    """
    (assignment,) = ast.parse(text).body
    assert isinstance(assignment, ast.Assign)
    for gene, chains in ast.literal_eval(assignment.value).items():
        for letter, chain in CHAINS.items():
            for species, alleles in chains.get(letter, {}).items():
                for allele, sequence in alleles.items():
                    yield Germline(allele, gene, chain, species, sequence.replace(GAP, ""))


def _write(alleles: Iterator[Germline], path: Path) -> None:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as lines:
        csv.writer(lines, delimiter="\t").writerows(alleles)
