"""How queued events end, wait again or come back: the SQL of every settling call, each one step of a transaction.

Only rows that are really there are moved and counted, so settling an event twice counts once. Each function runs in the
write thread, inside the open transaction.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final

import apsw
import msgspec

from signalpost.model.delivery import DeadReason, QueuedEvent
from signalpost.model.ids import DestinationId
from signalpost.queue.interface import RequeueReport
from signalpost.queue.ledger import LONGEST_COUNTED_NAME, EventState, LedgerKey, add_counts, roll_up_one_hour
from signalpost.queue.seen_calls import SeenCalls

DEDUPE_KEPT: Final = timedelta(hours=24)
DELIVERED_KEPT: Final = timedelta(days=7)
DEAD_LETTERS_KEPT: Final = timedelta(days=30)
MINUTES_KEPT: Final = timedelta(hours=48)
ROWS_PER_PRUNE: Final = 500
_PAGES_PER_VACUUM: Final = 500
_FREE_PAGES_KEPT: Final = 4096
_LOG_ROWS_PER_PRUNE: Final = 20

# What mapping rejects, and what the queue itself found damaged; sending it again would change nothing.
MESSAGE_REJECTED: Final = "MESSAGE_REJECTED"

# Count events under the state they are about to take.
_COUNT_EVENTS: Final = """
    INSERT INTO ledger SELECT ?1, source_id, destination_id, event_name, ?2, ?3, count(*) FROM queued_events
    WHERE id IN carray(?4) GROUP BY source_id, destination_id, event_name
    ON CONFLICT DO UPDATE SET count = count + excluded.count"""

# Keep the metadata of delivered events; their own ids follow the time of delivery.
_INSERT_DELIVERED: Final = """
    INSERT INTO delivered (source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time,
        received_at, delivered_at, attempts, requeue_count, fbtrace_id, flags)
    SELECT source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time, received_at,
        ?1, attempts + 1, requeue_count, ?2, ?3
    FROM queued_events WHERE id IN carray(?4)"""

# Delete the payloads of queued events; those of dead letters, under ids that are no longer queued, stay.
_DELETE_PAYLOADS: Final = """
    DELETE FROM payloads WHERE id IN (SELECT id FROM queued_events WHERE id IN carray(?1))"""

# Take events out of the queue.
_DELETE_EVENTS: Final = "DELETE FROM queued_events WHERE id IN carray(?1)"

# Let events wait. The attempts come from the lease, so that a repeated call charges them once.
_POSTPONE_EVENTS: Final = """
    UPDATE queued_events SET due_at = ?1, last_outcome = ?2, attempts = leased.value->>1
    FROM jsonb_each(?3) AS leased WHERE queued_events.id = leased.value->>0"""

# Empty the texts of rows that can't be read; the destination was found by its own text and is sound.
_BLANK_TEXTS: Final = """
    UPDATE queued_events SET source_id = '', message_id = '', dataset_id = '', event_name = '', event_id = ''
    WHERE id IN carray(?1)"""

# Make dead letters of events; their payloads stay where they are.
_BURY_EVENTS: Final = """
    INSERT INTO dead_letters (id, source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time,
        expires_at, received_at, attempts, requeue_count, rejected_at, code, reason, detail, fbtrace_id, checksum)
    SELECT id, source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time,
        expires_at, received_at, attempts, requeue_count, ?1, ?2, ?3, ?4, ?5, checksum
    FROM queued_events WHERE id IN carray(?6)"""

# Read what decides whether dead letters may be sent again.
_READ_DEAD_LETTERS: Final = """
    SELECT id, source_id, destination_id, event_name, code, expires_at,
        dataset_id IS NOT NULL AND payloads.id IS NOT NULL
    FROM dead_letters LEFT JOIN payloads USING (id) WHERE id IN carray(?1)"""

# Let dead letters wait again.
_REQUEUE_DEAD_LETTERS: Final = """
    INSERT INTO queued_events (id, source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time,
        expires_at, received_at, attempts, requeue_count, checksum)
    SELECT id, source_id, message_id, destination_id, dataset_id, event_name, event_id, event_time,
        expires_at, received_at, attempts, requeue_count + 1, checksum
    FROM dead_letters WHERE id IN carray(?1)"""

# Take dead letters away, leaving the payloads.
_DELETE_DEAD_LETTERS: Final = "DELETE FROM dead_letters WHERE id IN carray(?1)"

# Delete the oldest rows of the log of calls seen.
_PRUNE_DEDUPE_KEYS: Final = """
    DELETE FROM dedupe_keys WHERE id IN
        (SELECT id FROM (SELECT id, seen_at FROM dedupe_keys ORDER BY id LIMIT ?2) WHERE seen_at < ?1)
    RETURNING digests"""

# Delete the oldest metadata of delivered events.
_PRUNE_DELIVERED: Final = """
    DELETE FROM delivered WHERE id IN
        (SELECT id FROM (SELECT id, delivered_at FROM delivered ORDER BY id LIMIT ?2) WHERE delivered_at < ?1)"""

# Find the oldest dead letters.
_FIND_OLD_DEAD_LETTERS: Final = "SELECT id FROM dead_letters WHERE rejected_at < ?1 ORDER BY rejected_at LIMIT ?2"

# Delete the payloads of dead letters.
_DELETE_PAYLOADS_OF_DEAD_LETTERS: Final = "DELETE FROM payloads WHERE id IN carray(?1)"


def ack(
    connection: apsw.Connection, ids: Sequence[int], now_ms: int, fbtrace_id: str | None, flags: Sequence[str]
) -> None:
    """Meta took them: metadata to `delivered`, payloads deleted."""
    bound = _bind(ids)
    _count(connection, bound, now_ms, "delivered")
    connection.execute(_INSERT_DELIVERED, (now_ms, fbtrace_id, " ".join(flags), bound))
    connection.execute(_DELETE_PAYLOADS, (bound,))
    connection.execute(_DELETE_EVENTS, (bound,))


def expire(connection: apsw.Connection, ids: Sequence[int], now_ms: int) -> None:
    """Too old for Meta: only a count is left."""
    bound = _bind(ids)
    _count(connection, bound, now_ms, "expired", MESSAGE_REJECTED)
    connection.execute(_DELETE_PAYLOADS, (bound,))
    connection.execute(_DELETE_EVENTS, (bound,))


def postpone(
    connection: apsw.Connection, events: Sequence[QueuedEvent], due_ms: int, detail: str, *, charge: bool
) -> None:
    """Due again later."""
    attempts = msgspec.json.encode([(event.id, event.attempts + charge) for event in events]).decode()
    connection.execute(_POSTPONE_EVENTS, (due_ms, detail, attempts))


def bury(connection: apsw.Connection, ids: Sequence[int], now_ms: int, reason: DeadReason) -> None:
    """Make dead letters of them."""
    bound = _bind(ids)
    _count(connection, bound, now_ms, "rejected", reason.code)
    connection.execute(_BURY_EVENTS, (now_ms, reason.code, reason.reason, reason.detail, reason.fbtrace_id, bound))
    connection.execute(_DELETE_EVENTS, (bound,))


def bury_unreadable(connection: apsw.Connection, ids: Sequence[int], now_ms: int, reason: DeadReason) -> None:
    """Make dead letters of rows whose texts are no longer text."""
    connection.execute(_BLANK_TEXTS, (_bind(ids),))
    bury(connection, ids, now_ms, reason)


class Requeued(msgspec.Struct):
    """The report, and how many events each destination can lease again."""

    report: RequeueReport
    arrived: Counter[DestinationId]


def requeue(connection: apsw.Connection, ids: Sequence[int], now_ms: int) -> Requeued:
    """Let dead letters wait again under their own ids."""
    refused: Counter[str] = Counter()
    arrived: Counter[DestinationId] = Counter()
    counts: Counter[LedgerKey] = Counter()
    allowed: list[int] = []
    wanted = set(ids)
    rows: list[tuple[Any, ...]] = connection.execute(_READ_DEAD_LETTERS, (_bind(wanted),)).fetchall()
    for id_, source_id, destination_id, event_name, code, expires_at, is_complete in rows:
        wanted.discard(id_)
        if code == MESSAGE_REJECTED or not is_complete:
            refused["not_requeueable"] += 1
        elif expires_at * 1000 + 999 < now_ms:
            refused["event_too_old"] += 1
        else:
            allowed.append(id_)
            arrived[destination_id] += 1
            counts[source_id, destination_id, event_name[:LONGEST_COUNTED_NAME], "requeued", code] += 1
    if wanted:
        refused["unknown"] = len(wanted)
    if allowed:
        connection.execute(_REQUEUE_DEAD_LETTERS, (_bind(allowed),))
        connection.execute(_DELETE_DEAD_LETTERS, (_bind(allowed),))
        add_counts(connection, now_ms // 60_000, counts)
    return Requeued(report=RequeueReport(requeued=len(allowed), refused=dict(refused)), arrived=arrived)


def prune_dedupe_keys(connection: apsw.Connection, seen: SeenCalls, now_ms: int) -> bool:
    """Forget the oldest calls; True when there may be more to forget, as in all that follow."""
    log_rows: list[tuple[Any, ...]] = connection.execute(
        _PRUNE_DEDUPE_KEYS, (_before(now_ms, DEDUPE_KEPT), _LOG_ROWS_PER_PRUNE)
    ).fetchall()
    for (log_row,) in log_rows:
        seen.forget(log_row)
    return len(log_rows) == _LOG_ROWS_PER_PRUNE


def prune_delivered(connection: apsw.Connection, now_ms: int) -> bool:
    """Delete the oldest metadata of delivered events."""
    connection.execute(_PRUNE_DELIVERED, (_before(now_ms, DELIVERED_KEPT), ROWS_PER_PRUNE))
    return connection.changes() == ROWS_PER_PRUNE


def prune_dead_letters(connection: apsw.Connection, now_ms: int) -> bool:
    """Delete the oldest dead letters with their payloads; the ledger still counts them as rejected."""
    found: list[tuple[Any, ...]] = connection.execute(
        _FIND_OLD_DEAD_LETTERS, (_before(now_ms, DEAD_LETTERS_KEPT), ROWS_PER_PRUNE)
    ).fetchall()
    if found:
        bound = _bind(id_ for (id_,) in found)
        connection.execute(_DELETE_PAYLOADS_OF_DEAD_LETTERS, (bound,))
        connection.execute(_DELETE_DEAD_LETTERS, (bound,))
    return len(found) == ROWS_PER_PRUNE


def prune_ledger(connection: apsw.Connection, now_ms: int) -> bool:
    """Make hours of the oldest minutes; no count changes."""
    return roll_up_one_hour(connection, _before(now_ms, MINUTES_KEPT) // 3_600_000 * 60)


def give_back_space(connection: apsw.Connection) -> bool:
    """Shorten the file by some of its free pages, as long as many are free; new events use up the others."""
    if connection.pragma("freelist_count") <= _FREE_PAGES_KEPT:
        return False
    connection.execute(f"PRAGMA incremental_vacuum({_PAGES_PER_VACUUM})").fetchall()
    return True


def _count(
    connection: apsw.Connection, bound: "apsw.CArrayBinding", now_ms: int, state: EventState, code: str = ""
) -> None:
    connection.execute(_COUNT_EVENTS, (now_ms // 60_000, state, code, bound))


def _before(now_ms: int, kept: timedelta) -> int:
    return now_ms - kept // timedelta(milliseconds=1)


def _bind(ids: Iterable[int]) -> "apsw.CArrayBinding":
    """Hand ids to SQLite as one array; there must be at least one."""
    return apsw.carray(array("q", ids))
