"""Between reading a request and answering it: parse its calls, map each for every destination, one durable put.

One bad call never fails the others. Nothing is acknowledged before the queue has made it durable.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from itertools import repeat

import msgspec

from signalpost import failpoints
from signalpost.catalog import Source
from signalpost.history.calls import History
from signalpost.history.entries import NO_REQUEST, CallEntry, RequestFacts
from signalpost.ingest.decode import RequestFault
from signalpost.ingest.entries import RejectedCall, ValidCall, describe_rejected, keep_request, keep_valid
from signalpost.mapping.action_source import ACTION_SOURCES, find_max_age
from signalpost.mapping.destinations.destination_type import Destination
from signalpost.mapping.mapper import map_event
from signalpost.model.delivery import AcceptedCall, DiscardedEvent, NewEvent, RefusedCall
from signalpost.model.ids import SourceId
from signalpost.model.results import Discarded, Mapped, MappingResult
from signalpost.model.segment_event import InvalidCall, RequestContext, SegmentEvent, parse_call
from signalpost.model.server_event import ServerEvent
from signalpost.queue.interface import Queue
from signalpost.telemetry import Telemetry
from signalpost.turns import Turn


@dataclass(frozen=True, slots=True)
class IntakeReceipt:
    """accepted + duplicates + len(rejected) is the number of calls sent."""

    accepted: int
    duplicates: int
    rejected: Sequence[RejectedCall]


class Intake:
    """Turns the decoded calls of a request into durable events."""

    def __init__(
        self,
        queue: Queue,
        history: History,
        telemetry: Telemetry,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queue = queue
        self._history = history
        self._telemetry = telemetry
        self._monotonic = monotonic

    async def accept(
        self,
        calls: Iterable[object | InvalidCall | RequestFault],
        source: Source,
        request: RequestContext,
        facts: RequestFacts = NO_REQUEST,
        texts: Sequence[bytes] = (),
    ) -> IntakeReceipt | RequestFault:
        """Store everything that can be stored; raises QueueUnavailable when nothing of the request was.

        A RequestFault among the calls ends it: nothing is stored. facts, texts: for the live debugger: what is known of
        the request, and the JSON of each call.
        """
        valid: list[ValidCall] = []
        rejected: list[RejectedCall] = []
        entries: list[CallEntry] = []
        turn = Turn(self._monotonic)
        for index, (raw, text) in enumerate(zip(calls, texts or repeat(None), strict=False)):
            if isinstance(raw, RequestFault):
                return raw
            parsed = raw if isinstance(raw, InvalidCall) else parse_call(raw, request)
            if isinstance(parsed, InvalidCall):
                rejected.append(RejectedCall(index, parsed))
                entries.append(describe_rejected(raw, text, parsed, source, request, facts))
            else:
                valid.append(keep_valid(parsed, self._map_call(parsed, source), facts, raw, text))
            if turn.is_over:
                await turn.give_way()
        failpoints.reach("after_parse")
        refused = [RefusedCall(source.id, call.invalid.code) for call in rejected]
        receipt = await self._queue.put([call.accepted for call in valid], refused)
        duplicates = sum(receipt.is_duplicate)
        self._tell(source.id, valid, rejected, receipt.is_duplicate)
        self._history.record_request(keep_request(source, facts, valid, receipt.is_duplicate, entries))
        return IntakeReceipt(len(valid) - duplicates, duplicates, rejected)

    def _tell(
        self,
        source_id: SourceId,
        valid: Sequence[ValidCall],
        rejected: Sequence[RejectedCall],
        is_duplicate: Sequence[bool],
    ) -> None:
        types: Counter[str] = Counter([call.type for call in valid])
        if rejected:
            types["invalid"] = len(rejected)
            for code, count in Counter([refusal.invalid.code for refusal in rejected]).items():
                self._telemetry.calls_invalid(source_id, code, count)
        self._telemetry.calls_received(source_id, types, sum(is_duplicate))
        self._telemetry.results_stored([call.accepted for call in valid], is_duplicate)

    def _map_call(self, event: SegmentEvent, source: Source) -> AcceptedCall:
        queued: list[NewEvent] = []
        discarded: list[DiscardedEvent] = []
        for destination in source.destinations:
            for mapped in self._map_for(event, destination):
                if isinstance(mapped, NewEvent):
                    queued.append(mapped)
                else:
                    discarded.append(mapped)
        if not source.destinations:
            discarded.append(DiscardedEvent("filtered", "NO_DESTINATION", "no_destination", event.event))
        return AcceptedCall(source.id, event.message_id, event.received_at, tuple(queued), tuple(discarded))

    def _map_for(self, event: SegmentEvent, destination: Destination) -> list[NewEvent | DiscardedEvent]:
        try:
            return [_to_event(destination, event, result) for result in map_event(event, destination)]
        except Exception as error:  # noqa: BLE001 - a fault of ours must not cost the caller's other events
            self._telemetry.mapping_failed(destination.id, error)
            return [_to_discarded_event(destination, event, Discarded("mapping_failed"))]


def _to_event(destination: Destination, event: SegmentEvent, result: MappingResult) -> NewEvent | DiscardedEvent:
    match result:
        case Mapped():
            return _to_new_event(destination, result)
        case Discarded():
            return _to_discarded_event(destination, event, result)


def _to_new_event(destination: Destination, mapped: Mapped) -> NewEvent:
    server_event = mapped.server_event
    return NewEvent(
        destination_id=destination.id,
        dataset_id=mapped.dataset_id,
        event_name=server_event.event_name,
        event_id=server_event.event_id,
        event_time=server_event.event_time,
        expires_at=_find_expiry(server_event),
        payload=server_event.to_json(),
        warnings=mapped.warnings,
        match_keys=server_event.user_data.find_present(),
    )


def _find_expiry(server_event: ServerEvent) -> int:
    """The last second in which Meta takes an event."""
    return server_event.event_time + _find_max_age_seconds(server_event.action_source)


@lru_cache(maxsize=16)
def _find_max_age_seconds(action_source: str) -> int:
    return find_max_age(action_source) // timedelta(seconds=1)


def _to_discarded_event(destination: Destination, event: SegmentEvent, result: Discarded) -> DiscardedEvent:
    sent = result.server_event
    return DiscardedEvent(
        state="rejected" if result.is_rejected else "filtered",
        code=result.code,
        reason=result.reason,
        event_name=sent.event_name if sent else event.event,
        destination_id=destination.id,
        dataset_id=result.dataset_id or None,
        event_id=sent.event_id if sent else event.message_id,
        event_time=sent.event_time if sent else 0,
        expires_at=_find_expiry(sent) if sent else 0,
        payload=_build_kept_payload(sent) if sent and result.is_rejected else None,
        warnings=result.warnings,
    )


def _build_kept_payload(rejected: ServerEvent) -> bytes:
    """What is kept of a rejected event. An action source that Meta does not know may be anything, so it is left out."""
    if rejected.action_source not in ACTION_SOURCES:
        rejected = msgspec.structs.replace(rejected, action_source="")
    return rejected.to_json()
