"""The queue's bookkeeping: one counter per minute, source, destination, event name, state and code.

Counters move in the transaction that moves the row. What is pending is counted from rows and everything else from
counters, so a difference between them is a real one; it is reported, never repaired.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Final, Literal

import apsw
import msgspec

from signalpost.model.delivery import State
from signalpost.model.ids import DestinationId
from signalpost.queue.interface import CallCounts, EventCounts, Ledger, PendingCounts

# `accepted` counts results of mapping, `requeued` takes a dead letter back out of `rejected`; the rest are the states.
EventState = Literal["accepted", "requeued"] | State
CallState = Literal["call_accepted", "call_duplicate", "call_invalid"]
LedgerKey = tuple[str, str, str, EventState | CallState, str]
"""source, destination, event name, state, code"""

# A call whose event name is longer is rejected; its dead letter keeps the whole name, the ledger the start of it.
LONGEST_COUNTED_NAME: Final = 50

# A row that is due later than this was dated by a clock that has been set back since: nobody waits that long by intent.
LONGEST_WAIT_MS: Final = 24 * 3_600_000

# Add counters that were collected in Python.
_ADD_COUNTS: Final = """
    INSERT INTO ledger SELECT ?1, value->>0, value->>1, value->>2, value->>3, value->>4, value->>5 FROM jsonb_each(?2)
    WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count"""

# Sum the events by state and code.
_SUM_EVENTS: Final = """
    SELECT state, code, sum(count) FROM ledger
    WHERE state NOT LIKE 'call_%' AND (?1 IS NULL OR destination_id = ?1) GROUP BY state, code"""

# Sum the calls by state and code.
_SUM_CALLS: Final = "SELECT state, code, sum(count) FROM ledger WHERE state LIKE 'call_%' GROUP BY state, code"

# Count the rows that wait.
_COUNT_PENDING: Final = "SELECT count(*) FROM queued_events WHERE ?1 IS NULL OR destination_id = ?1"

# Count the rows whose next attempt lies ahead.
_COUNT_RETRYING: Final = """
    SELECT count(*) FROM queued_events WHERE due_at > ?2 AND due_at <= ?3 AND (?1 IS NULL OR destination_id = ?1)"""

# Find the oldest row: ids are given in the order of arrival.
_FIND_OLDEST: Final = """
    SELECT received_at FROM queued_events
    WHERE id = (SELECT min(id) FROM queued_events WHERE ?1 IS NULL OR destination_id = ?1)"""

# Add the minutes of old hours to the first minute of their hour ...
_ROLL_UP_MINUTES: Final = """
    INSERT INTO ledger SELECT ?1, source_id, destination_id, event_name, state, code, sum(count) FROM ledger
    WHERE minute > ?1 AND minute < ?1 + 60 GROUP BY source_id, destination_id, event_name, state, code
    ON CONFLICT DO UPDATE SET count = count + excluded.count"""

# ... and delete them.
_DELETE_MINUTES: Final = "DELETE FROM ledger WHERE minute > ?1 AND minute < ?1 + 60"

# Find the oldest hour that still has minutes.
_FIND_HOUR_TO_ROLL_UP: Final = "SELECT min(minute) / 60 * 60 FROM ledger WHERE minute % 60 <> 0 AND minute < ?1"


def add_counts(connection: apsw.Connection, minute: int, counts: Mapping[LedgerKey, int]) -> None:
    """Add to the counters of a minute, in one statement."""
    if counts:
        rows = msgspec.json.encode([(*key, count) for key, count in counts.items()]).decode()
        connection.execute(_ADD_COUNTS, (minute, rows))


def roll_up_one_hour(connection: apsw.Connection, before_minute: int) -> bool:
    """Make one hour of minutes that lie before `before_minute` (a full hour) into one; False when there is none."""
    hour = connection.execute(_FIND_HOUR_TO_ROLL_UP, (before_minute,)).get
    if hour is None:
        return False
    connection.execute(_ROLL_UP_MINUTES, (hour,))
    connection.execute(_DELETE_MINUTES, (hour,))
    return True


def read_ledger(connection: apsw.Connection, destination_id: DestinationId | None, now_ms: int, leased: int) -> Ledger:
    """Count rows and sum counters in one read transaction: a commit in between would look like an imbalance."""
    with connection:
        calls = _read_sums(connection, _SUM_CALLS, ())
        events = _read_sums(connection, _SUM_EVENTS, (destination_id,))
        rows = connection.execute(_COUNT_PENDING, (destination_id,)).get
        retrying = connection.execute(_COUNT_RETRYING, (destination_id, now_ms, now_ms + LONGEST_WAIT_MS)).get
        oldest = connection.execute(_FIND_OLDEST, (destination_id,)).get
    leased = min(leased, rows - retrying)
    counted = _build_event_counts(
        events, PendingCounts(ready=rows - retrying - leased, leased=leased, retrying=retrying)
    )
    return Ledger(
        calls=_build_call_counts(calls),
        events=counted,
        imbalance=counted.accepted - _sum_ends(counted) - counted.pending.total,
        oldest_pending_seconds=0.0 if oldest is None else max(0, now_ms - oldest) / 1000,
    )


def _read_sums(
    connection: apsw.Connection, query: str, bindings: tuple[DestinationId | None, ...]
) -> dict[str, Counter[str]]:
    sums: dict[str, Counter[str]] = {}
    for state, code, count in connection.execute(query, bindings):
        sums.setdefault(state, Counter())[code] = count
    return sums


def _build_call_counts(sums: dict[str, Counter[str]]) -> CallCounts:
    accepted, duplicate = sums.get("call_accepted", Counter()).total(), sums.get("call_duplicate", Counter()).total()
    invalid = sums.get("call_invalid", Counter())
    return CallCounts(
        received=accepted + duplicate + invalid.total(), accepted=accepted, duplicate=duplicate, invalid=dict(invalid)
    )


def _build_event_counts(sums: dict[str, Counter[str]], pending: PendingCounts) -> EventCounts:
    none: Counter[str] = Counter()
    rejected = sums.get("rejected", none).copy()
    rejected.subtract(sums.get("requeued", none))
    return EventCounts(
        accepted=sums.get("accepted", none).total(),
        pending=pending,
        delivered=sums.get("delivered", none).total(),
        filtered=dict(sums.get("filtered", none)),
        rejected={code: count for code, count in rejected.items() if count},
        expired=sums.get("expired", none).total(),
        erased=sums.get("erased", none).total(),
    )


def _sum_ends(counted: EventCounts) -> int:
    rejected_and_filtered = sum(counted.rejected.values()) + sum(counted.filtered.values())
    return counted.delivered + rejected_and_filtered + counted.expired + counted.erased
