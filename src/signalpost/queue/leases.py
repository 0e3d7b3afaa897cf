"""Who holds which event, and who waits for one.

In memory only: the process is alone with its file (a lock sees to that), so a crash voids every lease by itself, and
leasing writes nothing.
"""

import asyncio
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import NamedTuple

from signalpost.model.delivery import QueuedEvent
from signalpost.model.errors import LeaseLost
from signalpost.model.ids import DestinationId


class _Lease(NamedTuple):
    number: int
    ends_at: float


class Leases:
    """The leases of each destination: id of the event -> the latest lease on it, and when it ends (monotonic clock).

    A lease that has ended stays noted until another takes its place: until then its holder may still settle the event,
    since nobody else can have sent it meanwhile. From then on nothing is taken from the old holder.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._numbers = itertools.count(1)
        self._leases: dict[DestinationId, dict[int, _Lease]] = {}

    def draw_number(self) -> int:
        """The number of the next lease; none is given twice."""
        return next(self._numbers)

    def hold(self, destination_id: DestinationId, events: Sequence[QueuedEvent], lease_for: timedelta) -> None:
        """Hide the events of one lease from others, under the number that they carry."""
        lease = _Lease(events[0].lease, self._monotonic() + lease_for.total_seconds())
        self._leases.setdefault(destination_id, {}).update(dict.fromkeys([event.id for event in events], lease))

    def hide(self, destination_id: DestinationId, ids: Iterable[int], hide_for: timedelta) -> None:
        """Hide events from everybody, under a lease that nobody has."""
        lease = _Lease(self.draw_number(), self._monotonic() + hide_for.total_seconds())
        self._leases.setdefault(destination_id, {}).update(dict.fromkeys(ids, lease))

    def set_aside(self, destination_id: DestinationId, ids: Iterable[int]) -> None:
        """Hide events from everybody until the next start: they can't be leased."""
        self._leases.setdefault(destination_id, {}).update(dict.fromkeys(ids, _Lease(self.draw_number(), math.inf)))

    def count_set_aside(self, destination_id: DestinationId) -> int:
        """How many of a destination's are."""
        return sum(lease.ends_at == math.inf for lease in self._leases.get(destination_id, {}).values())

    def show(self, destination_id: DestinationId, ids: Iterable[int]) -> None:
        """Hide them no longer."""
        of_destination = self._leases.get(destination_id, {})
        for id_ in ids:
            of_destination.pop(id_, None)

    def find_held(self, destination_id: DestinationId) -> set[int]:
        """The events that are hidden now."""
        now = self._monotonic()
        return {id_ for id_, lease in self._leases.get(destination_id, {}).items() if lease.ends_at > now}

    def count_held(self, destination_id: DestinationId | None) -> int:
        """How many events of a destination, or of all, somebody holds now."""
        destinations = list(self._leases) if destination_id is None else [destination_id]
        return sum(len(self.find_held(each)) - self.count_set_aside(each) for each in destinations)

    def seconds_until_next_end(self, destination_id: DestinationId) -> float | None:
        """None when nothing is leased."""
        now = self._monotonic()
        waits = [lease.ends_at - now for lease in self._leases.get(destination_id, {}).values() if lease.ends_at > now]
        return min(waits, default=None)

    def extend(self, events: Sequence[QueuedEvent], lease_for: timedelta) -> None:
        """Move the end of those leases that are still there; LeaseLost when another has taken the place of one."""
        end = self._monotonic() + lease_for.total_seconds()
        lost = 0
        for event in events:
            lease = self._find(event)
            if lease is not None and lease.number == event.lease:
                self._leases[event.destination_id][event.id] = lease._replace(ends_at=end)
            else:
                lost += lease is not None
        if lost:
            raise LeaseLost(f"The lease of {lost} events has ended, and they were leased again.")

    def find_own(self, events: Sequence[QueuedEvent]) -> list[QueuedEvent]:
        """Those whose latest lease is the one they carry."""
        return [event for event in events if (lease := self._find(event)) is not None and lease.number == event.lease]

    def drop(self, events: Iterable[QueuedEvent]) -> None:
        """Hide these no longer."""
        for event in events:
            self._leases.get(event.destination_id, {}).pop(event.id, None)

    def _find(self, event: QueuedEvent) -> _Lease | None:
        return self._leases.get(event.destination_id, {}).get(event.id)


class Arrivals:
    """Lets leases sleep until enough events of their destination have arrived. Used on the event loop only."""

    def __init__(self) -> None:
        self._waiting: dict[DestinationId, list[_Waiter]] = {}

    def announce(self, destination_id: DestinationId, count: int) -> None:
        """So many more events of this destination can be leased."""
        for waiter in self._waiting.get(destination_id, ()):
            waiter.missing -= count
            if waiter.missing <= 0:
                waiter.arrived.set()

    def announce_end(self) -> None:
        """Wake everybody: nothing will come any more."""
        for destination_id in list(self._waiting):
            self.announce(destination_id, 1 << 62)

    async def wait(self, destination_id: DestinationId, count: int, seconds: float) -> None:
        """Return when `count` events have arrived, and after `seconds` in any case."""
        waiter = _Waiter(count)
        waiters = self._waiting.setdefault(destination_id, [])
        waiters.append(waiter)
        try:
            async with asyncio.timeout(seconds):
                await waiter.arrived.wait()
        except TimeoutError:
            pass
        finally:
            waiters.remove(waiter)


class _Waiter:
    def __init__(self, missing: int) -> None:
        self.missing = missing
        self.arrived = asyncio.Event()
