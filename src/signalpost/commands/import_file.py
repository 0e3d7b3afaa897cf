"""`signalpost import`: look at the file, show what its columns mean, ask, send, say what became of the rows."""

import gc
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from signalpost.commands.options import Json, run
from signalpost.terminal import EXIT_FAILED, EXIT_USAGE, err, fail, out, print_json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from signalpost.file_import.guessing import Sample
    from signalpost.file_import.plan import Plan
    from signalpost.file_import.preview import Occurrence, PreviewedRow
    from signalpost.file_import.progress import Position
    from signalpost.file_import.progress import Progress as ProgressFile
    from signalpost.file_import.sending import Builder
    from signalpost.file_import.tables import Refusal, Table, Values
    from signalpost.mapping.destinations.destination_type import Destination

_EXAMPLES = 2
_PATIENCE_SECONDS = 300.0
_GO_ON = "run the same command again, and it goes on where it was"


@dataclass(frozen=True, slots=True)
class _Look:
    """A file that has been looked at: what is in it, and how its rows become calls. plan: None for legacy files."""

    table: "Table"
    plan: "Plan | None"
    sample: "Sample"
    rows: "Iterator[Values | Refusal]"
    builder: "Builder"
    now: datetime


def import_file(
    file: Annotated[str, typer.Argument(help="CSV, TSV, JSON Lines or Parquet; - is standard input.")],
    write_key: Annotated[str, typer.Option(help="A write key of the source. Not needed for --dry-run.")] = "",
    url: Annotated[str, typer.Option(help="The tracking API.")] = "http://127.0.0.1:8080",
    columns: Annotated[
        Path | None, typer.Option(help="A TOML file that says what the columns mean. [default: guessed, and asked]")
    ] = None,
    write_columns: Annotated[
        Path | None, typer.Option(help="Write what was guessed as such a file, for editing, and end.")
    ] = None,
    event: Annotated[
        str | None, typer.Option(help='The event of every row. [default: "Order Completed", without a column for it]')
    ] = None,
    currency: Annotated[str | None, typer.Option(help="The currency of every row, such as EUR.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Of times without a zone, such as Europe/Berlin.")] = None,
    dates: Annotated[str | None, typer.Option(help="day-first or month-first, for dates such as 03/04/2026.")] = None,
    decimal: Annotated[str | None, typer.Option(help="point or comma, for amounts such as 1,234.")] = None,
    file_format: Annotated[
        str | None, typer.Option("--format", help="csv, tsv, jsonl, parquet or legacy-offline. [default: by the file]")
    ] = None,
    encoding: Annotated[str | None, typer.Option(help="Of a CSV file without a mark. [default: utf-8]")] = None,
    separator: Annotated[
        str | None, typer.Option(help="comma, semicolon, tab or bar. [default: by the header]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    destination: Annotated[
        str, typer.Option(help="With --dry-run and --settings: the type of the destination.")
    ] = "facebook-offline-conversions",
    settings: Annotated[
        Path | None, typer.Option(help="With --dry-run: a JSON file with the destination's settings.")
    ] = None,
    progress: Annotated[
        Path | None, typer.Option(help="Where to note how far it has come. [default: beside the file]")
    ] = None,
    rejects: Annotated[Path | None, typer.Option(help="Where refused rows go. [default: beside the file]")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Begin at the first row, though the file has been imported already.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    as_json: Json = False,
) -> None:
    """Load a file of past conversions, each row once. Exit 0 when every row was taken, 1 when not."""
    from signalpost.file_import.plan import write_plan
    from signalpost.map_lines import read_destination

    overrides = {"timezone": timezone, "dates": _choice("dates", dates), "decimal": _choice("decimal", decimal)}
    constants = {name: text for name, text in (("event", event), ("currency", currency)) if text is not None}
    if not (write_key or dry_run or write_columns):
        fail("--write-key: is needed to send anything; try --dry-run without it", EXIT_USAGE)
    look = _look_at(
        file,
        file_format,
        encoding,
        separator,
        columns,
        constants,
        overrides,
        is_asked=not as_json,
        may_lack_columns=write_columns is not None,
    )
    if write_columns is not None:
        from signalpost.file_import.guessing import describe_unused

        if look.plan is None:
            fail("--write-columns: legacy-offline files have no columns", EXIT_USAGE)
        write_plan(look.plan, describe_unused(look.plan, look.table.columns), write_columns)
        out.print(f"Wrote {write_columns}. Edit it, then: signalpost import {file} --columns {write_columns} …")
        return
    if dry_run:
        chosen = read_destination(destination, settings) if settings is not None else None
        raise typer.Exit(_show_dry_run(look, chosen, file, as_json=as_json))
    is_asked = not (yes or as_json or columns)
    if is_asked and not _confirm(look, url):
        raise typer.Exit(EXIT_FAILED)
    try:
        refused = run(_import(look, file, write_key, url, progress, rejects, again=again, as_json=as_json))
    except KeyboardInterrupt:
        fail(f"interrupted; {_GO_ON}", EXIT_FAILED)
    raise typer.Exit(EXIT_FAILED if refused else 0)


def _choice(option: str, given: str | None) -> str | None:
    known = {"dates": ("day-first", "month-first"), "decimal": ("point", "comma")}[option]
    if given is not None and given not in known:
        fail(f"--{option}: must be {known[0]} or {known[1]}, not {given}", EXIT_USAGE)
    return given


def _look_at(
    file: str,
    file_format: str | None,
    encoding: str | None,
    separator: str | None,
    columns: Path | None,
    constants: dict[str, str],
    overrides: dict[str, str | None],
    *,
    is_asked: bool,
    may_lack_columns: bool,
) -> _Look:
    """Read the file's beginning, and all of it where that can be done twice; nothing is sent yet."""
    from signalpost.file_import.calls import CallBuilder
    from signalpost.file_import.guessing import complete_plan, find_missing, guess_columns
    from signalpost.file_import.legacy_offline import LegacyCallBuilder
    from signalpost.file_import.opening import find_format, open_table
    from signalpost.file_import.plan import Plan, check_plan, read_plan
    from signalpost.file_import.tables import SAMPLE_ROWS, ImportFailed, open_input

    source = open_input(file)
    found = find_format(source, file_format)
    if is_asked and err.is_terminal:
        with err.status(f"Looking through {source.name}…"):
            table = open_table(source, found, encoding=encoding, separator=separator)
    else:
        table = open_table(source, found, encoding=encoding, separator=separator)
    rows = table.rows()
    sample = list(islice(rows, SAMPLE_ROWS))
    rows, now = chain(sample, rows), datetime.now(UTC)
    if not any(sample):
        raise ImportFailed(f"{source.name} has a header and no rows; there is nothing to import")
    if found == "legacy-offline":
        return _Look(table, None, sample, rows, LegacyCallBuilder(table.digest, now), now)
    plan = read_plan(columns) if columns is not None else Plan(guess_columns(table.columns, sample))
    plan = plan.change(constants={**plan.constants, **constants}, **overrides)
    kept = {name: column for name, column in plan.columns.items() if name not in constants}
    plan = plan.change(columns=kept)
    check_plan(plan, table.columns)
    is_semicolon = table.is_semicolon_separated
    plan = complete_plan(plan, table.columns, sample, has_semicolons=is_semicolon)
    objection = find_missing(plan, table.columns)
    if objection is not None and not may_lack_columns:
        raise ImportFailed(f"{source.name}: {objection}")
    return _Look(table, plan, sample, rows, CallBuilder(plan, table.columns, table.digest, now), now)


def _show_dry_run(look: _Look, destination: "Destination | None", file: str, *, as_json: bool) -> int:
    """Every row through the mapping, and a summary. Exit code 1 when a row would not be sent."""
    from signalpost.file_import.preview import Preview
    from signalpost.file_import.report import build_findings_report

    preview = Preview(look.builder, destination, look.now)
    examples: list[PreviewedRow] = []
    with _bar("Trying", look.table.row_count, is_shown=not as_json) as (bar, task):
        for row in preview.go_through(look.rows):
            if as_json:
                print_json(_describe_row(row, is_mapped=destination is not None))
            elif row.call is not None and len(examples) < _EXAMPLES:
                examples.append(row)
            bar.advance(task)
    findings = preview.findings
    refused = findings.row_count - findings.sendable
    if as_json:
        counts = {code: each.count for code, each in findings.refused.items()}
        print_json(
            {
                "rows": findings.row_count,
                "sendable": findings.sendable,
                "refused": counts,
                "warnings": {code: each.count for code, each in findings.warned.items()},
                "match_keys": dict(findings.match_keys),
            }
        )
        return EXIT_FAILED if refused else 0
    _show_plan(look)
    for row in examples:
        what = "would become this server event" if destination else "would be sent as this call"
        out.print(Text(f"\nRow {row.number} {what}", "bold"))
        described = _describe_row(row, is_mapped=destination is not None)
        shown = described["results"] if destination else described["call"]
        out.print_json(msgspec.json.encode(shown).decode(), indent=2)
    out.print()
    out.print(build_findings_report(findings))
    out.print(f"\nNothing was sent. Next: signalpost import {file} --write-key KEY --url {'URL'}", soft_wrap=True)
    return EXIT_FAILED if refused else 0


def _describe_row(row: "PreviewedRow", *, is_mapped: bool) -> dict[str, object]:
    from signalpost.map_lines import describe_result

    described: dict[str, object] = {"row": row.number}
    if row.refusal is not None:
        described["refused"] = {"code": row.refusal.code, "message": row.refusal.sentence}
    else:
        described["call"] = row.call
        if is_mapped:
            described["results"] = [describe_result(result) for result in row.results]
    return described


def _show_plan(look: _Look) -> None:
    from signalpost.file_import.report import build_plan_report

    count = "" if look.table.row_count is None else f", {look.table.row_count:,} rows"
    out.print(Text(f"\n{look.table.name}{count}\n", "bold"))
    if look.plan is not None:
        out.print(build_plan_report(look.plan, look.table.columns, look.sample))


def _confirm(look: _Look, url: str) -> bool:
    """Show what the columns mean and whether the first rows would do; ask."""
    from signalpost.file_import.preview import Preview
    from signalpost.file_import.report import build_refused_report

    _show_plan(look)
    preview = Preview(look.builder, None, look.now)
    checked = sum(1 for _ in preview.go_through(iter(look.sample)))
    refused = preview.findings.refused
    if refused:
        out.print(build_refused_report(refused, f"Of the first {checked:,} rows these would be refused"))
    if not sys.stdin.isatty():
        fail("nobody is there to confirm the columns; add --yes, or --columns FILE", EXIT_USAGE)
    count = "the rows" if look.table.row_count is None else f"{look.table.row_count:,} rows"
    if typer.confirm(f"\nImport {count} into {url}?", default=False):
        return True
    out.print("Nothing was sent. To change what a column means: --write-columns columns.toml")
    return False


async def _import(
    look: _Look,
    file: str,
    write_key: str,
    url: str,
    progress_file: Path | None,
    rejects_file: Path | None,
    *,
    again: bool,
    as_json: bool,
) -> int:
    """Send the rows; returns how many were refused."""
    from signalpost.file_import.preview import Occurrence
    from signalpost.file_import.progress import Progress as ProgressFile
    from signalpost.file_import.progress import begin_origin, describe_source
    from signalpost.file_import.rejects import RejectsFile
    from signalpost.file_import.sending import send_rows
    from signalpost.tracking_client import SendFailed, TrackingClient

    base = Path("standard-input" if file == "-" else file)
    path = progress_file or base.with_name(f"{base.name}.import-{describe_source(write_key)[:8]}")
    is_table = look.plan is not None
    rejects_path = rejects_file or base.with_name(f"{base.name}.rejected{'.csv' if is_table else '.jsonl'}")
    refused: dict[str, Occurrence] = {}
    with ProgressFile(path, begin_origin(look.table.digest, write_key, url)) as progress:
        if again:
            progress.start_over()
        if not _may_go_on(progress, file, as_json=as_json):
            return progress.position.refused
        position = progress.position
        rejects = RejectsFile(rejects_path, look.table.columns if is_table else None, keep_bytes=position.rejects_bytes)
        with rejects, _bar("Importing", look.table.row_count, is_shown=not as_json) as (bar, task):
            bar.update(task, completed=position.rows)

            def tell_wait(seconds: int, why: str) -> None:
                bar.update(task, description=f"{why}; waiting {seconds} s")

            gc.freeze()  # what is loaded stays: looking at it again every few rows would cost a fifth of the time
            try:
                async with TrackingClient(url, write_key, _PATIENCE_SECONDS, tell_wait) as client:
                    async for now_done, refused_rows in send_rows(look.rows, look.builder, client, progress, rejects):
                        position = now_done
                        bar.update(task, completed=position.rows, description="Importing")
                        for number, _, refusal in refused_rows:
                            refused.setdefault(refusal.code, Occurrence(refusal.sentence)).add(number)
            except SendFailed as error:
                if not position.rows:
                    raise
                raise SendFailed(f"{error}; {position.rows:,} rows are done: {_GO_ON}") from None
        _show_end(progress.position, refused, rejects_path, as_json=as_json)
        return progress.position.refused


def _may_go_on(progress: "ProgressFile", file: str, *, as_json: bool) -> bool:
    """Say what an earlier import means for this one. False when it is complete already."""
    from signalpost.file_import.report import describe_position, describe_when
    from signalpost.file_import.tables import ImportFailed

    earlier, position = progress.earlier, progress.position
    if earlier is None:
        return True
    when = describe_when(earlier.began_at)
    if not progress.is_same_content:
        raise ImportFailed(
            f"{file} has changed since it was imported ({when}, {position.rows:,} rows): its rows would be sent twice. "
            "Import the new rows as a file of their own, or everything once more with --again"
        )
    if position.is_complete:
        if as_json:
            print_json({"event": "complete_already", **_describe(position)})
        else:
            out.print(f"{file} was imported completely on {when}: {describe_position(position)}.")
            out.print("Nothing was sent. To send every row once more: --again")
        return False
    if not as_json:
        err.print(f"Going on with row {position.rows + 2:,}; the import began on {when}.")
    return True


def _describe(position: "Position") -> dict[str, object]:
    return {
        "rows": position.rows,
        "accepted": position.accepted,
        "duplicates": position.duplicates,
        "refused": position.refused,
    }


def _show_end(position: "Position", refused: "dict[str, Occurrence]", rejects: Path, *, as_json: bool) -> None:
    from signalpost.file_import.report import build_refused_report, describe_position

    rejects_path = str(rejects) if position.refused else None
    if as_json:
        counts = {code: each.count for code, each in refused.items()}
        print_json({"event": "imported", **_describe(position), "reasons": counts, "rejects": rejects_path})
        return
    out.print(f"[bold]{position.rows:,} rows:[/bold] {describe_position(position)}.")
    if refused:
        out.print(build_refused_report(refused))
    if rejects_path:
        out.print(f"\nNext: mend the rows in {rejects_path} and import that file.", soft_wrap=True, markup=False)
    else:
        out.print("Next: `signalpost status` tells what became of them at Meta.")


@contextmanager
def _bar(what: str, total: int | None, *, is_shown: bool) -> "Iterator[tuple[Progress, TaskID]]":
    """A progress bar on standard error, in a terminal only."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    is_off = not is_shown or not err.is_terminal
    with Progress(*columns, console=err, transient=True, disable=is_off) as progress:
        yield progress, progress.add_task(what, total=total)
