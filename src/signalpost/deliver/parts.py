"""What the workers are built from: the settings of one, and what all of a process share."""

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta

from signalpost.deliver.batches import BatchLimits
from signalpost.deliver.clock import Clock, ClockGuard
from signalpost.deliver.pace import PacePolicy
from signalpost.deliver.retry import RetryPolicy
from signalpost.history.calls import History
from signalpost.model.delivery import Answer, Batch, Target
from signalpost.model.ids import DatasetId, DestinationId
from signalpost.queue.interface import Queue
from signalpost.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How one destination is served. `lease_for` must be well over the time limit of one request."""

    batch: BatchLimits = field(default_factory=BatchLimits)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    pace: PacePolicy = field(default_factory=PacePolicy)
    batches_in_flight: int = 2
    max_leased_bytes: int = 4 << 20
    lease_for: timedelta = timedelta(seconds=60)
    linger: timedelta = timedelta(seconds=1)
    queue_trouble_delay: timedelta = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class DeliveryParts:
    """What all workers of a process share.

    probe: asks with an empty request, which records nothing. find_target: None while a destination can't be sent to.
    wait_for_change: returns when the settings have changed.
    """

    queue: Queue
    send: Callable[[Batch, Target], Awaitable[Answer]]
    probe: Callable[[Target], Awaitable[Answer]]
    find_target: Callable[[DestinationId, DatasetId], Target | None]
    wait_for_change: Callable[[], Awaitable[None]]
    history: History
    telemetry: Telemetry
    clock: Clock = field(default_factory=Clock)
    clock_guard: ClockGuard = field(default_factory=ClockGuard)
    jitter: Callable[[], float] = random.random
