"""A clock that tests move, and calls, events and dead letters that are valid by default."""

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from signalpost.model.delivery import AcceptedCall, DeadReason, DiscardedEvent, NewEvent, QueuedEvent
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId
from signalpost.queue.interface import Queue

MAIN = DestinationId("main-pixel")
OTHER = DestinationId("other-pixel")
WEBSITE = SourceId("website")
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REFUSED_BY_META = DeadReason(code="400", reason="100/2804050", detail="Invalid parameter", fbtrace_id="trace-1")

DATASETS_NOW = {"Lead": DatasetId("9876543210")}
"""Event name -> the dataset that every destination's settings name by now."""

_numbers = itertools.count(1)


def find_dataset_now(_destination_id: DestinationId, event_name: str) -> DatasetId | None:
    return DATASETS_NOW.get(event_name)


class Clock:
    """Wall clock and monotonic clock in one; both stand still until moved."""

    def __init__(self, start: datetime = NOON) -> None:
        self._wall = start
        self._elapsed = 0.0

    def now(self) -> datetime:
        return self._wall

    def monotonic(self) -> float:
        return self._elapsed

    def advance(self, by: timedelta) -> None:
        """Let time pass."""
        self._wall += by
        self._elapsed += by.total_seconds()

    def set_wall(self, to: datetime) -> None:
        """Set the wall clock, as an operator or NTP does; no time passes."""
        self._wall = to


def build_event(message_id: str, **fields: object) -> NewEvent:
    defaults: dict[str, object] = {
        "destination_id": MAIN,
        "dataset_id": DatasetId("1234567890"),
        "event_name": "Purchase",
        "event_id": message_id,
        "event_time": int(NOON.timestamp()),
        "expires_at": int((NOON + timedelta(days=7)).timestamp()),
        "payload": b'{"event_id":"%s"}' % message_id.encode(),
    }
    return NewEvent(**(defaults | fields))


def build_discarded(**fields: object) -> DiscardedEvent:
    defaults: dict[str, object] = {
        "state": "rejected",
        "code": "MESSAGE_REJECTED",
        "reason": "missing_value",
        "event_name": "Purchase",
        "destination_id": MAIN,
        "dataset_id": DatasetId("1234567890"),
        "event_time": int(NOON.timestamp()),
        "expires_at": int((NOON + timedelta(days=7)).timestamp()),
    }
    return DiscardedEvent(**(defaults | fields))


def build_call(
    message_id: str | None = None,
    *,
    source_id: SourceId = WEBSITE,
    received_at: datetime = NOON,
    events: Sequence[NewEvent] | None = None,
    discarded: Sequence[DiscardedEvent] = (),
    **event_fields: object,
) -> AcceptedCall:
    """A call with one event for MAIN; `event_fields` override the event's."""
    message_id = message_id or f"message-{next(_numbers)}"
    if events is None:
        events = () if discarded else (build_event(message_id, **event_fields),)
    return AcceptedCall(source_id, MessageId(message_id), received_at, tuple(events), tuple(discarded))


async def lease(queue: Queue, destination_id: DestinationId = MAIN, **options: object) -> Sequence[QueuedEvent]:
    """Lease what is due now, without lingering."""
    defaults: dict[str, object] = {
        "limit": 1000,
        "max_bytes": 1 << 20,
        "lease_for": timedelta(seconds=60),
        "linger": timedelta(0),
    }
    return await queue.lease(destination_id, **(defaults | options))


def get_event_ids(events: Sequence[QueuedEvent]) -> list[str]:
    return sorted(event.event_id for event in events)
