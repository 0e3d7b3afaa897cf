"""Where everything accepted went, and whether it adds up: rows are counted, and counters summed, in one look.

What is pending and what is a dead letter is counted from rows and everything else from counters, so a difference
between them is a real one; it is reported, never repaired.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import apsw

from signalpost.model.ids import DestinationId, SourceId
from signalpost.model.ledger import Backlog, CallCounts, EventCounts, Ledger, PendingCounts
from signalpost.queue.ledger import HOUR

# A row that is due later than this was dated by a clock that has been set back since: nobody waits that long by intent.
LONGEST_WAIT_MS: Final = 24 * 3_600_000

# Sum counters by state and code: since ever ...
_SUM_EVER: Final = """
    SELECT state, code, sum(count) FROM ledger
    WHERE span = 0 AND (?1 IS NULL OR destination_id = ?1 OR state LIKE 'call_%') AND (?2 IS NULL OR source_id = ?2)
    GROUP BY state, code"""

# ... or since a minute: minutes up to the next full hour, then hours.
_SUM_SINCE: Final = """
    SELECT state, code, sum(count) FROM (
        SELECT * FROM ledger WHERE span = 1 AND start >= ?3 AND start < ?4
        UNION ALL SELECT * FROM ledger WHERE span = 60 AND start >= ?4)
    WHERE (?1 IS NULL OR destination_id = ?1 OR state LIKE 'call_%') AND (?2 IS NULL OR source_id = ?2)
    GROUP BY state, code"""

# Count the rows that wait.
_COUNT_PENDING: Final = """
    SELECT count(*) FROM queued_events
    WHERE (?1 IS NULL OR destination_id = ?1) AND (?2 IS NULL OR source_id = ?2)"""

# Count the rows whose next attempt lies ahead.
_COUNT_RETRYING: Final = """
    SELECT count(*) FROM queued_events WHERE due_at > ?3 AND due_at <= ?4
        AND (?1 IS NULL OR destination_id = ?1) AND (?2 IS NULL OR source_id = ?2)"""

# Find the oldest row: ids are given in the order of arrival.
_FIND_OLDEST: Final = """
    SELECT received_at FROM queued_events WHERE id = (
        SELECT min(id) FROM queued_events
        WHERE (?1 IS NULL OR destination_id = ?1) AND (?2 IS NULL OR source_id = ?2))"""

# Count the dead letters.
_COUNT_DEAD_LETTERS: Final = """
    SELECT count(*) FROM dead_letters
    WHERE (?1 IS NULL OR destination_id = ?1) AND (?2 IS NULL OR source_id = ?2)"""

# Find every destination that an event was ever accepted for.
_FIND_DESTINATIONS: Final = """
    SELECT DISTINCT destination_id FROM ledger WHERE span = 0 AND state = 'accepted' AND destination_id <> ''"""


def read_ledger(
    connection: apsw.Connection,
    *,
    destination_id: DestinationId | None,
    source_id: SourceId | None,
    since_minute: int | None,
    now_ms: int,
    leased: int,
) -> Ledger:
    """Count and sum in one read transaction: a commit in between would look like an imbalance."""
    of_whom = (destination_id, source_id)
    with connection:
        ever = _read_sums(connection, _SUM_EVER, of_whom)
        told = ever
        if since_minute is not None:
            next_hour = -(-since_minute // HOUR) * HOUR
            told = _read_sums(connection, _SUM_SINCE, (*of_whom, since_minute, next_hour))
        backlog = _read_backlog(connection, of_whom, now_ms, leased)
    return _build_ledger(ever, told, backlog)


def _build_ledger(ever: "Sums", told: "Sums", backlog: Backlog) -> Ledger:
    balance = build_event_counts(ever, backlog.pending)
    dead_letters = sum(balance.rejected.values()) - sum_of(ever, "discarded") - sum_of(ever, "aged_out")
    return Ledger(
        calls=build_call_counts(told),
        events=build_event_counts(told, backlog.pending),
        imbalance=balance.accepted - _sum_ends(balance) - backlog.pending.total,
        oldest_pending_seconds=backlog.oldest_pending_seconds,
        dead_letters=backlog.dead_letters,
        dead_letter_imbalance=dead_letters - backlog.dead_letters,
    )


def find_destinations(connection: apsw.Connection) -> list[DestinationId]:
    """Every destination that an event was ever accepted for."""
    return [destination_id for (destination_id,) in connection.execute(_FIND_DESTINATIONS)]


def read_backlog(connection: apsw.Connection, destination_id: DestinationId, now_ms: int, leased: int) -> Backlog:
    """What waits for a destination."""
    connection.execute("BEGIN")
    try:
        return _read_backlog(connection, (destination_id, None), now_ms, leased)
    finally:
        connection.execute("COMMIT")


def build_call_counts(sums: "Sums") -> CallCounts:
    """The counts of calls among sums of counters."""
    accepted, duplicate = sum_of(sums, "call_accepted"), sum_of(sums, "call_duplicate")
    invalid = sums.get("call_invalid", Counter())
    return CallCounts(
        received=accepted + duplicate + invalid.total(), accepted=accepted, duplicate=duplicate, invalid=dict(invalid)
    )


def build_event_counts(sums: "Sums", pending: PendingCounts) -> EventCounts:
    """The counts of events among sums of counters; a requeued dead letter is no longer rejected."""
    rejected = Counter(sums.get("rejected", Counter()))
    rejected.subtract(sums.get("requeued", Counter()))
    return EventCounts(
        accepted=sum_of(sums, "accepted"),
        pending=pending,
        delivered=sum_of(sums, "delivered"),
        filtered=dict(sums.get("filtered", Counter())),
        rejected={code: count for code, count in rejected.items() if count},
        expired=sum_of(sums, "expired"),
        erased=sum_of(sums, "erased"),
    )


Sums = dict[str, Counter[str]]
"""state -> code -> count"""


def build_sums(rows: Iterable[tuple[str, str, int]]) -> Sums:
    """Sort (state, code, count) by state."""
    sums: Sums = {}
    for state, code, count in rows:
        sums.setdefault(state, Counter())[code] += count
    return sums


def sum_of(sums: Sums, state: str) -> int:
    """The count of a state, over all codes."""
    return sums[state].total() if state in sums else 0


def _read_sums(connection: apsw.Connection, query: str, bindings: tuple[str | int | None, ...]) -> Sums:
    return build_sums(connection.execute(query, bindings))


def _read_backlog(
    connection: apsw.Connection, of_whom: tuple[DestinationId | None, SourceId | None], now_ms: int, leased: int
) -> Backlog:
    rows = connection.execute(_COUNT_PENDING, of_whom).get
    retrying = connection.execute(_COUNT_RETRYING, (*of_whom, now_ms, now_ms + LONGEST_WAIT_MS)).get
    oldest = connection.execute(_FIND_OLDEST, of_whom).get
    dead_letters: int = connection.execute(_COUNT_DEAD_LETTERS, of_whom).get
    leased = min(leased, rows - retrying)
    return Backlog(
        pending=PendingCounts(ready=rows - retrying - leased, leased=leased, retrying=retrying),
        oldest_pending_seconds=0.0 if oldest is None else max(0, now_ms - oldest) / 1000,
        dead_letters=dead_letters,
    )


def _sum_ends(counted: EventCounts) -> int:
    rejected_and_filtered = sum(counted.rejected.values()) + sum(counted.filtered.values())
    return counted.delivered + rejected_and_filtered + counted.expired + counted.erased
