"""Tables and plans for tests, from text."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from signalpost.file_import.calls import CallBuilder
from signalpost.file_import.guessing import complete_plan, guess_columns
from signalpost.file_import.opening import find_format, open_table
from signalpost.file_import.plan import Plan
from signalpost.file_import.tables import Refusal, Table, open_input

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
DIGEST = "ab" * 32


def open_file(file: Path, content: bytes | str, file_format: str | None = None, **options: Any) -> Table:
    """Write a file and look at it."""
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return look_at(file, file_format, **options)


def look_at(file: Path, file_format: str | None = None, **options: Any) -> Table:
    """Look at a file as the command does."""
    source = open_input(str(file))
    return open_table(
        source,
        find_format(source, file_format),
        encoding=options.get("encoding"),
        separator=options.get("separator"),
    )


def build_call(columns: Sequence[str], values: Sequence[object], plan: Plan | None = None) -> Any:
    """The call of one row, its columns guessed unless a plan is given."""
    plan = complete_plan(plan or Plan(guess_columns(columns, [values])), columns, [values])
    return CallBuilder(plan, columns, DIGEST, NOW).build(2, values)


def refusal_codes(table: Table) -> list[str]:
    """Of the rows that can't be read."""
    return [row.code for row in table.rows() if isinstance(row, Refusal)]
