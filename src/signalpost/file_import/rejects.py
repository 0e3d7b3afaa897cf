"""The rows that were not taken, with the reason of each, as a file that can be mended and imported again."""

import csv
import io
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from signalpost.file_import.tables import ImportFailed, Refusal, Values

REASON_COLUMNS = ("signalpost_row", "signalpost_reason")


class RejectsFile:
    """Made with the first refused row, readable by its owner alone: it holds the rows as they are in the file.

    columns: a CSV file with these and two more; None: JSON Lines, for rows that are no table. separator: as the file
    itself has it. A mark at the beginning tells spreadsheets that it is UTF-8.
    """

    def __init__(self, path: Path, columns: Sequence[str] | None, *, keep_bytes: int, separator: str = ",") -> None:
        self.path = path
        self._separator = separator
        self._columns = columns
        self.size = keep_bytes
        self._file: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            os.close(self._file)

    def write(self, refused: Sequence[tuple[int, Values, Refusal]]) -> None:
        """Append rows; return when they are on the disk."""
        if not refused:
            return
        try:
            text = self._format(refused)
            os.write(self._open(), text)
            os.fsync(self._open())
        except OSError as error:
            raise ImportFailed(f"{self.path} cannot be written: {error.strerror}; --rejects FILE says where") from None
        self.size += len(text)

    def _open(self) -> int:
        if self._file is None:
            self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_APPEND, 0o600)
            os.ftruncate(self._file, self.size)  # what was written after the last position will be written again
        return self._file

    def _format(self, refused: Sequence[tuple[int, Values, Refusal]]) -> bytes:
        if self._columns is None:
            rows = [
                {
                    "row": number,
                    "code": refusal.code,
                    "reason": refusal.sentence,
                    "entry": values[0] if values else None,
                }
                for number, values, refusal in refused
            ]
            return b"".join(msgspec.json.encode(row, enc_hook=str) + b"\n" for row in rows)
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter=self._separator)
        if not self.size:
            text.write("\ufeff")
            writer.writerow([*REASON_COLUMNS, *self._columns])
        for number, values, refusal in refused:
            writer.writerow([number, f"{refusal.code}: {refusal.sentence}", *values])
        return text.getvalue().encode("utf-8", "replace")
