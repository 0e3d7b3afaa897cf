"""`signalpost find`."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.table import Table
from rich.text import Text

from signalpost.commands.options import ConfigFile, Json
from signalpost.config.reading import read_config
from signalpost.terminal import EXIT_FAILED, fail, out, print_json

if TYPE_CHECKING:
    from signalpost.model.found_events import FoundEvent, FoundEvents

_STYLES = {"pending": "cyan", "delivered": "green", "rejected": "yellow", "expired": "red"}


def find(
    message_id: Annotated[str, typer.Argument(help="The call's messageId, or its event's event_id.")],
    source: Annotated[str | None, typer.Option(help="Only calls of this source.")] = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Show where the events of a call are, beside a running gateway or without one. Exit 1 when nothing is known."""
    from signalpost.ledger_file import find_events_in_file

    file: Path = read_config(config).server.data_dir / "queue.db"
    if not file.exists():
        fail(f"{file.absolute()}: there is no queue yet; `signalpost serve` makes it", EXIT_FAILED)
    found = find_events_in_file(file, message_id, source)
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        _show(message_id, found)
    raise typer.Exit(0 if found.accepted_at or found.events else EXIT_FAILED)


def _show(message_id: str, found: "FoundEvents") -> None:
    for moment in found.accepted_at:
        out.print(f"Accepted {_tell(moment)}.")
    for event in found.events:
        out.print(Text(f"{event.event_name} for {event.destination_id}: ").append(event.state, _STYLES[event.state]))
        table = Table.grid(padding=(0, 2, 0, 2))
        for name, value in _list_facts(event):
            table.add_row(Text(name, "dim"), Text(value))
        out.print(table)
    if not found.events and found.accepted_at:
        out.print("It has no events: it was filtered, or they ended longer ago than they are kept.")
    elif not found.events:
        out.print(Text(f"Nothing is known of {message_id}: it never came, was no valid call, or is no longer kept."))


def _list_facts(event: "FoundEvent") -> list[tuple[str, str]]:
    ended = event.ended_at
    facts = {
        "source": event.source_id,
        "messageId": event.message_id if event.message_id != event.event_id else "",
        "dataset": event.dataset_id or "",
        "event_id": event.event_id,
        "received": _tell(event.received_at),
        event.state if ended else "": _tell(ended) if ended else "",
        "attempts": str(event.attempts),
        "tried again": _tell(event.due_at) if event.due_at else "",
        "reason": f"{event.code} {event.reason}".strip(),
        "said": event.detail,
        "fbtrace_id": event.fbtrace_id or "",
        "dead letter": f"signalpost dead-letters show {event.dead_letter_id}" if event.dead_letter_id else "",
    }
    return [(name, value) for name, value in facts.items() if value]


def _tell(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"
