"""What a queue promises. Ingest and delivery know this file only; the composition root chooses the queue.

The promise: once `put()` has returned, the events survive a crash of the process and of the machine. They are delivered
at least once. An event leaves only by ack, dead letter, expiry or erasure. No order is promised, and no caller may ask
for one.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec

from signalpost.model.delivery import AcceptedCall, DeadLetter, DeadReason, PutReceipt, QueuedEvent, RefusedCall
from signalpost.model.ids import DestinationId

Durability = Literal["fsynced", "quorum, fsynced", "replicated, not fsynced", "one disk only"]


class CallCounts(msgspec.Struct, frozen=True):
    """received = accepted + duplicate + the sum of invalid."""

    received: int
    accepted: int
    duplicate: int
    invalid: dict[str, int]


class PendingCounts(msgspec.Struct, frozen=True):
    """Events that wait: ready now, leased to a worker, or retrying (their next attempt lies ahead)."""

    ready: int
    leased: int
    retrying: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.ready + self.leased + self.retrying


class EventCounts(msgspec.Struct, frozen=True):
    """accepted = delivered + filtered + rejected + expired + erased + pending, or `Ledger.imbalance` tells."""

    accepted: int
    pending: PendingCounts
    delivered: int
    filtered: dict[str, int]
    rejected: dict[str, int]
    expired: int
    erased: int


class Ledger(msgspec.Struct, frozen=True):
    """Where everything accepted went. `pending` is counted from rows, the rest from counters."""

    calls: CallCounts
    events: EventCounts
    imbalance: int
    oldest_pending_seconds: float


class RequeueReport(msgspec.Struct, frozen=True):
    """What a requeue did: how many wait again, and why the others were refused (reason -> count)."""

    requeued: int
    refused: dict[str, int]


class Queue(Protocol):
    """A durable queue of JSON bytes. Every settling call takes any part of a lease and is one durable step."""

    durability: Durability

    async def put(self, calls: Sequence[AcceptedCall], refused: Sequence[RefusedCall] = ()) -> PutReceipt:
        """Store one request's events, discards, dedupe keys and counts: all or nothing.

        A (source, messageId) seen in the last 24 hours, or earlier in `calls`, is a duplicate and stores nothing.
        Raises QueueUnavailable when nothing was stored.
        """
        ...

    async def lease(
        self, destination_id: DestinationId, *, limit: int, max_bytes: int, lease_for: timedelta, linger: timedelta
    ) -> Sequence[QueuedEvent]:
        """Wait until an event is due, then until `limit` are or `linger` is over; hide and return them.

        At most `limit` events and `max_bytes` of payload, but always at least one event. Until the lease ends, is
        settled or released, nobody else gets them.
        """
        ...

    async def extend(self, events: Sequence[QueuedEvent], lease_for: timedelta) -> None:
        """Keep a lease longer, from now on; events that are settled already are skipped."""
        ...

    async def release(self, events: Sequence[QueuedEvent]) -> None:
        """Give events back at once; no attempt is charged."""
        ...

    async def ack(self, events: Sequence[QueuedEvent], fbtrace_id: str | None, flags: Sequence[str] = ()) -> None:
        """Meta took them: they are delivered."""
        ...

    async def retry_at(
        self, events: Sequence[QueuedEvent], when: datetime, detail: str, *, charge: bool = True
    ) -> None:
        """Not now: due again at `when`. `charge` adds one to their attempts; `detail` is for people."""
        ...

    async def dead_letter(self, events: Sequence[QueuedEvent], reason: DeadReason) -> None:
        """They can't be delivered: kept as dead letters, with their payload and the reason."""
        ...

    async def expire(self, events: Sequence[QueuedEvent]) -> None:
        """They are older than Meta takes: counted as expired, the payload is deleted."""
        ...

    async def requeue(self, dead_letter_ids: Sequence[int]) -> RequeueReport:
        """Let dead letters wait again with the same payload and event_id.

        Refused one by one: `unknown`, `event_too_old`, and `not_requeueable` for what mapping itself rejected.
        """
        ...

    async def browse_dead_letters(
        self, *, destination_id: DestinationId | None = None, after_id: int = 0, limit: int = 100
    ) -> Sequence[DeadLetter]:
        """Dead letters in the order of their ids, `limit` at a time."""
        ...

    async def counts(self, destination_id: DestinationId | None = None) -> Ledger:
        """Count everything, or what concerns one destination (then `calls` are still those of all)."""
        ...

    async def prune(self) -> None:
        """Delete what has outlived its retention: dedupe keys, delivered metadata, dead letters."""
        ...

    async def close(self) -> None:
        """Finish what is being written and let go of the file; waiting leases end empty-handed."""
        ...
