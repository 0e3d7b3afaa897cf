"""Which reader takes a file: by --format, else by what the file begins with, else by its name."""

from collections.abc import Mapping
from typing import Literal, get_args

from signalpost.file_import.delimited import DelimitedTable, find_dialect, read_separator
from signalpost.file_import.json_lines import JsonLinesTable
from signalpost.file_import.legacy_offline import LegacyTable
from signalpost.file_import.parquet import MAGIC, ParquetTable
from signalpost.file_import.tables import ImportFailed, Input, Table

FileFormat = Literal["csv", "tsv", "jsonl", "parquet", "legacy-offline"]
FORMATS: tuple[str, ...] = get_args(FileFormat)

_ENDINGS: Mapping[str, FileFormat] = {
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".pq": "parquet",
}


def find_format(source: Input, given: str | None) -> FileFormat:
    """The format of a file. Raises ImportFailed for a --format that there is not."""
    for known in get_args(FileFormat):
        if given == known:
            return known  # type: ignore[no-any-return]
    if given is not None:
        raise ImportFailed(f"--format: must be one of {', '.join(FORMATS)}, not {given}")
    if source.head.startswith(MAGIC):
        return "parquet"
    start = source.head.removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    if start in {b"{", b"["}:
        return "legacy-offline" if b"match_keys" in source.head else "jsonl"
    return _ENDINGS.get(source.path.suffix.lower(), "csv") if source.path else "csv"


def open_table(source: Input, file_format: FileFormat, *, encoding: str | None, separator: str | None) -> Table:
    """Look at the whole file, or at the beginning of standard input. Raises ImportFailed for what can't be read."""
    match file_format:
        case "parquet":
            return ParquetTable(source)
        case "jsonl":
            return JsonLinesTable(source)
        case "legacy-offline":
            return LegacyTable(source)
        case "csv" | "tsv":
            chosen = read_separator(separator) or ("\t" if file_format == "tsv" else None)
            return DelimitedTable(source, find_dialect(source, encoding=encoding, separator=chosen))
