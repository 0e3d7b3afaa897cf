"""The body of `signalpost map`: JSON Lines of Segment calls become JSON Lines of what they would send."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import msgspec

from signalpost.config import check_settings
from signalpost.ingest.decode import Limits, RequestFault, decode_call
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.mapper import map_event
from signalpost.model.errors import ConfigError
from signalpost.model.ids import DestinationId
from signalpost.model.results import Discarded, Mapped, MappingResult
from signalpost.model.segment_event import InvalidCall, RequestContext, parse_call


class NotJson(msgspec.Struct, frozen=True):
    """A line that can't be read; the message never quotes it."""

    line_number: int
    message: str


class MappedLine(msgspec.Struct, frozen=True):
    """The JSON object to print for one call."""

    output: bytes


def read_destination(slug: str, settings: Path | None) -> Destination:
    """A destination to map for, with the settings of a JSON file. Raises ConfigError naming the option at fault."""
    destination_type = DESTINATION_TYPES.get(slug)
    if destination_type is None:
        raise ConfigError(f"--destination: must be one of {', '.join(DESTINATION_TYPES)}, not {slug}")
    given: object = {}
    if settings is not None:
        try:
            given = msgspec.json.decode(settings.read_bytes())
        except OSError as error:
            raise ConfigError(f"--settings: cannot read {settings}: {error.strerror}") from None
        except (msgspec.DecodeError, RecursionError) as error:
            raise ConfigError(f"--settings: {settings} is not valid JSON: {error}") from None
    if not isinstance(given, dict):
        raise ConfigError(f"--settings: {settings} must hold a JSON object")
    checked = check_settings(destination_type.settings, given, str(settings))
    return Destination(DestinationId(slug), slug, destination_type, checked)


def map_lines(
    lines: Iterable[bytes], destination: Destination, received_at: datetime
) -> Iterator[MappedLine | NotJson]:
    """Map each line as if it had been received at `received_at`; empty lines are skipped.

    A call without a messageId gets a digest of its line, so that the same file gives the same output.
    """
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        call = decode_call(line, Limits())
        if isinstance(call, RequestFault):
            yield NotJson(line_number, f"line {line_number}{call.message.removeprefix('body')}")
            continue
        digest = hashlib.sha256(line.strip()).hexdigest()[:32]
        yield MappedLine(msgspec.json.encode(_map_call(call, destination, received_at, f"line-{digest}")))


def _map_call(call: object, destination: Destination, received_at: datetime, message_id: str) -> dict[str, object]:
    request = RequestContext(received_at=received_at, new_message_id=lambda: message_id)
    event = call if isinstance(call, InvalidCall) else parse_call(call, request)
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
