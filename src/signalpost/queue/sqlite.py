"""The default queue: one SQLite file, one write thread, short transactions.

Once `put()` has returned, the events survive a crash; they are delivered at least once; they leave only by ack, dead
letter or expiry. This file puts the parts together: `puts`, `settling` and `dead_letters` hold the SQL that writes,
`writer` commits, `leasing` finds what is due and reads it (`fresh_events` mostly makes that needless), `leases` lives
in memory, `ledger` counts, `inquiries` answers whoever only looks.
"""

import asyncio
import functools
import itertools
import logging
import operator
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NoReturn, Self

import apsw

from signalpost import failpoints
from signalpost.model.dead_letters import DeadLetterFilter, RequeueReport
from signalpost.model.delivery import AcceptedCall, DeadReason, PutReceipt, QueuedEvent, RefusedCall
from signalpost.model.destination_state import Damage
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DestinationId
from signalpost.queue import dead_letters, settling
from signalpost.queue.balance import LONGEST_WAIT_MS
from signalpost.queue.damage import DamageBook, SettleEvents
from signalpost.queue.database import build_refusal, open_for_reading, open_for_writing
from signalpost.queue.discarding import count_waiting, find_last_before, find_waiting
from signalpost.queue.fresh_events import FreshEvents
from signalpost.queue.inquiries import Inquiries
from signalpost.queue.instants import to_milliseconds_after
from signalpost.queue.interface import Durability
from signalpost.queue.leases import Arrivals, Leases
from signalpost.queue.leasing import Leasing
from signalpost.queue.ledger import LedgerStore
from signalpost.queue.migrations import delete_old_copies
from signalpost.queue.puts import PutStore, prepare_put
from signalpost.queue.reading import EventsRead
from signalpost.queue.retention import ROWS_PER_STEP, Retention, build_steps, limit_kept_payloads
from signalpost.queue.room import Room
from signalpost.queue.seen_calls import SeenCalls
from signalpost.queue.upkeep import Upkeep
from signalpost.queue.writer import Writer

_log = logging.getLogger(__name__)

# Some 3 ms of work.
_CALLS_PREPARED_AT_ONCE: Final = 250

_DISCARDED_WITHIN: Final = timedelta(minutes=1)

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


