"""A worker with everything real around it: the SQLite queue, the catalog, and a client that talks to the local Meta."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from signalpost.catalog import Catalog
from signalpost.deliver.batches import BatchLimits
from signalpost.deliver.clock import Clock, ClockGuard
from signalpost.deliver.parts import DeliveryParts, WorkerSettings
from signalpost.deliver.retry import RetryPolicy
from signalpost.deliver.worker import Worker
from signalpost.emulator.app import RunningEmulator
from signalpost.history.calls import History
from signalpost.history.entries import describe_call
from signalpost.mapping.destinations.conversions_api import CONVERSIONS_API
from signalpost.mapping.destinations.destination_type import Destination, DestinationSettings
from signalpost.meta.client import MetaClient
from signalpost.model.delivery import Answer, Batch, NewEvent, Outcome, Target
from signalpost.model.errors import QueueUnavailable
from signalpost.model.ids import DestinationId
from signalpost.model.ledger import EventCounts
from signalpost.queue.sqlite import SqliteQueue
from signalpost.telemetry import Telemetry
from tests.builders import DESTINATION, build_calls

GOOD_TOKEN = "EMULATOR_TOKEN"
Send = Callable[[Batch, Target], Awaitable[Answer | Outcome]]

QUICK = RetryPolicy(
    probe_interval=timedelta(milliseconds=20),
    first_delay=timedelta(milliseconds=4),
    max_delay=timedelta(milliseconds=16),
    throttle_delay=timedelta(milliseconds=8),
    max_throttle_delay=timedelta(milliseconds=16),
)
"""Delays that a test can wait for."""

_LONG = timedelta(minutes=10)
SLOW = RetryPolicy(first_delay=_LONG, max_delay=_LONG, throttle_delay=_LONG, max_throttle_delay=_LONG)
"""Delays that no test lives to see the end of."""


def read_clock() -> datetime:
    return datetime.now(UTC)


class BenchClock(Clock):
    """The machine's clocks, until a test sets the wall clock (`read_now`)."""

    def __init__(self) -> None:
        self.read_now: Callable[[], datetime] = read_clock

    def now(self) -> datetime:
        return self.read_now()


class SteppedClock(BenchClock):
    """Clocks that run as the machine's do, and that a test can put forward to the next moment somebody waits for."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = 0.0
        self._waiting: list[tuple[float, asyncio.TimerHandle, Callable[[], object]]] = []

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self._ahead)

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead

    def call_later(self, seconds: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        timer = super().call_later(seconds, callback)
        self._waiting.append((self.monotonic() + seconds, timer, callback))
        return timer

    def advance(self, seconds: float) -> None:
        """Put the clocks forward while nobody waits."""
        self._ahead += seconds

    @property
    def is_awaited(self) -> bool:
        """Whether somebody waits for a time to come."""
        self._waiting = [each for each in self._waiting if not each[1].cancelled()]
        return bool(self._waiting)

    def step(self) -> float:
        """Put the clocks forward to the next moment that is waited for; return by how many seconds."""
        assert self.is_awaited
        due_at, timer, callback = min(self._waiting, key=lambda each: each[0])
        seconds = max(due_at - self.monotonic(), 0)
        self.advance(seconds)
        timer.cancel()
        callback()
        return seconds


class TroubledQueue(SqliteQueue):
    """The real queue, which raises `trouble` from its next calls as often as a test says, and tells what was asked."""

    trouble: Exception = QueueUnavailable("the disk is full")

    def __init__(self, path: Path, **options: Any) -> None:
        super().__init__(path, **options)
        self.failing: Counter[str] = Counter()
        self.retried_at: list[datetime] = []

    def _fail(self, call: str) -> None:
        if self.failing[call] > 0:
            self.failing[call] -= 1
            raise self.trouble

    async def lease(self, *args: Any, **options: Any) -> Any:
        self._fail("lease")
        return await super().lease(*args, **options)

    async def ack(self, *args: Any, **options: Any) -> None:
        self._fail("ack")
        await super().ack(*args, **options)

    async def retry_at(self, events: Any, when: datetime, *args: Any, **options: Any) -> None:
        self.retried_at.append(when)
        await super().retry_at(events, when, *args, **options)


class ListeningTelemetry(Telemetry):
    """Remembers what people would be told of."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def paused(self, destination: DestinationId, reason: str, detail: str) -> None:
        self.told.append(f"paused: {reason}")
        super().paused(destination, reason, detail)

    def resumed(self, destination: DestinationId) -> None:
        self.told.append("resumed")
        super().resumed(destination)

    def queue_unavailable(self, detail: str) -> None:
        self.told.append("queue_unavailable")
        super().queue_unavailable(detail)

    def delivery_failed(self, destination: DestinationId, error: Exception) -> None:
        self.told.append(f"delivery_failed: {type(error).__name__}")
        super().delivery_failed(destination, error)


