"""Valid by default: what ingest, queue, deliver and meta hand to each other. A test overrides the field it is about."""

import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from pydantic import SecretStr

from signalpost.model.delivery import AcceptedCall, Batch, NewEvent, QueuedEvent, Target
from signalpost.model.ids import DatasetId, DestinationId, MessageId, SourceId

DESTINATION = DestinationId("main-pixel")
DATASET = DatasetId("1234567890")
SOURCE = SourceId("website")
MAX_AGE = timedelta(days=7)

_numbers = itertools.count(1)


def build_payload(event_id: str, event_time: int, **fields: Any) -> bytes:
    """A server event that Meta takes; a field that is None is left out."""
    server_event = {
        "event_name": "Purchase",
        "event_time": event_time,
        "event_id": event_id,
        "action_source": "website",
        "event_source_url": "https://shop.example.com/thanks",
        "user_data": {"em": "f" * 64, "client_user_agent": "Mozilla/5.0"},
        "custom_data": {"currency": "USD", "value": 9.5},
    }
    return msgspec.json.encode({key: value for key, value in (server_event | fields).items() if value is not None})


def build_new_event(event_id: str | None = None, *, happened_at: datetime | None = None, **fields: Any) -> NewEvent:
    """An event of a minute ago; it expires as Meta's age limit says."""
    event_id = event_id or f"event-{next(_numbers)}"
    event_time = int((happened_at or datetime.now(UTC) - timedelta(minutes=1)).timestamp())
    defaults: dict[str, Any] = {
        "destination_id": DESTINATION,
        "dataset_id": DATASET,
        "event_name": "Purchase",
        "event_id": event_id,
        "event_time": event_time,
        "expires_at": event_time + int(MAX_AGE.total_seconds()),
        "payload": build_payload(event_id, event_time),
    }
    return NewEvent(**(defaults | fields))


def build_call(*events: NewEvent, message_id: str | None = None, **fields: Any) -> AcceptedCall:
    """A call with these events, or with one."""
    events = events or (build_new_event(),)
    defaults: dict[str, Any] = {
        "source_id": SOURCE,
        "message_id": MessageId(message_id or f"message-{next(_numbers)}"),
        "received_at": datetime.now(UTC),
        "events": events,
    }
    return AcceptedCall(**(defaults | fields))


def build_calls(events: Iterable[NewEvent]) -> list[AcceptedCall]:
    """One call for each event."""
    return [build_call(event) for event in events]


def build_queued_event(event_id: str | None = None, **fields: Any) -> QueuedEvent:
    """An event that was leased for its first attempt."""
    number = next(_numbers)
    event_id = event_id or f"event-{number}"
    received_at = datetime.now(UTC)
    event_time = int(received_at.timestamp()) - 60
    defaults: dict[str, Any] = {
        "id": number,
        "source_id": SOURCE,
        "message_id": MessageId(f"message-{number}"),
        "destination_id": DESTINATION,
        "dataset_id": DATASET,
        "event_name": "Purchase",
        "event_id": event_id,
        "event_time": event_time,
        "expires_at": event_time + int(MAX_AGE.total_seconds()),
        "received_at": received_at,
        "attempts": 0,
        "payload": build_payload(event_id, event_time),
    }
    return QueuedEvent(**(defaults | fields))


def build_batch(events: int | Sequence[QueuedEvent] = 1, **fields: Any) -> Batch:
    """A batch of these events, or of so many."""
    if isinstance(events, int):
        events = [build_queued_event() for _ in range(events)]
    defaults: dict[str, Any] = {"destination_id": DESTINATION, "dataset_id": DATASET, "events": tuple(events)}
    return Batch(**(defaults | fields))


def build_target(token: str = "EMULATOR_TOKEN", **fields: Any) -> Target:
    """A target that the emulator takes."""
    defaults: dict[str, Any] = {"dataset_id": DATASET, "access_token": SecretStr(token), "api_version": "v26.0"}
    return Target(**(defaults | fields))
