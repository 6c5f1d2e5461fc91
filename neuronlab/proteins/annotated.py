"""Proteins with annotations: the sets that neurons are labelled on, and files as people have them.

An annotation is a few words that a person reads: "kind: value", as in "organism: Homo sapiens".
"""

import itertools
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from Bio import SwissProt

from neuronlab import uploads
from neuronlab.errors import UserError
from neuronlab.progress import Progress
from neuronlab.proteins import gene_ontology, germlines
from neuronlab.proteins.labelled import ENZYME, data_rows
from neuronlab.proteins.sequences import fasta_entries, is_fasta, residues

# A GO term that fewer proteins of a set carry says nothing about a neuron.
MIN_CARRIERS = 10

MAX_BYTES = 200_000_000
MAX_UNPACKED = 1_000_000_000  # characters
MAX_PROTEINS = 600_000
MAX_RESIDUES = 300_000_000
MAX_LENGTH = 40_000  # titin, the longest known, has 35,000
MAX_ANNOTATIONS = 1_000  # of one protein
MAX_DIFFERENT = 3_000_000  # annotations, of all proteins
MAX_CARRIED = 30_000_000  # annotations of all proteins, the same ones counted again
MAX_WORDS = 200  # characters


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


# --- Built-in sets -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Corpus:
    """A set of annotated proteins; some come with the app and the others are fetched once.

    Attributes:
        read: gives its proteins.
        file: where they are kept on this machine; None for a set that comes with the app.
        download: fetches that file, as `fetch`.
    """

    name: str
    title: str
    what: str
    terms: str
    read: Callable[[], list[AnnotatedProtein]]
    file: Callable[[], Path] | None = None
    download: Callable[[Progress | None], object] | None = None

    @property
    def ready(self) -> bool:
        """Whether its proteins are on this machine."""
        return self.file is None or self.file().is_file()

    def fetch(self, progress: Progress | None = None) -> None:
        """Get its proteins, anew if they are there; nothing to do for one that comes with the app.

        `progress(fraction, message)` is called all the while and may raise to cancel.

        Raises:
            FetchFailed: they cannot be downloaded or written.
        """
        if self.download:
            self.download(progress)
            self.__dict__.pop("proteins", None)

    @cached_property
    def proteins(self) -> list[AnnotatedProtein]:
        """All its proteins, each sequence once.

        Raises:
            UserError: they have not been fetched, or the file is damaged.
        """
        return self.read()


def _with_terms(file: str, named_by: tuple[str, ...]) -> list[AnnotatedProtein]:
    """The proteins of a table with the names of their GO terms and of all above them."""
    rows = list(data_rows(file))
    columns = ("go_mf", "go_bp", "go_cc")
    ids = [",".join(filter(None, (row.get(each) for each in columns))).split(",") for row in rows]
    named = [gene_ontology.annotations(each) for each in ids]
    carriers = Counter(itertools.chain.from_iterable(named))
    return [
        AnnotatedProtein(
            name="_".join(row[column] for column in named_by),
            sequence=row["sequence"],
            annotations=_unique(
                (
                    _words("name", row.get("name", "")),
                    _words("organism", _without_asides(row.get("organism", ""))),
                    _words("class", ENZYME[int(row["enzyme"])]),
                    *(each for each in terms if carriers[each] >= MIN_CARRIERS),
                )
            ),
            secondary=row.get("dssp8", ""),
        )
        for row, terms in zip(rows, named, strict=True)
    ]


def _germlines() -> list[AnnotatedProtein]:
    """The V genes; alleles of one sequence are one protein with the annotations of all."""
    proteins: dict[str, AnnotatedProtein] = {}
    for each in germlines.read():
        if each.gene == "V":
            words = (
                f"species: {each.species}",
                f"chain: {each.chain}",
                f"gene type: {each.gene}",
                f"family: {each.family}",
            )
            _join(proteins, AnnotatedProtein(f"{each.allele} {each.species}", each.sequence, words))
    return list(proteins.values())


