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
from signalpost.history import History
from signalpost.model.delivery import Batch, Outcome, QueuedEvent, Target, Unauthorized, Unavailable
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DatasetId, DestinationId
from signalpost.queue.interface import Queue
from signalpost.telemetry import Telemetry

_QUEUE_TROUBLE_SECONDS = 1


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How one destination is served. `lease_for` must be well over the time limit of one request."""

    batch: BatchLimits = field(default_factory=BatchLimits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    batches_in_flight: int = 2
    max_leased_bytes: int = 4 << 20
    lease_for: timedelta = timedelta(seconds=60)
    linger: timedelta = timedelta(seconds=1)


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
        self._failures = 0
        self._rest_until: datetime | None = None
        self._is_paused = False

    async def run(self) -> None:
        """Serve until `stop()`; what is in flight then is finished and settled before this returns."""
        stopping = asyncio.create_task(self._stopping.wait())
        serving = asyncio.create_task(self._serve())
        await asyncio.wait({stopping, serving}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        serving.cancel()
        await asyncio.gather(*self._in_flight, return_exceptions=True)
        if serving.done():
            await serving  # a fault of ours must be seen, not swallowed

    def stop(self) -> None:
        """Take no more events."""
        self._stopping.set()

    async def _serve(self) -> None:
        while True:
            await self._rest()
            if len(self._in_flight) >= self._settings.batches_in_flight:
                await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
                continue
            try:
                leased = await self._lease()
            except QueueUnavailable as trouble:
                self._parts.telemetry.queue_unavailable(str(trouble))
                await asyncio.sleep(_QUEUE_TROUBLE_SECONDS)
                continue
            if leased:
                task = asyncio.create_task(self._deliver_all(leased))
                self._in_flight.add(task)
                task.add_done_callback(self._in_flight.discard)

    async def _rest(self) -> None:
        """Hold no lease while the destination is paused or backing off."""
        if self._is_paused:
            await self._parts.wait_for_change()
            self._is_paused = False
            self._parts.telemetry.resumed(self._destination_id)
        if self._rest_until is not None:
            wait = self._rest_until - self._parts.now()
            self._rest_until = None
            await asyncio.sleep(max(0, wait.total_seconds()))

    async def _lease(self) -> Sequence[QueuedEvent]:
        settings = self._settings
        return await self._queue.lease(
            self._destination_id,
            limit=settings.batch.max_events,
            max_bytes=settings.max_leased_bytes // settings.batches_in_flight,
            lease_for=settings.lease_for,
            linger=settings.linger,
        )

    async def _deliver_all(self, leased: Sequence[QueuedEvent]) -> None:
        try:
            fresh, expired = split_expired(leased, self._parts.now())
            if expired:
                await self._expire(expired)
            for batch in group_into_batches(fresh, self._settings.batch):
                await self.deliver(batch)
        except QueueUnavailable as trouble:
            # What could not be settled comes back when its lease ends, and is sent again with the same event_id.
            self._parts.telemetry.queue_unavailable(str(trouble))
        except Exception as error:  # noqa: BLE001 - a fault of ours: the same holds, and the worker lives on
            self._parts.telemetry.delivery_failed(self._destination_id, error)

    async def deliver(self, batch: Batch) -> None:
        """Send a batch and settle every event of it: refused parts are halved until each bad event is alone.

        Each part is settled as soon as it is answered, so that a crash repeats nothing that was settled.
        """
        bisection = Bisection(batch)
        while part := bisection.next_part():
            match await self._attempt(part):
                case Done(fbtrace_id, flags):
                    await self._queue.ack(part.events, fbtrace_id, flags)
                    self._failures = 0
                    self._parts.history.settled(part.events, "delivered", fbtrace_id or "")
                    self._parts.telemetry.delivered(part, self._parts.now())
                case Split():
                    bisection.split(part)
                    await self._queue.extend(bisection.waiting, self._settings.lease_for)
                case DeadLetter(reason):
                    await self._queue.dead_letter(part.events, reason)
                    self._parts.history.settled(part.events, "rejected", reason.detail)
                    self._parts.telemetry.dead_lettered(part, reason)
                case Expire():
                    await self._expire(part.events)
                case RetryAt(when, detail, charge):
                    self._rest_until = max(when, self._rest_until or when)
                    await self._queue.retry_at(part.events, when, detail, charge=charge)
                    await self._queue.release(bisection.waiting)
                    self._parts.history.settled(part.events, "pending", detail)
                    self._parts.telemetry.retry_scheduled(part, when, detail)
                    return
                case PauseDestination(pause_reason, detail):
                    self._is_paused = True
                    await self._queue.release([*part.events, *bisection.waiting])
                    self._parts.telemetry.paused(self._destination_id, pause_reason, detail)
                    return
                case unreachable:
                    assert_never(unreachable)

    async def _attempt(self, batch: Batch) -> Decision:
        target = self._parts.find_target(batch.destination_id, batch.dataset_id)
        outcome: Outcome = Unauthorized("token", "the destination has no access token")
        if target is not None:
            outcome = await self._parts.send(batch, target)
            self._parts.telemetry.attempted(self._destination_id, outcome)
        parts = self._parts
        decision = decide(outcome, batch, self._failures, parts.now(), parts.jitter(), self._settings.retry)
        self._failures += isinstance(outcome, Unavailable)
        return decision

    async def _expire(self, events: Sequence[QueuedEvent]) -> None:
        await self._queue.expire(events)
        self._parts.history.settled(events, "expired", "event_too_old")
        self._parts.telemetry.expired(self._destination_id, len(events))
