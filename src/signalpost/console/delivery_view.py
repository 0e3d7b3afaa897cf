"""What the pages say of delivery: the stages of a period, why events ended, how a destination stands."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, NamedTuple

from signalpost.mapping.fixes import REASON_FIXES
from signalpost.model.destination_state import PAUSE_TEXTS, DestinationState
from signalpost.model.ledger import PendingCounts, Statistics
from signalpost.model.results import REASONS

Tone = Literal["green", "amber", "red", "grey", "blue"]


class Period(NamedTuple):
    """A choice of the period menu, and the steps of its charts."""

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
class Stage:
    """One number of the row. share: of the events that ended in the period, or of the calls; None where it has none."""

    words: str
    count: int
    share: float | None
    note: str
    tone: Tone = "grey"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why events did not reach Meta. code, reason: as dead letters have them; reason is "" where none is kept."""

    stage: str
    code: str
    reason: str
    count: int
    meaning: str
    fix: str
    has_dead_letters: bool


@dataclass(frozen=True, slots=True)
class Standing:
    """How a destination stands, in a word, a sentence, and what to do."""

    tone: Tone
    word: str
    sentence: str
    fix: str = ""
    detail: str = ""
    can_resume: bool = False


@dataclass(frozen=True, slots=True)
class Coverage:
    """Of the server events of one name, the share (0 to 1) that had each match key, the most frequent first."""

    event_name: str
    events: int
    shares: Sequence[tuple[str, float]]


def build_stages(statistics: Statistics, pending: PendingCounts) -> Sequence[Stage]:
    """Segment's stages, in its order."""
    events, calls = statistics.events, statistics.calls
    failed = events.rejected + events.expired
    ended = events.delivered + events.filtered + failed + events.erased
    invalid = sum(calls.invalid.values())
    retrying = f"{pending.retrying:,} retrying" if pending.retrying else "none retrying"
    return (
        Stage("Received", events.accepted, None, "events accepted"),
        Stage("Failed on ingest", invalid, _share(invalid, calls.received), "calls of all sources", _red_if(invalid)),
        Stage("Filtered", events.filtered, _share(events.filtered, ended), "by your settings"),
        Stage("Pending", pending.total, None, f"now; {retrying}", "amber" if pending.retrying else "grey"),
        Stage("Rejected", failed, _share(failed, ended), "failed delivery", _red_if(failed)),
        Stage("Delivered", events.delivered, _share(events.delivered, ended), "Meta took them", "green"),
    )


def list_troubles(statistics: Statistics) -> Sequence[Trouble]:
    """Each reason with its count, the failures first, then the most frequent."""
    found = [*_list_ended(statistics.reasons), *_list_refused(statistics.calls.invalid)]
    return sorted(found, key=lambda trouble: (trouble.stage == "Filtered", -trouble.count, trouble.code))


def explain(code: str, reason: str) -> tuple[str, str]:
    """What a code with its reason means, and what to do about it."""
    for known, text in REASONS.items():
        if known == reason or (not reason and text.code == code):
            return text.sentence, REASON_FIXES[known]
    if code == "400":
        return (
            f"Meta refused the event's data (its code {reason}).",
            "Look at a sample for what Meta objects to; mend it where the event is sent, then requeue or discard.",
        )
    return "The event did not reach Meta.", "Look at a sample for the reason."


def describe_standing(state: DestinationState | None) -> Standing:
    """How delivery stands at this moment."""
    if state is None:
        return Standing("grey", "Not running", "Nothing is delivered to this destination by this process.")
    if state.pause is not None:
        text = PAUSE_TEXTS[state.pause.reason]
        return Standing("red", "Paused", text.human, text.fix, state.pause.detail, can_resume=True)
    if state.is_breaker_open or state.last_outcome == "unavailable":
        return Standing(
            "red",
            "Meta is out of reach",
            "Meta does not answer. Events wait on disk; none is lost.",
            "You need not do anything: delivery goes on by itself as soon as Meta answers.",
            state.last_detail or state.rests_because,
            can_resume=True,
        )
    if state.last_outcome == "throttled":
        sentence = "Meta asks for a slower pace. Events wait and are sent as fast as it allows."
        return Standing("amber", "Slowed by Meta", sentence, detail=state.last_detail)
    if state.rests_until is not None:
        return Standing(
            "amber", "Waiting to retry", "The last request did not succeed; it is repeated.", detail=state.rests_because
        )
    if not state.last_outcome:
        return Standing("grey", "Idle", "Nothing was sent since the start.")
    return Standing("green", "Delivering", "Meta answers and takes events.")


def list_coverage(statistics: Statistics) -> Sequence[Coverage]:
    """Match keys by event name, the most frequent event first."""
    rows = []
    for name, covered in statistics.coverage.items():
        shares = [(KEY_WORDS.get(key, key), count / max(1, covered.events)) for key, count in covered.with_key.items()]
        rows.append(Coverage(name, covered.events, sorted(shares, key=lambda pair: -pair[1])))
    return sorted(rows, key=lambda row: -row.events)


def format_share(share: float | None) -> str:
    """0.9994 -> "99.9 %": never rounded up to all, or down to none."""
    if share is None:
        return ""
    percent = min(99.9, max(0.1, round(share * 100, 1))) if 0 < share < 1 else share * 100
    return f"{percent:.3g} %"


def format_seconds(seconds: float | None) -> str:
    """How long, in the unit that says enough."""
    if seconds is None:
        return "none"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def _list_ended(reasons: Mapping[str, Mapping[str, int]]) -> Iterator[Trouble]:
    for state, codes in reasons.items():
        for text, count in codes.items():
            code, _, reason = text.partition("/")
            if state == "expired":
                meaning, fix = explain("MESSAGE_REJECTED", "event_too_old")
            elif state == "erased":
                meaning, fix = "Deleted on request before it was delivered.", "Nothing."
            else:
                meaning, fix = explain(code, reason)
            yield Trouble(state.capitalize(), code, reason, count, meaning, fix, state == "rejected")


def _list_refused(invalid: Mapping[str, int]) -> Iterator[Trouble]:
    for code, count in invalid.items():
        meaning = "The call was no valid Segment call, so nothing of it was kept. The sender was told."
        yield Trouble(
            "Failed on ingest", code, "", count, meaning, "Mend the call where it is sent.", has_dead_letters=False
        )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _red_if(count: int) -> Tone:
    return "red" if count else "grey"
