"""The body of `signalpost map`: JSON Lines of Segment calls become JSON Lines of what they would send."""

import hashlib
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import partial
from pathlib import Path

import msgspec

from signalpost.config.building import check_settings
from signalpost.ingest.decode import Limits, RequestFault, decode_call
from signalpost.mapping.destinations import DESTINATION_TYPES
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.mapper import map_event
from signalpost.model.errors import ConfigError
from signalpost.model.ids import DestinationId
from signalpost.model.results import Discarded, Mapped, MappingResult
from signalpost.model.segment_event import InvalidCall, RequestContext, SegmentEvent, parse_call


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
    """Map each line as if it had been received at `received_at`."""
    for event in read_lines(lines, received_at):
        yield event if isinstance(event, NotJson) else MappedLine(msgspec.json.encode(_map_event(event, destination)))


def read_lines(lines: Iterable[bytes], received_at: datetime) -> Iterator[SegmentEvent | InvalidCall | NotJson]:
    """Each line as the gateway would read it if it came at `received_at`; empty lines are skipped.

    A call without a messageId gets a digest of its line, so that the same file gives the same output.
    """
    for line_number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        call = decode_call(line, Limits())
        if isinstance(call, RequestFault):
            yield NotJson(line_number, f"line {line_number}{call.message.removeprefix('body')}")
            continue
        message_id = f"line-{hashlib.sha256(line.strip()).hexdigest()[:32]}"
        request = RequestContext(received_at=received_at, new_message_id=partial(str, message_id))
        yield call if isinstance(call, InvalidCall) else parse_call(call, request)


def _map_event(event: SegmentEvent | InvalidCall, destination: Destination) -> dict[str, object]:
    if isinstance(event, InvalidCall):
        return describe_invalid_call(event)
    results = [describe_result(result) for result in map_event(event, destination)]
    return {"message_id": event.message_id, "results": results}


def describe_invalid_call(call: InvalidCall) -> dict[str, object]:
    """A call that the gateway would refuse, as the command line prints it."""
    return {"message_id": None, "error": {"code": call.code, "message": call.message}}


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
