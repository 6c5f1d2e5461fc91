"""What UniProt says about a protein, as annotations."""

import itertools
import re
from collections.abc import Iterable

from neuronlab import uploads
from neuronlab.proteins import gene_ontology

MAX_ANNOTATIONS = 1_000  # of one protein
MAX_WORDS = 200  # characters

EXISTENCE = {
    "1": "evidence at protein level",
    "2": "evidence at transcript level",
    "3": "inferred from homology",
    "4": "predicted",
    "5": "uncertain",
}
# UniProt's remarks on where a statement is from.
EVIDENCE = re.compile(r" ?\{ECO:[^{}]*\}| ?\((?:PubMed|Ref\.|By similarity|Probable)[^()]*\)")
_GO = re.compile(r"GO:\d{7}")
_POINT = re.compile(r"[.;]+(?: |$)")


def annotation(kind: str, value: str) -> str:
    """One annotation, or "" where there is nothing to say."""
    value = uploads.line(value.strip(" ;,"), MAX_WORDS)
    return f"{kind}: {value}" if value else ""


def unique(words: Iterable[str]) -> tuple[str, ...]:
    """Those that say something, each once, at most ``MAX_ANNOTATIONS``."""
    return tuple(itertools.islice(dict.fromkeys(filter(None, words)), MAX_ANNOTATIONS))


def without_asides(text: str) -> str:
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
    text = EVIDENCE.sub("", " ".join(text.split()))
    parts = (part.partition("Note=")[0].strip() for part in text.split(f"{title}: "))
    return [part.partition("]: ")[2] if part.startswith("[") else part for part in parts if part]


def listed(kind: str, text: str) -> list[str]:
    """One for each part of "a; b; c"."""
    return [annotation(kind, part) for part in text.split(";")]


def named(text: str) -> list[str]:
    """The recommended name: UniProt's others follow in parentheses, parts in brackets."""
    text = text.partition(" [Cleaved into: ")[0].partition(" [Includes: ")[0]
    return [annotation("name", without_asides(text))]


def organism(text: str) -> list[str]:
    """The species, without strains and common names."""
    return [annotation("organism", without_asides(text))]


def gene(text: str) -> list[str]:
    """The first name: synonyms follow."""
    return [annotation("gene", text.partition(";")[0].split(" ")[0])]


def function(text: str) -> list[str]:
    """Each statement of "FUNCTION: …"."""
    return [annotation("function", part.rstrip(".")) for part in _statements(text, "FUNCTION")]


def location(text: str) -> list[str]:
    """Each place of "SUBCELLULAR LOCATION: …"."""
    parts = _statements(text, "SUBCELLULAR LOCATION")
    return [annotation("location", place) for part in parts for place in _POINT.split(part)]


def pathway(text: str) -> list[str]:
    """Each pathway of "PATHWAY: …", without the steps in it."""
    parts = _statements(text, "PATHWAY")
    steps = (step.partition(": step ")[0] for part in parts for step in _POINT.split(part))
    return [annotation("pathway", step) for step in steps]


def family(text: str) -> list[str]:
    """Each family of "SIMILARITY: Belongs to …", or of a list of families."""
    parts = _statements(text, "SIMILARITY")
    names = (name for part in parts for name in re.split("[.;,]+(?: |$)", part))
    names = (name.removeprefix("Belongs to the ") for name in names)
    return [annotation("family", name[:1].upper() + name[1:]) for name in names]


def terms(aspect: str, text: str) -> list[str]:
    """UniProt's "ATP binding [GO:0005524]; …" and the broader terms."""
    names = text.split(";") if aspect else []
    words = [annotation(aspect, name.partition(" [GO:")[0]) for name in names]
    return [*words, *gene_ontology.annotations(_GO.findall(text))]
