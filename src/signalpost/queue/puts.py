"""How a request's calls become rows. Many requests share one transaction and, all together, one statement per table.

Few statements are what makes this fast: the thread that writes gives up the interpreter's lock at each one and may wait
5 ms to get it back from a busy event loop. A statement per row would wait that long for every event.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Final

import apsw
import msgspec

from signalpost.model.delivery import AcceptedCall, DiscardedEvent, NewEvent, PutReceipt, RefusedCall
from signalpost.model.ids import DestinationId
from signalpost.queue.checksums import build_checksum
from signalpost.queue.instants import to_milliseconds
from signalpost.queue.ledger import LedgerKey, LedgerStore, MatchKeys, count_match_keys
from signalpost.queue.seen_calls import SeenCalls, build_call_digest

# Queue events under consecutive ids.
_INSERT_EVENTS: Final = """
    INSERT INTO queued_events (id, source_id, message_id, received_at, destination_id, dataset_id, event_name, event_id,
        event_time, expires_at, checksum, size)
    SELECT ?1 + key, value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7, value->>8,
        unhex(value->>9), value->>10
    FROM jsonb_each(?2)"""

# Keep what mapping rejected, under consecutive ids.
_INSERT_DEAD_LETTERS: Final = """
    INSERT INTO dead_letters (id, rejected_at, source_id, message_id, received_at, destination_id, dataset_id,
        event_name, event_id, event_time, expires_at, checksum, code, reason)
    SELECT ?1 + key, ?3, value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6, value->>7,
        value->>8, unhex(value->>9), value->>10, value->>11
    FROM jsonb_each(?2)"""

# Store payloads under consecutive ids; a carray counts its rows from 1.
_INSERT_PAYLOADS: Final = "INSERT INTO payloads SELECT ?1 - 1 + rowid, value FROM carray(?2)"

# Append to the log of calls seen.
_INSERT_DEDUPE_KEYS: Final = "INSERT INTO dedupe_keys (seen_at, digests, first_event, last_event) VALUES (?, ?, ?, ?)"

# Find the id after the highest one that a queued event or a dead letter ever had.
_FIND_NEXT_ID: Final = "SELECT 1 + coalesce(max(seq), 0) FROM sqlite_sequence"

_EventRow = tuple[str, str, int, str, str, str, str, int, int, str, int]
_DeadRow = tuple[str, str, int, str, str | None, str, str, int, int, str | None, str, str]


class _PreparedCall(msgspec.Struct, gc=False):
    """One call beside its rows, which lack the ids that only the writer knows. events: one row for each of its own."""

    call: AcceptedCall
    digest: bytes
    events: list[_EventRow]
    dead_letters: Sequence[tuple[_DeadRow, bytes | None]]


class PreparedPut(msgspec.Struct):
    """One request as rows. `size` is what it adds to a transaction."""

    calls: list[_PreparedCall]
    refused: Counter[LedgerKey]
    size: int

    def add(self, other: "PreparedPut") -> None:
        """Join the next part of the same request."""
        self.calls += other.calls
        self.refused += other.refused
        self.size += other.size


class StoredPut(msgspec.Struct):
    """What became of a request: the receipt, and how many events each destination can lease now.

    first_id: of its events, which have consecutive ids in the order of the calls that were no duplicates.
    """

    receipt: PutReceipt
    arrived: dict[DestinationId, int]
    first_id: int


def prepare_put(calls: Sequence[AcceptedCall], refused: Sequence[RefusedCall]) -> PreparedPut:
    """Build the rows. The caller does it, since hashing a large payload gives up the interpreter's lock too."""
    return PreparedPut(
        calls=[_prepare_call(call) for call in calls],
        refused=Counter((call.source_id, "", "", "call_invalid", call.code) for call in refused),
        size=sum([len(call.events) + len(call.discarded) for call in calls]) + 1,
    )


def _prepare_call(call: AcceptedCall) -> _PreparedCall:
    source_id, message_id, received_at = call.source_id, call.message_id, _to_milliseconds(call.received_at)
    return _PreparedCall(
        call,
        build_call_digest(source_id, message_id),
        [_build_event_row(source_id, message_id, received_at, event) for event in call.events],
        _build_dead_letters(call, received_at) if call.discarded else (),
    )


_to_milliseconds: Final = lru_cache(maxsize=64)(to_milliseconds)
"""All calls of a request were received at one time."""


def _build_dead_letters(call: AcceptedCall, received_at: int) -> list[tuple[_DeadRow, bytes | None]]:
    return [
        (_build_dead_row(call.source_id, call.message_id, received_at, event), event.payload)
        for event in call.discarded
        if event.state == "rejected"
    ]


