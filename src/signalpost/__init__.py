"""Signalpost as a library: a Segment call in, Meta server events out, with nothing sent anywhere.

    destination = signalpost.build_destination("facebook-conversions-api", {"pixel_id": "1234567890"})
    event = signalpost.parse_call(call, signalpost.RequestContext(received_at=now, new_message_id=new_id))
    results = signalpost.map_event(event, destination)

`parse_call` gives a `SegmentEvent`, or an `InvalidCall` with a code. `map_event` is pure and gives at least one
`Mapped` or `Discarded`.
"""

from signalpost.mapping.destinations import DESTINATION_TYPES, build_destination
from signalpost.mapping.destinations.conversions_api import ConversionsApiSettings
from signalpost.mapping.destinations.destination_type import Destination, DestinationSettings, DestinationType
from signalpost.mapping.destinations.offline_conversions import OfflineConversionsSettings
from signalpost.mapping.mapper import map_event
from signalpost.model.results import Discarded, Mapped, MappingResult
from signalpost.model.segment_event import InvalidCall, RequestContext, SegmentEvent, parse_call
from signalpost.model.server_event import ServerEvent, UserData

__all__ = [
    "DESTINATION_TYPES",
    "ConversionsApiSettings",
    "Destination",
    "DestinationSettings",
    "DestinationType",
    "Discarded",
    "InvalidCall",
    "Mapped",
    "MappingResult",
    "OfflineConversionsSettings",
    "RequestContext",
    "SegmentEvent",
    "ServerEvent",
    "UserData",
    "build_destination",
    "map_event",
    "parse_call",
]
