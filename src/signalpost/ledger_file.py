"""The ledger and single events as the queue's file has them, beside a running gateway or without one; only read."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import apsw

from signalpost.model.destination_state import DAMAGE_FIX
from signalpost.model.errors import SignalpostError
from signalpost.model.found_events import FoundEvents
from signalpost.model.ids import DestinationId, SourceId
from signalpost.model.ledger import Ledger
from signalpost.queue.balance import find_destinations, read_ledger
from signalpost.queue.database import open_for_reading
from signalpost.queue.instants import to_milliseconds
from signalpost.queue.migrations import check_file
from signalpost.queue.tracing import find_events

T = TypeVar("T")


def read_ledgers(file: Path) -> tuple[Ledger, dict[str, Ledger]]:
    """All together, and each destination's. What a running gateway has leased counts as ready.

    Raises ConfigError or NewerDataFolder when the file is not this program's, SignalpostError when it can't be read.
    """
    now_ms = to_milliseconds(datetime.now(UTC))

    def read(connection: apsw.Connection, destination_id: DestinationId | None) -> Ledger:
        return read_ledger(
            connection, destination_id=destination_id, source_id=None, since_minute=None, now_ms=now_ms, leased=0
        )

    return _look(
        file,
        lambda connection: (
            read(connection, None),
            {str(destination): read(connection, destination) for destination in find_destinations(connection)},
        ),
    )


def find_events_in_file(file: Path, sought: str, source: str | None) -> FoundEvents:
    """What became of a messageId or event_id; raises like `read_ledgers`."""
    source_id = SourceId(source) if source is not None else None
    return _look(file, lambda connection: find_events(connection, sought, source_id))


def _look(file: Path, query: Callable[[apsw.Connection], T]) -> T:
    try:
        connection = open_for_reading(file)
        try:
            check_file(connection)
            return query(connection)
        finally:
            connection.close()
    except apsw.Error as error:
        advice = f" {DAMAGE_FIX}" if isinstance(error, apsw.CorruptError) else ""
        raise SignalpostError(f"{file}: the queue can't be read: {type(error).__name__}: {error}.{advice}") from None
