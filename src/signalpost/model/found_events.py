"""Where the events of one call are: the answer to "what became of this messageId, or event_id?"."""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId

MOST_FOUND: Final = 100
"""Of those that wait, of dead letters, and of what has ended: a sender may give every event the same event_id."""


class FoundEvent(msgspec.Struct, frozen=True):
    """One event of the call, for one destination.

    code, reason: why it was rejected or expired. detail: what Meta or the last attempt said. due_at: not to be tried
    before then. ended_at: when it was delivered, rejected or expired. dead_letter_id: while it is a dead letter.
    """

    source_id: SourceId
    message_id: MessageId
    destination_id: DestinationId
    dataset_id: DatasetId | None
    event_name: str
    event_id: str
    state: Literal["pending", "delivered", "rejected", "expired"]
    received_at: datetime
    attempts: int
    event_time: datetime | None = None
    code: str = ""
    reason: str = ""
    detail: str = ""
    due_at: datetime | None = None
    ended_at: datetime | None = None
    fbtrace_id: str | None = None
    dead_letter_id: int | None = None
    server_event: dict[str, Any] | None = None
    is_damaged: bool = False


class FoundEvents(msgspec.Struct, frozen=True):
    """What is known of a messageId or event_id.

    accepted_at: when calls with it were accepted, as long as repeats are noticed (24 hours). A call that was accepted
    and has no event was filtered, and only counted; or its events ended longer ago than their retention. events: at
    most MOST_FOUND of a kind.
    """

    accepted_at: tuple[datetime, ...]
    events: tuple[FoundEvent, ...]
