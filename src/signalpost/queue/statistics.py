"""What happened over time, from the counters alone: no row of an event is looked at, however many there are.

Steps of whole hours are read from the hours, which are few and kept for long; shorter steps from the minutes. A page
asks again every two seconds, so what hours that are over came to is remembered, and only the rest is read anew.
"""

from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

import apsw
import msgspec

from signalpost.model.ids import DestinationId, SourceId
from signalpost.model.ledger import EventFlow, Latency, MatchKeyCoverage, Statistics, Step
from signalpost.queue.balance import Sums, build_call_counts, build_sums
from signalpost.queue.instants import from_milliseconds, to_milliseconds
from signalpost.queue.ledger import HOUR, MINUTE, Span, find_latency_percentile

MOST_STEPS: Final = 2_000

# A commit may be counted under the minute in which it was prepared, so an hour isn't final as soon as it is over.
_STILL_COUNTING: Final = timedelta(minutes=10)

# The periods of the menu for a dozen destinations; some 100 KB each where there is much to tell.
_MOST_REMEMBERED: Final = 64

_WINDOW: Final = """
    span = ?1 AND start >= ?2 AND start < ?3
        AND (?4 IS NULL OR destination_id = ?4 OR state LIKE 'call_%') AND (?5 IS NULL OR source_id = ?5)"""

# Sum up the whole window, as one JSON array: every row given out one by one would cost the interpreter's lock.
_SUM_WINDOW: Final = f"""
    SELECT json_group_array(json_array(source_id, destination_id, event_name, state, code, n)) FROM (
        SELECT source_id, destination_id, event_name, state, code, sum(count) AS n FROM ledger
        WHERE {_WINDOW} AND state <> 'match_key' GROUP BY source_id, destination_id, event_name, state, code)"""  # noqa: S608

# Sum up each step of the window.
_SUM_STEPS: Final = f"""
    SELECT json_group_array(json_array(step, state, code, n)) FROM (
        SELECT (start - ?7) / ?6 AS step, state, iif(state = 'latency', code, '') AS code, sum(count) AS n FROM ledger
        WHERE {_WINDOW} AND state <> 'match_key' AND state NOT LIKE 'call_%' GROUP BY 1, 2, 3)"""  # noqa: S608

# Sum up the match keys of the window, which are counted by the hour.
_SUM_MATCH_KEYS: Final = f"""
    SELECT json_group_array(json_array(event_name, code, n)) FROM (
        SELECT event_name, code, sum(count) AS n FROM ledger
        WHERE {_WINDOW} AND state = 'match_key' GROUP BY event_name, code)"""  # noqa: S608

_FLOW_STATES: Final = frozenset(EventFlow.__struct_fields__)

Group = TypeVar("Group", bound=str | int)


