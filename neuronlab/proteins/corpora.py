"""The sets of annotated proteins: those that come with the app, and a person's own, kept here."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from neuronlab import home
from neuronlab.errors import UserError
from neuronlab.progress import Progress
from neuronlab.proteins import gene_ontology, germlines
from neuronlab.proteins.annotated import AnnotatedProtein, join
from neuronlab.proteins.labelled import ENZYME, data_rows
from neuronlab.proteins.uniprot import annotation, unique, without_asides

_OWN = re.compile(r"own-[0-9a-f]{16}")
_TITLE = b"title"
MAX_TITLE = 100
# A GO term that fewer proteins of a set carry says nothing about a neuron.
MIN_CARRIERS = 10


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
            annotations=unique(
                (
                    annotation("name", row.get("name", "")),
                    annotation("organism", without_asides(row.get("organism", ""))),
                    annotation("class", ENZYME[int(row["enzyme"])]),
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
            join(proteins, AnnotatedProtein(f"{each.allele} {each.species}", each.sequence, words))
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


# --- A person's own ------------------------------------------------------------------------------


def keep(title: str, proteins: Sequence[AnnotatedProtein]) -> str:
    """Keep a corpus on this machine; its name says what it holds, so that the same is kept once.

    Raises:
        UserError: the disk is full or may not be written.
    """
    table = pd.DataFrame(
        {
            "name": [p.name for p in proteins],
            "sequence": [p.sequence for p in proteins],
            "annotations": [json.dumps(p.annotations) for p in proteins],
            "secondary": [p.secondary for p in proteins],
        }
    )
    content = hashlib.sha256(table.to_csv(index=False).encode()).hexdigest()
    name = f"own-{content[:16]}"
    path = _file(name)
    if _title(path) is not None:
        return name
    import pyarrow as pa

    held = pa.Table.from_pandas(table, preserve_index=False)
    held = held.replace_schema_metadata({_TITLE: title.strip()[:MAX_TITLE].encode()})
    try:
        with home.publish(path) as made:
            pq.write_table(held, made)
    except OSError as error:
        raise UserError(
            f"The corpus cannot be kept in {path.parent}: {error.strerror or error}."
        ) from error
    return name


def titles() -> dict[str, str]:
    """Names and titles of all corpora on this machine or to be fetched."""
    by_name = {name: corpus.title for name, corpus in CORPORA.items()}
    for path in sorted((home.folder() / "corpora").glob("own-*.parquet")):
        title = _title(path) if _OWN.fullmatch(path.stem) else None
        if title is not None:
            by_name[path.stem] = title or path.stem
    return by_name


def proteins(name: str) -> list[AnnotatedProtein]:
    """The proteins of a corpus.

    Raises:
        UserError: there is none of that name on this machine, or its file is damaged.
    """
    if name in CORPORA:
        return CORPORA[name].proteins
    if not _OWN.fullmatch(name) or not _file(name).is_file():
        raise UserError(f"There is no corpus '{name}' on this machine: add it first.")
    try:
        return _read(name)
    except (OSError, ValueError) as error:  # pyarrow's own errors are among these
        raise UserError(
            f"The file of the corpus '{name}' is damaged: add the corpus again.",
            details=f"{_file(name)}: {error!r}",
        ) from error


@lru_cache(maxsize=2)
def _read(name: str) -> list[AnnotatedProtein]:
    table = pd.read_parquet(_file(name))
    return [
        AnnotatedProtein(row.name_, row.sequence, tuple(json.loads(row.annotations)), row.secondary)
        for row in table.rename(columns={"name": "name_"}).itertuples()
    ]


def _title(path: Path) -> str | None:
    """The title in the file of a corpus; None where there is no file that can be read."""
    try:
        return (pq.read_schema(path).metadata or {}).get(_TITLE, b"").decode(errors="replace")
    except (OSError, ValueError):
        return None


def _file(name: str) -> Path:
    return home.folder() / "corpora" / f"{name}.parquet"
