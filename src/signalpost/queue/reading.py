"""What a lease reads from the file: which events are due, and the events themselves, each checked.

Everything comes in one row for all events: every row gives up the interpreter's lock, and waits to get it back. That is
also why it runs on the event loop: a thread of its own would wait up to 5 ms for each.
"""

from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import apsw
import msgspec

from signalpost.model.delivery import QueuedEvent
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId
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

# Read what is known of events, in the given order, as one JSON array.
_READ_FACTS: Final = """
    SELECT json_group_array(json_array(queued.id, source_id, message_id, destination_id, dataset_id, event_name,
        event_id, event_time, expires_at, received_at, attempts, coalesce(last_outcome, ''), lower(hex(checksum)),
        length(payload)))
    FROM carray(?1) AS wanted CROSS JOIN queued_events AS queued ON queued.id = wanted.value
    LEFT JOIN payloads ON payloads.id = queued.id"""

# Read payloads in the given order, end to end.
_READ_PAYLOADS: Final = """
    SELECT CAST(group_concat(payload, '') AS BLOB)
    FROM carray(?1) AS wanted CROSS JOIN payloads ON payloads.id = wanted.value"""


class _Facts(msgspec.Struct, array_like=True, gc=False):
    """An event without its payload. checksum: hex digits. size: of the payload; None when that is missing."""

    id: int
    source_id: SourceId
    message_id: MessageId
    destination_id: DestinationId
    dataset_id: DatasetId
    event_name: str
    event_id: str
    event_time: int
    expires_at: int
    received_at: int
    attempts: int
    last_outcome: str
    checksum: str
    size: int | None


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
    except _UNREADABLE:
        pass
    read = EventsRead([], [], [])
    for id_ in ids:
        try:
            read.damaged += _read_rows(connection, [id_], max_bytes, lease).damaged
        except _UNREADABLE:
            read.unreadable.append(id_)
    return read


# A text that is no UTF-8, and a number that has become a text.
_UNREADABLE: Final = (UnicodeDecodeError, msgspec.ValidationError)


def _read_rows(connection: apsw.Connection, ids: Sequence[int], max_bytes: int, lease: int) -> EventsRead:
    found: str = connection.execute(_READ_FACTS, (apsw.carray(array("q", ids)),)).get
    rows = msgspec.json.decode(found, type=list[_Facts])
    wanted, size = list[_Facts](), 0
    for row in rows:
        size += row.size or 0
        if size > max_bytes and wanted:
            break
        wanted.append(row)
    read = EventsRead([], [], [])
    for row, payload in zip(wanted, _read_payloads(connection, wanted), strict=True):
        event = _build_queued_event(row, payload, lease)
        if event is None:
            read.damaged.append(row.id)
        else:
            read.events.append(event)
    return read


def _read_payloads(connection: apsw.Connection, rows: Sequence[_Facts]) -> Iterator[bytes | None]:
    ids = array("q", [row.id for row in rows if row.size])
    payloads: bytes = connection.execute(_READ_PAYLOADS, (apsw.carray(ids),)).get if ids else b""
    start = 0
    for row in rows:
        if row.size is None:
            yield None
        else:
            yield payloads[start : start + row.size]
            start += row.size


_from_milliseconds: Final = lru_cache(maxsize=64)(from_milliseconds)
"""The calls of a request were received at one time."""


def _build_queued_event(row: _Facts, payload: bytes | None, lease: int) -> QueuedEvent | None:
    """None when the row is not what was stored."""
    if payload is None:
        return None
    checksum = build_checksum(
        row.destination_id, row.dataset_id, row.event_id, row.event_time, row.expires_at, payload=payload
    )
    if row.checksum != checksum.hex():
        return None
    return QueuedEvent(
        row.id,
        row.source_id,
        row.message_id,
        row.destination_id,
        row.dataset_id,
        row.event_name,
        row.event_id,
        row.event_time,
        row.expires_at,
        _from_milliseconds(row.received_at),
        row.attempts,
        payload,
        row.last_outcome,
        lease,
    )
