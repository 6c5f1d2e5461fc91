"""Labels of a model's neurons with how they were made: kept, searched, exported and imported.

What is exported is a zip of ``labels.parquet`` and ``card.json``; the library keeps the same files.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from neuronlab import home, uploads
from neuronlab.errors import UserError
from neuronlab.models import READABLE, Component, sentences
from neuronlab.neurons import Neuron
from neuronlab.spreadsheets import APOSTROPHE, WITHOUT

SCHEMA = 2
REQUIRED = ("model", "layer", "component", "neuron", "label")
COLUMNS = (
    *REQUIRED,
    "source",
    "correlation",
    "control_correlation",
    "beaten",
    "concept",
    "group",
    "effect",
    "q",
)
TEXTS = ("model", "component", "label", "source", "concept", "group")
# What a number may be at least and at most.
RANGES = {
    "layer": (0, 9_999),
    "neuron": (0, 9_999_999),
    "correlation": (-1, 1),
    "control_correlation": (-1, 1),
    "beaten": (0, 1),
    "effect": (-1, 1),
    "q": (0, 1),
}
CARD = ("model", "source", "neurons", "labelled", "spec", "versions", "created")
IMPORTED = "imported"
MAX_BYTES = 50_000_000
MAX_UNPACKED = 4 * MAX_BYTES
MAX_CARD = 100_000
MAX_ROWS = 2_000_000
MAX_TEXT = 1_000
# Different labels that a search by meaning reads: at 200 a second it takes minutes.
MAX_MEANT = 50_000
MAX_QUERY = 1_000

_LABELS, _CARD = "labels.parquet", "card.json"
_WORD = re.compile(r"[^\W_]+")
_KEY = re.compile(r"[0-9a-f]{16}")


# --- One set -------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LabelSet:
    """The labels of one model's neurons.

    Attributes:
        rows: the columns ``COLUMNS``, each neuron once, by component, layer and neuron; a neuron
            without a label has "", a number that is not known is nan.
        card: how it was made: model, source, neurons, labelled, spec (as in spec.json; empty where
            not known), versions (neuronlab, schema) and created (ISO 8601).
    """

    rows: pd.DataFrame
    card: Mapping[str, Any]

    @classmethod
    def of(cls, spec: Mapping[str, Any], labels: pd.DataFrame, created: str = "") -> LabelSet:
        """The set of a finished study of labels.

        Args:
            spec: its spec, as in spec.json.
            labels: its table of that name.
            created: when it was finished; now, if not given.
        """
        from neuronlab import __version__

        clean = {text: _clean(text) for name in TEXTS for text in labels[name].unique()}
        rows = labels.assign(**{name: labels[name].map(clean) for name in TEXTS})
        versions = {"neuronlab": __version__, "schema": SCHEMA}
        return _set(rows, spec, versions, created or _now())

    @property
    def model(self) -> str:
        """The model whose neurons these are."""
        return self.card["model"]

    @property
    def source(self) -> str:
        """Who explained them."""
        return self.card["source"]

    @cached_property
    def key(self) -> str:
        """16 hex digits of what the rows and the spec say: the same set has the same key."""
        content = hashlib.sha256(json.dumps(self.card["spec"], sort_keys=True).encode())
        for name in COLUMNS:
            values = self.rows[name]
            texts = name in TEXTS
            content.update(
                json.dumps(values.tolist()).encode() if texts else values.to_numpy().tobytes()
            )
        return content.hexdigest()[:16]

    def label_of(self, neuron: Neuron) -> pd.Series | None:
        """The row of a neuron; None where it has no label."""
        try:
            row = self.rows.iloc[self._index.get_loc(neuron)]
        except KeyError:
            return None
        return row if row["label"] else None

    def where(
        self,
        layer: int | None = None,
        component: Component | None = None,
        minimum_correlation: float | None = None,
    ) -> pd.DataFrame:
        """The rows of a layer, of a component, or with a correlation of at least that."""
        kept = np.ones(len(self.rows), bool)
        if layer is not None:
            kept &= self.rows["layer"].to_numpy() == layer
        if component is not None:
            kept &= (self.rows["component"] == component).to_numpy()
        if minimum_correlation is not None:
            kept &= self.rows["correlation"].to_numpy() >= minimum_correlation
        return self.rows[kept].reset_index(drop=True)

    @cached_property
    def _index(self) -> pd.MultiIndex:
        return pd.MultiIndex.from_frame(self.rows[["layer", "component", "neuron"]])


def _set(
    labels: pd.DataFrame, spec: Mapping[str, Any], versions: Mapping[str, Any], created: str
) -> LabelSet:
    rows = labels.reindex(columns=list(COLUMNS))
    place = rows["component"].map(READABLE.index)
    order = np.lexsort([rows["neuron"], rows["layer"], place])
    rows = rows.iloc[order].reset_index(drop=True)
    numbers = [name for name in RANGES if name not in REQUIRED]
    rows = rows.astype({"layer": int, "neuron": int, **dict.fromkeys(numbers, float)})
    rows = rows.astype(dict.fromkeys(TEXTS, "str"))
    rows[numbers] = rows[numbers].where(rows[numbers].notna(), np.nan)  # one nan, one hash
    sources = rows.loc[rows["label"] != "", "source"].unique()
    card = {
        "model": rows["model"].iloc[0],
        "source": ", ".join(sources[:3]) + (", …" if len(sources) > 3 else ""),
        "neurons": len(rows),
        "labelled": int((rows["label"] != "").sum()),
        "spec": dict(spec),
        "versions": dict(versions),
        "created": created,
    }
    return LabelSet(rows, card)


# --- Searches ------------------------------------------------------------------------------------


def search_words(rows: pd.DataFrame, query: str) -> pd.DataFrame:
    """The rows whose label has every word of the query, or a word that begins with it.

    So "sheet" finds "sheets" but not "worksheet". Words in quotation marks stand next to each
    other just so; a minus before a word or a phrase excludes it. Case and punctuation do not
    matter; a query without words finds all labels.
    """
    wanted, unwanted = _terms(query)
    plain = {label: _plain(label) for label in rows["label"].unique() if label}
    matches = [
        label
        for label, words in plain.items()
        if all(term in words for term in wanted) and not any(term in words for term in unwanted)
    ]
    return rows[rows["label"].isin(matches)].reset_index(drop=True)


def _terms(query: str) -> tuple[list[str], list[str]]:
    """What must and what must not occur: a space begins a word, and after a phrase ends it."""
    terms: tuple[list[str], list[str]] = ([], [])
    for minus, phrase, word in re.findall(r'(-?)(?:"([^"]*)"?|([^\s"]+))', query[:MAX_QUERY]):
        plain = _plain(phrase or word)
        if plain.strip():
            terms[bool(minus)].append(plain if phrase else plain.rstrip())
    return terms


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
        query: in English words.
        count: how many at most; of equal labels those with the highest correlation.

    Returns:
        The rows with the column ``likeness``, a cosine similarity.

    Raises:
        UserError: an empty query, too many different labels, or no sentence encoder.
    """
    query = query.strip()[:MAX_QUERY]
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


