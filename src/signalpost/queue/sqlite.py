"""The default queue: one SQLite file, one write thread, short transactions.

Once `put()` has returned, the events survive a crash; they are delivered at least once; they leave only by ack, dead
letter or expiry. This file puts the parts together: `puts` and `settling` hold the SQL that writes, `writer` commits,
`reading` holds the SQL that reads, `leases` lives in memory, `ledger` counts.
"""

import asyncio
import functools
import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn, Self

from signalpost.model.delivery import AcceptedCall, DeadLetter, DeadReason, PutReceipt, QueuedEvent, RefusedCall
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DestinationId
from signalpost.queue import settling
from signalpost.queue.database import open_for_reading, open_for_writing
from signalpost.queue.instants import to_milliseconds, to_milliseconds_after
from signalpost.queue.interface import Durability, Ledger, RequeueReport
from signalpost.queue.leases import Arrivals, Leases
from signalpost.queue.ledger import read_ledger
from signalpost.queue.puts import PutStore, prepare_put
from signalpost.queue.reading import EventsRead, find_due, find_next_due, read_dead_letters, read_events
from signalpost.queue.seen_calls import SeenCalls
from signalpost.queue.writer import SettlingStep, Writer

_log = logging.getLogger(__name__)

# Some 3 ms of work.
_CALLS_PREPARED_AT_ONCE: Final = 250

# A sleeping lease looks at the clock at least this often: the wall clock may be set while it sleeps.
_LONGEST_SLEEP_SECONDS: Final = 1.0

_CORRUPT_ROW: Final = DeadReason(
    code=settling.MESSAGE_REJECTED, reason="corrupt_row", detail="The stored event is damaged and was not sent."
)


def read_clock() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)


def end_process() -> NoReturn:
    """Leave at once, after a moment in which the refusals can still be sent; the supervisor starts a fresh process."""
    time.sleep(0.1)
    os._exit(70)


