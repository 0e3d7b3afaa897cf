"""All workers of the process: what the service starts and stops, and what console, doctor and metrics ask."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from signalpost.deliver.parts import DeliveryParts, WorkerSettings
from signalpost.deliver.worker import Worker
from signalpost.model.delivery import DISCARDED_BY_OPERATOR
from signalpost.model.destination_state import DestinationState
from signalpost.model.ids import DestinationId


class Workers:
    """One worker for each destination, found by its id."""

    def __init__(self, parts: DeliveryParts, settings: WorkerSettings) -> None:
        self._parts = parts
        self._settings = settings
        self._workers: dict[DestinationId, Worker] = {}
        self._running: set[asyncio.Task[None]] = set()

    def start(self, destination_ids: Iterable[DestinationId]) -> None:
        """Serve these destinations too, in so far as they are not served yet."""
        for destination_id in destination_ids:
            if destination_id not in self._workers:
                worker = Worker(destination_id, self._parts, self._settings)
                self._workers[destination_id] = worker
                self._running.add(asyncio.create_task(worker.run()))

    async def stop(self) -> None:
        """Return when every send in flight has been settled."""
        for worker in self._workers.values():
            worker.stop()
        await asyncio.gather(*self._running)

    def list_states(self) -> Sequence[DestinationState]:
        """How delivery to each destination stands at this moment."""
        return [worker.describe() for worker in self._workers.values()]

    def find_clock_skew(self) -> timedelta | None:
        """How far the wall clock is ahead of Meta's; None before the first answer of this run."""
        clock = self._parts.clock
        return self._parts.clock_guard.find_skew(clock.now(), clock.monotonic())

    async def discard(
        self, destination_id: DestinationId, received_before: datetime, *, dry_run: bool = False
    ) -> int | None:
        """Give up what waits for a destination to which nothing is delivered; how many. None while it is delivered to.

        dry_run: only count.
        """
        worker = self._workers.get(destination_id)
        if worker is not None and worker.describe().pause is None:
            return None
        discarded = await self._parts.queue.discard_waiting(destination_id, received_before, dry_run=dry_run)
        if discarded and not dry_run:
            self._parts.history.discarded(destination_id, received_before, DISCARDED_BY_OPERATOR)
            self._parts.telemetry.discarded(destination_id, discarded)
            if worker is not None:
                worker.forget_suspects()
        return discarded

    async def resume(self, destination_id: DestinationId) -> bool:
        """Try a destination again at once, whatever holds it or its events back. False when it is not known.

        Raises QueueUnavailable when only the destination is tried again, and not what waits for its own next attempt.
        """
        worker = self._workers.get(destination_id)
        if worker is None:
            return False
        worker.resume()
        await self._parts.queue.bring_forward(destination_id)
        return True
