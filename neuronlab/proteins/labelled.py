"""Proteins with a class label: the built-in sets, files as people upload them, and their split."""

import csv
import gzip
import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int

from neuronlab import uploads
from neuronlab.errors import UserError
from neuronlab.proteins.sequences import fasta_entries, is_fasta, residues

DATA = Path(__file__).parent / "data"
MAX_BYTES = 50_000_000
MAX_PROTEINS = 100_000
MAX_LENGTH = 1022
MAX_CLASSES = 20
SIDES = 3

COLUMNS = ("name", "sequence", "label")
# The value goes on as in UniProt's headers: up to the next "key=" or separator.
_LABEL = re.compile(r"\blabel=(.*?)(?=[|;\]\t]|\s\w+=|$)", re.IGNORECASE)
# As spreadsheets and pandas write a whole number. "1.1" and "1.10" are other classes of enzymes.
_WHOLE = re.compile(r"([+-]?[0-9]+)\.0*")


@dataclass(frozen=True)
class LabelledProtein:
    """A sequence and the class it belongs to.

    Attributes:
        label: index of the class.
        secondary: one letter of DSSP's eight per residue, "C" for none of the others; or "".
    """

    name: str
    sequence: str
    label: int
    secondary: str = ""


# --- Built-in sets -------------------------------------------------------------------------------


@dataclass(frozen=True)
class LabelledSet:
    """A set that comes with the app; its file is read once, when first needed.

    Attributes:
        labels: the names of the classes by index.
    """

    name: str
    title: str
    what: str
    terms: str
    labels: tuple[str, ...]
    file: str
    named_by: tuple[str, ...]

    @cached_property
    def proteins(self) -> list[LabelledProtein]:
        """All its proteins, in the order of the file."""
        return [
            LabelledProtein(
                name="_".join(row[column] for column in self.named_by),
                sequence=row["sequence"],
                label=int(row["enzyme"]),
                secondary=row.get("dssp8", ""),
            )
            for row in data_rows(self.file)
        ]


def data_rows(file: str) -> Iterator[dict[str, str]]:
    """The rows of a table that comes with the app, by the names of its columns."""
    with gzip.open(DATA / file, "rt", encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)


ENZYME = ("not an enzyme", "enzyme")
LABELLED: dict[str, LabelledSet] = {
    each.name: each
    for each in (
        LabelledSet(
            name="pdb_enzyme",
            title="Enzymes in the PDB",
            what="3,000 chains of known structure, half of them enzymes, with their secondary "
            "structure; representatives at 40 % identity. The labels are GO annotations of 2014: "
            "about 1 in 14 of those read by eye was wrong.",
            terms="PDB: CC0 1.0; UniProt and GO: CC BY 4.0.",
            labels=ENZYME,
            file="pdb_enzyme_dssp.tsv.gz",
            named_by=("pdb", "chain"),
        ),
        LabelledSet(
            name="swissprot_enzyme",
            title="Enzymes in Swiss-Prot",
            what="4,272 whole proteins of up to 512 residues, half of them enzymes and 82 % human. "
            "The labels are GO annotations of 2014.",
            terms="UniProt and GO: CC BY 4.0.",
            labels=ENZYME,
            file="swissprot_enzyme_named.tsv.gz",
            named_by=("entry",),
        ),
    )
}


# --- Uploads -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Uploaded:
    """What an upload holds.

    Attributes:
        proteins: each sequence once, in the order of the file.
        labels: the names of the classes by index, at least two; sorted, numbers by their value.
        note: one sentence about what was skipped and why, or "".
    """

    proteins: list[LabelledProtein]
    labels: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True)
class _Row:
    name: str
    sequence: str
    label: str


