"""Proteins with annotations, and files of them as people have them.

An annotation is a few words that a person reads: "kind: value", as in "organism: Homo sapiens".
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from Bio import SwissProt

from neuronlab import uploads
from neuronlab.errors import UserError
from neuronlab.proteins import gene_ontology, uniprot
from neuronlab.proteins.sequences import fasta_entries, is_fasta, residues
from neuronlab.proteins.uniprot import (
    EVIDENCE,
    EXISTENCE,
    MAX_WORDS,
    annotation,
    unique,
    without_asides,
)

MAX_BYTES = 200_000_000
MAX_UNPACKED = 1_000_000_000  # characters
MAX_PROTEINS = 600_000
MAX_RESIDUES = 300_000_000
MAX_LENGTH = 40_000  # titin, the longest known, has 35,000
MAX_DIFFERENT = 3_000_000  # annotations, of all proteins
MAX_CARRIED = 30_000_000  # annotations of all proteins, the same ones counted again


@dataclass(frozen=True)
class AnnotatedProtein:
    """A sequence and what is known about it.

    Attributes:
        annotations: words such as "function: ATP binding", each once.
        secondary: one letter of DSSP's eight per residue, "C" for none of the others; or "".
    """

    name: str
    sequence: str
    annotations: tuple[str, ...] = ()
    secondary: str = ""


@dataclass(frozen=True)
class AnnotatedUpload:
    """What a file holds.

    Attributes:
        proteins: each sequence once, in the order of the file.
        note: one sentence about what was skipped or joined and why, or "".
    """

    proteins: list[AnnotatedProtein]
    note: str = ""


def read_annotated(name: str, data: bytes, letters: Collection[str]) -> AnnotatedUpload:
    """The proteins of a file with their annotations; it may be packed with gzip.

    What it is, its content says:

    - FASTA: of UniProt's headers name, organism (OS), gene (GN) and evidence (PE); of others the
      description and every ``key=value``;
    - a tab-separated table with the column ``Sequence``: of UniProt's columns those that say what a
      protein is or does; of another table (no column ``Entry``) all, several values separated by
      ``;``;
    - Swiss-Prot's flat file.

    GO terms bring the broader terms that the app knows. Of proteins given more than once, the first
    has the annotations of all. Skipped and counted in the note are proteins without a sequence,
    with residues outside ``letters``, or with more than ``MAX_LENGTH`` of them. Annotations beyond
    ``MAX_ANNOTATIONS`` a protein are dropped, and each is cut to ``MAX_WORDS`` characters.

    Args:
        name: of the file, for the sentences.
        data: its content.
        letters: the residues the model knows.

    Raises:
        UserError: not one of these formats, damaged, without a usable protein, or over the limits
            on bytes, proteins and residues. One sentence that says what to do.
    """
    file = uploads.file_name(name)
    if len(data) > MAX_BYTES:
        raise uploads.too_large(file, MAX_BYTES, "pack it with gzip, or upload a part of it")
    return _usable(file, _entries(file, data), frozenset(letters))


def _usable(
    file: str, entries: Iterable[AnnotatedProtein], alphabet: frozenset[str]
) -> AnnotatedUpload:
    kept: dict[str, AnnotatedProtein] = {}
    skipped: Counter[str] = Counter()
    shared: dict[str, str] = {}  # one text for words that thousands of proteins have
    strange = ""
    residues = carried = 0
    for number, entry in enumerate(entries, start=1):
        if number > MAX_PROTEINS:
            raise uploads.too_many(file, MAX_PROTEINS, "proteins")
        sequence = entry.sequence
        if not sequence:
            skipped["empty"] += 1
            continue
        if len(sequence) > MAX_LENGTH:
            skipped["long"] += 1
            continue
        if not alphabet.issuperset(sequence):
            strange = strange or next(each for each in sequence if each not in alphabet)
            skipped["strange"] += 1
            continue
        words = tuple(shared.setdefault(each, each) for each in unique(entry.annotations))
        title = uploads.line(entry.name, MAX_WORDS) or f"protein {number}"
        if join(kept, AnnotatedProtein(title, sequence, words)):
            residues += len(sequence)
        else:
            skipped["again"] += 1
        carried += len(words)
        if len(shared) > MAX_DIFFERENT or carried > MAX_CARRIED:
            raise UserError(
                f"{file} has more annotations than the most there may be ({MAX_DIFFERENT:,} "
                f"different ones, {MAX_CARRIED:,} in all): upload a part, or fewer columns."
            )
        if residues > MAX_RESIDUES:
            raise uploads.too_many(file, MAX_RESIDUES, "residues")
    strange = strange if strange.isprintable() else f"U+{ord(strange):04X}"
    why = {
        "strange": f"with residues that the model does not know, such as '{strange}'",
        "long": f"of more than {MAX_LENGTH:,} residues",
        "empty": "without a sequence",
        "again": "whose sequence was given before, which has their annotations now",
    }
    parts = "; ".join(f"{skipped[each]:,} {why[each]}" for each in why if skipped[each])
    if not kept:
        given = f" ({parts})" if parts else ""
        raise UserError(f"{file} has no protein that can be used{given}: add some that can.")
    return AnnotatedUpload(list(kept.values()), f"Skipped proteins: {parts}." if parts else "")


def join(proteins: dict[str, AnnotatedProtein], protein: AnnotatedProtein) -> bool:
    """Add a protein, or its annotations to that of the same sequence; whether it is a new one."""
    before = proteins.get(protein.sequence)
    if before is None:
        proteins[protein.sequence] = protein
        return True
    words = unique((*before.annotations, *protein.annotations))
    proteins[protein.sequence] = AnnotatedProtein(before.name, before.sequence, words)
    return False


def _entries(file: str, data: bytes) -> Iterator[AnnotatedProtein]:
    filled = (line for line in _lines(file, data) if line.strip())
    first = next(filled, None)
    if first is None:
        raise UserError(f"{file} is empty: upload a file with sequences.")
    lines = itertools.chain([first], filled)
    if is_fasta(first):
        return _fasta(uploads.whole_entries(file, lines, ">", uploads.MAX_ENTRY))
    if first.startswith("ID   "):
        return _flat(file, uploads.whole_entries(file, lines, "//", uploads.MAX_ENTRY))
    return _table(file, lines)


def _lines(file: str, data: bytes) -> Iterator[str]:
    """The lines of a file, unpacked as they are read."""
    room = uploads.Room(MAX_UNPACKED)
    return uploads.text_lines(file, uploads.ungzipped(file, data), room, uploads.MAX_LINE)


# --- FASTA ---------------------------------------------------------------------------------------

_KEY = re.compile(r"(?:^|[\s|;\[])([A-Za-z]\w*)=")
_KINDS = {"OS": "organism", "GN": "gene", "PE": "evidence"}
_NO_WORDS = {"OX", "SV"}
_UNIPROT = re.compile(r"(?:sp|tr)\|[^|\s]+\|(\S+)")


def _fasta(lines: Iterator[str]) -> Iterator[AnnotatedProtein]:
    for entry in fasta_entries(lines):
        title = entry.name
        keys = list(_KEY.finditer(title))
        head = title[: keys[0].start()] if keys else title
        name, _, description = head.strip().partition(" ")
        if match := _UNIPROT.match(name):
            name = match[1]
        words = [annotation("name", description)]
        for key, after in itertools.zip_longest(keys, keys[1:]):
            end = after.start() if after else len(title)
            value = title[key.end() : end].strip(" |;[]\t")
            if key[1] == "OS":
                value = without_asides(value)
            elif key[1] == "PE":
                value = EXISTENCE.get(value, "")
            if key[1] not in _NO_WORDS:
                words.append(annotation(_KINDS.get(key[1], key[1].lower()), value))
        yield AnnotatedProtein(name, entry.sequence, tuple(words))


# --- Tables --------------------------------------------------------------------------------------

# UniProt's columns that say what a protein is or does.
_COLUMNS: dict[str, Callable[[str], list[str]]] = {
    "protein names": uniprot.named,
    "organism": uniprot.organism,
    "gene names": uniprot.gene,
    "gene names (primary)": uniprot.gene,
    "ec number": partial(uniprot.listed, "EC"),
    "keywords": partial(uniprot.listed, "keyword"),
    "gene ontology (molecular function)": partial(uniprot.terms, "function"),
    "gene ontology (biological process)": partial(uniprot.terms, "process"),
    "gene ontology (cellular component)": partial(uniprot.terms, "component"),
    "gene ontology (go)": partial(uniprot.terms, ""),
    "gene ontology ids": partial(uniprot.terms, ""),
    "subcellular location [cc]": uniprot.location,
    "pathway": uniprot.pathway,
    "protein families": uniprot.family,
    "function [cc]": uniprot.function,
}


def _table(file: str, lines: Iterator[str]) -> Iterator[AnnotatedProtein]:
    first = next(lines)
    header = _cells(file, 1, first)
    columns = [column.lower() for column in header]
    if "sequence" not in columns:
        raise UserError(
            f"{file} is neither FASTA nor Swiss-Prot text, and has no column 'Sequence' but "
            f"{uploads.listed(header)}: add that column, and separate columns with tabs."
        )
    of_uniprot = "entry" in columns
    lines = itertools.chain([first], lines)
    rows = ((number, _cells(file, number, line)) for number, line in enumerate(lines, start=1))
    mend = "save it with tabs between the columns and nowhere else"
    for _, row in uploads.records(file, rows, mend=mend):
        words: list[str] = []
        for column, value in row.items():
            if column in _COLUMNS:
                words += _COLUMNS[column](value)
            elif not of_uniprot and column not in ("name", "sequence"):
                words += uniprot.listed(uploads.line(column, MAX_WORDS), value)
        name = row.get("entry name") or row.get("entry") or row.get("name") or ""
        yield AnnotatedProtein(name, residues(row.get("sequence", "")), tuple(words))


def _cells(file: str, number: int, line: str) -> list[str]:
    """The cells of a row; those in quotation marks, as spreadsheets save them, without."""
    cells = [cell.strip() for cell in line.split("\t")]
    for i, cell in enumerate(cells):
        if not cell.startswith('"'):
            continue
        if cell.count('"') % 2:
            raise UserError(
                f"Row {number} of {file} has a cell that opens with a quotation mark and does not "
                "end with one: remove tabs and line breaks from cells."
            )
        # Marks inside are doubled there; other programs write marks as they are.
        if re.fullmatch(r'"(?:[^"]|"")*"', cell):
            cells[i] = cell[1:-1].replace('""', '"').strip()
    return cells


# --- Flat files ----------------------------------------------------------------------------------

_ASPECTS = {"F": "function", "P": "process", "C": "component"}
_COMMENTS = {
    "FUNCTION": uniprot.function,
    "SUBCELLULAR LOCATION": uniprot.location,
    "PATHWAY": uniprot.pathway,
    "SIMILARITY": uniprot.family,
}


class _Handle:
    """Lines as Biopython's parser takes them: an open text file that is read forward only."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines

    def __iter__(self) -> Iterator[str]:
        return self.lines

    def __next__(self) -> str:
        return next(self.lines)

    def read(self, size: int) -> str:
        """Nothing: only asked whether this is text."""
        return ""


