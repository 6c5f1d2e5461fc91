"""Files as people upload them: unpacked, decoded and cut into lines with limits on what comes out.

A small file may unpack to any size and claim any other: no header is believed, and everything is
counted while it is read.
"""

import csv
import gzip
import io
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import cast

from neuronlab.errors import UserError

# A file of blocks that can be read from anywhere (bgzip) of 1 GB has some 15,000.
MAX_GZIP_PARTS = 100_000


class LongLine(UserError):
    """A line is longer than any of the format."""


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
            raise UserError(
                f"{file}, unpacked, is larger than {self.most // 1_000_000:,} MB: upload a part."
            )


def ungzipped(file: str, data: bytes) -> io.BufferedIOBase:
    """The content, unpacked while it is read where it is packed with gzip.

    Reading it raises EOFError, OSError or zlib.error where it is damaged.

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
        UserError: too many files, damaged, with a password, or packed in an unusual way. Reading a
            content raises ``zipfile.BadZipFile``, ``zlib.error``, EOFError or OSError where it is
            damaged.
    """
    broken = UserError(f"{file} cannot be unpacked: zip the files again, without a password.")
    # The names of millions of empty files take gigabytes, so they are counted before they are read.
    if data.count(b"PK\x01\x02") > most:
        raise UserError(f"{file} holds more than {most:,} files: zip only those that are needed.")
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except Exception:  # damaged archives fail in many ways
        raise broken from None
    with archive:
        for member in archive.infolist():
            if member.is_dir():
                continue
            # The other methods may unpack without bound what claims to be small.
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise broken
            try:
                opened = archive.open(member)
            except Exception:
                raise broken from None
            with opened:
                yield member.filename, cast(io.BufferedIOBase, opened)


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
        UserError: no room for the rest.
        UnicodeDecodeError: no UTF-8.
    """
    buffer = cast(io.BufferedReader, content)  # which is more than the wrapper needs
    text = io.TextIOWrapper(buffer, "utf-8-sig", newline=newline)
    while line := text.readline(longest):
        room.take(file, len(line))
        if len(line) == longest:
            raise LongLine(
                f"{file} has a line of more than {longest:,} characters: save it with shorter ones."
            )
        yield line


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
        for line in lines:
            taken += len(line)
            if taken > longest:
                raise UserError(
                    f"Row {number + 1} of {file} has more than {longest:,} characters: check its "
                    "quotation marks and line ends."
                )
            yield line

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
    for line in lines:
        taken = len(line) if line.startswith(mark) else taken + len(line)
        if taken > longest:
            raise UserError(
                f"{file} has an entry of more than {longest:,} characters, longer than any "
                "protein: remove it."
            )
        yield line


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
