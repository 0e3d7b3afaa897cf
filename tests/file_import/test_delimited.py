"""CSV and TSV as people have them: each trouble is a clear sentence, and most are found before anything is sent."""

import csv
import io
import tracemalloc

import pytest

from signalpost.file_import.tables import ImportFailed, open_input
from tests.file_import.builders import look_at, open_file, refusal_codes

ROWS = [("order", "email", "total"), ("R-1", "ada@example.com", "12.50"), ("R-2", "zoë@example.com", "1")]


def write(separator: str) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(ROWS)
    return text.getvalue()


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_separators_and_marks(tmp_path, separator, encoding):
    """The four separators are found, a byte order mark says UTF-8 or UTF-16, and it is no part of the first name."""
    table = open_file(tmp_path / "sales.csv", write(separator).encode(encoding))
    assert table.columns == ROWS[0]
    assert [tuple(row) for row in table.rows()] == ROWS[1:]
    assert table.row_count == 2
    assert table.is_semicolon_separated == (separator == ";")


def test_rows_can_be_read_again(tmp_path):
    """Looking through a file does not use it up, and the same bytes have the same digest."""
    first, second = (open_file(tmp_path / name, write(",")) for name in ("a.csv", "b.csv"))
    assert list(first.rows()) == list(first.rows())
    assert first.digest == second.digest
    assert open_file(tmp_path / "c.csv", write(";")).digest != first.digest


def test_wrong_encoding_is_told_and_can_be_named(tmp_path):
    """Bytes of Windows-1252 are not guessed at: the message says where, and which option reads them."""
    content = write(",").encode("windows-1252")
    with pytest.raises(ImportFailed, match=r"after row 1 .* not UTF-8; .* --encoding windows-1252"):
        open_file(tmp_path / "sales.csv", content)
    table = open_file(tmp_path / "sales.csv", content, encoding="windows-1252")
    assert [tuple(row) for row in table.rows()] == ROWS[1:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"PK\x03\x04rest", "is an Excel workbook or a zip archive; save the sheet as"),
        (b"\x1f\x8brest", "is compressed; unpack it first"),
        (b"ada@example.com,12.50\n", "the first row holds data, not the names of the columns"),
        (b"2026-11-20,12.50\n", "the first row holds data"),
        (b",,\n1,2,3\n", "the first row is blank"),
        (b"email,total,email\na@b.co,1,c@d.co\n", r"two columns are called “email” \(1 and 3\); rename one"),
        (b'email,total\n"a@b.co,1\nc@d.co,2\n', "quotation mark before line 3 is never closed"),
        (b'email,total\na@b.co,"1"x\n', r"row 2 \(line 2\) is broken"),
        ("email,total\n".encode("utf-16-le"), "is no text in UTF-8"),
    ],
)
def test_files_that_are_no_table(tmp_path, content, message):
    """One sentence each: what is wrong and what to do."""
    with pytest.raises(ImportFailed, match=message):
        open_file(tmp_path / "sales.csv", content)


@pytest.mark.parametrize("begins", [b"email,total\n", b'{"email":"a@b.co"}\n{"email":"', b'{"match_keys":{}}\n{"x":"'])
def test_a_line_without_end(tmp_path, begins):
    """A line of 200 MB is told by its number, and never held in memory as a whole, whatever the format."""
    file = tmp_path / "sales"
    with file.open("wb") as stream:
        stream.write(begins)
        for _ in range(200):
            stream.write(b"x" * (1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(ImportFailed, match="line 2 is longer than 1 MiB"):
            look_at(file)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_rows_that_are_refused_cost_only_themselves(tmp_path):
    """A short row, a long one and a second header are refused with their cells; blank lines are passed over."""
    content = "email,total\na@b.co,1\nshort\n\nb@b.co,1,2\nemail,total\nc@b.co,3\n"
    table = open_file(tmp_path / "sales.csv", content)
    assert refusal_codes(table) == ["wrong_width", "wrong_width", "repeated_header"]
    rows = list(table.rows())
    assert rows[1].values == ["short"]
    assert rows[2] == ()
    assert rows[-1] == ["c@b.co", "3"]


def test_a_missing_file(tmp_path):
    """The message names the file."""
    with pytest.raises(ImportFailed, match=r"nowhere.csv: cannot be read: No such file"):
        open_input(str(tmp_path / "nowhere.csv"))
