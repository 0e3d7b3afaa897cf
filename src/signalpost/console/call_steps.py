"""Where a call is now, as the four steps that every call takes: received, mapped, queued, delivered."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Literal

from signalpost.console.delivery_view import explain
from signalpost.console.door_fixes import find_fix
from signalpost.history.entries import CallEntry, EventState
from signalpost.mapping.fixes import REASON_FIXES
from signalpost.model.delivery import DISCARDED, DISCARDED_BY_OPERATOR
from signalpost.model.found_events import FoundEvent
from signalpost.model.results import REASONS, REJECTED_BY_MAPPING
from signalpost.redaction import mask_text

Mark = Literal["done", "now", "stopped", "ahead"]

STEPS: Final = ("Received", "Mapped", "Queued", "Delivered")
_SENTENCES: Final[Mapping[str, str]] = {reason: text.sentence for reason, text in REASONS.items()}
_FIXES: Final[Mapping[str, str]] = {str(reason): fix for reason, fix in REASON_FIXES.items()}
_WORDS: Final[Mapping[Mark, str]] = {
    "done": "done",
    "now": "waiting here",
    "stopped": "stopped here",
    "ahead": "not reached",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One of the four. words: what the mark says to who can't see it."""

    name: str
    mark: Mark

    @property
    def words(self) -> str:
        """The mark as words."""
        return _WORDS[self.mark]


@dataclass(frozen=True, slots=True)
class Journey:
    """The way of one server event, or of a call that became none. state: of the ledger, or the call's verdict.

    why: the reason it stopped, or the last trouble; fix: what to do; each "" when there is nothing to say.
    """

    destination: str
    event_name: str
    state: str
    steps: tuple[Step, ...]
    why: str = ""
    fix: str = ""
    trace_id: str = ""


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call as a list shows it. event: its name, masked, for senders put anything into names."""

    call: CallEntry
    event: str
    journeys: Sequence[Journey]


def list_call_rows(calls: Iterable[CallEntry]) -> list[CallRow]:
    """The calls in their order."""
    return [CallRow(call, mask_text(call.event_name), trace_journeys(call)) for call in calls]


def trace_journeys(entry: CallEntry) -> list[Journey]:
    """One for each event of the call; one for the call itself when nothing came of it."""
    if entry.verdict == "duplicate":
        why = "A call with this messageId was accepted before, so this one changes nothing."
        return [Journey("", entry.event_name, "duplicate", _mark("done", "stopped"), why)]
    if entry.verdict != "accepted":
        why = entry.code.replace("_", " ")
        return [Journey("", entry.event_name, entry.verdict, _mark("stopped"), why, find_fix(entry.code))]
    return [_trace_event(event) for event in entry.events]


def _trace_event(event: EventState) -> Journey:
    reason = event.detail.rpartition("/")[2] if event.detail.partition("/")[0].isupper() else ""
    why, fix, trace_id, steps = mask_text(event.detail), "", "", _mark("done", "done", "now")
    match event.state:
        case "delivered":
            why, trace_id, steps = "", mask_text(event.detail), _mark("done", "done", "done", "done")
        case "expired":
            why = "It waited longer than Meta accepts events."
            fix = "See the destination for what held it up."
            steps = _mark("done", "done", "done", "stopped")
        case "erased":
            why, steps = "A deletion request removed it.", _mark("done", "done", "stopped")
        case "filtered" | "rejected" if reason in _SENTENCES:
            why, fix, steps = _SENTENCES[reason], _FIXES.get(reason, ""), _mark("done", "stopped")
        case "filtered":
            why = "No destination takes this source's calls." if event.destination_id is None else why
            fix = "Connect a destination on the source's page." if event.destination_id is None else ""
            steps = _mark("done", "stopped")
        case "rejected" if event.detail == DISCARDED_BY_OPERATOR:
            (why, fix), steps = explain(DISCARDED, reason), _mark("done", "done", "stopped")
        case "rejected":
            fix = "It is kept as a dead letter: mend what Meta objects to, then requeue it."
            steps = _mark("done", "done", "done", "stopped")
    return Journey(event.destination_id or "", mask_text(event.event_name), event.state, steps, why, fix, trace_id)


def trace_found(event: FoundEvent) -> Journey:
    """The way of an event that the queue still knows."""
    why, fix = explain(event.code, event.reason) if event.code else (event.detail, "")
    steps = _mark("done", "done", "done", "stopped")
    if event.state == "delivered":
        why, steps = "", _mark("done", "done", "done", "done")
    elif event.state == "pending":
        steps = _mark("done", "done", "now")
    elif event.code == DISCARDED:
        steps = _mark("done", "done", "stopped")
    elif event.state == "rejected" and event.code in REJECTED_BY_MAPPING:
        steps = _mark("done", "stopped")
    elif event.detail:
        why = f"{why} Meta said: {event.detail}"
    return Journey(event.destination_id, event.event_name, event.state, steps, why, fix, event.fbtrace_id or "")


@cache
def _mark(*marks: Mark) -> tuple[Step, ...]:
    ahead: list[Mark] = ["ahead"] * (len(STEPS) - len(marks))
    return tuple(Step(name, mark) for name, mark in zip(STEPS, [*marks, *ahead], strict=True))