def read_labelled(name: str, data: bytes, letters: Collection[str]) -> Uploaded:
    """The proteins of a table or a FASTA file with their classes.

    A table (CSV or TSV) has the columns ``sequence`` and ``label`` and, if wanted, ``name``. A
    FASTA header has ``label=…``, or the label after its last ``|``. Skipped and counted in the
    note are proteins with residues outside ``letters`` or more than ``MAX_LENGTH`` of them, and
    sequences given again: once is kept where the labels agree, none where they differ. A whole
    number is one label, however many zeros follow its point.

    Args:
        name: of the file, for the sentences.
        data: its content.
        letters: the residues the model knows.

    Raises:
        UserError: not one of these formats, damaged, incomplete, without two classes, or over the
            limits on bytes, proteins and classes. One sentence that says what to do.
    """
    file = uploads.file_name(name)
    if len(data) > MAX_BYTES:
        raise uploads.too_large(file, MAX_BYTES)
    text = uploads.text_of(file, data)
    if not text.strip():
        raise UserError(f"{file} is empty: upload a file with sequences and labels.")
    read = _fasta if is_fasta(text) else _table
    rows = list(itertools.islice(read(file, text), MAX_PROTEINS + 1))
    if len(rows) > MAX_PROTEINS:
        raise uploads.too_many(file, MAX_PROTEINS, "proteins")
    rows, skipped = _usable(_one_spelling(rows), letters)
    if not rows:
        given = f" ({skipped})" if skipped else ""
        raise UserError(f"{file} has no protein that can be used{given}: add some that can.")
    labels = _sorted({row.label for row in rows})
    if len(labels) == 1:
        given = f" ({skipped} were skipped)" if skipped else ""
        raise UserError(
            f"All proteins of {file} have the label {uploads.listed(labels)}{given}: "
            "add proteins of a second class."
        )
    if len(labels) > MAX_CLASSES:
        raise UserError(
            f"{file} has {len(labels):,} different labels and {MAX_CLASSES} is the most: give "
            "few classes, in FASTA as label=… or after the last '|' of every header."
        )
    index = {label: i for i, label in enumerate(labels)}
    proteins = [LabelledProtein(row.name, row.sequence, index[row.label]) for row in rows]
    return Uploaded(proteins, labels, f"Skipped proteins: {skipped}." if skipped else "")


def _one_spelling(rows: Sequence[_Row]) -> list[_Row]:
    """The rows with each whole number among the labels in its shortest spelling among them."""

    def number(label: str) -> str:
        whole = _WHOLE.fullmatch(label)
        return whole[1] if whole else label

    shortest: dict[str, str] = {}
    for label in sorted({row.label for row in rows}, key=len):
        shortest.setdefault(number(label), label)
    return [replace(row, label=shortest[number(row.label)]) for row in rows]


def _usable(rows: Sequence[_Row], letters: Collection[str]) -> tuple[list[_Row], str]:
    """The rows to keep, and how many others there are for which reasons."""
    alphabet = frozenset(letters)
    classes: dict[str, set[str]] = {}
    for row in rows:
        classes.setdefault(row.sequence, set()).add(row.label)
    kept: dict[str, _Row] = {}
    skipped: Counter[str] = Counter()
    strange = ""
    for row in rows:
        if not alphabet.issuperset(row.sequence):
            strange = strange or next(each for each in row.sequence if each not in alphabet)
            skipped["strange"] += 1
        elif len(row.sequence) > MAX_LENGTH:
            skipped["long"] += 1
        elif len(classes[row.sequence]) > 1:
            skipped["contradictory"] += 1
        elif row.sequence in kept:
            skipped["again"] += 1
        else:
            kept[row.sequence] = row
    strange = strange if strange.isprintable() else f"U+{ord(strange):04X}"
    why = {
        "strange": f"with residues that the model does not know, such as '{strange}'",
        "long": f"of more than {MAX_LENGTH:,} residues",
        "contradictory": "whose sequence has contradictory labels",
        "again": "whose sequence was given before",
    }
    parts = [f"{skipped[each]:,} {reason}" for each, reason in why.items() if skipped[each]]
    return list(kept.values()), "; ".join(parts)


def _sorted(labels: set[str]) -> tuple[str, ...]:
    try:
        numbers = {label: float(label) for label in labels}
    except ValueError:
        numbers = {}
    if not all(map(math.isfinite, numbers.values())):
        numbers = {}
    return tuple(sorted(labels, key=lambda label: (numbers.get(label, 0.0), label)))


def _fasta(file: str, text: str) -> Iterator[_Row]:
    read = io.StringIO(text, newline=None)
    lines = uploads.whole_entries(file, read, ">", uploads.MAX_ENTRY)
    for number, entry in enumerate(fasta_entries(lines), start=1):
        title = entry.name
        where = f"Entry {number} of {file}"
        if match := _LABEL.search(title):
            name, label = title[: match.start()], match[1]
        else:
            name, bar, label = title.rpartition("|")
            label = label if bar else ""
        if not label.strip():
            raise UserError(f"{where} has no label: end its header with label=… or '|' and it.")
        yield _row(number, name.strip(" \t|;["), entry.sequence, label, where)


