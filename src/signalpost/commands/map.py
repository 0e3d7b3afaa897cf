"""`signalpost map`."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.model.timestamps import read_timestamp
from signalpost.terminal import EXIT_FAILED, EXIT_USAGE, fail, out, print_error, print_json

if TYPE_CHECKING:
    from signalpost.mapping.destinations.destination_type import Destination


def map_calls(
    destination: Annotated[str, typer.Option(help=f"One of {', '.join(DESTINATION_TYPES)}.")],
    file: Annotated[str, typer.Argument(help="JSON Lines of Segment calls; - is standard input.")] = "-",
    settings: Annotated[Path | None, typer.Option(help="A JSON file with the destination's settings.")] = None,
    received_at: Annotated[str | None, typer.Option(help="ISO 8601 time of receipt. [default: now]")] = None,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show where each field comes from, and what to mend; as tables.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="With --explain: JSON instead of tables. Without it all is JSON already.")
    ] = False,
) -> None:
    """Show what calls would send to Meta. Nothing is sent; JSON Lines in, JSON Lines out."""
    from signalpost.map_lines import NotJson, map_lines, read_destination

    target = read_destination(destination, settings)
    at = read_timestamp(received_at) if received_at else datetime.now(UTC)
    if at is None:
        fail(f"--received-at: {received_at} is not an ISO 8601 date and time like 2026-01-31T12:00:00Z", EXIT_USAGE)
    if explain:
        raise typer.Exit(_explain(file, target, at, as_json=as_json))
    exit_code = 0
    with _open_lines(file) as lines:
        for line in map_lines(lines, target, at):
            if isinstance(line, NotJson):
                print_error(line.message)
                exit_code = EXIT_FAILED
            else:
                sys.stdout.buffer.write(line.output + b"\n")
    sys.stdout.buffer.flush()
    raise typer.Exit(exit_code)


def _explain(file: str, destination: "Destination", received_at: datetime, *, as_json: bool) -> int:
    from signalpost.explain_report import build_report, describe_explanation
    from signalpost.map_lines import NotJson, describe_invalid_call, read_lines
    from signalpost.mapping.explanation import explain_event
    from signalpost.model.segment_event import InvalidCall

    exit_code = 0
    with _open_lines(file) as lines:
        for event in read_lines(lines, received_at):
            if isinstance(event, NotJson):
                print_error(event.message)
                exit_code = EXIT_FAILED
            elif isinstance(event, InvalidCall):
                print_json(describe_invalid_call(event)) if as_json else print_error(f"{event.code}: {event.message}")
            elif as_json:
                explanations = map(describe_explanation, explain_event(event, destination))
                print_json({"message_id": event.message_id, "explanations": list(explanations)})
            else:
                out.print(build_report(explain_event(event, destination), out.width))
    return exit_code


def _open_lines(file: str) -> BinaryIO:
    if file == "-":
        return sys.stdin.buffer
    try:
        return Path(file).open("rb")
    except OSError as error:
        fail(f"{file}: cannot be read: {error.strerror}", EXIT_USAGE)