class SqliteQueue(Inquiries):
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
        retention: Retention | None = None,
        room: Room | None = None,
        find_dataset: dead_letters.FindDataset = lambda _destination_id, _event_name: None,
    ) -> None:
        """find_dataset: for a dead letter that mapping could give none; called in other threads too."""
        self._on_trouble = on_trouble
        self._find_dataset = find_dataset
        self._arrivals = Arrivals()
        self._fresh = FreshEvents()
        self._is_closed = False
        self._room = room
        self._path = path
        connection = open_for_writing(path)
        self._reader = open_for_reading(path)
        super().__init__(path, Leases(monotonic), retention or Retention(), now, monotonic)
        self._damage = DamageBook(self._leases, on_trouble)
        self._leasing = Leasing(self._reader, self._leases, self._fresh)
        self._ledger = LedgerStore(connection)
        self._seen = SeenCalls(log_row for (log_row,) in connection.execute("SELECT digests FROM dedupe_keys"))
        puts = PutStore(connection, self._ledger, self._seen, now)
        upkeep = Upkeep(connection, self._ledger, room, now, monotonic)
        self._writer = Writer(
            connection, puts, self._seen, upkeep, abort=abort, on_trouble=on_trouble, on_commit=on_commit
        )

    @classmethod
    def open(
        cls,
        data_dir: Path,
        *,
        now: Callable[[], datetime] = read_clock,
        monotonic: Callable[[], float] = time.monotonic,
        **others: Any,
    ) -> Self:
        """Open the queue of a data folder. ConfigError when its file is damaged or not a queue."""
        path = data_dir / "queue.db"
        try:
            return cls(path, now=now, monotonic=monotonic, **others)
        except apsw.Error as error:
            raise build_refusal(path, error) from error

    @property
    def is_alive(self) -> bool:
        """Whether the write thread can still make anything durable."""
        return self._writer.is_alive

    def find_trouble(self) -> str | None:
        """Why nothing can be put now: `queue_unavailable` or `disk_low`; else None."""
        if not self._writer.is_alive:
            return "queue_unavailable"
        return "disk_low" if self._room is not None and self._room.state != "normal" else None

    def find_damage(self, destination_id: DestinationId) -> Damage | None:
        """What of a destination's could not be read or settled so far."""
        return self._damage.find(destination_id)

    async def put(self, calls: Sequence[AcceptedCall], refused: Sequence[RefusedCall] = ()) -> PutReceipt:
        """Store one request; see Queue.put."""
        self._check_room(calls)
        prepared = prepare_put(calls[:_CALLS_PREPARED_AT_ONCE], refused)
        for start in range(_CALLS_PREPARED_AT_ONCE, len(calls), _CALLS_PREPARED_AT_ONCE):
            await asyncio.sleep(0)  # so that a large request does not keep the event loop from the others
            prepared.add(prepare_put(calls[start : start + _CALLS_PREPARED_AT_ONCE], ()))
        stored = await self._writer.put(prepared)
        is_new = map(operator.not_, stored.receipt.is_duplicate)
        self._fresh.add(stored.first_id, itertools.compress(calls, is_new))
        for destination_id, count in stored.arrived.items():
            self._arrivals.announce(destination_id, count)
        return stored.receipt

    def _check_room(self, calls: Sequence[AcceptedCall]) -> None:
        if self._room is None:
            return
        for source_id in {str(call.source_id) for call in calls} or {""}:
            objection = self._room.find_objection(source_id)
            if objection is not None:
                raise QueueUnavailable(f"Nothing was stored: {objection}.")

    async def lease(
        self, destination_id: DestinationId, *, limit: int, max_bytes: int, lease_for: timedelta, linger: timedelta
    ) -> Sequence[QueuedEvent]:
        """Wait for due events, hide and return them; see Queue.lease. Empty only when the queue is closed."""
        read_loop_clock = asyncio.get_running_loop().time
        linger_until: float | None = None
        while not self._is_closed:
            now_ms = self._now_ms()
            with self._damage.noting(destination_id):
                due = self._leasing.find_due(destination_id, limit, now_ms)
                sleep = 0.0 if due else self._leasing.seconds_until_due(destination_id, now_ms)
            if not due:
                linger_until = None
                await self._arrivals.wait(destination_id, 1, sleep)
                continue
            linger_until = linger_until or read_loop_clock() + linger.total_seconds()
            seconds_left = linger_until - read_loop_clock()
            if len(due) < limit and seconds_left > 0:
                await self._arrivals.wait(destination_id, limit - len(due), seconds_left)
            else:
                read = self._leasing.take(destination_id, due, max_bytes, lease_for)
                if read.is_sound:
                    failpoints.reach("after_lease")
                    return read.events
                self._damage.set_aside(destination_id, read.out_of_reach)
                await self._bury_damaged(destination_id, read)
        return ()

    async def extend(self, events: Sequence[QueuedEvent], lease_for: timedelta) -> None:
        """Keep a lease longer."""
        self._leases.extend(events, lease_for)

    async def release(self, events: Sequence[QueuedEvent]) -> None:
        """Give events back at once."""
        own = self._leases.find_own(events)
        self._leases.drop(own)
        for event in own:
            self._arrivals.announce(event.destination_id, 1)

    async def ack(self, events: Sequence[QueuedEvent], fbtrace_id: str | None, flags: Sequence[str] = ()) -> None:
        """Meta took them."""
        now_ms, kept_bytes = self._now_ms(), self._retention.delivered_payload_bytes
        keep = bool(self._retention.delivered_payloads) and kept_bytes > 0

        def step(connection: apsw.Connection, ids: Sequence[int]) -> None:
            # Beside damage nothing is kept, since what is too much might not go; nor must that spoil the ack.
            keeps = keep and not self._damage.is_met
            settling.ack(connection, self._ledger, ids, now_ms, fbtrace_id, flags, keep_payloads=keeps)
            if not self._damage.is_met:
                limit_kept_payloads(connection, self._ledger, now_ms, kept_bytes, 2 * len(ids))

        await self._settle(events, step)

    async def retry_at(
        self, events: Sequence[QueuedEvent], when: datetime, detail: str, *, charge: bool = True
    ) -> None:
        """Due again at `when`."""
        due_ms = min(to_milliseconds_after(when), self._now_ms() + LONGEST_WAIT_MS)
        own = self._leases.find_own(events)

        def step(connection: apsw.Connection, ids: Sequence[int]) -> None:
            attempts = {event.id: event.attempts + charge for event in own}
            settling.postpone(connection, {id_: attempts[id_] for id_ in ids}, due_ms, detail)

        await self._settle(own, step)
        for event in own:  # wakes who sleeps until the next event is due, so that it learns of this one
            self._arrivals.announce(event.destination_id, 1)

    async def bring_forward(self, destination_id: DestinationId) -> int:
        """What waits for its next attempt is due now."""
        now_ms, brought = self._now_ms(), 0
        with self._damage.noting(destination_id):
            later = self._leasing.find_later(destination_id, now_ms)
        step = functools.partial(settling.bring_forward, now_ms=now_ms)
        for start in range(0, len(later), ROWS_PER_STEP):
            ids = later[start : start + ROWS_PER_STEP]
            brought += len(ids) - len(await self._damage.settle(self._writer, ids, step))
        self._arrivals.announce(destination_id, brought)
        return brought

    async def dead_letter(self, events: Sequence[QueuedEvent], reason: DeadReason) -> None:
        """They can't be delivered."""
        now_ms = self._now_ms()
        await self._settle(events, lambda connection, ids: settling.bury(connection, self._ledger, ids, now_ms, reason))

    async def expire(self, events: Sequence[QueuedEvent]) -> None:
        """They are older than Meta takes."""
        now_ms = self._now_ms()
        await self._settle(events, lambda connection, ids: settling.expire(connection, self._ledger, ids, now_ms))

    async def discard_waiting(
        self, destination_id: DestinationId, received_before: datetime, *, dry_run: bool = False
    ) -> int:
        """A person gives up what waits; see Queue.discard_waiting."""
        before_ms = to_milliseconds_after(received_before)
        last_id = await self._slow_reader.read(functools.partial(find_last_before, before_ms=before_ms))
        if dry_run:
            count = functools.partial(count_waiting, destination_id=destination_id, last_id=last_id)
            return await self._slow_reader.read(count)
        discarded = after_id = 0
        find = functools.partial(find_waiting, destination_id=destination_id, last_id=last_id, limit=ROWS_PER_STEP)
        while ids := await self._slow_reader.read(functools.partial(find, after_id=after_id)):
            after_id = ids[-1]
            discarded += await self._discard_unheld(destination_id, ids)
        return discarded

    async def _discard_unheld(self, destination_id: DestinationId, ids: Sequence[int]) -> int:
        """What a worker holds may be at Meta already; what nobody holds must not be leased while it goes."""
        held = self._leases.find_held(destination_id)
        free = [id_ for id_ in ids if id_ not in held]
        if not free:
            return 0
        self._leases.hide(destination_id, free, _DISCARDED_WITHIN)
        try:
            step = functools.partial(settling.discard, ledger=self._ledger, ids=free, now_ms=self._now_ms())
            discarded: int = await self._writer.settle(step, len(free))
        finally:
            self._leases.show(destination_id, free)
        self._fresh.forget(free)
        return discarded

    async def requeue(self, which: Sequence[int] | DeadLetterFilter, *, dry_run: bool = False) -> RequeueReport:
        """Let dead letters wait again; see Queue.requeue."""
        requeued, refused = 0, Counter[str]()
        async for ids in self._find_dead_letters(which):
            plan = await (self._plan_requeue(ids) if dry_run else self._requeue(ids))
            requeued += plan.report.requeued
            refused.update(plan.report.refused)
        return RequeueReport(requeued=requeued, refused=dict(refused))

    async def _plan_requeue(self, ids: Sequence[int]) -> dead_letters.RequeuePlan:
        plan = functools.partial(
            dead_letters.plan_requeue, ids=ids, now_ms=self._now_ms(), find_dataset=self._find_dataset
        )
        return await self._slow_reader.read(plan)

    async def _requeue(self, ids: Sequence[int]) -> dead_letters.RequeuePlan:
        step = functools.partial(
            dead_letters.requeue,
            ledger=self._ledger,
            ids=ids,
            now_ms=self._now_ms(),
            find_dataset=self._find_dataset,
        )
        plan: dead_letters.RequeuePlan = await self._writer.settle(step, len(ids))
        for destination_id, count in plan.arrived.items():
            self._arrivals.announce(destination_id, count)
        return plan

    async def discard(self, which: Sequence[int] | DeadLetterFilter, *, dry_run: bool = False) -> int:
        """Delete dead letters for good; see Queue.discard."""
        discarded = 0
        async for ids in self._find_dead_letters(which):
            if dry_run:
                discarded += len(await self.read_dead_letters(ids))
            else:
                step = functools.partial(
                    dead_letters.delete, ledger=self._ledger, ids=ids, now_ms=self._now_ms(), state="discarded"
                )
                discarded += await self._writer.settle(step, len(ids))
        return discarded

    async def _find_dead_letters(self, which: Sequence[int] | DeadLetterFilter) -> AsyncIterator[Sequence[int]]:
        """The ids that are meant, as many at a time as fit into a transaction."""
        if not isinstance(which, DeadLetterFilter):
            for start in range(0, len(which), ROWS_PER_STEP):
                yield which[start : start + ROWS_PER_STEP]
            return
        after_id = 0
        while True:
            find = functools.partial(dead_letters.find, where=which, after_id=after_id, limit=ROWS_PER_STEP)
            ids = await self._slow_reader.read(find)
            if not ids:
                return
            yield ids
            after_id = ids[-1]

    async def prune(self) -> None:
        """Delete what has outlived its retention, a little in each transaction, so that ingest never waits for it."""
        for step in build_steps(self._retention, self._ledger, self._seen, self._now_ms()):
            try:
                while await self._writer.settle(step, ROWS_PER_STEP):
                    pass
            except QueueUnavailable as error:
                if not isinstance(error.__cause__, apsw.CorruptError):
                    raise
                self._damage.meet()  # in one table, which is no reason to keep what is in another
        # They hold what the queue held, so they must not outlast what is kept longest.
        await asyncio.to_thread(delete_old_copies, self._path, self._now() - self._retention.dead_letters)

    async def close(self) -> None:
        """Finish what is being written and let go of the file."""
        self._is_closed = True
        self._arrivals.announce_end()
        self._reader.close()
        await self._slow_reader.close()
        # Last, since the last connection to close empties the write-ahead log, and only this one can.
        await self._writer.close()

    async def _settle(self, events: Sequence[QueuedEvent], step: SettleEvents) -> None:
        """Settle those of the events that still are their holder's."""
        own = self._leases.find_own(events)
        if own:
            ids = [event.id for event in own]
            self._fresh.forget(ids)
            left = await self._damage.settle(self._writer, ids, step)
            self._leases.drop(own)
            self._damage.set_aside(own[0].destination_id, left)

    async def _bury_damaged(self, destination_id: DestinationId, read: EventsRead) -> None:
        if read.damaged or read.unreadable:
            count = len(read.damaged) + len(read.unreadable)
            self._on_trouble(f"{count} stored events are damaged; they are dead letters now.")
        now_ms = self._now_ms()
        for ids, bury in ((read.damaged, settling.bury), (read.unreadable, settling.bury_unreadable)):
            if ids:
                step = functools.partial(_bury_corrupt, bury, self._ledger, now_ms)
                left = await self._damage.settle(self._writer, ids, step)
                self._damage.set_aside(destination_id, left)


def _bury_corrupt(
    bury: Callable[[apsw.Connection, LedgerStore, Sequence[int], int, DeadReason], None],
    ledger: LedgerStore,
    now_ms: int,
    connection: apsw.Connection,
    ids: Sequence[int],
) -> None:
    bury(connection, ledger, ids, now_ms, _CORRUPT_ROW)
