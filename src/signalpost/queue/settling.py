"""How queued events end or wait again: the SQL of every settling call, each one step of a transaction.

Only rows that are really there are moved and counted, so settling an event twice counts once. Each function runs in the
write thread, inside the open transaction.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import apsw
import msgspec

from signalpost import failpoints
from signalpost.model.delivery import DISCARDED_BY_OPERATOR, DeadReason
from signalpost.queue.ledger import EventState, LedgerCounts, LedgerStore, find_latency_bucket

# What mapping rejects, and what the queue itself found damaged; sending it again would change nothing.
MESSAGE_REJECTED: Final = "MESSAGE_REJECTED"

# Look at the events that are about to change, as one JSON array; those of one call have the same time of receipt.
_GROUP_EVENTS: Final = """
    SELECT json_group_array(json_array(source_id, destination_id, event_name, received_at, n, bytes)) FROM (
        SELECT source_id, destination_id, event_name, received_at, count(*) AS n, sum(size) AS bytes
        FROM queued_events WHERE id IN carray(?1) GROUP BY source_id, destination_id, event_name, received_at)"""

# Keep the metadata of events that have ended; their own ids follow the time at which they did.
_INSERT_ENDED: Final = """
    INSERT INTO ended_events (event, state, source_id, message_id, destination_id, dataset_id, event_name, event_id,
        event_time, expires_at, received_at, ended_at, attempts, requeue_count, fbtrace_id, flags, size, checksum)
    SELECT id, ?1, source_id, message_id, destination_id, dataset_id, event_name, event_id,
        event_time, expires_at, received_at, ?2, attempts + ?3, requeue_count, ?4, ?5, size, checksum
    FROM queued_events WHERE id IN carray(?6)"""

# Let their payloads stay for a while.
_KEEP_PAYLOADS: Final = """
    INSERT INTO kept_payloads (event, size, ended_at)
    SELECT id, size, ?1 FROM queued_events WHERE id IN carray(?2)"""

# Delete the payloads of queued events; those of dead letters, under ids that are no longer queued, stay.
_DELETE_PAYLOADS: Final = """
    DELETE FROM payloads WHERE id IN (SELECT id FROM queued_events WHERE id IN carray(?1))"""

# Take events out of the queue.
_DELETE_EVENTS: Final = "DELETE FROM queued_events WHERE id IN carray(?1)"

# Let events wait. The attempts come from the lease, so that a repeated call charges them once.
_POSTPONE_EVENTS: Final = """
    UPDATE queued_events SET due_at = ?1, last_outcome = ?2, attempts = leased.value->>1
    FROM jsonb_each(?3) AS leased WHERE queued_events.id = leased.value->>0"""

# Let events whose next attempt lies ahead be due now.
_BRING_FORWARD: Final = "UPDATE queued_events SET due_at = ?1 WHERE id IN carray(?2) AND due_at > ?1"

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


def ack(
    connection: apsw.Connection,
    ledger: LedgerStore,
    ids: Sequence[int],
    now_ms: int,
    fbtrace_id: str | None,
    flags: Sequence[str],
    *,
    keep_payloads: bool,
) -> None:
    """Meta took them: metadata to `ended_events`; their payloads stay when they are to be kept for a while."""
    bound = bind(ids)
    groups = _group_events(connection, bound)
    counts = _count_ends(groups, "delivered", "")
    for source_id, destination_id, _, received_at, count, size in groups:
        counts[source_id, destination_id, "", "latency", find_latency_bucket(now_ms - received_at)] += count
        counts["", "", "", "kept_bytes", ""] += size * keep_payloads
    ledger.add(now_ms, counts)
    connection.execute(_INSERT_ENDED, ("delivered", now_ms, 1, fbtrace_id, " ".join(flags), bound))
    failpoints.reach("in_settle")
    if keep_payloads:
        connection.execute(_KEEP_PAYLOADS, (now_ms, bound))
    else:
        connection.execute(_DELETE_PAYLOADS, (bound,))
    connection.execute(_DELETE_EVENTS, (bound,))


def expire(connection: apsw.Connection, ledger: LedgerStore, ids: Sequence[int], now_ms: int) -> None:
    """Too old for Meta: metadata to `ended_events`."""
    bound = bind(ids)
    ledger.add(now_ms, _count_ends(_group_events(connection, bound), "expired", MESSAGE_REJECTED))
    connection.execute(_INSERT_ENDED, ("expired", now_ms, 0, None, "", bound))
    connection.execute(_DELETE_PAYLOADS, (bound,))
    connection.execute(_DELETE_EVENTS, (bound,))


def discard(connection: apsw.Connection, ledger: LedgerStore, ids: Sequence[int], now_ms: int) -> int:
    """A person gives them up: rejected, with metadata in `ended_events` and no dead letter. Returns how many."""
    bound = bind(ids)
    groups = _group_events(connection, bound)
    counts = _count_ends(groups, "rejected", DISCARDED_BY_OPERATOR)
    for source_id, destination_id, _, _, count, _ in groups:
        counts[source_id, destination_id, "", "discarded", DISCARDED_BY_OPERATOR] += count
    ledger.add(now_ms, counts)
    connection.execute(_INSERT_ENDED, ("discarded", now_ms, 0, None, "", bound))
    connection.execute(_DELETE_PAYLOADS, (bound,))
    connection.execute(_DELETE_EVENTS, (bound,))
    return sum(count for *_, count, _ in groups)


def postpone(connection: apsw.Connection, attempts: Mapping[int, int], due_ms: int, detail: str) -> None:
    """Due again later. attempts: id -> how many are charged to the event by now."""
    connection.execute(_POSTPONE_EVENTS, (due_ms, detail, msgspec.json.encode([*attempts.items()]).decode()))


def bring_forward(connection: apsw.Connection, ids: Sequence[int], now_ms: int) -> None:
    """Due now instead of later."""
    connection.execute(_BRING_FORWARD, (now_ms, bind(ids)))


def bury(connection: apsw.Connection, ledger: LedgerStore, ids: Sequence[int], now_ms: int, reason: DeadReason) -> None:
    """Make dead letters of them."""
    bound = bind(ids)
    ledger.add(now_ms, _count_ends(_group_events(connection, bound), "rejected", f"{reason.code}/{reason.reason}"))
    connection.execute(_BURY_EVENTS, (now_ms, reason.code, reason.reason, reason.detail, reason.fbtrace_id, bound))
    failpoints.reach("in_dead_letter")
    connection.execute(_DELETE_EVENTS, (bound,))


def bury_unreadable(
    connection: apsw.Connection, ledger: LedgerStore, ids: Sequence[int], now_ms: int, reason: DeadReason
) -> None:
    """Make dead letters of rows whose texts are no longer text."""
    connection.execute(_BLANK_TEXTS, (bind(ids),))
    bury(connection, ledger, ids, now_ms, reason)


def bind(ids: Iterable[int]) -> "apsw.CArrayBinding":
    """Hand ids to SQLite as one array; there must be at least one."""
    return apsw.carray(array("q", ids))


_EventGroup = tuple[str, str, str, int, int, int]
"""source, destination, event name, time of receipt, number of events, bytes"""


def _group_events(connection: apsw.Connection, bound: "apsw.CArrayBinding") -> list[_EventGroup]:
    found: Any = connection.execute(_GROUP_EVENTS, (bound,)).get
    return msgspec.json.decode(found, type=list[_EventGroup])


def _count_ends(groups: Iterable[_EventGroup], state: EventState, code: str) -> LedgerCounts:
    counts: LedgerCounts = Counter()
    for source_id, destination_id, event_name, _, count, size in groups:
        counts[source_id, destination_id, event_name, state, code] += count
        counts[source_id, destination_id, "", "waiting_bytes", ""] -= size
    return counts
