"""The ledger as the queue's file has it, read beside a running gateway or without one; nothing is written."""

from datetime import UTC, datetime
from pathlib import Path

import apsw

from signalpost.model.errors import SignalpostError
from signalpost.model.ids import DestinationId
from signalpost.model.ledger import Ledger
from signalpost.queue.balance import find_destinations, read_ledger
from signalpost.queue.database import open_for_reading
from signalpost.queue.instants import to_milliseconds
from signalpost.queue.migrations import check_file


def read_ledgers(file: Path) -> tuple[Ledger, dict[str, Ledger]]:
    """All together, and each destination's. What a running gateway has leased counts as ready.

    Raises ConfigError or NewerDataFolder when the file is not this program's, SignalpostError when it can't be read.
    """
    now_ms = to_milliseconds(datetime.now(UTC))

    def read(destination_id: DestinationId | None) -> Ledger:
        return read_ledger(
            connection, destination_id=destination_id, source_id=None, since_minute=None, now_ms=now_ms, leased=0
        )

    try:
        connection = open_for_reading(file)
        try:
            check_file(connection)
            return read(None), {destination: read(destination) for destination in find_destinations(connection)}
        finally:
            connection.close()
    except apsw.Error as error:
        raise SignalpostError(f"{file}: the queue can't be read: {type(error).__name__}: {error}") from None
