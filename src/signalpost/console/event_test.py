"""One call tried out for one destination: what it would send, why, and what Meta answers when it is sent.

Nothing is queued, counted or kept: a test leaves no trace but a row in the audit log when it is sent.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from pydantic import SecretStr

from signalpost.console.door_fixes import find_fix
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.explanation import Explanation, explain_event
from signalpost.meta.requests import build_body
from signalpost.model.delivery import (
    Accepted,
    Batch,
    Outcome,
    QueuedEvent,
    Rejected,
    Target,
    Throttled,
    Unauthorized,
    Unavailable,
    Unclear,
)
from signalpost.model.ids import MessageId, SourceId
from signalpost.model.results import Mapped
from signalpost.model.segment_event import CallType, InvalidCall, RequestContext, SegmentEvent, parse_call

MAX_CHARACTERS: Final = 32 << 10
_TESTER: Final = SourceId("event tester")


@dataclass(frozen=True, slots=True)
class TriedResult:
    """One result of the mapping with the request that would carry it; `request` is "" when nothing would be sent."""

    explanation: Explanation
    batch: Batch | None = None
    request: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """What Meta said to one request. is_good: it took the event."""

    said: str
    fix: str = ""
    trace_id: str | None = None
    is_good: bool = False


@dataclass(frozen=True, slots=True)
class BadCall:
    """Why a text is no call: the gateway would refuse it with this code."""

    code: str
    message: str
    fix: str


def read_call(text: str, now: datetime) -> SegmentEvent | BadCall:
    """Read a call as the tracking API would; one that names no type is a track call."""
    try:
        raw = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        return BadCall("invalid_json", f"This is not valid JSON: {error}.", "Look at the place that the message names.")
    call_type: CallType | None = "track" if isinstance(raw, dict) and "type" not in raw else None
    context = RequestContext(
        received_at=now, new_message_id=lambda: MessageId(f"test-{uuid.uuid4()}"), call_type=call_type
    )
    event = parse_call(raw, context)
    if isinstance(event, InvalidCall):
        return BadCall(event.code, event.message, find_fix(event.code))
    return event


async def try_event(event: SegmentEvent, destination: Destination) -> Sequence[TriedResult]:
    """Map and explain, in a thread: finding the origins maps some hundred times."""
    explanations = await asyncio.to_thread(explain_event, event, destination)
    return [_build_result(explanation, event, destination) for explanation in explanations]


def _build_result(explanation: Explanation, event: SegmentEvent, destination: Destination) -> TriedResult:
    result = explanation.result
    if not isinstance(result, Mapped):
        return TriedResult(explanation)
    server_event = result.server_event
    moment = int(event.received_at.timestamp())
    queued = QueuedEvent(
        id=0,
        source_id=_TESTER,
        message_id=event.message_id,
        destination_id=destination.id,
        dataset_id=result.dataset_id,
        event_name=server_event.event_name,
        event_id=server_event.event_id,
        event_time=server_event.event_time,
        expires_at=moment,
        received_at=event.received_at,
        attempts=0,
        payload=server_event.to_json(),
    )
    batch = Batch(destination.id, result.dataset_id, (queued,))
    fields = destination.settings.request_fields
    preview = Target(
        dataset_id=result.dataset_id,
        access_token=SecretStr(""),
        api_version="",
        test_event_code=fields.get("test_event_code"),
        upload_tag=fields.get("upload_tag"),
    )
    body = msgspec.json.format(build_body(batch, preview), indent=2)
    return TriedResult(explanation, batch, body.decode())


def describe_outcome(outcome: Outcome) -> Answered:
    """Meta's answer, for people."""
    match outcome:
        case Accepted(trace_id):
            return Answered("Meta took the event.", trace_id=trace_id, is_good=True)
        case Unclear(received, trace_id):
            said = f"Meta answered with success, and counted {received} events instead of 1."
            return Answered(said, "Send it again.", trace_id)
        case Throttled(_, detail):
            return Answered(f"Meta asks for a pause: {detail}", "Wait a minute, and send again.")
        case Unavailable(detail):
            return Answered(f"Meta can't be reached: {detail}", "Send it again; if it lasts, look at the network.")
        case Unauthorized(_, detail, trace_id):
            fix = "Check the destination's dataset and access token."
            return Answered(f"Meta refuses the destination: {detail}", fix, trace_id)
        case Rejected(_, detail, trace_id):
            return Answered(f"Meta refuses the event: {detail}", "Change what it names, and send again.", trace_id)
