"""What a lease reads from the file: which events are due, and the events themselves, each checked.

Everything comes in one row for all events: every row gives up the interpreter's lock, and waits to get it back. That is
also why it runs on the event loop: a thread of its own would wait up to 5 ms for each.
"""

import bisect
import itertools
from array import array
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import apsw
import msgspec

from signalpost.model.delivery import QueuedEvent
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId
from signalpost.queue.balance import LONGEST_WAIT_MS
from signalpost.queue.checksums import CHECKSUM_BYTES, is_sound
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

# Find all whose retry lies ahead, as one JSON array.
_FIND_LATER: Final = "SELECT json_group_array(id) FROM queued_events WHERE destination_id = ?1 AND due_at > ?2"

# Read what is known of events, in the given order: as one JSON array, and their checksums end to end.
_READ_FACTS: Final = """
    SELECT json_group_array(json_array(queued.id, source_id, message_id, dataset_id, event_name, event_id, event_time,
        expires_at, received_at, attempts, last_outcome, size)), CAST(group_concat(checksum, '') AS BLOB)
    FROM carray(?1) AS wanted CROSS JOIN queued_events AS queued ON queued.id = wanted.value"""

# Read payloads in the given order, end to end.
_READ_PAYLOADS: Final = """
    SELECT CAST(group_concat(payload, '') AS BLOB)
    FROM carray(?1) AS wanted CROSS JOIN payloads ON payloads.id = wanted.value"""


class _Facts(msgspec.Struct, array_like=True, gc=False):
    """An event without its payload. size: of the payload, in bytes."""

    id: int
    source_id: SourceId
    message_id: MessageId
    dataset_id: DatasetId
    event_name: str
    event_id: str
    event_time: int
    expires_at: int
    received_at: int
    attempts: int
    last_outcome: str | None
    size: int


class EventsRead(msgspec.Struct):
    """Good events up to the limits, and the ids of those that are not what had been stored.

    damaged: their checksum is wrong. unreadable: their texts are no longer text. out_of_reach: they are on a damaged
    page, of which nothing can be read.
    """

    events: list[QueuedEvent] = []
    damaged: list[int] = []
    unreadable: list[int] = []
    out_of_reach: list[int] = []

    @property
    def is_sound(self) -> bool:
        """Whether every row was what had been stored."""
        return not (self.damaged or self.unreadable or self.out_of_reach)


def find_due(connection: apsw.Connection, destination_id: DestinationId, now_ms: int, limit: int) -> list[int]:
    """Ids of events that may be sent now, the most urgent first, leased ones among them."""
    found: str = connection.execute(_FIND_DUE, (destination_id, now_ms, now_ms + LONGEST_WAIT_MS, limit)).get
    return msgspec.json.decode(found, type=list[int])


def find_next_due(connection: apsw.Connection, destination_id: DestinationId, now_ms: int) -> int | None:
    """When the next retry is due, in milliseconds; None when nothing is being retried."""
    next_due: int | None = connection.execute(_FIND_NEXT_DUE, (destination_id, now_ms)).get
    return next_due


def find_later(connection: apsw.Connection, destination_id: DestinationId, now_ms: int) -> list[int]:
    """Ids of all events whose next attempt lies ahead; never very many, since a destination in trouble is left be."""
    found: str = connection.execute(_FIND_LATER, (destination_id, now_ms)).get
    return msgspec.json.decode(found, type=list[int])


def read_events(
    connection: apsw.Connection, destination_id: DestinationId, ids: Sequence[int], max_bytes: int, lease: int
) -> EventsRead:
    """Read events up to `max_bytes` of payload, at least one; each carries the number of the lease.

    When all of them together are not what was stored, each is looked at alone.
    """
    try:
        events = _read_together(connection, destination_id, ids, max_bytes, lease)
    except (*_NO_TEXT, apsw.CorruptError):
        events = None
    if events is not None:
        return EventsRead(events)
    read, size = EventsRead(), 0
    for id_ in ids:
        try:
            alone = _read_together(connection, destination_id, [id_], max_bytes, lease)
            if alone is None:
                read.damaged.append(id_)
                continue
            size += len(alone[0].payload)
            if size > max_bytes and read.events:
                break
            read.events += alone
        except _NO_TEXT:
            read.unreadable.append(id_)
        except apsw.CorruptError:
            read.out_of_reach.append(id_)
    return read


# A text that is no UTF-8, and a number that has become a text.
_NO_TEXT: Final = (UnicodeDecodeError, msgspec.ValidationError)


def _read_together(
    connection: apsw.Connection, destination_id: DestinationId, ids: Sequence[int], max_bytes: int, lease: int
) -> list[QueuedEvent] | None:
    """None when one of them is not what was stored. apsw.CorruptError when there is no such row, or no way to it."""
    found: tuple[str, bytes] = connection.execute(_READ_FACTS, (apsw.carray(array("q", ids)),)).get
    rows, checksums = msgspec.json.decode(found[0], type=list[_Facts]), found[1]
    if len(rows) < len(ids):
        raise apsw.CorruptError("The index names an event that the table does not hold.")
    if len(checksums) != CHECKSUM_BYTES * len(rows):
        return None
    ends = list(itertools.accumulate([row.size for row in rows]))
    fitting = max(1, bisect.bisect_right(ends, max_bytes))
    wanted = apsw.carray(array("q", [row.id for row in rows[:fitting]]))
    payloads: bytes = connection.execute(_READ_PAYLOADS, (wanted,)).get or b""
    if fitting == 1:
        ends = [len(payloads)]  # `size` has no checksum of its own, so nothing may depend on it alone
    elif ends[fitting - 1] != len(payloads):
        return None
    events: list[QueuedEvent] = []
    start = at = 0
    for row, end in zip(rows, ends[:fitting], strict=False):
        payload = payloads[start:end]
        checksum = checksums[at : at + CHECKSUM_BYTES]
        dataset_id, event_id, event_time, expires_at = row.dataset_id, row.event_id, row.event_time, row.expires_at
        if not is_sound(checksum, destination_id, dataset_id, event_id, event_time, expires_at, payload=payload):
            return None
        # Without names: it is built for every event that was not taken from memory.
        events.append(
            QueuedEvent(
                row.id,
                row.source_id,
                row.message_id,
                destination_id,
                dataset_id,
                row.event_name,
                event_id,
                event_time,
                expires_at,
                _from_milliseconds(row.received_at),
                row.attempts,
                payload,
                row.last_outcome or "",
                lease,
            )
        )
        start, at = end, at + CHECKSUM_BYTES
    return events


_from_milliseconds: Final = lru_cache(maxsize=64)(from_milliseconds)
"""The calls of a request were received at one time."""
