"""Dead letters as they are looked at, searched for, and sent again."""

from datetime import datetime

import msgspec

from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId


class DeadLetter(msgspec.Struct, frozen=True):
    """One rejected event as it can be looked at; the payload is the hashed server event, when there is one.

    is_damaged: the stored payload is not what was stored once (a byte flipped on the disk), and is not shown.
    """

    id: int
    source_id: SourceId
    message_id: MessageId
    destination_id: DestinationId
    dataset_id: DatasetId | None
    event_name: str
    event_id: str
    event_time: int
    rejected_at: datetime
    code: str
    reason: str
    detail: str
    fbtrace_id: str | None
    attempts: int
    payload: bytes | None
    is_damaged: bool = False


class DeadLetterFilter(msgspec.Struct, frozen=True):
    """Which dead letters are meant: those that match all that is given. since <= rejected_at < until."""

    destination_id: DestinationId | None = None
    source_id: SourceId | None = None
    code: str | None = None
    reason: str | None = None
    event_name: str | None = None
    since: datetime | None = None
    until: datetime | None = None


ALL_DEAD_LETTERS = DeadLetterFilter()


class DeadLetterGroup(msgspec.Struct, frozen=True):
    """Dead letters of one destination that ended for the same reason. last_at: the latest of them."""

    destination_id: DestinationId
    code: str
    reason: str
    count: int
    last_at: datetime


class RequeueReport(msgspec.Struct, frozen=True):
    """What a requeue did, or would do: how many wait again, and why the others were refused (reason -> count)."""

    requeued: int
    refused: dict[str, int]