CORPORA: dict[str, Corpus] = {
    each.name: each
    for each in (
        Corpus(
            name="pdb",
            title="Chains of the PDB",
            what="3,000 chains of known structure with their secondary structure, half of them "
            "enzymes; representatives at 40 % identity, of up to 511 residues. Annotated with the "
            "names of GO terms (function, process, component), as of 2014.",
            terms="PDB: CC0 1.0; UniProt and GO: CC BY 4.0.",
            read=partial(_with_terms, "pdb_enzyme_dssp.tsv.gz", ("pdb", "chain")),
        ),
        Corpus(
            name="swissprot",
            title="Proteins of Swiss-Prot",
            what="4,272 whole proteins of up to 512 residues, half of them enzymes and 82 % human. "
            "Annotated with name, organism and the names of GO terms (function), as of 2014.",
            terms="UniProt and GO: CC BY 4.0.",
            read=partial(_with_terms, "swissprot_enzyme_named.tsv.gz", ("entry",)),
        ),
        Corpus(
            name="germlines",
            title="Antibody germline genes",
            what="1,454 sequences of V genes of 8 species, from 1,664 alleles; annotated with "
            "species, chain and gene family. Left out are 127 alleles of J genes, of about 15 "
            "residues each, and all genes of T-cell receptors. A download of 1 MB.",
            terms="Package anarci: BSD-3-Clause; the sequences are IMGT's: cite IMGT.",
            read=_germlines,
            file=germlines.file,
            download=germlines.fetch,
        ),
    )
}


# --- Files ---------------------------------------------------------------------------------------


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
        words = tuple(shared.setdefault(each, each) for each in _unique(entry.annotations))
        title = uploads.line(entry.name, MAX_WORDS) or f"protein {number}"
        if _join(kept, AnnotatedProtein(title, sequence, words)):
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


def _join(proteins: dict[str, AnnotatedProtein], protein: AnnotatedProtein) -> bool:
    """Add a protein, or its annotations to that of the same sequence; whether it is a new one."""
    before = proteins.get(protein.sequence)
    if before is None:
        proteins[protein.sequence] = protein
        return True
    words = _unique((*before.annotations, *protein.annotations))
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


# --- Words ---------------------------------------------------------------------------------------

EXISTENCE = {
    "1": "evidence at protein level",
    "2": "evidence at transcript level",
    "3": "inferred from homology",
    "4": "predicted",
    "5": "uncertain",
}
# UniProt's remarks on where a statement is from.
_EVIDENCE = re.compile(r" ?\{ECO:[^{}]*\}| ?\((?:PubMed|Ref\.|By similarity|Probable)[^()]*\)")
_GO = re.compile(r"GO:\d{7}")
_POINT = re.compile(r"[.;]+(?: |$)")


def _words(kind: str, value: str) -> str:
    """One annotation, or "" where there is nothing to say."""
    value = uploads.line(value.strip(" ;,"), MAX_WORDS)
    return f"{kind}: {value}" if value else ""


