"""The last calls of each source and where their events went, in memory only; nothing is decided from it.

Holds no payload: names, ids, verdicts and states. It is gone at a restart; the queue and its ledger are the record.
"""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from signalpost.model.delivery import AcceptedCall, QueuedEvent, State
from signalpost.model.ids import DestinationId, MessageId, SourceId

Verdict = Literal["accepted", "duplicate", "rejected"]

CALLS_PER_SOURCE = 500
CALLS_IN_ALL = 5_000


@dataclass(slots=True)
class EventState:
    """One server event, or why there is none. `detail`: Meta's trace id, the reason, or the last trouble."""

    destination_id: DestinationId | None
    event_name: str
    state: State
    detail: str
    warnings: Sequence[str] = ()


@dataclass(slots=True)
class CallEntry:
    """One call as it was received, with the state of everything that came of it, updated as it changes."""

    source_id: SourceId
    received_at: datetime
    message_id: MessageId | None
    call_type: str
    event_name: str
    verdict: Verdict
    code: str = ""
    events: list[EventState] = field(default_factory=list)


class History:
    """A ring of calls for each source. It never blocks a request: it is told after the answer is decided."""

    def __init__(self) -> None:
        self._rings: dict[SourceId, deque[CallEntry]] = {}
        self._accepted: OrderedDict[tuple[SourceId, MessageId], CallEntry] = OrderedDict()

    def record(self, entry: CallEntry) -> None:
        """Add a call; the oldest of its source makes room."""
        self._rings.setdefault(entry.source_id, deque(maxlen=CALLS_PER_SOURCE)).append(entry)
        if entry.verdict == "accepted" and entry.message_id is not None:
            self._accepted[entry.source_id, entry.message_id] = entry
            if len(self._accepted) > CALLS_IN_ALL:
                self._accepted.popitem(last=False)

    def settled(self, events: Iterable[QueuedEvent], state: State, detail: str) -> None:
        """Events have reached a state; calls that have left the ring are ignored."""
        for event in events:
            entry = self._accepted.get((event.source_id, event.message_id))
            if entry is None:
                continue
            for known in entry.events:
                if known.destination_id == event.destination_id and known.event_name == event.event_name:
                    known.state, known.detail = state, detail

    def find_call(self, source_id: SourceId, message_id: MessageId) -> CallEntry | None:
        """The entry of an accepted call that is still remembered."""
        return self._accepted.get((source_id, message_id))

    def recent(self, source_id: SourceId) -> Sequence[CallEntry]:
        """The remembered calls of a source, oldest first."""
        return tuple(self._rings.get(source_id, ()))


def describe_call(call: AcceptedCall, *, is_duplicate: bool, call_type: str, event_name: str) -> CallEntry:
    """The entry for a call that the queue has taken."""
    events = [EventState(e.destination_id, e.event_name, "pending", "") for e in call.events]
    events += [EventState(d.destination_id, d.event_name, d.state, f"{d.code}/{d.reason}") for d in call.discarded]
    verdict: Verdict = "duplicate" if is_duplicate else "accepted"
    return CallEntry(call.source_id, call.received_at, call.message_id, call_type, event_name, verdict, "", events)
