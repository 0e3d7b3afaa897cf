"""What the live debugger keeps of each call of a request, once the answer is decided."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from signalpost.catalog import Source
from signalpost.history.entries import CallEntry, RequestFacts, describe_call
from signalpost.model.delivery import AcceptedCall
from signalpost.model.ids import MessageId
from signalpost.model.segment_event import CALL_TYPES, InvalidCall, RequestContext, SegmentEvent

_LONGEST_SHOWN: Final = 100
"""Characters of a text that a client chose and the debugger lists."""


@dataclass(frozen=True, slots=True)
class RejectedCall:
    """A call that is no valid Segment call, by its place in the request."""

    index: int
    invalid: InvalidCall


@dataclass(frozen=True, slots=True)
class ValidCall:
    """A call that was read and mapped. index: its place in the request."""

    index: int
    event: SegmentEvent
    accepted: AcceptedCall


@dataclass(frozen=True, slots=True)
class KeptTexts:
    """The JSON of a request's calls as the debugger may keep it: without write keys, and only what could be read."""

    calls: Sequence[object | InvalidCall]
    texts: Sequence[bytes]

    def find(self, index: int) -> bytes | None:
        """The text of one call, or None."""
        call = self.calls[index]
        if not self.texts or isinstance(call, InvalidCall):
            return None
        if isinstance(call, dict) and "writeKey" in call:
            return msgspec.json.encode({name: value for name, value in call.items() if name != "writeKey"})
        return self.texts[index]


def describe_valid(call: ValidCall, facts: RequestFacts, kept: KeptTexts, *, is_duplicate: bool) -> CallEntry:
    """The entry of a call that was read, whether it is new or a repeat."""
    event = call.event
    warnings: tuple[str, ...] = event.warnings
    if facts.surrogates_replaced and rb"\ufffd" in kept.texts[call.index]:
        warnings = (*warnings, "lone_surrogate_replaced")
    return describe_call(
        call.accepted,
        is_duplicate=is_duplicate,
        call_type=event.type,
        event_name=event.event,
        warnings=warnings,
        request=facts,
        library=_describe_library(event.context.get("library")),
        text=kept.find(call.index),
    )


def describe_rejected(
    refusal: RejectedCall, source: Source, request: RequestContext, facts: RequestFacts, kept: KeptTexts
) -> CallEntry:
    """The entry of a call that is no valid one: as much of it as can be shown."""
    call = kept.calls[refusal.index]
    found = call if isinstance(call, dict) else {}
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
        code=refusal.invalid.code,
        request=facts,
        text=kept.find(refusal.index),
    )


def _describe_library(library: object) -> str:
    """Name and version of the SDK, as far as it tells."""
    if not isinstance(library, dict):
        return ""
    told = (library.get("name"), library.get("version"))
    return " ".join(part[:_LONGEST_SHOWN] for part in told if isinstance(part, str))