class StatisticsReader:
    """Reads windows, and remembers what the full hours of a window came to: they don't change any more."""

    def __init__(self) -> None:
        self._remembered: OrderedDict[tuple[Any, ...], _Rows] = OrderedDict()

    def read(
        self,
        connection: apsw.Connection,
        since: datetime,
        until: datetime,
        step: timedelta,
        *,
        now: datetime,
        source_id: SourceId | None,
        destination_id: DestinationId | None,
    ) -> Statistics:
        """Read the window. step: at least a minute. Raises ValueError when that makes more than MOST_STEPS steps."""
        step_minutes = max(1, step // timedelta(minutes=1))
        first = to_milliseconds(since) // 60_000 // step_minutes * step_minutes
        end = -(-to_milliseconds(until) // (60_000 * step_minutes)) * step_minutes
        if end - first > MOST_STEPS * step_minutes:
            raise ValueError(f"at most {MOST_STEPS:,} steps can be read at once; take longer steps or a shorter time")
        window = _Window(first, end, step_minutes, destination_id, source_id)
        rows = self._read(connection, window, to_milliseconds(now - _STILL_COUNTING) // 60_000)
        count = max(0, end - first) // step_minutes
        return Statistics(
            since=_to_instant(first),
            until=_to_instant(first + count * step_minutes),
            step=timedelta(minutes=step_minutes),
            trend=_build_trend(rows.steps, first, step_minutes, count),
            coverage=_build_coverage(rows.match_keys),
            **_summarize(rows.sums),
        )

    def _read(self, connection: apsw.Connection, window: "_Window", closed_until: int) -> "_Rows":
        """closed_until: the minute before which nothing is counted any more."""
        split = min(window.end, closed_until // HOUR * HOUR)
        if window.span != HOUR or split <= window.first:
            return _read_rows(connection, window, window.first)
        closed = window._replace(end=split)
        rows = self._remembered.get(closed)
        if rows is None:
            rows = self._remembered[closed] = _read_rows(connection, closed, window.first)
            if len(self._remembered) > _MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        self._remembered.move_to_end(closed)
        return rows.add(_read_rows(connection, window._replace(first=split), window.first))


class _Window(NamedTuple):
    """Minutes since 1970, whose statistics, and how they are cut up."""

    first: int
    end: int
    step_minutes: int
    destination_id: DestinationId | None
    source_id: SourceId | None

    @property
    def span(self) -> Span:
        return MINUTE if self.step_minutes % HOUR else HOUR


class _Rows(NamedTuple):
    """What the three queries give; parts of a window are added by putting their rows one after the other."""

    sums: list[tuple[Any, ...]]
    steps: list[tuple[Any, ...]]
    match_keys: list[tuple[Any, ...]]

    def add(self, other: "_Rows") -> "_Rows":
        return _Rows(self.sums + other.sums, self.steps + other.steps, self.match_keys + other.match_keys)


def _read_rows(connection: apsw.Connection, window: _Window, steps_from: int) -> _Rows:
    """steps_from: the minute in which step 0 begins."""
    of_whom = (window.destination_id, window.source_id)
    bounds = (window.span, window.first, window.end, *of_whom)
    hours = (HOUR, window.first // HOUR * HOUR, -(-window.end // HOUR) * HOUR, *of_whom)
    with connection:
        sums = _read(connection, _SUM_WINDOW, bounds)
        steps = _read(connection, _SUM_STEPS, (*bounds, window.step_minutes, steps_from))
        match_keys = _read(connection, _SUM_MATCH_KEYS, hours)
    return _Rows(sums, steps, match_keys)


def _read(connection: apsw.Connection, query: str, bindings: tuple[str | int | None, ...]) -> list[tuple[Any, ...]]:
    return msgspec.json.decode(connection.execute(query, bindings).get, type=list[tuple[Any, ...]])


def _summarize(rows: list[tuple[Any, ...]]) -> dict[str, Any]:
    sums: Sums = build_sums((state, code, count) for _, _, _, state, code, count in rows)
    latencies = _group(
        (destination_id, code, count) for _, destination_id, _, state, code, count in rows if state == "latency"
    )
    flows = [row for row in rows if row[3] in _FLOW_STATES]
    return {
        "calls": build_call_counts(sums),
        "events": _build_flow(Counter({state: sums[state].total() for state in _FLOW_STATES & sums.keys()})),
        "latency": _build_latency(sums.get("latency", Counter())),
        "reasons": {state: sums[state] for state in ("filtered", "rejected", "expired", "erased") if state in sums},
        "by_source": _build_flows((source_id, state, count) for source_id, _, _, state, _, count in flows),
        "by_destination": _build_flows((id_, state, count) for _, id_, _, state, _, count in flows if id_),
        "by_event_name": _build_flows((name, state, count) for _, _, name, state, _, count in flows),
        "latency_by_destination": {id_: _build_latency(buckets) for id_, buckets in latencies.items()},
    }


def _build_trend(rows: list[tuple[Any, ...]], first: int, step_minutes: int, count: int) -> tuple[Step, ...]:
    flows = _group((step, state, n) for step, state, _, n in rows if state in _FLOW_STATES)
    latencies = _group((step, code, n) for step, state, code, n in rows if state == "latency")
    return tuple(
        Step(
            starts_at=_to_instant(first + step * step_minutes),
            events=_build_flow(flows.get(step, Counter())),
            latency=_build_latency(latencies.get(step, Counter())),
        )
        for step in range(count)
    )


def _build_coverage(rows: list[tuple[Any, ...]]) -> dict[str, MatchKeyCoverage]:
    grouped: dict[str, Counter[str]] = _group((name, key, count) for name, key, count in rows)
    return {name: MatchKeyCoverage(events=keys.pop("", 0), with_key=dict(keys)) for name, keys in grouped.items()}


def _group(rows: Iterable[tuple[Group, str, int]]) -> dict[Group, Counter[str]]:
    grouped: dict[Group, Counter[str]] = {}
    for group, key, count in rows:
        grouped.setdefault(group, Counter())[key] += count
    return grouped


def _build_flows(rows: Iterable[tuple[str, str, int]]) -> dict[str, EventFlow]:
    return {group: _build_flow(states) for group, states in _group(rows).items()}


def _build_flow(states: Mapping[str, int]) -> EventFlow:
    return EventFlow(**states)


def _build_latency(buckets: Mapping[str, int]) -> Latency:
    return Latency(find_latency_percentile(buckets, 0.5), find_latency_percentile(buckets, 0.95))


def _to_instant(minute: int) -> datetime:
    return from_milliseconds(minute * 60_000)
