"""The numbers of the delivery page: the stages of a period, the events by name, and how they changed since before."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, NamedTuple

from signalpost.model.ledger import EventFlow, MatchKeyCoverage, PendingCounts, Statistics

Tone = Literal["green", "amber", "red", "grey", "blue"]

MOST_ROWS: Final = 50


class Period(NamedTuple):
    """A choice of the period menu: its words, its length, and the steps of its charts."""

    words: str
    length: timedelta
    step: timedelta


PERIODS: Final[Mapping[str, Period]] = {
    "10m": Period("10 min", timedelta(minutes=10), timedelta(minutes=1)),
    "1h": Period("1 hour", timedelta(hours=1), timedelta(minutes=1)),
    "24h": Period("24 hours", timedelta(hours=24), timedelta(hours=1)),
    "7d": Period("7 days", timedelta(days=7), timedelta(hours=1)),
    "14d": Period("2 weeks", timedelta(days=14), timedelta(hours=2)),
}

KEY_WORDS: Final[Mapping[str, str]] = {
    "em": "Email",
    "ph": "Phone",
    "external_id": "External id",
    "fbc": "Click id",
    "fbp": "Browser id",
    "client_ip_address": "IP address",
    "client_user_agent": "User agent",
    "fn": "First name",
    "ln": "Last name",
    "ct": "City",
    "st": "State",
    "zp": "Postal code",
    "country": "Country",
    "db": "Birthday",
    "ge": "Gender",
    "lead_id": "Lead id",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A count. share: of the whole it is a part of; change: against the period before. Both as parts of 1, or None."""

    count: int
    share: float | None = None
    change: float | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """One figure of the row of stages."""

    words: str
    figure: Figure
    note: str
    tone: Tone = "grey"


@dataclass(frozen=True, slots=True)
class EventRow:
    """The events of one name. keys: the share that had each match key, the most frequent first."""

    name: str
    accepted: Figure
    delivered: Figure
    filtered: Figure
    failed: Figure
    keys: Sequence[tuple[str, float]]


def build_stages(now: Statistics, before: Statistics, pending: PendingCounts) -> Sequence[Stage]:
    """Segment's stages, in its order. before: the period of the same length that ended when this one began."""
    invalid, invalid_before = sum(now.calls.invalid.values()), sum(before.calls.invalid.values())
    retrying = f"{pending.retrying:,} retrying" if pending.retrying else "none retrying"
    accepted, delivered, filtered, failed = _build_figures(now.events, before.events)
    refused = Figure(invalid, _share(invalid, now.calls.received), _change(invalid, invalid_before))
    return (
        Stage("Received", accepted, "events accepted"),
        Stage("Failed on ingest", refused, "calls of all sources", _red_if(invalid)),
        Stage("Filtered", filtered, "by your settings"),
        Stage("Pending", Figure(pending.total), f"now; {retrying}", "amber" if pending.retrying else "grey"),
        Stage("Failed delivery", failed, "rejected or expired", _red_if(failed.count)),
        Stage("Delivered", delivered, "Meta took them", "green" if delivered.count else "grey"),
    )


def list_event_rows(now: Statistics, before: Statistics) -> Sequence[EventRow]:
    """The events by name, the most frequent first; at most MOST_ROWS."""
    rows = []
    for name, flow in now.by_event_name.items():
        figures = _build_figures(flow, before.by_event_name.get(name, EventFlow()))
        rows.append(EventRow(name, *figures, keys=_list_keys(now.coverage.get(name))))
    return sorted(rows, key=lambda row: (-row.accepted.count, row.name))[:MOST_ROWS]


def format_share(share: float | None) -> str:
    """0.9994 -> "99.9 %": never rounded up to all, or down to none."""
    if share is None:
        return ""
    percent = min(99.9, max(0.1, round(share * 100, 1))) if 0 < share < 1 else share * 100
    return f"{percent:.3g} %"


def format_change(change: float | None) -> str:
    """0.25 -> "+25 %"; from ten times as many on, how many times."""
    if change is None:
        return ""
    if change >= 9:
        return f"{change + 1:,.0f} times"
    return f"{round(change * 100):+,} %" if round(change * 100) else "±0 %"


def format_seconds(seconds: float | None) -> str:
    """How long, in the unit that says enough."""
    if seconds is None:
        return "none"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _build_figures(now: EventFlow, before: EventFlow) -> tuple[Figure, Figure, Figure, Figure]:
    """Accepted, delivered, filtered and failed; the shares are of the events that ended."""
    failed, failed_before = now.rejected + now.expired, before.rejected + before.expired
    ended = now.delivered + now.filtered + failed + now.erased
    return (
        Figure(now.accepted, None, _change(now.accepted, before.accepted)),
        Figure(now.delivered, _share(now.delivered, ended), _change(now.delivered, before.delivered)),
        Figure(now.filtered, _share(now.filtered, ended), _change(now.filtered, before.filtered)),
        Figure(failed, _share(failed, ended), _change(failed, failed_before)),
    )


def _list_keys(coverage: MatchKeyCoverage | None) -> Sequence[tuple[str, float]]:
    if coverage is None:
        return ()
    shares = [(KEY_WORDS.get(key, key), count / max(1, coverage.events)) for key, count in coverage.with_key.items()]
    return sorted(shares, key=lambda pair: (-pair[1], pair[0]))


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _change(now: int, before: int) -> float | None:
    return now / before - 1 if before else None


def _red_if(count: int) -> Tone:
    return "red" if count else "grey"
