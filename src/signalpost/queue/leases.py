"""Who holds which event, and who waits for one.

In memory only: the process is alone with its file (a lock sees to that), so a crash voids every lease by itself, and
leasing writes nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from signalpost.model.delivery import QueuedEvent
from signalpost.model.ids import DestinationId


class Leases:
    """The leases of each destination: id of the event -> when the lease ends, on the monotonic clock."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._ends: dict[DestinationId, dict[int, float]] = {}

    def hold(self, destination_id: DestinationId, ids: Iterable[int], lease_for: timedelta) -> None:
        """Hide events from others."""
        self._ends.setdefault(destination_id, {}).update(
            dict.fromkeys(ids, self._monotonic() + lease_for.total_seconds())
        )

    def find_held(self, destination_id: DestinationId) -> set[int]:
        """The events that are hidden now; leases that have ended are dropped on the way."""
        now = self._monotonic()
        ends = {id_: end for id_, end in self._ends.get(destination_id, {}).items() if end > now}
        self._ends[destination_id] = ends
        return set(ends)

    def count_held(self, destination_id: DestinationId | None) -> int:
        """How many events of a destination, or of all, are hidden now."""
        destinations = list(self._ends) if destination_id is None else [destination_id]
        return sum(len(self.find_held(destination)) for destination in destinations)

    def seconds_until_next_end(self, destination_id: DestinationId) -> float | None:
        """None when nothing is leased."""
        ends = self._ends.get(destination_id)
        return max(0.0, min(ends.values()) - self._monotonic()) if ends else None

    def extend(self, events: Sequence[QueuedEvent], lease_for: timedelta) -> None:
        """Move the end of those leases that are still there."""
        end = self._monotonic() + lease_for.total_seconds()
        for event in events:
            ends = self._ends.get(event.destination_id, {})
            if event.id in ends:
                ends[event.id] = end

    def drop(self, events: Sequence[QueuedEvent]) -> None:
        """Hide these no longer."""
        for event in events:
            self._ends.get(event.destination_id, {}).pop(event.id, None)


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
