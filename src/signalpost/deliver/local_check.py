"""What is looked at before an event may share a request: a broken one would have all its mates refused. Pure."""

from collections.abc import Sequence

import msgspec

from signalpost.model.delivery import QueuedEvent


class _Required(msgspec.Struct, frozen=True):
    """What Meta demands of every event. Source: Conversions API, "Server Event Parameters"."""

    event_name: str
    event_time: int
    action_source: str
    user_data: msgspec.Raw


_decoder = msgspec.json.Decoder(_Required)


def split_unsendable(events: Sequence[QueuedEvent]) -> tuple[list[QueuedEvent], list[QueuedEvent]]:
    """(sendable, unsendable): the payload is JSON and has every member that Meta demands, or not."""
    sendable, unsendable = [], []
    for event in events:
        try:
            _decoder.decode(event.payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            unsendable.append(event)
        else:
            sendable.append(event)
    return sendable, unsendable
