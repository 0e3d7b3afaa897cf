"""`signalpost import`: look at the file, show what its columns mean, ask, send, say what became of the rows."""

import sys
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from signalpost.commands.options import Json
from signalpost.terminal import EXIT_FAILED, EXIT_USAGE, err, fail, out

if TYPE_CHECKING:
    from signalpost.file_import.looking import Look, Reading

File = Annotated[str, typer.Argument(help="CSV, TSV, JSON Lines or Parquet; - is standard input.")]
WriteKey = Annotated[str, typer.Option(help="A write key of the source. Not needed for --dry-run.")]
Url = Annotated[str, typer.Option(help="The tracking API.")]
Columns = Annotated[
    Path | None, typer.Option(help="A TOML file that says what the columns mean. [default: guessed, and asked]")
]
WriteColumns = Annotated[Path | None, typer.Option(help="Write what was guessed as such a file, for editing, and end.")]
Event = Annotated[
    str | None, typer.Option(help='The event of every row. [default: "Order Completed", without a column for it]')
]
Currency = Annotated[str | None, typer.Option(help="The currency of every row, such as EUR.")]
Timezone = Annotated[str | None, typer.Option(help="Of times without a zone, such as Europe/Berlin.")]
Dates = Annotated[str | None, typer.Option(help="day-first or month-first, for dates such as 03/04/2026.")]
Decimal = Annotated[str | None, typer.Option(help="point or comma, for amounts such as 1,234.")]
Format = Annotated[
    str | None, typer.Option("--format", help="csv, tsv, jsonl, parquet or legacy-offline. [default: by the file]")
]
Encoding = Annotated[str | None, typer.Option(help="Of a CSV file without a mark. [default: utf-8]")]
Separator = Annotated[str | None, typer.Option(help="comma, semicolon, tab or bar. [default: by the header]")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")]
DestinationSlug = Annotated[str, typer.Option(help="With --dry-run and --settings: the type of the destination.")]
Settings = Annotated[Path | None, typer.Option(help="With --dry-run: a JSON file with the destination's settings.")]
ProgressFile = Annotated[
    Path | None, typer.Option(help="Where to note how far it has come. [default: beside the file]")
]
Rejects = Annotated[Path | None, typer.Option(help="Where refused rows go. [default: beside the file]")]
Again = Annotated[
    bool, typer.Option("--again", help="Begin at the first row, though the file has been imported already.")
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")]


def import_file(
    file: File,
    write_key: WriteKey = "",
    url: Url = "http://127.0.0.1:8080",
    columns: Columns = None,
    write_columns: WriteColumns = None,
    event: Event = None,
    currency: Currency = None,
    timezone: Timezone = None,
    dates: Dates = None,
    decimal: Decimal = None,
    file_format: Format = None,
    encoding: Encoding = None,
    separator: Separator = None,
    dry_run: DryRun = False,
    destination: DestinationSlug = "facebook-offline-conversions",
    settings: Settings = None,
    progress: ProgressFile = None,
    rejects: Rejects = None,
    again: Again = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Load a file of past conversions, each row once. Exit 0 when every row was taken, 1 when not."""
    from signalpost.file_import.looking import Reading

    if not (write_key or dry_run or write_columns):
        fail("--write-key: is needed to send anything; try --dry-run without it", EXIT_USAGE)
    order: Any = _choose("dates", dates, "day-first", "month-first")
    mark: Any = _choose("decimal", decimal, "point", "comma")
    reading = Reading(file_format, encoding, separator, columns, event, currency, timezone, order, mark)
    if write_columns is not None:
        return _write_columns(file, reading, write_columns)
    now = datetime.now(UTC)
    look = _look(file, reading, now, is_quiet=as_json)
    if dry_run:
        from signalpost.commands.import_dry_run import show_dry_run

        raise typer.Exit(show_dry_run(look, now, destination, settings, as_json=as_json))
    from signalpost.commands.import_rows import Order, import_rows

    if not (yes or as_json or columns or _confirm(look, url, now)):
        raise typer.Exit(EXIT_FAILED)
    raise typer.Exit(import_rows(look, Order(file, write_key, url, progress, rejects, again), as_json=as_json))


def _choose(option: str, given: str | None, *known: str) -> str | None:
    if given is not None and given not in known:
        fail(f"--{option}: must be {' or '.join(known)}, not {given}", EXIT_USAGE)
    return given


def _look(file: str, reading: "Reading", now: datetime, *, is_quiet: bool) -> "Look":
    from signalpost.file_import.looking import look_at

    with nullcontext() if is_quiet or not err.is_terminal else err.status(f"Looking through {file}…"):
        return look_at(file, reading, now)


def _write_columns(file: str, reading: "Reading", target: Path) -> None:
    from signalpost.file_import.guessing import describe_unused
    from signalpost.file_import.looking import look_at
    from signalpost.file_import.plan import write_plan

    look = look_at(file, reading, datetime.now(UTC), may_lack_columns=True)
    if look.plan is None:
        fail("--write-columns: legacy-offline files have no columns", EXIT_USAGE)
    write_plan(look.plan, describe_unused(look.plan, look.table.columns), target)
    out.print(f"Wrote {target}. Edit it, then: signalpost import {file} --columns {target} …")


def _confirm(look: "Look", url: str, now: datetime) -> bool:
    """Show what the columns mean and whether the first rows would do; ask."""
    from signalpost.file_import.preview import Preview
    from signalpost.file_import.report import build_look_report, build_refused_report, count_rows

    out.print(build_look_report(look))
    preview = Preview(look.builder, None, now)
    checked = sum(1 for _ in preview.go_through(look.sample, look.table.first_row))
    refused = preview.findings.refused
    if refused:
        out.print(build_refused_report(refused, f"Of the first {count_rows(checked)} these would be refused"))
    if not sys.stdin.isatty():
        fail("nobody is there to confirm the columns; add --yes, or --columns FILE", EXIT_USAGE)
    count = "the rows" if look.table.row_count is None else count_rows(look.table.row_count)
    if typer.confirm(f"\nImport {count} into {url}?", default=False):
        return True
    out.print("Nothing was sent. To change what a column means: --write-columns columns.toml")
    return False