def _build_event_row(source_id: str, message_id: str, received_at: int, event: NewEvent) -> _EventRow:
    destination_id, dataset_id, event_id = event.destination_id, event.dataset_id, event.event_id
    event_time, expires_at = event.event_time, event.expires_at
    checksum = build_checksum(destination_id, dataset_id, event_id, event_time, expires_at, payload=event.payload)
    return (
        source_id,
        message_id,
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


class PutStore:
    """Writes groups of requests. Lives in the write thread: it alone gives ids and knows which calls were seen."""

    def __init__(
        self, connection: apsw.Connection, ledger: LedgerStore, seen: SeenCalls, now: Callable[[], datetime]
    ) -> None:
        self._connection = connection
        self._ledger = ledger
        self._seen = seen
        self._now = now
        self._next_id: int = connection.execute(_FIND_NEXT_ID).get

    def store(self, puts: Sequence[PreparedPut]) -> list[StoredPut]:
        """Write a group inside the open transaction. A rollback may leave a gap in the ids, which nobody minds."""
        group = _Group()
        stored = [self._add(put, group, self._next_id) for put in puts]
        now_ms = to_milliseconds(self._now())
        first_id, first_dead = self._next_id, self._next_id + len(group.events)
        self._next_id = first_dead + len(group.dead_letters)
        if group.events:
            self._connection.execute(_INSERT_EVENTS, (first_id, _to_json(group.events)))
        # Those with a payload come first, so that theirs follow the events' payloads without a gap.
        group.dead_letters.sort(key=lambda dead: dead[1] is None)
        payloads = group.payloads + [payload for _, payload in group.dead_letters if payload is not None]
        if payloads:
            self._connection.execute(_INSERT_PAYLOADS, (first_id, apsw.carray(tuple(payloads))))
        if group.dead_letters:
            rows = _to_json([row for row, _ in group.dead_letters])
            self._connection.execute(_INSERT_DEAD_LETTERS, (first_dead, rows, now_ms))
        if group.digests:
            digests = b"".join(group.digests)
            self._connection.execute(_INSERT_DEDUPE_KEYS, (now_ms, digests, first_id, self._next_id - 1))
        self._ledger.add(now_ms, group.count())
        return stored

    def _add(self, put: PreparedPut, group: "_Group", first_id: int) -> StoredPut:
        """Add a request's rows to the group's, without those of calls that were seen before."""
        is_duplicate: list[bool] = []
        first_event = len(group.events)
        for call in put.calls:
            is_new = self._seen.learn(call.digest)
            is_duplicate.append(not is_new)
            if is_new:
                group.add(call)
            else:
                group.counts[call.call.source_id, "", "", "call_duplicate", ""] += 1
        group.counts.update(put.refused)
        arrived = Counter([DestinationId(row[3]) for row in group.events[first_event:]])
        return StoredPut(PutReceipt(is_duplicate=tuple(is_duplicate)), arrived, first_id + first_event)


class _Group:
    """The rows of all requests that share a transaction."""

    def __init__(self) -> None:
        self.events: list[_EventRow] = []
        self.payloads: list[bytes] = []
        self.dead_letters: list[tuple[_DeadRow, bytes | None]] = []
        self.digests: list[bytes] = []
        self.counts: Counter[LedgerKey] = Counter()
        self._calls: Counter[str] = Counter()
        self._alike: dict[MatchKeys, list[int]] = {}

    def add(self, prepared: _PreparedCall) -> None:
        call = prepared.call
        source_id = call.source_id
        self.digests.append(prepared.digest)
        self.events += prepared.events
        self._calls[source_id] += 1
        for event in call.events:
            self.payloads.append(event.payload)
            kind = source_id, event.destination_id, event.event_name, event.match_keys
            sizes = self._alike.get(kind)
            if sizes is None:
                self._alike[kind] = [len(event.payload)]
            else:
                sizes.append(len(event.payload))
        if call.discarded:
            self.dead_letters += prepared.dead_letters
            for key in _list_endings(call):
                self.counts[key] += 1

    def count(self) -> Counter[LedgerKey]:
        """What the ledger counts of it; most events of a group are alike, so each kind is named once."""
        counts = self.counts + count_match_keys({kind: len(sizes) for kind, sizes in self._alike.items()})
        for source_id, count in self._calls.items():
            counts[source_id, "", "", "call_accepted", ""] += count
        for (source_id, destination_id, event_name, _), sizes in self._alike.items():
            counts[source_id, destination_id, "", "waiting_bytes", ""] += sum(sizes)
            counts[source_id, destination_id, event_name, "accepted", ""] += len(sizes)
        return counts


def _to_json(rows: Sequence[_EventRow] | Sequence[_DeadRow]) -> str:
    return msgspec.json.encode(rows).decode()
