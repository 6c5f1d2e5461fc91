"""Names of Gene Ontology terms, and the broader terms above them."""

from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

from neuronlab.proteins.labelled import data_rows

# Every protein has them, so they say nothing: function, process and component as such.
ROOTS = frozenset({"GO:0003674", "GO:0008150", "GO:0005575"})


class Term(NamedTuple):
    """A term of the Gene Ontology.

    Attributes:
        aspect: "function", "process" or "component".
        above: ids of the terms directly above it by `is_a`.
    """

    name: str
    aspect: str
    above: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.aspect}: {self.name}"


@cache
def terms() -> dict[str, Term]:
    """The terms that come with the app by id: those of its proteins and all above them."""
    return {
        row["id"]: Term(row["name"], row["aspect"], tuple(filter(None, row["is_a"].split(","))))
        for row in data_rows("go_terms.tsv.gz")
    }


@cache
def with_broader(term: str) -> frozenset[str]:
    """The ids of a term and of all above it but the ``ROOTS``; without it if it is not known."""
    record = terms().get(term)
    if record is None or term in ROOTS:
        return frozenset()
    return frozenset({term}).union(*map(with_broader, record.above))


def annotations(ids: Iterable[str]) -> list[str]:
    """Terms and all above them as words, "function: ATP binding"; the most specific come first.

    Ids that are not known are left out.
    """
    all_terms = frozenset().union(*map(with_broader, ids))
    ordered = sorted(all_terms, key=lambda term: (-len(with_broader(term)), terms()[term]))
    # A merged id has the name of the term it became.
    return list(dict.fromkeys(str(terms()[term]) for term in ordered))