def _table(file: str, text: str) -> Iterator[_Row]:
    lines = io.StringIO(text, newline="")
    first = next(line for line in lines if line.strip())
    delimiter, columns = uploads.header(first, COLUMNS)
    if not {"sequence", "label"}.issubset(columns):
        raise UserError(
            f"{file} has the columns {uploads.listed(columns)} and needs sequence and label: "
            "name them so in its first row, or upload FASTA."
        )
    lines.seek(0)
    # Rows are counted as spreadsheets count them, with the header and empty rows.
    rows = uploads.rows(file, lines, delimiter, uploads.MAX_ENTRY)
    for number, (where, row) in enumerate(uploads.records(file, rows, COLUMNS), start=1):
        sequence = residues(row.get("sequence", ""))
        yield _row(number, row.get("name", ""), sequence, row.get("label", ""), where)


def _row(number: int, name: str, sequence: str, label: str, where: str) -> _Row:
    name, label = " ".join(name.split()), " ".join(label.split())
    for what, value in (("sequence", sequence), ("label", label)):
        if not value:
            raise UserError(f"{where} has no {what}: fill it in or remove the protein.")
    return _Row(name or f"protein {number}", sequence, label)


# --- Split ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Split:
    """Which proteins a classifier learns from, is chosen by, and is judged by.

    Attributes:
        train: indices of proteins, ascending, and so the others; every protein is on one side.
        validation: to choose the classifier by.
        test: to judge it by.
        duplicates: how many proteins share their sequence with another.
    """

    train: Int[np.ndarray, " train"]
    validation: Int[np.ndarray, " validation"]
    test: Int[np.ndarray, " test"]
    duplicates: int


def split(
    proteins: Sequence[LabelledProtein],
    *,
    test: float = 0.2,
    validation: float = 0.1,
    seed: int = 0,
    labels: Sequence[str] = (),
) -> Split:
    """Draw a training, a validation and a test part, each with every class in the same shares.

    Identical sequences stay together, also where their labels differ (the first one then counts).

    Args:
        proteins: of every class at least three different sequences.
        test: share of each class's different sequences, between 0 and 1; at least one is taken.
        validation: the same; together they are less than 1.
        seed: of the draw.
        labels: the names of the classes, for the sentence that one is too small.

    Raises:
        UserError: no proteins, a class too small for three sides, or impossible shares.
    """
    if not (test > 0 and validation > 0 and test + validation < 1):
        raise UserError(
            "The shares of test and validation leave nothing for one side: choose two above 0 "
            "that add up to less than 1."
        )
    if not proteins:
        raise UserError("There are no proteins to split: choose a set or upload a file.")
    classes = _classes(proteins)
    draw = np.random.default_rng(seed)
    sides: tuple[list[int], list[int], list[int]] = [], [], []
    for label in sorted(classes):
        of_class = classes[label]
        count = len(of_class)
        if count < SIDES:
            name = uploads.listed([labels[label]]) if labels else str(label)
            raise UserError(
                f"Class {name} has only {count} different sequence{'s' * (count > 1)}: it "
                f"needs {SIDES}, for training, validation and test, so add some or leave it out."
            )
        tested = min(max(round(test * count), 1), count - 2)
        validated = min(max(round(validation * count), 1), count - tested - 1)
        for place, group in enumerate(draw.permutation(count)):
            side = 2 if place < tested else 1 if place < tested + validated else 0
            sides[side].extend(of_class[group])
    train, validating, testing = (np.array(sorted(side), dtype=np.int64) for side in sides)
    groups = itertools.chain.from_iterable(classes.values())
    duplicates = sum(len(group) for group in groups if len(group) > 1)
    return Split(train, validating, testing, duplicates)


def _classes(proteins: Sequence[LabelledProtein]) -> dict[int, list[list[int]]]:
    """The indices of each class, those of one sequence together."""
    groups: dict[str, list[int]] = {}
    for index, protein in enumerate(proteins):
        groups.setdefault(protein.sequence, []).append(index)
    classes: dict[int, list[list[int]]] = {}
    for group in groups.values():
        classes.setdefault(proteins[group[0]].label, []).append(group)
    return classes
