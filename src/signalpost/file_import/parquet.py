"""Parquet, read in pieces by polars (the extra `parquet`)."""

import hashlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from signalpost.file_import.tables import ImportFailed, Input, Refusal, Values

MAGIC = b"PAR1"
_ROWS_AT_ONCE = 10_000
_SMALLEST = 12


class ParquetTable:
    """A Parquet file, checked from beginning to end: without its footer it is half written."""

    is_semicolon_separated = False
    first_row = 1

    def __init__(self, source: Input) -> None:
        self.name = source.name
        if source.path is None:
            raise ImportFailed("Parquet can't be read from standard input; save it to a file first")
        self._path = source.path
        with self._path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256")
            size = stream.tell()
            stream.seek(max(size - len(MAGIC), 0))
            if size < _SMALLEST or stream.read() != MAGIC:
                raise ImportFailed(
                    f"{self.name} is cut off: a Parquet file ends with a table of contents, and this one has none; "
                    "export or copy it again"
                )
        self.digest = digest.hexdigest()
        self.columns = tuple(_open(self._path).collect_schema().names())
        self.row_count: int | None = sum(batch.height for batch in self._read_batches())
        if not self.columns or not self.row_count:
            raise ImportFailed(f"{self.name} has no rows; there is nothing to import")

    def rows(self) -> Iterator[Values | Refusal]:
        """Typed values: dates as datetime, numbers as numbers, lists as lists."""
        for batch in self._read_batches():
            yield from batch.iter_rows()

    def _read_batches(self) -> Iterator[Any]:
        polars = _import_polars()
        try:
            yield from _open(self._path).collect_batches(chunk_size=_ROWS_AT_ONCE, maintain_order=True)
        except polars.exceptions.PolarsError as error:
            raise _describe(self._path, error) from None


def _open(path: Path) -> Any:
    polars = _import_polars()
    try:
        frame = polars.scan_parquet(path, glob=False)
        frame.collect_schema()
    except (polars.exceptions.PolarsError, OSError) as error:
        raise _describe(path, error) from None
    return frame


def _import_polars() -> ModuleType:
    """Only whoever reads Parquet needs it."""
    try:
        return importlib.import_module("polars")
    except ImportError:
        raise ImportFailed("reading Parquet needs polars: pip install 'signalpost[parquet]'") from None


def _describe(path: Path, error: Exception) -> ImportFailed:
    return ImportFailed(f"{path} can't be read as Parquet: {str(error).splitlines()[0][:120]}; export it again")
