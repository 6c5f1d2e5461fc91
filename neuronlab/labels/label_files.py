"""Files of labels: exported zips of a table and a card, and tables as people have them."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from jaxtyping import Float, Int

from neuronlab import uploads
from neuronlab.errors import UserError
from neuronlab.labels.label_set import (
    COLUMNS,
    RANGES,
    REQUIRED,
    SCHEMA,
    TEXTS,
    LabelSet,
    clean,
    now,
    set_of,
)
from neuronlab.models import READABLE
from neuronlab.spreadsheets import APOSTROPHE, WITHOUT

IMPORTED = "imported"
MAX_BYTES = 50_000_000
MAX_UNPACKED = 4 * MAX_BYTES
MAX_CARD = 100_000
MAX_ROWS = 2_000_000

# In an exported zip, which the library keeps as it is.
LABELS_FILE, CARD_FILE = "labels.parquet", "card.json"


def export(label_set: LabelSet) -> bytes:
    """The set as a zip that ``read`` takes."""
    table = io.BytesIO()
    label_set.rows.to_parquet(table, index=False)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(CARD_FILE, json.dumps(dict(label_set.card), indent=2))
        archive.writestr(LABELS_FILE, table.getvalue())
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
    created = uploads.line(str(card.get("created", "")), 40) or now()
    return set_of(rows, card.get("spec", {}), versions, created)


def _unzip(file: str, data: bytes) -> tuple[bytes, Mapping[str, Any]]:
    """Table and card; nothing is written, so that paths inside cannot harm."""
    broken = UserError(f"{file} is damaged, or no exported labels: export them again.")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            table = uploads.member(file, archive, LABELS_FILE, MAX_UNPACKED)
            card = json.loads(uploads.member(file, archive, CARD_FILE, MAX_CARD))
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
        different = [clean(text) for text in categorical.categories]
    except (pa.ArrowException, ValueError):  # texts that are not UTF-8
        raise _unreadable(file) from None
    values = np.array([*different, ""], object)  # code -1: no text
    return values[categorical.codes], np.array([*map(len, values)])[categorical.codes]


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


def _short(values: pd.Series, wrong: pd.Series) -> str:
    return uploads.line(str(values[wrong].iloc[0]), 40)


def _unreadable(file: str) -> UserError:
    return UserError(
        f"{file} cannot be read as labels: choose an exported zip, or a table saved as Parquet or, "
        "in UTF-8, as CSV or TSV."
    )
