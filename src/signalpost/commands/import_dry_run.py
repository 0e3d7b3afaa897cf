"""`signalpost import --dry-run`: every row through the mapping, an example, and what was found."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import msgspec
from rich.text import Text

from signalpost.commands.progress_bar import progress_bar
from signalpost.file_import.looking import Look
from signalpost.file_import.preview import Findings, Preview, PreviewedRow
from signalpost.file_import.report import build_findings_report, build_look_report
from signalpost.map_lines import describe_result, read_destination
from signalpost.terminal import EXIT_FAILED, out, print_json


def show_dry_run(look: Look, now: datetime, slug: str, settings: Path | None, *, as_json: bool) -> int:
    """The exit code: failed when a row would not be sent. settings: of a destination, to show its server events."""
    destination = read_destination(slug, settings) if settings is not None else None
    preview = Preview(look.builder, destination, now)
    example: PreviewedRow | None = None
    with progress_bar("Trying", look.table.row_count, is_shown=not as_json) as show:
        for done, row in enumerate(preview.go_through(look.rows, look.table.first_row), start=1):
            if as_json:
                print_json(_describe_row(row, is_mapped=destination is not None))
            elif example is None and row.call is not None:
                example = row
            show(done, "Trying")
    findings = preview.findings
    if as_json:
        print_json(_describe_findings(findings))
    else:
        out.print(build_look_report(look))
        if example is not None:
            _show_example(example, is_mapped=destination is not None)
        out.print()
        out.print(build_findings_report(findings))
        out.print("\nNothing was sent. Next: the same command with --write-key KEY --url URL, without --dry-run.")
    return EXIT_FAILED if findings.sendable < findings.row_count else 0


def _show_example(row: PreviewedRow, *, is_mapped: bool) -> None:
    described = _describe_row(row, is_mapped=is_mapped)
    what, shown = ("server event", described["results"]) if is_mapped else ("call", described["call"])
    out.print(Text(f"\nFor example, row {row.number} would be sent as this {what}", "bold"))
    out.print_json(msgspec.json.encode(shown).decode(), indent=2)


def _describe_row(row: PreviewedRow, *, is_mapped: bool) -> dict[str, object]:
    described: dict[str, object] = {"row": row.number}
    if row.refusal is not None:
        described["refused"] = {"code": row.refusal.code, "message": row.refusal.sentence}
    else:
        described["call"] = row.call
        if is_mapped:
            described["results"] = [describe_result(result) for result in row.results]
    return described


def _describe_findings(findings: Findings) -> Mapping[str, object]:
    return {
        "rows": findings.row_count,
        "sendable": findings.sendable,
        "refused": {code: each.count for code, each in findings.refused.items()},
        "warnings": {code: each.count for code, each in findings.warned.items()},
        "match_keys": dict(findings.match_keys),
    }
