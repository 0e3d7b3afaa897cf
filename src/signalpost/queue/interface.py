"""What a queue promises. Ingest and delivery know this file only; the composition root chooses the queue.

The promise: once `put()` has returned, the events survive a crash of the process and of the machine. They are delivered
at least once. An event leaves only by ack, dead letter, expiry or erasure. No order is promised, and no caller may ask
for one.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol

from signalpost.model.dead_letters import (
    ALL_DEAD_LETTERS,
    DeadLetter,
    DeadLetterFilter,
    DeadLetterGroup,
    RequeueReport,
)
from signalpost.model.delivery import AcceptedCall, DeadReason, PutReceipt, QueuedEvent, RefusedCall
from signalpost.model.destination_state import Damage
from signalpost.model.found_events import FoundEvents
from signalpost.model.ids import DestinationId, SourceId
from signalpost.model.ledger import Backlog, Ledger, Statistics

Durability = Literal["fsynced", "quorum, fsynced", "replicated, not fsynced", "one disk only"]


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
        """Not now: due again at `when`, or in 15 minutes when that is sooner.

        `charge` adds one to their attempts; `detail` is for people.
        """
        ...

    async def bring_forward(self, destination_id: DestinationId) -> int:
        """A person wants it tried now: what waits for its next attempt is due at once. Returns how many were waiting.

        Some hundreds in each durable step; their attempts stay as they are.
        """
        ...

    async def dead_letter(self, events: Sequence[QueuedEvent], reason: DeadReason) -> None:
        """They can't be delivered: kept as dead letters, with their payload and the reason."""
        ...

    async def expire(self, events: Sequence[QueuedEvent]) -> None:
        """They are older than Meta takes: counted as expired, the payload is deleted."""
        ...

    async def discard_waiting(
        self, destination_id: DestinationId, received_before: datetime, *, dry_run: bool = False
    ) -> int:
        """A person gives up what waits for a destination and nobody holds: rejected, without a dead letter.

        Some hundreds in each durable step; what arrives meanwhile stays. Returns how many; `dry_run` counts what is
        held too.
        """
        ...

    async def requeue(self, which: Sequence[int] | DeadLetterFilter, *, dry_run: bool = False) -> RequeueReport:
        """Let dead letters wait again with the same payload and event_id; `dry_run` only tells what would happen.

        Refused one by one: `unknown`, `event_too_old`, `not_requeueable` for what mapping itself rejected, and
        `dataset_missing`: a setting named no dataset when the call came, and none does now; else it gets the one of
        now. By a filter: those that are there now, some hundreds in each durable step.
        """
        ...

    async def discard(self, which: Sequence[int] | DeadLetterFilter, *, dry_run: bool = False) -> int:
        """Delete dead letters with their payloads for good; the ledger counts them as rejected. Returns how many."""
        ...

    async def browse_dead_letters(
        self,
        where: DeadLetterFilter = ALL_DEAD_LETTERS,
        *,
        beyond_id: int | None = None,
        limit: int = 100,
        newest_first: bool = False,
    ) -> Sequence[DeadLetter]:
        """Dead letters in the order of their ids, or the newest first, `limit` at a time, beyond `beyond_id`."""
        ...

    async def read_dead_letters(self, ids: Sequence[int]) -> Sequence[DeadLetter]:
        """The dead letters with these ids, as far as they are there."""
        ...

    async def count_dead_letters(self, where: DeadLetterFilter = ALL_DEAD_LETTERS) -> Sequence[DeadLetterGroup]:
        """How many there are of each destination and reason, the largest group first."""
        ...

    async def find_events(self, sought: str, source_id: SourceId | None = None) -> FoundEvents:
        """What became of the calls with a messageId, or of an event_id: each event that is kept, in whatever state."""
        ...

    def find_damage(self, destination_id: DestinationId) -> Damage | None:
        """What of a destination's the store can't read or settle, as far as that has been met; None when all was well.

        Such events wait on, are offered to no lease, and stay counted as pending.
        """
        ...

    async def counts(
        self,
        destination_id: DestinationId | None = None,
        *,
        source_id: SourceId | None = None,
        since: datetime | None = None,
    ) -> Ledger:
        """Count everything, or what concerns one destination (then `calls` are still those of all) or one source.

        since: count what happened from then on (to the minute; to the hour before the last 48 hours). What is pending
        and both imbalances are those of now in any case.
        """
        ...

    async def read_statistics(
        self,
        since: datetime,
        until: datetime,
        step: timedelta,
        *,
        source_id: SourceId | None = None,
        destination_id: DestinationId | None = None,
    ) -> Statistics:
        """What happened over time, from counters alone: quick, however much waits.

        step: whole minutes, of which the last 48 hours are kept, or whole hours, kept for 400 days. ValueError when
        there are more than 2,000 steps.
        """
        ...

    async def read_backlogs(self) -> Mapping[DestinationId, Backlog]:
        """What waits for each destination that an event was ever accepted for; quick, however much that is.

        While very many events are being retried it may lag behind, by a hundred times what counting those takes.
        """
        ...

    async def read_imbalance(self) -> int:
        """`counts().imbalance`, for whoever asks all the time: it may lag behind as `read_backlogs` does."""
        ...

    async def prune(self) -> None:
        """Delete what has outlived its retention: dedupe keys, what was delivered, dead letters, old counters."""
        ...

    async def close(self) -> None:
        """Finish what is being written and let go of the file; waiting leases end empty-handed."""
        ...
