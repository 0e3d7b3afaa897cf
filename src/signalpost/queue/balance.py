"""Where everything accepted went, and whether it adds up: rows are counted, and counters summed, in one look.

What is pending and what is a dead letter is counted from rows and everything else from counters, so a difference
between them is a real one; it is reported, never repaired. Whoever looks every few seconds gets what counters say:
counting the rows takes a second when many millions wait.
"""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final

import apsw

from signalpost.model.ids import DestinationId, SourceId
from signalpost.model.ledger import Backlog, CallCounts, EventCounts, Ledger, PendingCounts
from signalpost.queue.ledger import HOUR

# No row is dated later than this: a longer rest is the destination's, which goes by a clock that nobody sets. So one
# that is due later was dated by a clock that has been set back since, and a clock that jumps holds up nothing for long.
LONGEST_WAIT_MS: Final = 15 * 60_000

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

# Sum counters since ever by destination and state.
_SUM_BY_DESTINATION: Final = """
    SELECT destination_id, state, sum(count) FROM ledger WHERE span = 0 AND destination_id <> ''
    GROUP BY destination_id, state"""

# Count rows, of all or of one destination: from an index, whose entries are small.
_COUNT_PENDING: Final = "SELECT count(*) FROM queued_events"
_COUNT_DEAD_LETTERS: Final = "SELECT count(*) FROM dead_letters"
_OF_DESTINATION: Final = " WHERE destination_id = ?1"

# Count the rows of a destination whose next attempt lies ahead.
_COUNT_RETRYING: Final = """
    SELECT count(*) FROM queued_events WHERE destination_id = ?1 AND due_at > ?2 AND due_at <= ?3"""

# Find the oldest row of a destination: ids are given in the order of arrival, and few rows are being retried.
_FIND_OLDEST: Final = """
    SELECT received_at FROM queued_events WHERE id = (
        SELECT min(id) FROM (
            SELECT min(id) AS id FROM queued_events WHERE destination_id = ?1 AND due_at IS NOT NULL UNION ALL
            SELECT * FROM (
                SELECT id FROM queued_events WHERE destination_id = ?1 AND due_at IS NULL ORDER BY id LIMIT 1)))"""

# The same of one source: no index leads to its rows, so all are read.
_COUNT_OF_SOURCE: Final = """
    SELECT count(*), count(*) FILTER (WHERE due_at > ?3 AND due_at <= ?4), min(id)
    FROM queued_events WHERE source_id = ?2 AND (?1 IS NULL OR destination_id = ?1)"""
_COUNT_DEAD_LETTERS_OF_SOURCE: Final = """
    SELECT count(*) FROM dead_letters WHERE source_id = ?2 AND (?1 IS NULL OR destination_id = ?1)"""
_READ_RECEIVED_AT: Final = "SELECT received_at FROM queued_events WHERE id = ?"

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
        backlog = _count_rows(connection, of_whom, now_ms, leased)
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


def read_backlogs(
    connection: apsw.Connection, now_ms: int, count_leased: Callable[[DestinationId], int]
) -> dict[DestinationId, Backlog]:
    """What waits for each destination, from counters: as quick when millions wait."""
    backlogs: dict[DestinationId, Backlog] = {}
    with connection:
        sums: dict[DestinationId, Counter[str]] = {id_: Counter() for id_ in find_destinations(connection)}
        for destination_id, state, count in connection.execute(_SUM_BY_DESTINATION):
            if destination_id in sums:
                sums[destination_id][state] = count
        for id_, each in sums.items():
            backlogs[id_] = _build_backlog(connection, id_, now_ms, count_leased(id_), each)
    return backlogs


def _build_backlog(
    connection: apsw.Connection, destination_id: DestinationId, now_ms: int, leased: int, sums: Counter[str]
) -> Backlog:
    rejected = sums["rejected"] - sums["requeued"]
    ended = sums["delivered"] + sums["filtered"] + rejected + sums["expired"] + sums["erased"]
    pending = sums["accepted"] - ended
    retrying = _count_retrying(connection, [destination_id], now_ms)
    return Backlog(
        pending=_build_pending(pending, retrying, leased),
        oldest_pending_seconds=_find_age(_find_oldest(connection, [destination_id]), now_ms),
        dead_letters=rejected - sums["discarded"] - sums["aged_out"],
    )


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


def _count_rows(
    connection: apsw.Connection, of_whom: tuple[DestinationId | None, SourceId | None], now_ms: int, leased: int
) -> Backlog:
    destination_id, source_id = of_whom
    if source_id is not None:
        return _count_rows_of_source(connection, of_whom, now_ms, leased)
    where, bindings = ("", ()) if destination_id is None else (_OF_DESTINATION, (destination_id,))
    destinations = find_destinations(connection) if destination_id is None else [destination_id]
    rows: int = connection.execute(_COUNT_PENDING + where, bindings).get
    return Backlog(
        pending=_build_pending(rows, _count_retrying(connection, destinations, now_ms), leased),
        oldest_pending_seconds=_find_age(_find_oldest(connection, destinations), now_ms),
        dead_letters=connection.execute(_COUNT_DEAD_LETTERS + where, bindings).get,
    )


def _count_rows_of_source(
    connection: apsw.Connection, of_whom: tuple[DestinationId | None, SourceId | None], now_ms: int, leased: int
) -> Backlog:
    bindings = (*of_whom, now_ms, now_ms + LONGEST_WAIT_MS)
    counted: list[tuple[Any, ...]] = connection.execute(_COUNT_OF_SOURCE, bindings).fetchall()
    ((rows, retrying, oldest_id),) = counted
    received_at = connection.execute(_READ_RECEIVED_AT, (oldest_id,)).get
    return Backlog(
        pending=_build_pending(rows, retrying, leased),
        oldest_pending_seconds=_find_age(received_at, now_ms),
        dead_letters=connection.execute(_COUNT_DEAD_LETTERS_OF_SOURCE, of_whom).get,
    )


def _count_retrying(connection: apsw.Connection, destinations: Iterable[DestinationId], now_ms: int) -> int:
    return sum(connection.execute(_COUNT_RETRYING, (id_, now_ms, now_ms + LONGEST_WAIT_MS)).get for id_ in destinations)


def _find_oldest(connection: apsw.Connection, destinations: Iterable[DestinationId]) -> int | None:
    """When the event that waits longest was received, in milliseconds; not told of what is on a damaged page."""
    found: list[int] = []
    for destination_id in destinations:
        with contextlib.suppress(apsw.CorruptError):
            received_at = connection.execute(_FIND_OLDEST, (destination_id,)).get
            found += [received_at] if received_at is not None else []
    return min(found, default=None)


def _find_age(received_at: int | None, now_ms: int) -> float:
    return 0.0 if received_at is None else max(0, now_ms - received_at) / 1000


def _build_pending(rows: int, retrying: int, leased: int) -> PendingCounts:
    leased = min(leased, rows - retrying)
    return PendingCounts(ready=rows - retrying - leased, leased=leased, retrying=retrying)


def _sum_ends(counted: EventCounts) -> int:
    rejected_and_filtered = sum(counted.rejected.values()) + sum(counted.filtered.values())
    return counted.delivered + rejected_and_filtered + counted.expired + counted.erased
