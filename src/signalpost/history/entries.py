"""What the live debugger remembers of one call: the request that brought it, the call, and where its events are now.

Personal data is in here (`text`), so an entry never leaves the process as it is: `views.py` shows it masked.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

from signalpost.model.delivery import AcceptedCall, State
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId

Verdict = Literal["accepted", "duplicate", "rejected", "request_fault"]

ENTRY_OVERHEAD_BYTES: Final = 1 << 10
"""What an entry costs beside its texts, roughly."""


@dataclass(slots=True, eq=False)
class RequestFacts:
    """What the calls of one request share. Holds no key, cookie, or whole address.

    id: as in the answer's X-Request-Id. client_network: the client's address cut to /24 or /48.
    sent_at: what the batch said, where that was a time. status: of the answer, set when that is decided.
    surrogates_replaced: half characters in its body became U+FFFD.
    """

    id: str
    received_at: datetime
    method: str = ""
    path: str = ""
    client_network: str = ""
    user_agent: str = ""
    retry_count: str = ""
    bytes_received: int = 0
    bytes_decompressed: int = 0
    sent_at: datetime | None = None
    status: int = 200
    surrogates_replaced: bool = False


NO_REQUEST: Final = RequestFacts("", datetime.fromtimestamp(0, UTC))


@dataclass(slots=True)
class EventState:
    """One server event, or why there is none. `detail`: Meta's trace id, the reason, or the last trouble.

    payload: the JSON bytes of the server event, its personal data hashed; None when there is none.
    """

    destination_id: DestinationId | None
    event_name: str
    state: State
    detail: str
    warnings: Sequence[str] = ()
    dataset_id: DatasetId | None = None
    payload: bytes | None = field(default=None, repr=False)


@dataclass(slots=True, eq=False)
class CallEntry:
    """One call as it was received, with the state of everything that came of it, updated as it changes.

    number: counts up over all sources; 0 until the entry is recorded. library: `context.library`, name and version.
    text: the call's own JSON without its write key; None when it was too large or could not be read.
    """

    source_id: SourceId
    received_at: datetime
    message_id: MessageId | None
    call_type: str
    event_name: str
    verdict: Verdict
    code: str = ""
    events: list[EventState] = field(default_factory=list)
    warnings: Sequence[str] = ()
    request: RequestFacts = NO_REQUEST
    library: str = ""
    text: bytes | None = field(default=None, repr=False)
    number: int = 0

    @property
    def bytes_held(self) -> int:
        """What it adds to the memory of the debugger, roughly."""
        return ENTRY_OVERHEAD_BYTES + len(self.text or b"") + sum(len(event.payload or b"") for event in self.events)


@dataclass(frozen=True, slots=True)
class CallFilter:
    """Which entries somebody wants to see; what is None does not matter."""

    source_id: SourceId | None = None
    call_type: str | None = None
    event_name: str | None = None
    verdict: Verdict | None = None
    code: str | None = None
    message_id: str | None = None

    def admits(self, entry: CallEntry) -> bool:
        """True when the entry is wanted; a code is the call's own or that of one of its events."""
        return (
            (self.source_id is None or self.source_id == entry.source_id)
            and (self.call_type is None or self.call_type == entry.call_type)
            and (self.event_name is None or self.event_name == entry.event_name)
            and (self.verdict is None or self.verdict == entry.verdict)
            and (self.message_id is None or self.message_id == entry.message_id)
            and (self.code is None or self._names_code(entry))
        )

    def _names_code(self, entry: CallEntry) -> bool:
        return self.code == entry.code or any(self.code in event.detail.split("/") for event in entry.events)


EVERYTHING: Final = CallFilter()


def describe_call(
    call: AcceptedCall,
    *,
    is_duplicate: bool,
    call_type: str,
    event_name: str,
    warnings: Sequence[str] = (),
    request: RequestFacts = NO_REQUEST,
    library: str = "",
    text: bytes | None = None,
) -> CallEntry:
    """The entry for a call that the queue has taken."""
    events = [
        EventState(e.destination_id, e.event_name, "pending", "", e.warnings, e.dataset_id, e.payload)
        for e in call.events
    ]
    events += [
        EventState(d.destination_id, d.event_name, d.state, f"{d.code}/{d.reason}", d.warnings, d.dataset_id, d.payload)
        for d in call.discarded
    ]
    return CallEntry(
        source_id=call.source_id,
        received_at=call.received_at,
        message_id=call.message_id,
        call_type=call_type,
        event_name=event_name,
        verdict="duplicate" if is_duplicate else "accepted",
        events=[] if is_duplicate else events,
        warnings=warnings,
        request=request,
        library=library,
        text=text,
    )
