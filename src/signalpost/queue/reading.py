"""What a lease reads from the file: which events are due, and the events themselves, each checked.

Runs on the event loop on purpose: every row gives up the interpreter's lock, and a thread of its own would wait up to
5 ms for it each time, while 500 events are read in some 5 ms here.
"""

from array import array
from collections.abc import Sequence
from typing import Any, Final

import apsw
import msgspec

from signalpost.model.delivery import QueuedEvent
from signalpost.model.ids import DestinationId
from signalpost.queue.balance import LONGEST_WAIT_MS
from signalpost.queue.checksums import build_checksum
from signalpost.queue.instants import from_milliseconds

# Find what is due, as one JSON array: retries, which are older; fresh events; rows dated by a clock set back since.
_FIND_DUE: Final = """
    SELECT json_group_array(id) FROM (
        SELECT id FROM (
            SELECT id FROM queued_events WHERE destination_id = ?1 AND due_at <= ?2 ORDER BY due_at, id LIMIT ?4)
        UNION ALL
        SELECT id FROM (
            SELECT id FROM queued_events WHERE destination_id = ?1 AND due_at IS NULL ORDER BY id LIMIT ?4)
        UNION ALL
        SELECT id FROM (
            SELECT id FROM queued_events WHERE destination_id = ?1 AND due_at > ?3 ORDER BY due_at, id LIMIT ?4)
        LIMIT ?4)"""

# Find when the next retry is due.
_FIND_NEXT_DUE: Final = "SELECT min(due_at) FROM queued_events WHERE destination_id = ?1 AND due_at > ?2"

# Read events in the given order.
_READ_EVENTS: Final = """
    SELECT queued.id, source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time, expires_at,
        received_at, attempts, checksum, payload, coalesce(last_outcome, '')
    FROM carray(?1) AS wanted CROSS JOIN queued_events AS queued ON queued.id = wanted.value
    LEFT JOIN payloads ON payloads.id = queued.id"""


class EventsRead(msgspec.Struct):
    """Good events up to the limits; rows whose checksum is wrong; rows whose texts are no longer text."""

    events: list[QueuedEvent]
    damaged: list[int]
    unreadable: list[int]

    @property
    def is_sound(self) -> bool:
        """Whether every row was what had been stored."""
        return not self.damaged and not self.unreadable


def find_due(connection: apsw.Connection, destination_id: DestinationId, now_ms: int, limit: int) -> list[int]:
    """Ids of events that may be sent now, the most urgent first, leased ones among them."""
    found: str = connection.execute(_FIND_DUE, (destination_id, now_ms, now_ms + LONGEST_WAIT_MS, limit)).get
    return msgspec.json.decode(found, type=list[int])


def find_next_due(connection: apsw.Connection, destination_id: DestinationId, now_ms: int) -> int | None:
    """When the next retry is due, in milliseconds; None when nothing is being retried."""
    next_due: int | None = connection.execute(_FIND_NEXT_DUE, (destination_id, now_ms)).get
    return next_due


def read_events(connection: apsw.Connection, ids: Sequence[int], max_bytes: int, lease: int) -> EventsRead:
    """Read events up to `max_bytes` of payload, at least one; each carries the number of the lease."""
    try:
        return _read_rows(connection, ids, max_bytes, lease)
    except UnicodeDecodeError:
        pass
    read = EventsRead([], [], [])
    for id_ in ids:
        try:
            read.damaged += _read_rows(connection, [id_], max_bytes, lease).damaged
        except UnicodeDecodeError:
            read.unreadable.append(id_)
    return read


def _read_rows(connection: apsw.Connection, ids: Sequence[int], max_bytes: int, lease: int) -> EventsRead:
    read = EventsRead([], [], [])
    size = 0
    cursor = connection.execute(_READ_EVENTS, (apsw.carray(array("q", ids)),))
    try:
        for row in cursor:
            event = _build_queued_event(row, lease)
            if event is None:
                read.damaged.append(row[0])
                continue
            size += len(event.payload)
            if size > max_bytes and read.events:
                break
            read.events.append(event)
    finally:
        cursor.close()  # a statement left open would keep the write-ahead log from being reused
    return read


def _build_queued_event(row: Sequence[Any], lease: int) -> QueuedEvent | None:
    """None when the row is not what was stored."""
    *fields, received_at, attempts, checksum, payload, last_outcome = row
    _, _, _, destination_id, dataset_id, _, event_id, event_time, expires_at = fields
    if payload is None:
        return None
    if checksum != build_checksum(destination_id, dataset_id, event_id, event_time, expires_at, payload=payload):
        return None
    values = (*fields, from_milliseconds(received_at), attempts, payload, last_outcome, lease)
    return QueuedEvent(*values)
