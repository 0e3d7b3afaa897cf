"""When to lease and when not: one worker for each destination, so that a dead one slows no other.

What the lease then goes through is in `sender.py`; whether to send at all is the gate's business (`gate.py`).
"""

import asyncio
import dataclasses
import math
from collections.abc import Sequence

from signalpost.deliver.breaker import BreakerPolicy
from signalpost.deliver.gate import Gate, Probe, Send, Wait
from signalpost.deliver.parts import DeliveryParts, WorkerSettings
from signalpost.deliver.sender import Sender
from signalpost.model.delivery import QueuedEvent
from signalpost.model.destination_state import DestinationState
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DatasetId, DestinationId


class Worker:
    """Delivers one destination's events until it is stopped."""

    def __init__(self, destination_id: DestinationId, parts: DeliveryParts, settings: WorkerSettings) -> None:
        self._destination_id = destination_id
        self._parts = parts
        self._queue = parts.queue
        self._clock = parts.clock
        self._settings = settings
        self._stopping = asyncio.Event()
        self._woken = asyncio.Event()
        self._in_flight: set[asyncio.Task[None]] = set()
        breaker = BreakerPolicy(settings.retry.opens_after, settings.batches_in_flight)
        self._gate = Gate(breaker, settings.pace, settings.retry)
        self._sender = Sender(destination_id, parts, settings, self._gate, self._stopping.is_set)

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

    def resume(self) -> None:
        """Try again at once, whatever holds this destination back."""
        self._gate.end_rest()
        self._try_again()

    def forget_suspects(self) -> None:
        """Search afresh for bad events among those that wait: many of them were given up."""
        self._sender.suspects.clear()

    def describe(self) -> DestinationState:
        """How delivery stands at this moment."""
        state = self._gate.describe(
            self._destination_id,
            in_flight=len(self._in_flight),
            suspects=len(self._sender.suspects),
            now=self._clock.monotonic(),
            at=self._clock.now(),
        )
        return dataclasses.replace(state, damage=self._queue.find_damage(self._destination_id))

    async def _serve(self) -> None:
        while not self._stopping.is_set():
            match self._gate.find_step(self._clock.monotonic(), len(self._in_flight)):
                case Send():
                    await self._lease_and_deliver()
                case Probe(dataset_id):
                    await self._probe(dataset_id)
                case Wait(seconds):
                    await self._wait(seconds)

    async def _lease_and_deliver(self) -> None:
        try:
            leased = await self._lease()
        except Exception as error:  # noqa: BLE001 - whatever it is, the events wait and somebody must go on asking
            self._report(error)
            await asyncio.sleep(self._settings.queue_trouble_delay.total_seconds())
            return
        if not leased:  # the queue is closed
            await self._stopping.wait()
        elif not self._sender.may_send:  # what is in flight has failed while this waited for events
            await self._queue.release(leased)
        else:
            task = asyncio.create_task(self._deliver_or_report(leased))
            self._in_flight.add(task)
            task.add_done_callback(self._came_back)

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
            await self._sender.deliver(leased)
        except Exception as error:  # noqa: BLE001 - a fault of ours must not end the worker
            # What could not be settled comes back when its lease ends, and is sent again with the same event_id.
            self._report(error)

    def _came_back(self, task: "asyncio.Task[None]") -> None:
        self._in_flight.discard(task)
        self._woken.set()

    async def _probe(self, dataset_id: DatasetId) -> None:
        answer = await self._sender.probe(dataset_id)
        skew = self._sender.find_skew(answer)
        if self._gate.probed(answer, skew, self._clock.monotonic(), self._clock.now()):
            self._parts.telemetry.resumed(self._destination_id)

    async def _wait(self, seconds: float) -> None:
        """Wait so long, or until something changes: a batch has come back, a pause has ended."""
        self._woken.clear()
        timer = self._clock.call_later(seconds, self._woken.set) if seconds < math.inf else None
        try:
            await self._woken.wait()
        finally:
            if timer is not None:
                timer.cancel()

    async def _follow_changes(self) -> None:
        """Let changed settings end a pause."""
        while True:
            await self._parts.wait_for_change()
            self._try_again()

    def _try_again(self) -> None:
        if self._gate.resume():
            self._sender.guard.reset()
            self._parts.telemetry.resumed(self._destination_id)
        self._woken.set()

    def _report(self, error: Exception) -> None:
        if isinstance(error, QueueUnavailable):
            self._parts.telemetry.queue_unavailable(str(error))
        else:
            self._parts.telemetry.delivery_failed(self._destination_id, error)
