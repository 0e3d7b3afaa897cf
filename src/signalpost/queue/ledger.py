"""The queue's bookkeeping: how counters are written, by minute, by hour and since ever.

Counters move in the transaction that moves the row. One table holds them all, and each count is added to its minute,
its hour and the sum since ever at once: so old minutes and hours are simply deleted, a page that shows a day reads
hours, and what adds up to the balance is a handful of rows. Beside the states of events it counts match keys, latencies
and bytes.
"""

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, Literal

import apsw
import msgspec

from signalpost.model.delivery import State

# `accepted` counts results of mapping; `requeued` takes a dead letter back out of `rejected`; `discarded` and
# `aged_out` tell that a dead letter was deleted, which stays `rejected`; the rest are the states.
EventState = Literal["accepted", "requeued", "discarded", "aged_out"] | State
CallState = Literal["call_accepted", "call_duplicate", "call_invalid"]
Measure = Literal["match_key", "latency", "waiting_bytes", "kept_bytes"]
LedgerKey = tuple[str, str, str, EventState | CallState | Measure, str]
"""source, destination, event name, state, code"""

LedgerCounts = Counter[LedgerKey]
MatchKeys = tuple[str, str, str, tuple[str, ...]]
"""source, destination, event name, the match keys of an event"""

EVER: Final = 0
MINUTE: Final = 1
HOUR: Final = 60
Span = Literal[0, 1, 60]

_SPANS: Final[Mapping[str, tuple[Span, ...]]] = {
    "match_key": (HOUR,),
    "latency": (MINUTE, HOUR),
    "waiting_bytes": (EVER,),
    "kept_bytes": (EVER,),
    "discarded": (EVER,),
    "aged_out": (EVER,),
}
_SPANS_OF_STATES: Final[tuple[Span, ...]] = (MINUTE, HOUR, EVER)

# A call whose event name is longer is rejected; its dead letter keeps the whole name, the ledger the start of it.
LONGEST_COUNTED_NAME: Final = 50

# A write key is public: whoever invents event names must not fill the disk with counters.
MOST_EVENT_NAMES: Final = 1_000
OTHER_NAMES: Final = "(other)"

_MINUTES_OF_A_DAY: Final = 1_440
_BUCKETS_PER_OCTAVE: Final = 4

# Add counters that were collected in Python.
_ADD_COUNTS: Final = """
    INSERT INTO ledger SELECT value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7
    FROM jsonb_each(?1) WHERE true ON CONFLICT DO UPDATE SET count = count + excluded.count"""

# Find the event names that were counted on a day.
_FIND_NAMES: Final = """
    SELECT DISTINCT source_id, event_name FROM ledger WHERE span = 60 AND start >= ?1 AND event_name NOT IN ('', ?2)"""

# Delete the counters of old minutes or hours.
_DELETE_OLD: Final = """
    DELETE FROM ledger WHERE span = ?1 AND (start, source_id, destination_id, event_name, state, code) IN (
        SELECT start, source_id, destination_id, event_name, state, code FROM ledger
        WHERE span = ?1 AND start < ?2 ORDER BY start LIMIT ?3)"""


def count_match_keys(events: Mapping[MatchKeys, int]) -> LedgerCounts:
    """What is counted of the match keys of queued events; the empty code counts the events themselves."""
    counts: LedgerCounts = Counter()
    for (source_id, destination_id, event_name, keys), count in events.items():
        for key in ("", *keys):
            counts[source_id, destination_id, event_name, "match_key", key] += count
    return counts


def find_latency_bucket(milliseconds: int) -> str:
    """The code under which a latency is counted: bucket n reaches from 2^(n/4) to 2^((n+1)/4) milliseconds."""
    return str(int(_BUCKETS_PER_OCTAVE * math.log2(max(milliseconds, 1))))


def find_latency_percentile(buckets: Mapping[str, int], share: float) -> float | None:
    """The latency, in seconds, that `share` of what was counted did not exceed; None when nothing was counted."""
    rank = share * sum(buckets.values())
    for bucket, count in sorted((int(code), count) for code, count in buckets.items()):
        if rank <= count:
            return float(2 ** ((bucket + rank / count) / _BUCKETS_PER_OCTAVE) / 1000)
        rank -= count
    return None


class LedgerStore:
    """Adds to the counters, inside the open transaction of the write thread."""

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection
        self._day = -1
        self._names: dict[str, set[str]] = {}

    def add(self, now_ms: int, counts: Mapping[LedgerKey, int]) -> None:
        """Add to the counters of now, in one statement."""
        minute = now_ms // 60_000
        if minute // _MINUTES_OF_A_DAY != self._day:
            self._begin_day(minute // _MINUTES_OF_A_DAY)
        rows: Counter[tuple[Any, ...]] = Counter()
        for (source_id, destination_id, event_name, state, code), count in counts.items():
            name = self._limit_name(source_id, event_name)
            for span in _SPANS.get(state, _SPANS_OF_STATES):
                start = minute // span * span if span else 0
                rows[span, start, source_id, destination_id, name if span else "", state, code] += count
        if rows:
            self._connection.execute(_ADD_COUNTS, (msgspec.json.encode([(*k, n) for k, n in rows.items()]).decode(),))

    def _begin_day(self, day: int) -> None:
        """Start with the names that were counted today already: a restart must not allow a thousand more."""
        self._day = day
        self._names = {}
        for source_id, name in self._connection.execute(_FIND_NAMES, (day * _MINUTES_OF_A_DAY, OTHER_NAMES)):
            self._names.setdefault(source_id, set()).add(name)

    def _limit_name(self, source_id: str, event_name: str) -> str:
        name = event_name[:LONGEST_COUNTED_NAME]
        names = self._names.setdefault(source_id, set())
        if not name or name in names:
            return name
        if len(names) >= MOST_EVENT_NAMES:
            return OTHER_NAMES
        names.add(name)
        return name


def delete_old_counts(connection: apsw.Connection, span: Span, before_minute: int, limit: int) -> int:
    """Delete the oldest counters of a span; returns how many. The sums since ever stay."""
    connection.execute(_DELETE_OLD, (span, before_minute, limit))
    return connection.changes()
