"""What happened over time, from the counters alone: no row of an event is looked at, however many there are.

Steps of whole hours are read from the hours, which are few and kept for long; shorter steps from the minutes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import apsw
import msgspec

from signalpost.model.ids import DestinationId, SourceId
from signalpost.model.ledger import EventFlow, Latency, MatchKeyCoverage, Statistics, Step
from signalpost.queue.balance import Sums, build_call_counts, build_sums
from signalpost.queue.instants import from_milliseconds, to_milliseconds
from signalpost.queue.ledger import HOUR, MINUTE, Span, find_latency_percentile

MOST_STEPS: Final = 2_000

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
        SELECT (start - ?2) / ?6 AS step, state, iif(state = 'latency', code, '') AS code, sum(count) AS n FROM ledger
        WHERE {_WINDOW} AND state <> 'match_key' AND state NOT LIKE 'call_%' GROUP BY 1, 2, 3)"""  # noqa: S608

# Sum up the match keys of the window, which are counted by the hour.
_SUM_MATCH_KEYS: Final = f"""
    SELECT json_group_array(json_array(event_name, code, n)) FROM (
        SELECT event_name, code, sum(count) AS n FROM ledger
        WHERE {_WINDOW} AND state = 'match_key' GROUP BY event_name, code)"""  # noqa: S608

_FLOW_STATES: Final = frozenset(EventFlow.__struct_fields__)

Group = TypeVar("Group", bound=str | int)


def read_statistics(
    connection: apsw.Connection,
    since: datetime,
    until: datetime,
    step: timedelta,
    *,
    source_id: SourceId | None,
    destination_id: DestinationId | None,
) -> Statistics:
    """Read the window. step: at least a minute. Raises ValueError when that makes more than MOST_STEPS steps."""
    step_minutes = max(1, step // timedelta(minutes=1))
    span: Span = MINUTE if step_minutes % HOUR else HOUR
    first = to_milliseconds(since) // 60_000 // step_minutes * step_minutes
    end = -(-to_milliseconds(until) // (60_000 * step_minutes)) * step_minutes
    if end - first > MOST_STEPS * step_minutes:
        raise ValueError(f"at most {MOST_STEPS:,} steps can be read at once; take longer steps or a shorter time")
    window = (span, first, end, destination_id, source_id)
    hours = (HOUR, first // HOUR * HOUR, -(-end // HOUR) * HOUR, destination_id, source_id)
    with connection:
        sums = _read(connection, _SUM_WINDOW, window)
        steps = _read(connection, _SUM_STEPS, (*window, step_minutes))
        match_keys = _read(connection, _SUM_MATCH_KEYS, hours)
    count = max(0, end - first) // step_minutes
    return Statistics(
        since=_to_instant(first),
        until=_to_instant(first + count * step_minutes),
        step=timedelta(minutes=step_minutes),
        trend=_build_trend(steps, first, step_minutes, count),
        coverage=_build_coverage(match_keys),
        **_summarize(sums),
    )


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
