"""What every reader gives: the columns of a file and its rows, one after the other. No file is held in memory.

A row that can't be read is a `Refusal` and costs only itself; a file that can't be read is `ImportFailed`, found
before anything is sent wherever the file can be read twice.
"""

import hashlib
import io
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, AnyStr, NamedTuple, Protocol, cast

from signalpost.model.errors import SignalpostError

STANDARD_INPUT = "-"
SAMPLE_ROWS = 1_000
MAX_LINE_BYTES = 1 << 20
HEAD_BYTES = 64 << 10

ROW_BELOW_HEADER = 2
"""As a spreadsheet counts: the header is row 1."""


class ImportFailed(SignalpostError):
    """The file, the plan or the gateway does not allow the import; the message says what to do."""


Values = Sequence[object]
"""The cells of a row in the order of the columns: text as it stands, or typed where the format has types."""


class Refusal(NamedTuple):
    """Why one row is not sent. code: for counting; sentence: for the person who mends the row.

    values: the cells, where a row could not even be read as one; else the reader has given them.
    """

    code: str
    sentence: str
    values: Values = ()


class Table(Protocol):
    """A file that has been looked at, whatever its format.

    columns: their names, each once. row_count: None when nobody knows before the end (standard input).
    digest: 64 hex digits that stand for this content; of a stream, for its beginning.
    is_semicolon_separated: a hint that numbers have a decimal comma. first_row: its number, as people count.
    """

    name: str
    columns: tuple[str, ...]
    row_count: int | None
    digest: str
    is_semicolon_separated: bool
    first_row: int

    def rows(self) -> Iterator[Values | Refusal]:
        """Every row from the first one on; an empty sequence for a blank line. Once only for standard input."""
        ...


@dataclass(frozen=True, slots=True)
class Input:
    """Where the bytes come from, and how they begin. path: None for standard input."""

    name: str
    head: bytes
    path: Path | None

    @property
    def head_digest(self) -> str:
        """Stands for a stream, whose end nobody has seen."""
        return hashlib.sha256(b"stream\0" + self.head).hexdigest()


class ByteStream(io.RawIOBase):
    """The bytes of an input from its beginning, digested on the way. Standard input gives them once."""

    def __init__(self, source: Input) -> None:
        self._before = source.head if source.path is None else b""
        stream = sys.stdin.buffer if source.path is None else source.path.open("rb")
        self._stream = cast("io.BufferedReader", stream)
        self._is_own = source.path is not None
        self._digest = hashlib.sha256()

    def readable(self) -> bool:
        """Tell io that it is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a part of the buffer, as io asks for it."""
        view = memoryview(buffer)
        if self._before:
            count = min(len(self._before), len(view))
            view[:count], self._before = self._before[:count], self._before[count:]
        else:
            count = self._stream.readinto1(view)
        self._digest.update(view[:count])
        return count

    def close(self) -> None:
        """Close the file; standard input is not ours."""
        if self._is_own:
            self._stream.close()
        super().close()

    def hexdigest(self) -> str:
        """Of what has been read so far."""
        return self._digest.hexdigest()


_NO_TABLES: Mapping[bytes, str] = {
    b"PK\x03\x04": "is an Excel workbook or a zip archive; save the sheet as “CSV UTF-8” and import that",
    b"\xd0\xcf\x11\xe0": "is an old Excel workbook; save the sheet as “CSV UTF-8” and import that",
    b"\x1f\x8b": "is compressed; unpack it first, or pipe it: gunzip -c FILE | signalpost import - …",
}


def open_input(file: str) -> Input:
    """Look at the beginning. Raises ImportFailed when there is nothing to read, or plainly no table."""
    path = None if file == STANDARD_INPUT else Path(file)
    name = "standard input" if path is None else file
    try:
        if path is None:
            head = sys.stdin.buffer.read(HEAD_BYTES)
        else:
            with path.open("rb") as stream:
                head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise ImportFailed(f"{file}: cannot be read: {error.strerror}; check the path") from None
    if not head.strip():
        raise ImportFailed(f"{name} is empty; there is nothing to import")
    for magic, what in _NO_TABLES.items():
        if head.startswith(magic):
            raise ImportFailed(f"{name} {what}")
    return Input(name, head, path)


def read_lines(stream: IO[AnyStr], name: str) -> Iterator[AnyStr]:
    """The lines with their ends, never more than 1 MiB of one in memory. Raises ImportFailed naming the line."""
    number = 0
    while line := stream.readline(MAX_LINE_BYTES):
        number += 1
        if len(line) >= MAX_LINE_BYTES:
            raise ImportFailed(
                f"{name}: line {number} is longer than 1 MiB, so this is hardly a table of rows; "
                "save it with one row a line"
            )
        yield line