# --- Files ---------------------------------------------------------------------------------------


def export(label_set: LabelSet) -> bytes:
    """The set as a zip that ``read`` takes."""
    table = io.BytesIO()
    label_set.rows.to_parquet(table, index=False)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_CARD, json.dumps(dict(label_set.card), indent=2))
        archive.writestr(_LABELS, table.getvalue())
    return packed.getvalue()


def read(name: str, data: bytes) -> LabelSet:
    """The labels in a file: what ``export`` wrote, or a table.

    A table (CSV, TSV or Parquet) has the columns ``REQUIRED`` and, if wanted, others of
    ``COLUMNS``; further ones are not read. Texts lose what cannot be seen, and all after
    ``MAX_TEXT`` letters.

    Args:
        name: of the file, for the sentences.
        data: its content.

    Raises:
        UserError: not one of these formats, damaged, incomplete, made by a newer program, or over
            the limits on bytes and rows. One sentence that says what to do.
    """
    file = uploads.file_name(name)
    if len(data) > MAX_BYTES:
        raise uploads.too_large(file, MAX_BYTES)
    if not data.strip():
        raise UserError(f"{file} is empty: choose a file with labels.")
    card: Mapping[str, Any] = {}
    if data.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        data, card = _unzip(file, data)
    table = _parquet(file, data) if data.startswith(b"PAR1") else _text(file, data)
    rows = _rows(file, table)
    versions = card.get("versions", {})
    if versions.get("schema", SCHEMA) < 2:  # the control had no direction and said nothing
        rows["control_correlation"] = np.nan
    created = uploads.line(str(card.get("created", "")), 40) or _now()
    return _set(rows, card.get("spec", {}), versions, created)


