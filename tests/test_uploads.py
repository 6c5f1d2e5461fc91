"""What uploads may unpack to: bombs, lying headers, lines and entries without end."""

import gzip
import io
import struct
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager

import pytest
from archives import packed

from neuronlab import uploads
from neuronlab.errors import UserError
from neuronlab.models.residues import AMINO_ACIDS
from neuronlab.proteins import annotated
from neuronlab.proteins.annotated import read_annotated
from neuronlab.proteins.labelled import read_labelled


@contextmanager
def memory_below(limit):
    """Fails where Python holds more than ``limit`` bytes at a time."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < limit


def lines(data, most=1_000, longest=100):
    room = uploads.Room(most)
    return list(uploads.text_lines("a", uploads.ungzipped("a", data), room, longest))


# --- Lines ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_lines_of_a_text(pack):
    assert lines(pack("\ufeffone\r\nzwö\n三".encode())) == ["one\n", "zwö\n", "三"]
    assert lines(pack(b"")) == []


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (gzip.compress(b"\n" * 1001), ["a, unpacked,", "upload a part"]),
        (b"x" * 100, ["line of more than 100", "shorter"]),
        (gzip.compress(b"x" * 100_000_000), "line of more than 100"),
        (gzip.compress(b"") * (uploads.MAX_GZIP_PARTS + 1), ["100,000 parts", "pack it again"]),
    ],
    ids=["lines", "a line", "a packed line", "parts"],
)
def test_what_comes_out_is_counted_while_it_is_read(sentence, data, says):
    with memory_below(10_000_000):
        sentence(lines, data, says=says)


def test_one_room_is_for_all_files():
    room = uploads.Room(10)
    for text in ("123456", "1234"):
        assert list(uploads.text_lines("a", io.BytesIO(text.encode()), room, 100)) == [text]
    with pytest.raises(UserError, match="b, unpacked"):
        list(uploads.text_lines("b", io.BytesIO(b"1"), room, 100))


# --- Rows ----------------------------------------------------------------------------------------


def test_rows_of_a_table():
    text = io.StringIO('a,b\n\n"1\n2",3\n', newline="")
    assert list(uploads.rows("t", text, ",", 100)) == [
        (1, ["a", "b"]),
        (2, []),
        (3, ["1\n2", "3"]),
    ]


def records(text, *arguments, **keywords):
    delimiter, _ = uploads.header(text.partition("\n")[0], ("name", "value"))
    rows = uploads.rows("t", io.StringIO(text, newline=""), delimiter, 1_000)
    return list(uploads.records("t", rows, *arguments, **keywords))


@pytest.mark.parametrize("delimiter", uploads.DELIMITERS)
def test_records_of_a_table(delimiter):
    rows = [("Name ", "VALUE", "", ""), (), ("a", "'=1", "", ""), ("", "", "", ""), ("'b", "2")]
    assert records("\n".join(delimiter.join(row) for row in rows)) == [
        ("Row 3 of t", {"name": "a", "value": "=1", "": ""}),
        ("Row 5 of t", {"name": "'b", "value": "2"}),
    ]


def test_the_delimiter_is_that_of_the_wanted_columns():
    assert uploads.header("a,b,c;Name;VALUE\r\n", ("name", "value")) == (
        ";",
        ["a,b,c", "name", "value"],
    )
    assert uploads.header("\tname\tvalue", ("name",)) == ("\t", ["", "name", "value"])
    assert uploads.header("a;b;c", ("name",)) == (";", ["a", "b", "c"])


def test_what_makes_a_record_unclear_is_a_sentence(sentence):
    text = "name,other,other\na,b,c\n"
    sentence(records, text, says=["t has 2 columns 'other'", "remove"])
    assert len(records(text, ("name",))) == 1
    long = "name\na\n\nb,c\n"
    sentence(records, long, says=["Row 4 of t has 2 cells and the first row 1", "quotation marks"])
    sentence(records, long, mend="write no comma", says="1: write no comma.")


# --- Sentences -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/a\nb.csv", "a b.csv"),
        ("C:\\x\\a\u200b.csv", "a.csv"),
        ("x" * 99, "x" * 59 + "…"),
        ("", "The file"),
        ("a/\x00", "The file"),
    ],
)
def test_the_name_of_a_file_in_a_sentence(name, shown):
    assert uploads.file_name(name) == shown


def test_a_text_is_utf_8(sentence):
    assert uploads.text_of("a", "\ufeffé".encode()) == "é"
    for read in (uploads.text_of, lambda file, data: lines(data)):
        sentence(read, "a", b"x\n\xff", says=["a is not plain text", "save it in UTF-8"])


@pytest.mark.parametrize("cut", [3, 15, -4])
def test_a_damaged_file_is_a_sentence(sentence, cut):
    data = gzip.compress(b"a line\n" * 100, mtime=0)[:cut]
    sentence(lines, data, says=["a cannot be unpacked", "download it again"])


@pytest.mark.parametrize(
    "text", ["," * 5_000_000, '"' + "\n" * 100_000 + '"', '"aa\n",' * 1_000_000]
)
def test_a_row_is_not_read_beyond_its_limit(sentence, text):
    content = io.StringIO("a,b\n" + text, newline="")
    with memory_below(8 * len(text)):
        sentence(
            lambda: list(uploads.rows("t", content, ",", 50_000)),
            says=["Row 2 of t", "50,000 characters", "quotation marks"],
        )


# --- Zips ----------------------------------------------------------------------------------------


def names(data, most=10):
    return [(name, content.read()) for name, content in uploads.unzipped("a.zip", data, most)]


def test_members_of_a_zip():
    assert names(packed({"b/": b"", "b/c": b"1", "d": b"2"})) == [("b/c", b"1"), ("d", b"2")]


def test_members_are_counted_before_they_are_listed(sentence):
    data = packed(dict.fromkeys(map(str, range(20_000)), b""))
    # That there are few is what the last bytes claim.
    data = data[:-14] + struct.pack("<HH", 1, 1) + data[-10:]
    with memory_below(1_000_000):
        sentence(names, data, says=["more than 10 files", "zip only"])


def test_a_member_that_claims_to_be_small_is_not_read_further():
    data = bytearray(packed({"a": b"x" * 100_000_000}))
    for header, size in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        place = data.index(header) + size
        data[place : place + 4] = (100).to_bytes(4, "little")
    ((_, content),) = uploads.unzipped("a.zip", bytes(data), 10)
    with memory_below(10_000_000), pytest.raises((zipfile.BadZipFile, zlib.error, ValueError)):
        content.read()


# --- Proteins ------------------------------------------------------------------------------------


ID = b"ID   104K_THEPA             Reviewed;         924 AA.\n"


@pytest.mark.long
@pytest.mark.parametrize("data", [b">a\n" + b"MK\n" * 5_000_000, ID + b"DE   x\n" * 2_000_000])
def test_an_entry_without_end_is_not_joined(sentence, without_type_checks, data):
    data = gzip.compress(data, 1)
    assert len(data) < 100_000
    with memory_below(120_000_000):
        sentence(
            lambda: read_annotated("p.gz", data, AMINO_ACIDS),
            says=["p.gz has an entry of more than 2,000,000 characters", "remove"],
        )


@pytest.mark.long
def test_a_labelled_entry_without_end_is_not_joined(sentence, without_type_checks):
    data = b">a|1\n" + b"MK\n" * 10_000_000
    with memory_below(250_000_000):
        sentence(
            lambda: read_labelled("p.fasta", data, AMINO_ACIDS),
            says=["p.fasta has an entry of more than 2,000,000 characters", "remove"],
        )


def test_a_labelled_row_without_end_is_not_cut_into_cells(sentence):
    data = b"sequence,label\n" + b"MK," * 10_000_000
    with memory_below(400_000_000):
        sentence(
            lambda: read_labelled("p.csv", data, AMINO_ACIDS),
            says=["Row 2 of p.csv has more than 2,000,000 characters"],
        )


@pytest.mark.parametrize(("limit", "value"), [("MAX_DIFFERENT", 5), ("MAX_CARRIED", 8)])
def test_annotations_are_counted_while_they_are_read(sentence, monkeypatch, limit, value):
    monkeypatch.setattr(annotated, limit, value)
    data = b"".join(b">p%d a=1 b=2 c=%d\nMK%s\n" % (n, n, b"M" * n) for n in range(9))
    sentence(
        lambda: read_annotated("p.fasta", data, AMINO_ACIDS),
        says=["p.fasta has more annotations", "upload a part"],
    )