class SqliteQueue:
    """The Queue over one file. Build and use it in one event loop; a lock elsewhere keeps other processes away."""

    durability: Durability = "fsynced"

    def __init__(
        self,
        path: Path,
        *,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        abort: Callable[[], object] = end_process,
        on_trouble: Callable[[str], object] = _log.error,
        on_commit: Callable[[float, int], object] = lambda _seconds, _rows: None,
    ) -> None:
        self._now = now
        self._on_trouble = on_trouble
        self._leases = Leases(monotonic)
        self._arrivals = Arrivals()
        self._is_closed = False
        connection = open_for_writing(path)
        self._reader = open_for_reading(path)
        self._counting_reader = open_for_reading(path)
        self._counting = threading.Lock()
        self._seen = SeenCalls(log_row for (log_row,) in connection.execute("SELECT digests FROM dedupe_keys"))
        puts = PutStore(connection, self._seen, now)
        self._writer = Writer(connection, puts, self._seen, abort=abort, on_trouble=on_trouble, on_commit=on_commit)

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        now: Callable[[], datetime] = read_clock,
        monotonic: Callable[[], float] = time.monotonic,
        **others: Any,
    ) -> Self:
        """Open the queue of a data folder."""
        return cls(data_dir / "queue.db", now=now, monotonic=monotonic, **others)

    @property
    def is_alive(self) -> bool:
        """Whether the write thread can still make anything durable."""
        return self._writer.is_alive

    async def put(self, calls: Sequence[AcceptedCall], refused: Sequence[RefusedCall] = ()) -> PutReceipt:
        """Store one request; see Queue.put."""
        prepared = prepare_put(calls[:_CALLS_PREPARED_AT_ONCE], refused)
        for start in range(_CALLS_PREPARED_AT_ONCE, len(calls), _CALLS_PREPARED_AT_ONCE):
            await asyncio.sleep(0)  # so that a large request does not keep the event loop from the others
            prepared.add(prepare_put(calls[start : start + _CALLS_PREPARED_AT_ONCE], ()))
        stored = await self._writer.put(prepared)
        for destination_id, count in stored.arrived.items():
            self._arrivals.announce(destination_id, count)
        return stored.receipt

    async def lease(
        self, destination_id: DestinationId, *, limit: int, max_bytes: int, lease_for: timedelta, linger: timedelta
    ) -> Sequence[QueuedEvent]:
        """Wait for due events, hide and return them; see Queue.lease. Empty only when the queue is closed."""
        read_loop_clock = asyncio.get_running_loop().time
        linger_until: float | None = None
        while not self._is_closed:
            now_ms = self._now_ms()
            due = self._find_due(destination_id, limit, now_ms)
            if not due:
                linger_until = None
                await self._arrivals.wait(destination_id, 1, self._seconds_until_due(destination_id, now_ms))
                continue
            linger_until = linger_until or read_loop_clock() + linger.total_seconds()
            seconds_left = linger_until - read_loop_clock()
            if len(due) < limit and seconds_left > 0:
                await self._arrivals.wait(destination_id, limit - len(due), seconds_left)
            else:
                # No await between finding, reading and hiding: that is why two leases never hold one event.
                read = read_events(self._reader, due, max_bytes)
                if read.is_sound:
                    self._leases.hold(destination_id, (event.id for event in read.events), lease_for)
                    return read.events
                await self._bury_damaged(read)
        return ()

    async def extend(self, events: Sequence[QueuedEvent], lease_for: timedelta) -> None:
        """Keep a lease longer."""
        self._leases.extend(events, lease_for)

    async def release(self, events: Sequence[QueuedEvent]) -> None:
        """Give events back at once."""
        self._leases.drop(events)
        for event in events:
            self._arrivals.announce(event.destination_id, 1)

    async def ack(self, events: Sequence[QueuedEvent], fbtrace_id: str | None, flags: Sequence[str] = ()) -> None:
        """Meta took them."""
        ids, now_ms = [event.id for event in events], self._now_ms()
        await self._settle(events, lambda connection: settling.ack(connection, ids, now_ms, fbtrace_id, flags))

    async def retry_at(
        self, events: Sequence[QueuedEvent], when: datetime, detail: str, *, charge: bool = True
    ) -> None:
        """Due again at `when`."""
        due_ms = to_milliseconds_after(when)
        await self._settle(
            events, lambda connection: settling.postpone(connection, events, due_ms, detail, charge=charge)
        )
        for event in events:  # wakes who sleeps until the next event is due, so that it learns of this one
            self._arrivals.announce(event.destination_id, 1)

    async def dead_letter(self, events: Sequence[QueuedEvent], reason: DeadReason) -> None:
        """They can't be delivered."""
        ids, now_ms = [event.id for event in events], self._now_ms()
        await self._settle(events, lambda connection: settling.bury(connection, ids, now_ms, reason))

    async def expire(self, events: Sequence[QueuedEvent]) -> None:
        """They are older than Meta takes."""
        ids, now_ms = [event.id for event in events], self._now_ms()
        await self._settle(events, lambda connection: settling.expire(connection, ids, now_ms))

    async def requeue(self, dead_letter_ids: Sequence[int]) -> RequeueReport:
        """Let dead letters wait again; see Queue.requeue."""
        if not dead_letter_ids:
            return RequeueReport(requeued=0, refused={})
        now_ms = self._now_ms()
        requeued: settling.Requeued = await self._writer.settle(
            lambda connection: settling.requeue(connection, dead_letter_ids, now_ms), len(dead_letter_ids)
        )
        for destination_id, count in requeued.arrived.items():
            self._arrivals.announce(destination_id, count)
        return requeued.report

    async def browse_dead_letters(
        self, *, destination_id: DestinationId | None = None, after_id: int = 0, limit: int = 100
    ) -> Sequence[DeadLetter]:
        """Dead letters in the order of their ids. A damaged payload is not shown."""
        return read_dead_letters(self._reader, destination_id, after_id, limit)

    async def counts(self, destination_id: DestinationId | None = None) -> Ledger:
        """Count everything; in a thread, since counting a long queue takes a while."""
        leased = self._leases.count_held(destination_id)
        return await asyncio.to_thread(self._read_ledger, destination_id, self._now_ms(), leased)

    async def prune(self) -> None:
        """Delete what has outlived its retention, a little in each transaction, so that ingest never waits for it."""
        now_ms = self._now_ms()
        steps: tuple[SettlingStep, ...] = (
            lambda connection: settling.prune_dedupe_keys(connection, self._seen, now_ms),
            lambda connection: settling.prune_delivered(connection, now_ms),
            lambda connection: settling.prune_dead_letters(connection, now_ms),
            lambda connection: settling.prune_ledger(connection, now_ms),
            settling.give_back_space,
        )
        for step in steps:
            while await self._writer.settle(step, settling.ROWS_PER_PRUNE):
                pass

    async def close(self) -> None:
        """Finish what is being written and let go of the file."""
        self._is_closed = True
        self._arrivals.announce_end()
        self._reader.close()
        with self._counting:
            self._counting_reader.close()
        # Last, since the last connection to close empties the write-ahead log, and only this one can.
        await self._writer.close()

    def _now_ms(self) -> int:
        return to_milliseconds(self._now())

    async def _settle(self, events: Sequence[QueuedEvent], step: SettlingStep) -> None:
        if events:
            await self._writer.settle(step, len(events))
            self._leases.drop(events)

    async def _bury_damaged(self, read: EventsRead) -> None:
        self._on_trouble(
            f"{len(read.damaged) + len(read.unreadable)} stored events are damaged; they are dead letters now."
        )
        now_ms = self._now_ms()
        if read.damaged:
            step = functools.partial(settling.bury, ids=read.damaged, now_ms=now_ms, reason=_CORRUPT_ROW)
            await self._writer.settle(step, len(read.damaged))
        if read.unreadable:
            step = functools.partial(settling.bury_unreadable, ids=read.unreadable, now_ms=now_ms, reason=_CORRUPT_ROW)
            await self._writer.settle(step, len(read.unreadable))

    def _find_due(self, destination_id: DestinationId, limit: int, now_ms: int) -> list[int]:
        held = self._leases.find_held(destination_id)
        due = find_due(self._reader, destination_id, now_ms, limit + len(held))
        return [id_ for id_ in due if id_ not in held][:limit]

    def _seconds_until_due(self, destination_id: DestinationId, now_ms: int) -> float:
        sleeps = [_LONGEST_SLEEP_SECONDS]
        next_due = find_next_due(self._reader, destination_id, now_ms)
        if next_due is not None:
            sleeps.append((next_due - now_ms) / 1000)
        next_end = self._leases.seconds_until_next_end(destination_id)
        if next_end is not None:
            sleeps.append(next_end)
        return min(sleeps)

    def _read_ledger(self, destination_id: DestinationId | None, now_ms: int, leased: int) -> Ledger:
        with self._counting:
            if self._is_closed:
                raise QueueUnavailable("The queue is closed.")
            return read_ledger(self._counting_reader, destination_id, now_ms, leased)
