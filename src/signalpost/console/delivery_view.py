"""What the pages say of delivery: why events ended, and how a destination stands."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from signalpost.console.delivery_figures import Tone
from signalpost.console.meta_codes import META_CODES
from signalpost.mapping.fixes import REASON_FIXES
from signalpost.model.delivery import DISCARDED
from signalpost.model.destination_state import DAMAGE_FIX, PAUSE_TEXTS, DestinationState
from signalpost.model.ids import DestinationId
from signalpost.model.ledger import Backlog, Statistics
from signalpost.model.results import REASONS
from signalpost.workspace.entries import DestinationEntry


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
    """How a destination stands, in a word, a sentence, and what to do.

    can_resume, can_discard: an admin may have it tried again at once, and give up what waits for it.
    """

    tone: Tone
    word: str
    sentence: str
    fix: str = ""
    detail: str = ""
    can_resume: bool = False
    can_discard: bool = False


_TOKENLESS: Final = Standing(
    "amber",
    "No token yet",
    "It has no access token, so its events wait on disk.",
    "Connect it with Facebook, or give it a token in its settings; what waits is then delivered at once.",
)
_FORSAKEN: Final = Standing(
    "red",
    "Not configured",
    "Events wait for it, but no settings name it any more, so they stay on disk.",
    "Declare it again under the same name, and they are delivered; or discard what waits.",
    can_discard=True,
)
_FORMER: Final = Standing("grey", "Not configured", "No settings name it any more; its dead letters are left.")


def list_troubles(statistics: Statistics) -> Sequence[Trouble]:
    """Each reason with its count, the failures first, then the most frequent."""
    found = [*_list_ended(statistics.reasons), *_list_refused(statistics.calls.invalid)]
    return sorted(found, key=lambda trouble: (trouble.stage == "Filtered", -trouble.count, trouble.code))


def explain(code: str, reason: str) -> tuple[str, str]:
    """What a code with its reason means, and what to do about it."""
    for known, text in REASONS.items():
        if known == reason or (not reason and text.code == code):
            return text.sentence, REASON_FIXES[known]
    if code == "400" and reason in META_CODES:
        return META_CODES[reason]
    if code == DISCARDED:
        return "Somebody gave up what waited for a paused destination.", "Nothing; the audit log says who, and when."
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
        return Standing("red", "Paused", text.human, text.fix, state.pause.detail, can_resume=True, can_discard=True)
    if state.damage is not None:
        return Standing("red", "Damaged queue", state.damage.human, DAMAGE_FIX, state.last_detail, can_resume=True)
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


def list_standings(
    entries: Iterable[DestinationEntry], states: Iterable[DestinationState], backlogs: Mapping[DestinationId, Backlog]
) -> dict[DestinationId, Standing]:
    """How each destination stands; those too that no settings name any more, while something is left of them."""
    known = {state.destination_id: state for state in states}
    standings = {entry.destination.id: _describe_entry(entry, known.get(entry.destination.id)) for entry in entries}
    for name, backlog in backlogs.items():
        if name not in standings and backlog.pending.total:
            standings[name] = _FORSAKEN
        elif name not in standings and backlog.dead_letters:
            standings[name] = _FORMER
    return standings


def _describe_entry(entry: DestinationEntry, state: DestinationState | None) -> Standing:
    is_damaged = state is not None and state.damage is not None
    if entry.is_enabled and not entry.settings.access_token and not is_damaged:
        return replace(_TOKENLESS, can_discard=state is not None and state.pause is not None)
    return describe_standing(state)


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
            yield Trouble(
                state.capitalize(), code, reason, count, meaning, fix, state == "rejected" and code != DISCARDED
            )


def _list_refused(invalid: Mapping[str, int]) -> Iterator[Trouble]:
    for code, count in invalid.items():
        meaning = "The call was no valid Segment call, so nothing of it was kept. The sender was told."
        yield Trouble(
            "Failed on ingest", code, "", count, meaning, "Mend the call where it is sent.", has_dead_letters=False
        )