def _unzip(file: str, data: bytes) -> tuple[bytes, Mapping[str, Any]]:
    """Table and card; nothing is written, so that paths inside cannot harm."""
    broken = UserError(f"{file} is damaged, or no exported labels: export them again.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            table = uploads.member(file, archive, _LABELS, MAX_UNPACKED)
            card = json.loads(uploads.member(file, archive, _CARD, MAX_CARD))
    except UserError:
        raise
    except Exception:  # damaged archives fail in many ways
        raise broken from None
    parts = [card.get(part, {}) for part in ("spec", "versions")] if isinstance(card, dict) else [0]
    if not all(isinstance(part, dict) for part in parts):
        raise broken
    schema = card.get("versions", {}).get("schema", SCHEMA)
    if not isinstance(schema, int):
        raise broken
    if schema > SCHEMA:
        raise UserError(f"{file} was made by a newer NeuronLab: update this one first.")
    return table, card


def _parquet(file: str, data: bytes) -> pa.Table:
    try:
        parts = pq.read_metadata(io.BytesIO(data))
        names = parts.schema.to_arrow_schema().names
        size = sum(parts.row_group(i).total_byte_size for i in range(parts.num_row_groups))
    except Exception:  # damaged files fail in many ways
        raise _unreadable(file) from None
    if size > MAX_UNPACKED:
        raise uploads.too_large(f"{file}, unpacked,", MAX_UNPACKED)
    _check(file, names, parts.num_rows)
    # Repeated texts stay one text each: a small file may repeat a long one very often.
    texts = [name for name in TEXTS if name in names]
    try:
        with pq.ParquetFile(io.BytesIO(data), read_dictionary=texts) as opened:
            return opened.read(columns=[name for name in COLUMNS if name in names])
    except Exception:
        raise _unreadable(file) from None


def _text(file: str, data: bytes) -> pa.Table:
    try:
        text = uploads.text_of(file, data).lstrip("\r\n")
    except uploads.NoText:
        raise _unreadable(file) from None
    delimiter, header = uploads.header(re.split(r"[\r\n]", text, maxsplit=1)[0], REQUIRED)
    _check(file, header, 0)
    try:
        table = pa.csv.read_csv(
            io.BytesIO(text.encode()),
            pa.csv.ReadOptions(column_names=header, skip_rows=1),
            pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            pa.csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                include_columns=[c for c in COLUMNS if c in header],
                strings_can_be_null=False,
            ),
        )
    except (pa.ArrowException, ValueError):
        raise UserError(
            f"{file} has rows that do not fit its first row, of {len(header)} columns: put cells "
            "that hold the separator or quotation marks in quotation marks."
        ) from None
    for name in {*TEXTS}.intersection(table.column_names):
        column = pc.replace_substring_regex(table[name], APOSTROPHE, WITHOUT)
        table = table.set_column(table.column_names.index(name), name, column)
    return table


def _check(file: str, columns: Sequence[str], rows: int) -> None:
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise UserError(
            f"{file} has no column {' and no '.join(missing)}: a table of labels has "
            f"{', '.join(REQUIRED)} in its first row."
        )
    uploads.check_columns(file, [name for name in columns if name in COLUMNS])
    if rows > MAX_ROWS:
        raise uploads.too_many(file, MAX_ROWS, "neurons")


def _rows(file: str, table: pa.Table) -> pd.DataFrame:
    """The table in the columns of a set, after all checks."""
    _check(file, table.column_names, table.num_rows)
    if not table.num_rows:
        raise UserError(f"{file} has columns but no rows: add a row for every neuron.")
    texts = {name: _texts(file, name, table) for name in TEXTS}
    if sum(int(lengths.sum()) for _, lengths in texts.values()) > MAX_UNPACKED:
        raise uploads.too_large(f"{file}, unpacked,", MAX_UNPACKED)
    columns = {name: values for name, (values, _) in texts.items()}
    columns |= {name: _numbers(file, name, table) for name in RANGES}
    rows = pd.DataFrame(columns)
    different = rows["model"].unique()
    if len(different) > 1 or not different[0]:
        raise UserError(
            f"{file} names {'more than one model' if len(different) > 1 else 'no model'}: give one "
            "file per model, with its name in every row."
        )
    strange = ~rows["component"].isin(READABLE)
    if strange.any():
        raise UserError(
            f"{_where(file, strange)} has the component '{_short(rows['component'], strange)}': "
            f"components are {', '.join(READABLE)}."
        )
    again = rows.duplicated(["layer", "component", "neuron"])
    if again.any():
        raise UserError(f"{_where(file, again)} has a neuron that was given before: keep one row.")
    if not (rows["label"] != "").any():
        raise UserError(f"{file} has no labels: fill in the column label.")
    rows.loc[(rows["source"] == "") & (rows["label"] != ""), "source"] = IMPORTED
    return rows


