"""Searches of labels, by words and by meaning."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from threading import Lock

import numpy as np
import pandas as pd
from jaxtyping import Float

from neuronlab.errors import UserError
from neuronlab.models import sentences
from neuronlab.proteins.gene_ontology import terms

# Different labels that a search by meaning reads: at 200 a second it takes minutes.
MAX_MEANT = 50_000
MAX_QUERY = 1_000
_WORD = re.compile(r"[^\W_]+")
_ACCESSION = re.compile(r'"?\b(GO:\d{7})\b"?', re.IGNORECASE)


def search_words(rows: pd.DataFrame, query: str, column: str = "label") -> pd.DataFrame:
    """The rows whose label has every word of the query, or a word that begins with it.

    So "sheet" finds "sheets" but not "worksheet". Words in quotation marks stand next to each
    other just so; a minus before a word or a phrase excludes it. Case and punctuation do not
    matter; a query without words finds all labels.

    Args:
        column: where the label stands.
    """
    wanted, unwanted = _terms(query)
    plain = {label: _plain(label) for label in rows[column].unique() if label}
    matches = [
        label
        for label, words in plain.items()
        if all(term in words for term in wanted) and not any(term in words for term in unwanted)
    ]
    return rows[rows[column].isin(matches)].reset_index(drop=True)


def _terms(query: str) -> tuple[list[str], list[str]]:
    """What must and what must not occur: a space begins a word, and after a phrase ends it."""
    words: tuple[list[str], list[str]] = ([], [])
    for minus, phrase, word in re.findall(r'(-?)(?:"([^"]*)"?|([^\s"]+))', _spelt(query)):
        plain = _plain(phrase or word)
        if plain.strip():
            words[bool(minus)].append(plain if phrase else plain.rstrip())
    return words


def _spelt(query: str) -> str:
    """The query with the names of terms, as labels have them, for their accessions."""

    def name(accession: re.Match[str]) -> str:
        term = terms().get(accession[1].upper())
        return accession[0] if term is None else f'"{term}"'

    return _ACCESSION.sub(name, query[:MAX_QUERY])


def _plain(text: str) -> str:
    """Words in lower case, each with a space before and after it."""
    words = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return f" {' '.join(words)} "


_vectors: dict[str, np.ndarray] = {}
_embedding = Lock()


def search_meaning(rows: pd.DataFrame, query: str, count: int = 100) -> pd.DataFrame:
    """The rows whose labels are most like the query in meaning, the most like first.

    Args:
        rows: of which each different label is read once, and remembered.
        query: in English words, or an accession of the Gene Ontology.
        count: how many at most; of equal labels those with the highest correlation.

    Returns:
        The rows with the column ``likeness``, a cosine similarity.

    Raises:
        UserError: an empty query, too many different labels, or no sentence encoder.
    """
    query = _spelt(query).strip()
    if not query:
        raise UserError("Write in a few words what the labels should be about.")
    rows = rows[rows["label"] != ""]
    different = rows["label"].unique().tolist()
    if len(different) > MAX_MEANT:
        raise UserError(
            f"There are {len(different):,} different labels and a search by meaning reads at most "
            f"{MAX_MEANT:,}: choose a layer first, or search by words."
        )
    (asked,) = sentences.embed([query])
    likeness = dict(zip(different, (_embedded(different) @ asked).tolist(), strict=True))
    ranked = rows.assign(likeness=rows["label"].map(likeness).astype(float))
    order = np.lexsort([-ranked["correlation"].fillna(-2.0), -ranked["likeness"]])
    return ranked.iloc[order[:count]].reset_index(drop=True)


def _embedded(labels: Sequence[str]) -> Float[np.ndarray, "label dimension"]:
    with _embedding:
        new = [label for label in labels if label not in _vectors]
        if len(_vectors) + len(new) > MAX_MEANT:
            _vectors.clear()
            new = list(labels)
        if new:
            _vectors.update(zip(new, sentences.embed(new), strict=True))
        return np.array([_vectors[label] for label in labels]).reshape(-1, sentences.DIMENSIONS)
