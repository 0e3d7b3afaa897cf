"""Type-checked only: pins the types of the public library. A line that stops passing mypy --strict breaks its users."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, assert_never, assert_type

import signalpost
from signalpost import (
    DESTINATION_TYPES,
    ConversionsApiSettings,
    Destination,
    DestinationSettings,
    DestinationType,
    Discarded,
    InvalidCall,
    Mapped,
    MappingResult,
    OfflineConversionsSettings,
    RequestContext,
    SegmentEvent,
    ServerEvent,
    UserData,
    build_destination,
    map_event,
    parse_call,
)


def use(call: object, received_at: datetime, new_message_id: Callable[[], str]) -> list[bytes]:
    destination = build_destination("facebook-conversions-api", {"pixel_id": "1234567890"}, name="main-pixel")
    assert_type(destination, Destination)
    assert_type(destination.name, str)
    assert_type(destination.settings, DestinationSettings)
    assert_type(destination.type, DestinationType[Any])
    context = RequestContext(received_at=received_at, new_message_id=new_message_id, call_type="track")
    event = parse_call(call, context)
    if isinstance(event, InvalidCall):
        assert_type(event.message, str)
        return []
    assert_type(event, SegmentEvent)
    assert_type(event.timestamp, datetime)
    assert_type(event.user_id, str | None)
    assert_type(event.properties, Mapping[str, object])
    results = map_event(event, destination)
    assert_type(results, tuple[Mapped | Discarded, ...])
    return [payload for result in results if (payload := read(result)) is not None]


def read(result: MappingResult) -> bytes | None:
    match result:
        case Mapped(dataset_id, server_event, warnings):
            assert_type(server_event, ServerEvent)
            assert_type(server_event.user_data, UserData)
            text: str = f"{dataset_id}: {len(warnings)}"
            return text.encode() + server_event.to_json()
        case Discarded():
            code: str = result.code
            reason: str = result.reason
            message: str = result.message
            return (code + reason + message).encode() if result.is_rejected else None
        case unreachable:
            assert_never(unreachable)


def configure() -> tuple[ConversionsApiSettings, OfflineConversionsSettings]:
    assert_type(DESTINATION_TYPES, Mapping[str, DestinationType[Any]])
    assert_type(signalpost.__all__, list[str])
    return ConversionsApiSettings(pixel_id="1234567890"), OfflineConversionsSettings(event_sets={"x": "1234567890"})