def _texts(file: str, name: str, table: pa.Table) -> tuple[np.ndarray, Int[np.ndarray, " row"]]:
    """A column of texts as a person may see them, and how long each is."""
    if name not in table.column_names:
        return np.full(table.num_rows, "", object), np.zeros(table.num_rows, int)
    column = table[name]
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise UserError(f"The column {name} of {file} does not hold text: write words in it.")
    try:
        if not pa.types.is_dictionary(column.type):
            column = column.cast(pa.string()).dictionary_encode()
        categorical = column.combine_chunks().to_pandas().array
        different = [_clean(text) for text in categorical.categories]
    except (pa.ArrowException, ValueError):  # texts that are not UTF-8
        raise _unreadable(file) from None
    values = np.array([*different, ""], object)  # code -1: no text
    return values[categorical.codes], np.array([*map(len, values)])[categorical.codes]


def _clean(text: str) -> str:
    return uploads.line(text[: 4 * MAX_TEXT], MAX_TEXT)


def _numbers(
    file: str, name: str, table: pa.Table
) -> Float[np.ndarray, " row"] | Int[np.ndarray, " row"]:
    needed = name in REQUIRED
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column = table[name]
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        column = pc.utf8_trim_whitespace(column)
        column = pc.if_else(pc.equal(column, ""), None, column)
    elif not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise UserError(f"The column {name} of {file} does not hold numbers: write numbers in it.")
    try:
        values = column.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(float)
    except (pa.ArrowException, ValueError):
        raise UserError(
            f"The column {name} of {file} has cells that are no numbers: write them as 3 or 0.25."
        ) from None
    least, most = RANGES[name]
    # Rounding may lead a little beyond a correlation of 1.
    wrong = (values < least - 1e-6) | (values > most + 1e-6)
    if needed:
        wrong |= np.isnan(values) | (values != np.floor(values))
    if wrong.any():
        whole = "whole numbers" if needed else "numbers"
        raise UserError(
            f"{_where(file, wrong)} has a {name} that cannot be: write {whole} from {least:,} to "
            f"{most:,}."
        )
    return values.astype(int) if needed else values.clip(least, most)


def _where(file: str, wrong: Any) -> str:
    return f"Row {int(np.argmax(np.asarray(wrong))) + 1:,} of {file}"


def _now() -> str:
    return datetime.now(UTC).isoformat()


def _short(values: pd.Series, wrong: pd.Series) -> str:
    return uploads.line(str(values[wrong].iloc[0]), 40)


def _unreadable(file: str) -> UserError:
    return UserError(
        f"{file} cannot be read as labels: choose an exported zip, or a table saved as Parquet or, "
        "in UTF-8, as CSV or TSV."
    )


# --- The folder of all ---------------------------------------------------------------------------


class Library:
    """Imported sets, under `folder` ($NEURONLAB_HOME/labels, or the user's data folder).

    Each is one file that is whole or not there. A key that is not 16 hex digits is a ValueError,
    so that it can never lead out of the folder; what the disk refuses is a UserError.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = home.folder() / "labels" if folder is None else Path(folder)

    def sets(self) -> dict[str, Mapping[str, Any]]:
        """The cards of all sets by their keys, the newest first; unreadable ones are left out."""
        cards = {}
        for path in self.folder.glob("*.zip"):
            if not _KEY.fullmatch(path.stem):
                continue
            try:
                with zipfile.ZipFile(path) as archive:
                    card = json.loads(uploads.member(path.name, archive, _CARD, MAX_CARD))
                cards[path.stem] = {name: card[name] for name in CARD}
            except Exception:  # also one that another process removes just now
                continue
        return dict(sorted(cards.items(), key=lambda item: str(item[1]["created"]), reverse=True))

    def add(self, label_set: LabelSet) -> str:
        """Keep a set; its key, under which the same one is kept once."""
        target = self._file(label_set.key)
        if target.exists():
            return label_set.key
        with self._explained(), home.publish(target) as path:
            path.write_bytes(export(label_set))
        return label_set.key

    def load(self, key: str) -> LabelSet:
        """The set of that key; UserError where there is none, or it is damaged."""
        path = self._file(key)
        if not path.is_file():
            raise UserError(f"There are no labels {key} on this machine: import them first.")
        with self._explained():
            return read(path.name, path.read_bytes())

    def remove(self, key: str) -> None:
        """Delete a set, if there is one of that key."""
        with self._explained():
            self._file(key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError(f"{key!r} is not the key of a set of labels.")
        return self.folder / f"{key}.zip"

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"The labels in {self.folder} cannot be used: {reason}.") from error
