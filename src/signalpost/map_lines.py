"""The body of `signalpost map`: JSON Lines of Segment calls become JSON Lines of what they would send."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime

import msgspec

from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.mapper import map_event
from signalpost.model.results import Discarded, Mapped, MappingResult
from signalpost.model.segment_event import InvalidCall, RequestContext, parse_call


class NotJson(msgspec.Struct, frozen=True):
    """A line that can't be read; the message never quotes it."""

    line_number: int
    message: str


class MappedLine(msgspec.Struct, frozen=True):
    """The JSON object to print for one call."""

    output: bytes


def map_lines(
    lines: Iterable[bytes], destination: Destination, received_at: datetime
) -> Iterator[MappedLine | NotJson]:
    """Map each line as if it had been received at `received_at`; empty lines are skipped.

    A call without a messageId gets a digest of its line, so that the same file gives the same output.
    """
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            call = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            yield NotJson(line_number, f"line {line_number} is not valid JSON: {error}")
            continue
        digest = hashlib.sha256(line.strip()).hexdigest()[:32]
        yield MappedLine(msgspec.json.encode(_map_call(call, destination, received_at, f"line-{digest}")))


def _map_call(call: object, destination: Destination, received_at: datetime, message_id: str) -> dict[str, object]:
    event = parse_call(call, RequestContext(received_at=received_at, new_message_id=lambda: message_id))
    if isinstance(event, InvalidCall):
        return {"message_id": None, "error": {"code": event.code, "message": event.message}}
    results = [describe_result(result) for result in map_event(event, destination)]
    return {"message_id": event.message_id, "results": results}


def describe_result(result: MappingResult) -> dict[str, object]:
    """A result as the command line prints it and golden cases hold it."""
    match result:
        case Mapped(dataset_id, server_event, warnings):
            return {
                "status": "mapped",
                "dataset_id": dataset_id,
                "server_event": server_event,
                "warnings": warnings,
            }
        case Discarded():
            return {
                "status": "discarded",
                "code": result.code,
                "reason": result.reason,
                "message": result.message,
            }
