"""What the live debugger keeps of each call of a request, once the answer is decided."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import msgspec

from signalpost.catalog import Source
from signalpost.history.calls import UnreadCalls
from signalpost.history.entries import ENTRY_OVERHEAD_BYTES, CallEntry, RequestFacts, describe_call
from signalpost.model.delivery import AcceptedCall
from signalpost.model.ids import MessageId
from signalpost.model.segment_event import CALL_TYPES, CallType, InvalidCall, RequestContext, SegmentEvent

_LONGEST_SHOWN: Final = 100
"""Characters of a text that a client chose and the debugger lists."""


@dataclass(frozen=True, slots=True)
class RejectedCall:
    """A call that is no valid Segment call, by its place in the request."""

    index: int
    invalid: InvalidCall


class ValidCall(msgspec.Struct, gc=False):
    """A call that was read and mapped, without what was decoded of it.

    library, text: for the debugger, which may keep it for long; as in `CallEntry`.
    """

    type: CallType
    event_name: str
    warnings: tuple[str, ...]
    accepted: AcceptedCall
    library: str
    text: bytes | None


def keep_valid(
    event: SegmentEvent, accepted: AcceptedCall, facts: RequestFacts, raw: object, text: bytes | None
) -> ValidCall:
    """What outlives the answer to a call. raw: as decoded. text: its JSON, if there is any."""
    warnings: tuple[str, ...] = event.warnings
    if facts.surrogates_replaced and text is not None and rb"\ufffd" in text:
        warnings = (*warnings, "lone_surrogate_replaced")
    library = _describe_library(event.context.get("library"))
    return ValidCall(event.type, event.event, warnings, accepted, library, _without_write_key(raw, text))


def _without_write_key(raw: object, text: bytes | None) -> bytes | None:
    """The JSON of a call as the debugger may keep it."""
    if text is not None and isinstance(raw, dict) and "writeKey" in raw:
        return msgspec.json.encode({name: value for name, value in raw.items() if name != "writeKey"})
    return text


def keep_request(
    source: Source,
    facts: RequestFacts,
    valid: Sequence[ValidCall],
    is_duplicate: Sequence[bool],
    rejected: Sequence[CallEntry],
) -> UnreadCalls:
    """The calls of a request for the debugger, to be described when somebody looks: the valid ones first."""

    def describe(skip: int) -> Iterator[CallEntry]:
        for call, is_repeat in islice(zip(valid, is_duplicate, strict=True), skip, None):
            yield _describe_valid(call, facts, is_duplicate=is_repeat)
        yield from rejected[max(0, skip - len(valid)) :]

    texts = sum([len(call.text) for call in valid if call.text])
    payloads = sum([len(event.payload) for call in valid for event in call.accepted.events])
    bytes_held = len(valid) * ENTRY_OVERHEAD_BYTES + texts + payloads + sum([entry.bytes_held for entry in rejected])
    return UnreadCalls(source.id, len(valid) + len(rejected), bytes_held, describe)


def _describe_valid(call: ValidCall, facts: RequestFacts, *, is_duplicate: bool) -> CallEntry:
    return describe_call(
        call.accepted,
        is_duplicate=is_duplicate,
        call_type=call.type,
        event_name=call.event_name,
        warnings=call.warnings,
        request=facts,
        library=call.library,
        text=call.text,
    )


def describe_rejected(
    raw: object, text: bytes | None, invalid: InvalidCall, source: Source, request: RequestContext, facts: RequestFacts
) -> CallEntry:
    """The entry of a call that is no valid one: as much of it as can be shown. raw: an InvalidCall when unreadable."""
    found = raw if isinstance(raw, dict) else {}
    event_name, message_id = (
        value if isinstance(value := found.get(name), str) and len(value) <= _LONGEST_SHOWN else ""
        for name in ("event", "messageId")
    )
    given_type = found.get("type")
    call_type = given_type if isinstance(given_type, str) and given_type in CALL_TYPES else ""
    return CallEntry(
        source_id=source.id,
        received_at=request.received_at,
        message_id=MessageId(message_id) if message_id else None,
        call_type=request.call_type or call_type,
        event_name=event_name,
        verdict="rejected",
        code=invalid.code,
        request=facts,
        text=None if isinstance(raw, InvalidCall) else _without_write_key(raw, text),
    )


def _describe_library(library: object) -> str:
    """Name and version of the SDK, as far as it tells."""
    if not isinstance(library, dict):
        return ""
    told = (library.get("name"), library.get("version"))
    return " ".join([part[:_LONGEST_SHOWN] for part in told if isinstance(part, str)])
