"""How a request's calls become rows. Many requests share one transaction and, all together, one statement per table.

Few statements are what makes this fast: the thread that writes gives up the interpreter's lock at each one and may wait
5 ms to get it back from a busy event loop. A statement per row would wait that long for every event.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import compress
from operator import not_
from typing import Final

import apsw
import msgspec

from signalpost.model.delivery import AcceptedCall, PutReceipt, RefusedCall
from signalpost.model.ids import DestinationId
from signalpost.queue.instants import to_milliseconds
from signalpost.queue.ledger import LedgerStore
from signalpost.queue.rows import Rows
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


class PreparedPut(msgspec.Struct):
    """One request as rows, made while its calls are at hand. `size` is what it adds to a transaction."""

    calls: list[AcceptedCall]
    digests: list[bytes]
    rows: Rows
    refused: Sequence[RefusedCall]
    size: int

    def add(self, other: "PreparedPut") -> None:
        """Join the next part of the same request."""
        self.calls += other.calls
        self.digests += other.digests
        self.rows.add(other.rows)
        self.size += other.size


class StoredPut(msgspec.Struct):
    """What became of a request: the receipt, and how many events each destination can lease now.

    first_id: of its events, which have consecutive ids in the order of the calls that were no duplicates.
    """

    receipt: PutReceipt
    arrived: Mapping[DestinationId, int]
    first_id: int


def prepare_put(calls: Sequence[AcceptedCall], refused: Sequence[RefusedCall]) -> PreparedPut:
    """Build the rows. The caller does it, since hashing a large payload gives up the interpreter's lock too."""
    rows = Rows()
    rows.add_calls(calls)
    return PreparedPut(
        calls=list(calls),
        digests=[build_call_digest(call.source_id, call.message_id) for call in calls],
        rows=rows,
        refused=refused,
        size=sum([len(call.events) + len(call.discarded) for call in calls]) + 1,
    )


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
        group, digests = Rows(), list[bytes]()
        stored = [self._add(put, group, digests, self._next_id) for put in puts]
        now_ms = to_milliseconds(self._now())
        first_id, first_dead = self._next_id, self._next_id + group.count_events()
        self._next_id = first_dead + len(group.dead_letters)
        if group.events:
            self._connection.execute(_INSERT_EVENTS, (first_id, f"[{','.join(group.events)}]"))
        # Those with a payload come first, so that theirs follow the events' payloads without a gap.
        group.dead_letters.sort(key=lambda dead: dead[1] is None)
        payloads = group.payloads + [payload for _, payload in group.dead_letters if payload is not None]
        if payloads:
            self._connection.execute(_INSERT_PAYLOADS, (first_id, apsw.carray(tuple(payloads))))
        if group.dead_letters:
            rows = msgspec.json.encode([row for row, _ in group.dead_letters]).decode()
            self._connection.execute(_INSERT_DEAD_LETTERS, (first_dead, rows, now_ms))
        if digests:
            self._connection.execute(_INSERT_DEDUPE_KEYS, (now_ms, b"".join(digests), first_id, self._next_id - 1))
        self._ledger.add(now_ms, group.count())
        return stored

    def _add(self, put: PreparedPut, group: Rows, digests: list[bytes], first_id: int) -> StoredPut:
        """Add a request's rows to the group's, without those of calls that were seen before."""
        is_new = [self._seen.learn(digest) for digest in put.digests]
        first_event = group.count_events()
        group.count_refused(put.refused)
        if all(is_new):
            rows = put.rows
            digests += put.digests
        else:
            rows = _build_new_rows(put, is_new)
            digests += compress(put.digests, is_new)
        group.add(rows)
        return StoredPut(PutReceipt(tuple(map(not_, is_new))), rows.count_arrivals(), first_id + first_event)


def _build_new_rows(put: PreparedPut, is_new: Sequence[bool]) -> Rows:
    """The rows of those calls that were not seen before, and a count of the others."""
    rows = Rows()
    rows.add_calls(list(compress(put.calls, is_new)))
    for call in compress(put.calls, map(not_, is_new)):
        rows.counts[call.source_id, "", "", "call_duplicate", ""] += 1
    return rows
