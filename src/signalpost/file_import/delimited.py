"""CSV and TSV, as spreadsheets and shops write them: any of four separators, a byte order mark, UTF-8 or UTF-16.

The encoding is never guessed beyond that: a wrong guess would spoil names without anybody noticing, and a spoilt name
matches nobody. A file on disk is read to its end before anything is sent, so that a broken one is told at once.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass

from signalpost.file_import.tables import (
    ROW_BELOW_HEADER,
    ByteStream,
    ImportFailed,
    Input,
    Refusal,
    Values,
    read_lines,
)

SEPARATORS = ",;\t|"
_SEPARATOR_NAMES = {",": "a comma", ";": "a semicolon", "\t": "a tab", "|": "a bar"}
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DATA = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+|[+-]?[\d.,: /-]*\d[\d.,: /-]*")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a delimited file is written. encoding: a name that Python knows."""

    encoding: str
    separator: str


class DelimitedTable:
    """A CSV or TSV file, checked from beginning to end when it can be read twice."""

    first_row = ROW_BELOW_HEADER

    def __init__(self, source: Input, dialect: Dialect) -> None:
        self.name = source.name
        self._source = source
        self._dialect = dialect
        self.is_semicolon_separated = dialect.separator == ";"
        self.row_count: int | None = None
        self.digest = source.head_digest
        stream, rows = self._open()
        self.columns = self._read_header(rows)
        if source.path is None:
            self._rows = rows
        else:
            self.row_count = sum(1 for _ in rows)
            self.digest = stream.hexdigest()
            stream.close()

    def rows(self) -> Iterator[Values | Refusal]:
        """Each row has as many cells as there are columns; others are refused."""
        if self._source.path is None:
            return self._check(self._rows)
        _, rows = self._open()
        next(rows)
        return self._check(rows)

    def _open(self) -> tuple[ByteStream, Iterator[list[str]]]:
        stream = ByteStream(self._source)
        text = io.TextIOWrapper(io.BufferedReader(stream), self._dialect.encoding, newline="")
        return stream, self._read_rows(text)

    def _check(self, rows: Iterator[list[str]]) -> Iterator[Values | Refusal]:
        width, header = len(self.columns), list(self.columns)
        for row in rows:
            if len(row) == width:
                if row[0] == header[0] and [cell.strip() for cell in row] == header:
                    yield Refusal("repeated_header", "This row repeats the header; delete it.", row)
                else:
                    yield row
            elif not any(row):
                yield ()
            else:
                sentence = f"This row has {len(row)} cells, but there are {width} columns."
                yield Refusal("wrong_width", sentence, row)

    def _read_header(self, rows: Iterator[list[str]]) -> tuple[str, ...]:
        header = [cell.strip() for cell in next(rows, [])]
        if not any(header):
            raise ImportFailed(f"{self.name}: the first row is blank; it must name the columns")
        if any(_DATA.fullmatch(cell) for cell in header):
            raise ImportFailed(
                f"{self.name}: the first row holds data, not the names of the columns; "
                "put a header above it, such as email,phone,value,currency,time"
            )
        names = [cell or f"column {place}" for place, cell in enumerate(header, start=1)]
        for place, name in enumerate(names):
            first = names.index(name)
            if first != place:
                raise ImportFailed(
                    f"{self.name}: two columns are called “{name}” ({first + 1} and {place + 1}); rename one"
                )
        return tuple(names)

    def _read_rows(self, text: io.TextIOWrapper) -> Iterator[list[str]]:
        lines = read_lines(text, self.name)
        reader = csv.reader(lines, delimiter=self._dialect.separator, strict=True)
        row = 0
        while True:
            row += 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                raise ImportFailed(f"{self.name}: {_describe(error, row, reader.line_num)}") from None
            except UnicodeError:
                raise ImportFailed(
                    f"{self.name}: after row {row} there are bytes that are not {_name(self._dialect.encoding)}; "
                    "save it as “CSV UTF-8”, or say how it is written: --encoding windows-1252"
                ) from None
            yield cells


def _describe(error: csv.Error, row: int, line: int) -> str:
    text = str(error)
    if "field larger" in text or "end of data" in text:
        return f"a quotation mark before line {line} is never closed (row {row}); close it or delete it"
    return f"row {row} (line {line}) is broken: {text}; a quotation mark inside a cell must be doubled"


def _name(encoding: str) -> str:
    return {"utf-8": "UTF-8", "utf-8-sig": "UTF-8", "utf-16": "UTF-16"}.get(encoding, encoding)


def find_dialect(source: Input, *, encoding: str | None, separator: str | None) -> Dialect:
    """How the file is written: as told, else by its mark and its first lines."""
    marked = next((name for mark, name in _MARKS if source.head.startswith(mark)), None)
    encoding = marked or encoding or "utf-8"
    try:
        text = codecs.getincrementaldecoder(encoding)("replace").decode(source.head)
    except LookupError:
        raise ImportFailed(f"--encoding: {encoding} is not known; try utf-8 or windows-1252") from None
    if "\0" in text:
        raise ImportFailed(
            f"{source.name} is no text in {_name(encoding)}; save it as “CSV UTF-8”, or try --encoding utf-16-le"
        )
    return Dialect(encoding, separator or _find_separator(text))


def _find_separator(text: str) -> str:
    """The one that cuts the header into the most columns."""
    header = next((line for line in text.splitlines() if line.strip()), "")
    widths = {separator: _count_cells(header, separator) for separator in SEPARATORS}
    return max(widths, key=widths.__getitem__)


def _count_cells(line: str, separator: str) -> int:
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 0


def read_separator(text: str | None) -> str | None:
    """The option --separator: the character itself, or its name."""
    names: dict[str, str] = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|", "\\t": "\t"}
    if text is None:
        return None
    separator = names.get(text, text)
    if len(separator) != 1:
        raise ImportFailed(f"--separator: must be one of comma, semicolon, tab, bar, not {text}")
    return separator