def _unique(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(itertools.islice(dict.fromkeys(filter(None, words)), MAX_ANNOTATIONS))


def _without_asides(text: str) -> str:
    """Without the parentheses that a name ends with: strains, synonyms, EC numbers."""
    text = " ".join(text.split())
    end = len(text)
    while end and text[end - 1] == ")":
        start, depth = end - 1, 1
        while start and depth:
            start -= 1
            depth += (text[start] == ")") - (text[start] == "(")
        if depth or start == 0 or text[start - 1] != " ":
            break
        end = start - 1
    return text[:end]


def _statements(text: str, title: str) -> list[str]:
    """UniProt's statements under a title, without isoforms, evidence and notes."""
    text = _EVIDENCE.sub("", " ".join(text.split()))
    parts = (part.partition("Note=")[0].strip() for part in text.split(f"{title}: "))
    return [part.partition("]: ")[2] if part.startswith("[") else part for part in parts if part]


def _listed(kind: str, text: str) -> list[str]:
    return [_words(kind, part) for part in text.split(";")]


def _named(text: str) -> list[str]:
    """The recommended name: UniProt's others follow in parentheses, parts in brackets."""
    text = text.partition(" [Cleaved into: ")[0].partition(" [Includes: ")[0]
    return [_words("name", _without_asides(text))]


def _organism(text: str) -> list[str]:
    return [_words("organism", _without_asides(text))]


def _gene(text: str) -> list[str]:
    return [_words("gene", text.partition(";")[0].split(" ")[0])]


def _function(text: str) -> list[str]:
    return [_words("function", part.rstrip(".")) for part in _statements(text, "FUNCTION")]


def _location(text: str) -> list[str]:
    parts = _statements(text, "SUBCELLULAR LOCATION")
    return [_words("location", place) for part in parts for place in _POINT.split(part)]


def _pathway(text: str) -> list[str]:
    parts = _statements(text, "PATHWAY")
    steps = (step.partition(": step ")[0] for part in parts for step in _POINT.split(part))
    return [_words("pathway", step) for step in steps]


def _family(text: str) -> list[str]:
    parts = _statements(text, "SIMILARITY")
    names = (name for part in parts for name in re.split("[.;,]+(?: |$)", part))
    names = (name.removeprefix("Belongs to the ") for name in names)
    return [_words("family", name[:1].upper() + name[1:]) for name in names]


def _terms(aspect: str, text: str) -> list[str]:
    """UniProt's "ATP binding [GO:0005524]; …" and the broader terms."""
    names = text.split(";") if aspect else []
    words = [_words(aspect, name.partition(" [GO:")[0]) for name in names]
    return [*words, *gene_ontology.annotations(_GO.findall(text))]


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
        words = [_words("name", description)]
        for key, after in itertools.zip_longest(keys, keys[1:]):
            end = after.start() if after else len(title)
            value = title[key.end() : end].strip(" |;[]\t")
            if key[1] == "OS":
                value = _without_asides(value)
            elif key[1] == "PE":
                value = EXISTENCE.get(value, "")
            if key[1] not in _NO_WORDS:
                words.append(_words(_KINDS.get(key[1], key[1].lower()), value))
        yield AnnotatedProtein(name, entry.sequence, tuple(words))


# --- Tables --------------------------------------------------------------------------------------

# UniProt's columns that say what a protein is or does.
_COLUMNS: dict[str, Callable[[str], list[str]]] = {
    "protein names": _named,
    "organism": _organism,
    "gene names": _gene,
    "gene names (primary)": _gene,
    "ec number": partial(_listed, "EC"),
    "keywords": partial(_listed, "keyword"),
    "gene ontology (molecular function)": partial(_terms, "function"),
    "gene ontology (biological process)": partial(_terms, "process"),
    "gene ontology (cellular component)": partial(_terms, "component"),
    "gene ontology (go)": partial(_terms, ""),
    "gene ontology ids": partial(_terms, ""),
    "subcellular location [cc]": _location,
    "pathway": _pathway,
    "protein families": _family,
    "function [cc]": _function,
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
                words += _listed(uploads.line(column, MAX_WORDS), value)
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
    "FUNCTION": _function,
    "SUBCELLULAR LOCATION": _location,
    "PATHWAY": _pathway,
    "SIMILARITY": _family,
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
    description = _EVIDENCE.sub("", str(record.description))
    if match := re.search(r"(?:RecName|SubName): Full=([^;]*)", description):
        yield _words("name", match[1])
    yield from _organism(str(record.organism).rstrip("."))
    for gene in record.gene_name[:1]:
        yield _words("gene", _EVIDENCE.sub("", gene.get("Name", "")))
    for number in dict.fromkeys(re.findall(r"\bEC=([^; ]+)", description)):
        yield _words("EC", number)
    yield _words("evidence", EXISTENCE.get(str(record.protein_existence), ""))
    for keyword in record.keywords:
        yield _words("keyword", _EVIDENCE.sub("", keyword))
    for comment in record.comments:
        title, _, text = comment.partition(": ")
        if title in _COMMENTS and (title != "SIMILARITY" or text.startswith("Belongs to")):
            yield from _COMMENTS[title](text)
    terms = [each for each in record.cross_references if each[0] == "GO" and len(each) > 2]
    for _, _, term, *_ in terms:
        aspect, _, name = term.partition(":")
        yield _words(_ASPECTS.get(aspect, "GO"), name)
    yield from gene_ontology.annotations(each[1] for each in terms)
