"""The words that ingest, queue, deliver and meta share: what is put, what waits, where it goes, what Meta answered."""

from datetime import datetime
from typing import Final, Literal

import msgspec
from pydantic import SecretStr

from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId

State = Literal["pending", "delivered", "filtered", "rejected", "expired", "erased"]


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """A server event that is to be queued.

    event_time: whole seconds. expires_at: the last second in which Meta takes the event.
    payload: exactly the JSON bytes of the server event. warnings: what mapping says of it; shown, not stored.
    match_keys: those of its user_data, for counting.
    """

    destination_id: DestinationId
    dataset_id: DatasetId
    event_name: str
    event_id: str
    event_time: int
    expires_at: int
    payload: bytes
    warnings: tuple[str, ...] = ()
    match_keys: tuple[str, ...] = ()


class DiscardedEvent(msgspec.Struct, frozen=True, gc=False):
    """A result that ends at once: filtered (a count is left) or rejected (a dead letter is left, payload hashed).

    destination_id: None when the source has no destination. reason: the exact rule within the code's family.
    expires_at: as that of a NewEvent; 0 when no server event was built.
    """

    state: Literal["filtered", "rejected"]
    code: str
    reason: str
    event_name: str
    destination_id: DestinationId | None = None
    dataset_id: DatasetId | None = None
    event_id: str = ""
    event_time: int = 0
    expires_at: int = 0
    payload: bytes | None = None
    warnings: tuple[str, ...] = ()


class AcceptedCall(msgspec.Struct, frozen=True, gc=False):
    """One valid call with everything that mapping made of it; at least one event or discarded event."""

    source_id: SourceId
    message_id: MessageId
    received_at: datetime
    events: tuple[NewEvent, ...] = ()
    discarded: tuple[DiscardedEvent, ...] = ()


class RefusedCall(msgspec.Struct, frozen=True):
    """A call that was no valid Segment call: only counted, never stored."""

    source_id: SourceId
    code: str


class PutReceipt(msgspec.Struct, frozen=True):
    """What became durable: for each call given to `put`, whether its messageId had been seen before."""

    is_duplicate: tuple[bool, ...]


class QueuedEvent(msgspec.Struct, frozen=True, gc=False):
    """A leased event. `id` is the queue's own handle; `attempts` counts the requests already charged to it.

    last_outcome: the detail of its latest retry, "" before the first. lease: which lease this is; the queue gives each
    its own number, and takes nothing from the holder of an older one.
    """

    id: int
    source_id: SourceId
    message_id: MessageId
    destination_id: DestinationId
    dataset_id: DatasetId
    event_name: str
    event_id: str
    event_time: int
    expires_at: int
    received_at: datetime
    attempts: int
    payload: bytes
    last_outcome: str = ""
    lease: int = 0

    @property
    def is_unclear(self) -> bool:
        """True when its latest attempt was answered with success and too small a count."""
        return self.last_outcome.startswith("unclear")


class Batch(msgspec.Struct, frozen=True):
    """Events that travel in one request: one destination, one dataset."""

    destination_id: DestinationId
    dataset_id: DatasetId
    events: tuple[QueuedEvent, ...]


class Target(msgspec.Struct, frozen=True):
    """Where one request goes. Found at send time, so that a new token also serves the events that already wait."""

    dataset_id: DatasetId
    access_token: SecretStr
    api_version: str
    app_secret: SecretStr | None = None
    test_event_code: str | None = None
    upload_tag: str | None = None


class Accepted(msgspec.Struct, frozen=True):
    """Meta took the whole request."""

    fbtrace_id: str | None = None


class Unclear(msgspec.Struct, frozen=True):
    """Meta answered with success but counted fewer events than were sent."""

    events_received: int
    fbtrace_id: str | None = None


class Throttled(msgspec.Struct, frozen=True):
    """Meta asks us to slow down. wait_seconds: as its headers say, None when they say nothing."""

    wait_seconds: float | None
    detail: str


class Unavailable(msgspec.Struct, frozen=True):
    """No usable answer; the request may or may not have been processed. wait_seconds: as a header says, else None."""

    detail: str
    wait_seconds: float | None = None


PauseReason = Literal[
    "token", "permission", "dataset", "api_version", "blocked", "clock_skew", "systemic_rejection", "unknown_error"
]


class Unauthorized(msgspec.Struct, frozen=True):
    """The destination itself is at fault (token, permission, dataset, version, policy), not the events."""

    reason: PauseReason
    detail: str
    fbtrace_id: str | None = None


class Rejected(msgspec.Struct, frozen=True):
    """Meta refuses the request because of its data. code: Meta's code/subcode, or "too_large".

    is_known: False for a code that no document or report calls a fault of the data.
    """

    code: str
    detail: str
    fbtrace_id: str | None = None
    is_known: bool = True


Outcome = Accepted | Unclear | Throttled | Unavailable | Unauthorized | Rejected


class Answer(msgspec.Struct, frozen=True):
    """What came back from one request: the outcome, and what its headers say besides.

    usage: the highest share of a rate limit that is used up, 1.0 being all of it. answered_at: Meta's own clock.
    """

    outcome: Outcome
    usage: float | None = None
    wait_seconds: float | None = None
    answered_at: datetime | None = None


DISCARDED: Final = "DISCARDED"
DISCARDED_BY_OPERATOR: Final = f"{DISCARDED}/discarded_by_operator"
"""What a person gave up while it waited: the code, and the code with its reason as ledger and debugger have them."""


class DeadReason(msgspec.Struct, frozen=True):
    """Why an event became a dead letter: our code's family, the exact rule or Meta's code/subcode, and a sentence."""

    code: str
    reason: str
    detail: str = ""
    fbtrace_id: str | None = None
