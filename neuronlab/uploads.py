"""Files as people upload them: unpacked, decoded and cut into lines with limits on what comes out.

A small file may unpack to any size and claim any other: no header is believed, and everything is
counted while it is read.
"""

import csv
import gzip
import io
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import cast

from neuronlab.errors import UserError
from neuronlab.spreadsheets import from_text

MAX_LINE = 1_000_000  # characters
MAX_ENTRY = 2_000_000  # characters, also of a row of several lines
# A first row of megabytes is no header.
MAX_HEADER = 10_000
# A file of blocks that can be read from anywhere (bgzip) of 1 GB has some 15,000.
MAX_GZIP_PARTS = 100_000
MAX_NAME = 60  # characters of a file's name in a sentence
DELIMITERS = ",;\t"
# What reading a damaged file raises.
_DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, OSError)


class LongLine(UserError):
    """A line is longer than any of the format."""


class NoText(UserError):
    """A file is no text in UTF-8."""


# --- Sentences -----------------------------------------------------------------------------------


def line(text: str, limit: int = 200) -> str:
    """Text from elsewhere on one line, without what cannot be seen, cut to `limit` letters."""
    text = " ".join(text.split())
    if not text.isprintable():
        text = " ".join(visible(text).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def visible(text: str) -> str:
    """White space becomes a space; control and formatting characters, and half pairs, go."""
    return "".join(
        " " if letter.isspace() else letter
        for letter in text
        if letter.isspace() or unicodedata.category(letter)[0] != "C"
    )


def file_name(name: str) -> str:
    """The last part of a path, as a sentence may begin with it."""
    return line(PurePosixPath(name.replace("\\", "/")).name, MAX_NAME) or "The file"


def listed(names: Iterable[str]) -> str:
    """Names in a sentence, in quotation marks together, and not too many of them."""
    return f"'{line(', '.join(names), 80)}'"


def too_large(file: str, most: int, mend: str = "upload a part of it") -> UserError:
    """That a file has more bytes than there may be."""
    return UserError(f"{file} is larger than {most / 1e6:,g} MB: {mend}.")


def too_many(file: str, most: int, what: str, mend: str = "upload a part of it") -> UserError:
    """That a file has more of something than there may be."""
    return UserError(f"{file} has more than {most:,} {what}, which is the most: {mend}.")


# --- Content -------------------------------------------------------------------------------------


@dataclass
class Room:
    """How much the files of one upload may hold together, unpacked.

    Attributes:
        most: characters, of which a text has at most as many as bytes.
        taken: characters that were read.
    """

    most: int
    taken: int = 0

    def take(self, file: str, count: int) -> None:
        """Count what was read; UserError where that is more than there may be."""
        self.taken += count
        if self.taken > self.most:
            raise too_large(f"{file}, unpacked,", self.most)

    def read(self, file: str, content: io.BufferedIOBase) -> bytes:
        """All of a content, counted; UserError where that is more than there may be, or damaged."""
        try:
            data = content.read(max(self.most - self.taken, 0) + 1)
        except _DAMAGED as error:
            raise _damaged(file, error) from None
        self.take(file, len(data))
        return data


def ungzipped(file: str, data: bytes) -> io.BufferedIOBase:
    """The content, unpacked while it is read where it is packed with gzip.

    Raises:
        UserError: packed in so many parts that each may hold next to nothing.
    """
    if not data.startswith(b"\x1f\x8b"):
        return io.BytesIO(data)
    if data.count(b"\x1f\x8b\x08") > MAX_GZIP_PARTS:
        raise UserError(
            f"{file} is packed in more than {MAX_GZIP_PARTS:,} parts: unpack it and pack it again."
        )
    return gzip.GzipFile(fileobj=io.BytesIO(data))


def unzipped(file: str, data: bytes, most: int) -> Iterator[tuple[str, io.BufferedIOBase]]:
    """Name and content of each file in a zip; a content can be read until the next one is asked
    for. Nothing is written, so that paths inside cannot harm.

    Args:
        file: name of the zip, for the sentences.
        data: its content.
        most: files that it may hold.

    Raises:
        UserError: too many files, damaged, with a password, or packed in an unusual way.
    """
    # The names of millions of empty files take gigabytes, so they are counted before they are read.
    if data.count(b"PK\x01\x02") > most:
        raise too_many(file, most, "files", "zip only those that are needed")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception as error:  # damaged archives fail in many ways
        raise _damaged(file, error) from None
    with archive:
        for info in archive.infolist():
            if info.is_dir():
                continue
            try:
                opened = _opened(archive, info)
            except Exception as error:
                raise _damaged(file, error) from None
            with opened:
                yield info.filename, opened


def member(file: str, archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The content of one file of a zip.

    Raises:
        UserError: it has more bytes than `most`.
        Exception: there is none of that name, or it is damaged.
    """
    with _opened(archive, archive.getinfo(name)) as opened:
        return Room(most).read(file, opened)


def _opened(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> io.BufferedIOBase:
    # The other methods may unpack without bound what claims to be small.
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile("packed in an unusual way")
    return cast(io.BufferedIOBase, archive.open(info))


def _damaged(file: str, error: Exception) -> UserError:
    return UserError(
        f"{file} cannot be unpacked: download it again, or zip the files again, without a "
        "password.",
        details=repr(error),
    )


def text_of(file: str, data: bytes) -> str:
    """A text in UTF-8.

    Raises:
        NoText: it is none.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise _no_text(file) from None


def _no_text(file: str) -> NoText:
    return NoText(f"{file} is not plain text: unpack it if it is packed, or save it in UTF-8.")


def text_lines(
    file: str, content: io.BufferedIOBase, room: Room, longest: int, newline: str | None = None
) -> Iterator[str]:
    """The lines of a text in UTF-8, with their ends.

    Args:
        file: name of the file, for the sentences.
        content: its bytes.
        room: counts what is read.
        longest: characters that no line has.
        newline: what ends a line, as ``open`` has it.

    Raises:
        LongLine: a line of so many characters.
        NoText: no UTF-8.
        UserError: no room for the rest, or damaged.
    """
    buffer = cast(io.BufferedReader, content)  # which is more than the wrapper needs
    text = io.TextIOWrapper(buffer, "utf-8-sig", newline=newline)
    while part := _readline(file, text, longest):
        room.take(file, len(part))
        if len(part) == longest:
            raise LongLine(
                f"{file} has a line of more than {longest:,} characters: save it with shorter ones."
            )
        yield part


def _readline(file: str, text: io.TextIOWrapper, longest: int) -> str:
    try:
        return text.readline(longest)
    except UnicodeDecodeError:
        raise _no_text(file) from None
    except _DAMAGED as error:
        raise _damaged(file, error) from None


# --- Tables and entries --------------------------------------------------------------------------


def header(row: str, wanted: Collection[str]) -> tuple[str, list[str]]:
    """The delimiter with which the first row of a table has most of the wanted columns, and the
    columns that it has then, in lower case.
    """
    row = row.rstrip("\r\n")[:MAX_HEADER]
    columns = {
        delimiter: [name.strip().lower() for name in next(csv.reader([row], delimiter=delimiter))]
        for delimiter in DELIMITERS
    }
    best = max(columns, key=lambda each: (len({*wanted} & {*columns[each]}), len(columns[each])))
    return best, columns[best]


def rows(
    file: str, lines: Iterable[str], delimiter: str, longest: int
) -> Iterator[tuple[int, list[str]]]:
    """Number and cells of each row of a table, counted from 1 as spreadsheets do: with the empty
    ones, which have no cells.

    Args:
        file: name of the table, for the sentences.
        lines: with their ends; a cell in quotation marks may go on over several.
        delimiter: what separates cells.
        longest: characters that a row may have.

    Raises:
        UserError: a row that is too long or cannot be read.
    """
    taken = number = 0

    def counted() -> Iterator[str]:
        nonlocal taken
        for part in lines:
            taken += len(part)
            if taken > longest:
                raise UserError(
                    f"Row {number + 1} of {file} has more than {longest:,} characters: check its "
                    "quotation marks and line ends."
                )
            yield part

    try:
        for number, cells in enumerate(csv.reader(counted(), delimiter=delimiter, strict=True), 1):
            taken = 0
            yield number, cells
    except csv.Error:
        raise UserError(
            f"Row {number + 1} of {file} cannot be read: put a cell that holds quotation marks in "
            "quotation marks, and double those inside it."
        ) from None


def whole_entries(file: str, lines: Iterable[str], mark: str, longest: int) -> Iterator[str]:
    """The lines of a file of entries, such as FASTA, as long as no entry is too long.

    Parsers hold an entry's lines before they join them, each at many times its size.

    Args:
        file: name of the file, for the sentences.
        lines: with their ends.
        mark: what the first line of an entry begins with, or its last.
        longest: characters that an entry may have.

    Raises:
        UserError: an entry that is too long.
    """
    taken = 0
    for part in lines:
        taken = len(part) if part.startswith(mark) else taken + len(part)
        if taken > longest:
            raise UserError(
                f"{file} has an entry of more than {longest:,} characters, longer than any "
                "protein: remove it."
            )
        yield part


def records(
    file: str,
    rows: Iterable[tuple[int, list[str]]],
    read: Collection[str] | None = None,
    mend: str = "put a cell that holds the separator in quotation marks",
) -> Iterator[tuple[str, dict[str, str]]]:
    """Where each row of a table is, for the sentences, and its cells by their columns, in lower
    case. The first row names the columns; empty ones are left out.

    Args:
        file: name of the table, for the sentences.
        rows: number and cells of each.
        read: columns that may be given once only; all of them, if not given.
        mend: what to do about a row with more cells than there are columns.

    Raises:
        UserError: such a row, or a column that is given twice.
    """
    columns: list[str] = []
    for number, cells in rows:
        cells = [_cell(each) for each in cells]
        if not any(cells):
            continue
        if not columns:
            columns = [each.lower() for each in cells]
            check_columns(file, [each for each in columns if read is None or each in read])
            continue
        where = f"Row {number} of {file}"
        if any(cells[len(columns) :]):
            raise UserError(
                f"{where} has {len(cells)} cells and the first row {len(columns)}: {mend}."
            )
        yield where, dict(zip(columns, cells, strict=False))


def _cell(text: str) -> str:
    text = text.strip()
    return from_text(text).strip() if text.startswith("'") else text


def check_columns(file: str, columns: Iterable[str]) -> None:
    """Check that no two columns of a table have the same name; several may have none.

    Raises:
        UserError: they have: it is not known which of them is meant.
    """
    for column, count in Counter(filter(None, columns)).items():
        if count > 1:
            raise UserError(
                f"{file} has {count} columns '{column[:60]}': remove all but one, or give the "
                "others other names."
            )
