"""What a person gives up while it waits: finding and counting it; `settling.discard` ends it."""

from typing import Final

import apsw

from signalpost.model.ids import DestinationId

# Find the last event that was received before some time: ids are given in the order of arrival.
_FIND_LAST_BEFORE: Final = "SELECT id FROM queued_events WHERE received_at < ?1 ORDER BY id DESC LIMIT 1"

# Find what waits, due or not, in the order of the ids: fresh events from the index, and the few that are retried.
_FIND_WAITING: Final = """
    SELECT id FROM (
        SELECT id FROM queued_events
        WHERE destination_id = ?1 AND due_at IS NULL AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4)
    UNION ALL
    SELECT id FROM (
        SELECT id FROM queued_events
        WHERE destination_id = ?1 AND due_at IS NOT NULL AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4)
    ORDER BY id LIMIT ?4"""

# Count what waits up to an id.
_COUNT_WAITING: Final = "SELECT count(*) FROM queued_events WHERE destination_id = ?1 AND id <= ?2"


def find_last_before(connection: apsw.Connection, before_ms: int) -> int:
    """The id of the last event that waits and was received before then; 0 when none was."""
    found: int | None = connection.execute(_FIND_LAST_BEFORE, (before_ms,)).get
    return found or 0


def find_waiting(
    connection: apsw.Connection, destination_id: DestinationId, after_id: int, last_id: int, limit: int
) -> list[int]:
    """The next ids of what waits, leased or not."""
    return [id_ for (id_,) in connection.execute(_FIND_WAITING, (destination_id, after_id, last_id, limit))]


def count_waiting(connection: apsw.Connection, destination_id: DestinationId, last_id: int) -> int:
    """How much waits, leased or not."""
    counted: int = connection.execute(_COUNT_WAITING, (destination_id, last_id)).get
    return counted
