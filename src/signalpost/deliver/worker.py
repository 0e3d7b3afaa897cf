"""Lease, batch, send, settle: one worker for each destination, so that a dead one slows no other.

Every event that is leased is settled or released here, or comes back when its lease ends. History and metrics follow
the durable step, never the other way round.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import assert_never

from signalpost.deliver.batches import BatchLimits, group_into_batches, split_expired
from signalpost.deliver.bisection import Bisection
from signalpost.deliver.retry import (
    RECEIPT_MISMATCH,
    DeadLetter,
    Decision,
    Done,
    Expire,
    PauseDestination,
    RetryAt,
    RetryPolicy,
    Split,
    decide,
)
from signalpost.history.calls import History
from signalpost.model.delivery import Accepted, Batch, Outcome, QueuedEvent, Target, Unauthorized
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DatasetId, DestinationId
from signalpost.queue.interface import Queue
from signalpost.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How one destination is served. `lease_for` must be well over the time limit of one request."""

    batch: BatchLimits = field(default_factory=BatchLimits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    batches_in_flight: int = 2
    max_leased_bytes: int = 4 << 20
    lease_for: timedelta = timedelta(seconds=60)
    linger: timedelta = timedelta(seconds=1)
    queue_trouble_delay: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class DeliveryParts:
    """What all workers of a process share.

    find_target: None while a destination can't be sent to. wait_for_change: returns when the settings have changed.
    """

    queue: Queue
    send: Callable[[Batch, Target], Awaitable[Outcome]]
    find_target: Callable[[DestinationId, DatasetId], Target | None]
    wait_for_change: Callable[[], Awaitable[None]]
    history: History
    telemetry: Telemetry
    now: Callable[[], datetime]
    jitter: Callable[[], float] = random.random


class Worker:
    """Delivers one destination's events until it is stopped."""

    def __init__(self, destination_id: DestinationId, parts: DeliveryParts, settings: WorkerSettings) -> None:
        self._destination_id = destination_id
        self._parts = parts
        self._queue = parts.queue
        self._settings = settings
        self._stopping = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._last_outcomes: tuple[type[Outcome], int] = (Accepted, 0)
        self._rests_until = 0.0
        self._is_open = asyncio.Event()
        self._is_open.set()
        self._changes_seen = 0

    async def run(self) -> None:
        """Serve until `stop()`; what is in flight then is finished and settled before this returns."""
        serving = {asyncio.create_task(self._follow_changes()), asyncio.create_task(self._serve())}
        try:
            await self._stopping.wait()
        finally:
            self._stopping.set()
            for task in serving:
                task.cancel()
            await asyncio.wait(serving)  # only then can nothing more be put in flight
            if self._in_flight:
                await asyncio.wait(self._in_flight)

    def stop(self) -> None:
        """Take no more events."""
        self._stopping.set()

    @property
    def _may_send(self) -> bool:
        is_rested = asyncio.get_running_loop().time() >= self._rests_until
        return is_rested and self._is_open.is_set() and not self._stopping.is_set()

    async def _serve(self) -> None:
        while True:
            await self._rest()
            if len(self._in_flight) >= self._settings.batches_in_flight:
                await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                leased = await self._lease()
            except Exception as error:  # noqa: BLE001 - whatever it is, the events wait and somebody must go on asking
                self._report(error)
                await asyncio.sleep(self._settings.queue_trouble_delay.total_seconds())
                continue
            if not leased:  # the queue is closed
                return
            if not self._may_send:  # what is in flight has failed while this waited for events
                await self._queue.release(leased)
                continue
            task = asyncio.create_task(self._deliver_or_report(leased))
            self._in_flight.add(task)
            task.add_done_callback(self._in_flight.discard)

    async def _rest(self) -> None:
        """Hold no lease while the destination is paused or backing off; what is in flight may prolong both."""
        while not self._may_send:
            await self._is_open.wait()
            await asyncio.sleep(self._rests_until - asyncio.get_running_loop().time())

    async def _follow_changes(self) -> None:
        """Let changed settings end a pause."""
        while True:
            await self._parts.wait_for_change()
            self._changes_seen += 1
            if not self._is_open.is_set():
                self._is_open.set()
                self._parts.telemetry.resumed(self._destination_id)

    async def _lease(self) -> Sequence[QueuedEvent]:
        settings = self._settings
        return await self._queue.lease(
            self._destination_id,
            limit=settings.batch.max_events,
            max_bytes=settings.max_leased_bytes // settings.batches_in_flight,
            lease_for=settings.lease_for,
            linger=settings.linger,
        )

    async def _deliver_or_report(self, leased: Sequence[QueuedEvent]) -> None:
        try:
            await self.deliver(leased)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the worker
            # What could not be settled comes back when its lease ends, and is sent again with the same event_id.
            self._report(error)

    async def deliver(self, leased: Sequence[QueuedEvent]) -> None:
        """Send what is leased and settle every event of it: refused parts are halved until each bad event is alone.

        Each part is settled as soon as it is answered, so that a crash repeats nothing that was settled. Trouble that
        is not the events' own ends the round: the rest is given back.
        """
        fresh, expired = split_expired(leased, self._parts.now())
        for batch in group_into_batches(expired, self._settings.batch):
            await self._settle(batch, Expire(), fresh)
        bisection = Bisection(group_into_batches(fresh, self._settings.batch))
        while part := bisection.next_part():
            await self._queue.extend([*part.events, *bisection.waiting], self._settings.lease_for)
            decision = await self._attempt(part)
            await self._settle(part, decision, bisection.waiting)
            if isinstance(decision, Split):
                bisection.split(part)
            if not self._may_send:
                break
        await self._queue.release(bisection.waiting)

    async def _attempt(self, part: Batch) -> Decision:
        """Send one request and decide; the destination as a whole pauses or rests from here on."""
        changes_seen, (last_kind, in_a_row) = self._changes_seen, self._last_outcomes
        outcome = await self._send(part)
        # Counted from before the request, so that those that fail side by side make one step of the back-off.
        failures = in_a_row if type(outcome) is last_kind else 0
        self._last_outcomes = type(outcome), failures + 1
        now, jitter = self._parts.now(), self._parts.jitter()
        decision = decide(outcome, part, failures, now, jitter, self._settings.retry)
        match decision:
            case RetryAt(when):
                rests_until = asyncio.get_running_loop().time() + (when - now).total_seconds()
                self._rests_until = max(self._rests_until, rests_until)
            case PauseDestination() if self._is_open.is_set() and changes_seen == self._changes_seen:
                self._is_open.clear()
                self._parts.telemetry.paused(self._destination_id, decision.reason, decision.detail)
        return decision

    async def _send(self, part: Batch) -> Outcome:
        target = self._parts.find_target(part.destination_id, part.dataset_id)
        if target is None:
            return Unauthorized("token", "the destination has no access token")
        read_loop_clock = asyncio.get_running_loop().time
        sent_at = read_loop_clock()
        outcome = await self._parts.send(part, target)
        self._parts.telemetry.attempted(self._destination_id, outcome, read_loop_clock() - sent_at)
        return outcome

    async def _settle(self, part: Batch, decision: Decision, waiting: Sequence[QueuedEvent]) -> None:
        """Settle a part, however often the queue must be asked: what Meta has taken would else be sent to it again.

        waiting: the rest of the lease, which must not end meanwhile.
        """
        while True:
            try:
                await self._settle_once(part, decision)
            except QueueUnavailable as trouble:
                if self._stopping.is_set():
                    raise
                self._report(trouble)
            else:
                return
            await asyncio.sleep(self._settings.queue_trouble_delay.total_seconds())
            await self._queue.extend([*part.events, *waiting], self._settings.lease_for)

    async def _settle_once(self, part: Batch, decision: Decision) -> None:
        queue, history, telemetry = self._queue, self._parts.history, self._parts.telemetry
        match decision:
            case Done(fbtrace_id, flags):
                await queue.ack(part.events, fbtrace_id, flags)
                history.settled(part.events, "delivered", fbtrace_id or "")
                telemetry.delivered(part, self._parts.now(), is_mismatch=RECEIPT_MISMATCH in flags)
            case DeadLetter(reason):
                await queue.dead_letter(part.events, reason)
                history.settled(part.events, "rejected", reason.detail)
                telemetry.dead_lettered(part, reason)
            case Expire():
                await queue.expire(part.events)
                history.settled(part.events, "expired", "event_too_old")
                telemetry.expired(self._destination_id, len(part.events))
            case RetryAt(when, detail, charge):
                await queue.retry_at(part.events, when, detail, charge=charge)
                history.settled(part.events, "pending", detail)
                telemetry.retry_scheduled(part, when, detail)
            case PauseDestination():
                await queue.release(part.events)
            case Split():
                pass
            case unreachable:
                assert_never(unreachable)

    def _report(self, error: Exception) -> None:
        if isinstance(error, QueueUnavailable):
            self._parts.telemetry.queue_unavailable(str(error))
        else:
            self._parts.telemetry.delivery_failed(self._destination_id, error)
