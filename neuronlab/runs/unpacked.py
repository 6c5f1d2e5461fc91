"""How much the parts of a result take once they are read: a small upload may hold any size."""

from __future__ import annotations

import io
import zipfile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from neuronlab.runs.result import ARRAYS, TABLE

# What a cell takes at least.
_CELL = 8


def unpacked(path: str, data: bytes) -> int:
    """Bytes of a part of a result in memory, without taking them.

    Texts inside lists are not counted more than once where they repeat.

    Args:
        path: of the part, which says what it is.

    Raises:
        Exception: it is damaged.
    """
    if path == ARRAYS:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # Of what a member says it holds, no more is ever read.
            return sum(member.file_size for member in archive.infolist())
    return _of_table(data) if path.endswith(TABLE) else len(data)


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _of_table(data: bytes) -> int:
    parts = pq.read_metadata(io.BytesIO(data))
    packed = sum(parts.row_group(i).total_byte_size for i in range(parts.num_row_groups))
    size = packed + _CELL * parts.num_rows * parts.num_columns
    schema = parts.schema.to_arrow_schema()
    texts = [field.name for field in schema if _is_text(field.type)]
    # As dictionaries repeated texts stay one text each.
    with pq.ParquetFile(io.BytesIO(data), read_dictionary=texts) as opened:
        table = opened.read(columns=texts)
    for column in table.columns:
        for chunk in column.chunks:
            lengths = pc.binary_length(chunk.dictionary)
            size += pc.sum(pc.take(lengths, chunk.indices)).as_py() or 0
    return size
