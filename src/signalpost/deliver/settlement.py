"""Making the end of an attempt durable, then telling history and metrics; never the other way round."""

import asyncio
from collections.abc import Callable, Sequence
from typing import assert_never

from signalpost.deliver.batches import group_into_batches
from signalpost.deliver.parts import DeliveryParts, WorkerSettings
from signalpost.deliver.retry import (
    RECEIPT_MISMATCH,
    DeadLetter,
    Decision,
    Done,
    Expire,
    PauseDestination,
    RetryAt,
    Split,
)
from signalpost.model.delivery import Batch, QueuedEvent
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DestinationId


class Settlement:
    """Settles the events of one destination. is_stopping: True when the process must not wait for the queue."""

    def __init__(
        self,
        destination_id: DestinationId,
        parts: DeliveryParts,
        settings: WorkerSettings,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._destination_id = destination_id
        self._parts = parts
        self._queue = parts.queue
        self._settings = settings
        self._is_stopping = is_stopping

    async def settle(self, part: Batch, decision: Decision, waiting: Sequence[QueuedEvent]) -> None:
        """Settle a part, however often the queue must be asked: what Meta has taken would else be sent to it again.

        waiting: the rest of the lease, which must not end meanwhile.
        """
        while True:
            try:
                await self._settle_once(part, decision)
            except QueueUnavailable as trouble:
                if self._is_stopping():
                    raise
                self._parts.telemetry.queue_unavailable(str(trouble))
            else:
                return
            await asyncio.sleep(self._settings.queue_trouble_delay.total_seconds())
            await self._queue.extend([*part.events, *waiting], self._settings.lease_for)

    async def settle_alike(
        self, events: Sequence[QueuedEvent], decision: DeadLetter | Expire, waiting: Sequence[QueuedEvent]
    ) -> None:
        """Settle events of any dataset that all end in the same way."""
        for batch in group_into_batches(events, self._settings.batch, self._parts.clock.now()):
            await self.settle(batch, decision, waiting)

    async def _settle_once(self, part: Batch, decision: Decision) -> None:
        queue, history, telemetry = self._queue, self._parts.history, self._parts.telemetry
        match decision:
            case Done(fbtrace_id, flags):
                await queue.ack(part.events, fbtrace_id, flags)
                history.settled(part.events, "delivered", fbtrace_id or "")
                telemetry.delivered(part, self._parts.clock.now(), is_mismatch=RECEIPT_MISMATCH in flags)
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