class Bench:
    """Put events, start workers, wait for what becomes of them. `sent`: every batch in the order of its sending."""

    def __init__(
        self, folder: Path, emulator: RunningEmulator, client: MetaClient, clock: SteppedClock | None = None
    ) -> None:
        self.emulator = emulator
        self.store = emulator.store
        self.folder = folder
        self.clock: BenchClock = clock or BenchClock()
        queue_clock = clock or Clock()
        self.queue = TroubledQueue.open(folder, now=queue_clock.now, monotonic=queue_clock.monotonic)
        self.catalog = Catalog((), (), "v26.0")
        self.use_token(GOOD_TOKEN)
        self.history = History()
        self.telemetry = ListeningTelemetry()
        self.clock_guard = ClockGuard()
        self.client = client
        self.send: Send = client.send
        self.sent: list[Batch] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.running: dict[asyncio.Task[None], Worker] = {}

    def use_token(self, token: str | None, destination_id: DestinationId = DESTINATION) -> None:
        """Put a destination's token in force, as a reload of the configuration does."""
        settings = DestinationSettings(access_token=token and SecretStr(token))
        destination = Destination(destination_id, destination_id, CONVERSIONS_API, settings)
        others = [other for other in self.catalog.destinations if other.id != destination_id]
        self.catalog.replace((), [*others, destination], "v26.0")

    async def put(self, *events: NewEvent) -> None:
        calls = build_calls(events)
        await self.queue.put(calls)
        for call in calls:
            self.history.record(
                describe_call(call, is_duplicate=False, call_type="track", event_name="Order Completed")
            )

    def start(
        self,
        destination_id: DestinationId = DESTINATION,
        *,
        max_events: int = 500,
        max_bytes: int = 1 << 20,
        retry: RetryPolicy = QUICK,
        jitter: float = 1.0,
        **settings: Any,
    ) -> Worker:
        """Run a worker that neither lingers nor rests for long."""
        parts = self.build_parts(jitter)
        quick = {"linger": timedelta(0), "queue_trouble_delay": timedelta(milliseconds=5)}
        limits = BatchLimits(max_events, max_bytes)
        worker = Worker(destination_id, parts, WorkerSettings(limits, retry, **(quick | settings)))
        self.running[asyncio.create_task(worker.run())] = worker
        return worker

    def build_parts(self, jitter: float = 1.0) -> DeliveryParts:
        """What workers are built from."""
        return DeliveryParts(
            queue=self.queue,
            send=self._send,
            probe=self.client.probe,
            find_target=self.catalog.find_target,
            wait_for_change=self.catalog.wait_for_change,
            history=self.history,
            telemetry=self.telemetry,
            clock=self.clock,
            clock_guard=self.clock_guard,
            jitter=lambda: jitter,
        )

    async def stop(self) -> None:
        """Stop every worker; a fault in one of them is raised here."""
        for worker in self.running.values():
            worker.stop()
        async with asyncio.timeout(5):
            await asyncio.gather(*self.running)
        self.running.clear()

    async def close(self) -> None:
        """Stop, and see that nothing is leased any more and every event is accounted for."""
        await self.stop()
        ledger = await self.queue.counts()
        await self.queue.close()
        assert ledger.imbalance == 0
        assert ledger.events.pending.leased == 0

    async def count(self, destination_id: DestinationId | None = None) -> EventCounts:
        return (await self.queue.counts(destination_id)).events

    async def until(self, is_reached: Callable[[EventCounts], bool], seconds: float = 5) -> EventCounts:
        """Wait until the counts are as a test wants them."""
        async with asyncio.timeout(seconds):
            while not is_reached(counts := await self.count()):  # noqa: ASYNC110 - nobody tells when a count changes
                await asyncio.sleep(0.002)
        return counts

    async def until_delivered(self, count: int) -> EventCounts:
        return await self.until(lambda counts: counts.delivered >= count)

    async def until_requests(self, count: int) -> None:
        """Wait until Meta has received so many requests."""
        await poll(lambda: self.store.request_count >= count)

    def stop_clock(self) -> None:
        """Let the worker's wall clock stand still, so that delays can be read exactly; it sleeps by another."""
        instant = read_clock()
        self.clock.read_now = lambda: instant

    def read_delays(self) -> list[float]:
        """The milliseconds by which each retry was put off, when the clock stands still."""
        return [(when - self.clock.now()) / timedelta(milliseconds=1) for when in self.queue.retried_at]

    def read_metric(self, name: str, **labels: str) -> float | None:
        return self.telemetry.registry.get_sample_value(f"signalpost_{name}", {"destination": DESTINATION} | labels)

    async def _send(self, batch: Batch, target: Target) -> Answer:
        self.sent.append(batch)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            answer = await self.send(batch, target)
            return answer if isinstance(answer, Answer) else Answer(answer)
        finally:
            self.in_flight -= 1


async def poll(is_reached: Callable[[], object], seconds: float = 0.001, timeout: float = 5) -> None:  # noqa: ASYNC109
    """Look every so many seconds until it is so."""
    async with asyncio.timeout(timeout):
        while not is_reached():  # noqa: ASYNC110 - what is looked at knows nothing of tests
            await asyncio.sleep(seconds)


def find_attempts(batch: Batch) -> set[int]:
    return {event.attempts for event in batch.events}


def get_ids(events: Any) -> list[str]:
    return sorted(event.event_id for event in events)