def _flat(file: str, lines: Iterator[str]) -> Iterator[AnnotatedProtein]:
    records = SwissProt.parse(_Handle(lines))
    for number in itertools.count(1):
        try:
            record = next(records, None)
        except UserError:
            raise
        # On damaged files the parser fails in as many ways as there is code in it.
        except Exception as error:
            raise UserError(
                f"Entry {number} of {file} is no whole Swiss-Prot entry: download it again.",
                details=repr(error),
            ) from error
        if record is None:
            return
        yield AnnotatedProtein(
            record.entry_name, residues(record.sequence), tuple(_flat_words(record))
        )


def _flat_words(record: SwissProt.Record) -> Iterator[str]:
    description = EVIDENCE.sub("", str(record.description))
    if match := re.search(r"(?:RecName|SubName): Full=([^;]*)", description):
        yield annotation("name", match[1])
    yield from uniprot.organism(str(record.organism).rstrip("."))
    for gene in record.gene_name[:1]:
        yield annotation("gene", EVIDENCE.sub("", gene.get("Name", "")))
    for number in dict.fromkeys(re.findall(r"\bEC=([^; ]+)", description)):
        yield annotation("EC", number)
    yield annotation("evidence", EXISTENCE.get(str(record.protein_existence), ""))
    for keyword in record.keywords:
        yield annotation("keyword", EVIDENCE.sub("", keyword))
    for comment in record.comments:
        title, _, text = comment.partition(": ")
        if title in _COMMENTS and (title != "SIMILARITY" or text.startswith("Belongs to")):
            yield from _COMMENTS[title](text)
    terms = [each for each in record.cross_references if each[0] == "GO" and len(each) > 2]
    for _, _, term, *_ in terms:
        aspect, _, name = term.partition(":")
        yield annotation(_ASPECTS.get(aspect, "GO"), name)
    yield from gene_ontology.annotations(each[1] for each in terms)
