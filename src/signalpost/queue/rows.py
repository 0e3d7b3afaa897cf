"""Calls as rows of the queue's tables, made where the calls are at hand: in the event loop, before the write thread.

What is built for one request is freed with it, and the write thread, which runs on another core, touches little of it.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from signalpost.model.delivery import AcceptedCall, DiscardedEvent, NewEvent, RefusedCall
from signalpost.model.ids import DestinationId
from signalpost.queue.checksums import build_checksum
from signalpost.queue.instants import to_milliseconds
from signalpost.queue.ledger import LedgerKey, MatchKeys, count_match_keys

_EventRow = tuple[str, str, int, str, str, str, str, int, int, str, int]
_DeadRow = tuple[str, str, int, str, str | None, str, str, int, int, str | None, str, str]


class Rows:
    """What calls add to the tables, without the ids that only the writer knows.

    events: parts of a JSON array. alike: count and bytes of the events of each kind, since most of a group are of few.
    """

    def __init__(self) -> None:
        self.events: list[str] = []
        self.payloads: list[bytes] = []
        self.dead_letters: list[tuple[_DeadRow, bytes | None]] = []
        self.alike: dict[MatchKeys, tuple[int, int]] = {}
        self.counts: Counter[LedgerKey] = Counter()

    def add_calls(self, calls: Sequence[AcceptedCall]) -> None:
        """Build the rows of these calls."""
        event_rows: list[_EventRow] = []
        for call in calls:
            received_at = _to_milliseconds(call.received_at)
            self.counts[call.source_id, "", "", "call_accepted", ""] += 1
            for event in call.events:
                event_rows.append(_build_event_row(call, received_at, event))
                self.payloads.append(event.payload)
                self._add_alike(
                    (call.source_id, event.destination_id, event.event_name, event.match_keys), 1, len(event.payload)
                )
            if call.discarded:
                self.dead_letters += _build_dead_letters(call, received_at)
                for key in _list_endings(call):
                    self.counts[key] += 1
        if event_rows:
            self.events.append(msgspec.json.encode(event_rows)[1:-1].decode())

    def add(self, other: "Rows") -> None:
        """Join the rows of other calls."""
        self.events += other.events
        self.payloads += other.payloads
        self.dead_letters += other.dead_letters
        for key, count in other.counts.items():
            self.counts[key] += count
        for kind, (count, size) in other.alike.items():
            self._add_alike(kind, count, size)

    def count_refused(self, refused: Sequence[RefusedCall]) -> None:
        """Count calls that were no valid ones; they have no rows."""
        for call in refused:
            self.counts[call.source_id, "", "", "call_invalid", call.code] += 1

    def count_events(self) -> int:
        """How many ids they need."""
        return sum([count for count, _ in self.alike.values()])

    def count_arrivals(self) -> Counter[DestinationId]:
        """The events of each destination."""
        arrivals: Counter[DestinationId] = Counter()
        for (_, destination_id, _, _), (count, _) in self.alike.items():
            arrivals[DestinationId(destination_id)] += count
        return arrivals

    def _add_alike(self, kind: MatchKeys, count: int, size: int) -> None:
        known = self.alike.get(kind)
        self.alike[kind] = (count, size) if known is None else (known[0] + count, known[1] + size)

    def count(self) -> Counter[LedgerKey]:
        """What the ledger counts of it."""
        counts = self.counts + count_match_keys({kind: count for kind, (count, _) in self.alike.items()})
        for (source_id, destination_id, event_name, _), (count, size) in self.alike.items():
            counts[source_id, destination_id, "", "waiting_bytes", ""] += size
            counts[source_id, destination_id, event_name, "accepted", ""] += count
        return counts


_to_milliseconds: Final = lru_cache(maxsize=64)(to_milliseconds)
"""All calls of a request were received at one time."""


def _build_dead_letters(call: AcceptedCall, received_at: int) -> list[tuple[_DeadRow, bytes | None]]:
    return [
        (_build_dead_row(call.source_id, call.message_id, received_at, event), event.payload)
        for event in call.discarded
        if event.state == "rejected"
    ]


def _build_event_row(call: AcceptedCall, received_at: int, event: NewEvent) -> _EventRow:
    destination_id, dataset_id, event_id = event.destination_id, event.dataset_id, event.event_id
    event_time, expires_at = event.event_time, event.expires_at
    checksum = build_checksum(destination_id, dataset_id, event_id, event_time, expires_at, payload=event.payload)
    return (
        call.source_id,
        call.message_id,
        received_at,
        destination_id,
        dataset_id,
        event.event_name,
        event_id,
        event_time,
        expires_at,
        checksum.hex(),
        len(event.payload),
    )


def _build_dead_row(source_id: str, message_id: str, received_at: int, event: DiscardedEvent) -> _DeadRow:
    destination_id, event_time, expires_at = event.destination_id or "", event.event_time, event.expires_at
    checksum = None
    if event.payload is not None:
        checksum = build_checksum(
            destination_id, event.dataset_id, event.event_id, event_time, expires_at, payload=event.payload
        ).hex()
    return (
        source_id,
        message_id,
        received_at,
        destination_id,
        event.dataset_id,
        event.event_name,
        event.event_id,
        event_time,
        expires_at,
        checksum,
        event.code,
        event.reason,
    )


def _list_endings(call: AcceptedCall) -> Iterator[LedgerKey]:
    for discarded in call.discarded:
        whose = (call.source_id, discarded.destination_id or "", discarded.event_name)
        code = f"{discarded.code}/{discarded.reason}" if discarded.state == "rejected" else discarded.code
        yield (*whose, "accepted", "")
        yield (*whose, discarded.state, code)
