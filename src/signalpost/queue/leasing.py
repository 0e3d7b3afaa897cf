"""What a lease gets: due events that nobody holds, from memory or from the file, and none that are damaged.

Everything here runs between two awaits of the event loop: that is why two leases never hold one event.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import apsw

from signalpost.model.ids import DestinationId
from signalpost.queue.fresh_events import FreshEvents
from signalpost.queue.leases import Leases
from signalpost.queue.reading import EventsRead, find_due, find_later, find_next_due, read_events

# A sleeping lease looks at the clock at least this often: the wall clock may be set while it sleeps.
_LONGEST_SLEEP_SECONDS: Final = 1.0


class Leasing:
    """Finds, reads and hides events, through a connection that can't write."""

    def __init__(self, reader: apsw.Connection, leases: Leases, fresh: FreshEvents) -> None:
        self._reader = reader
        self._leases = leases
        self._fresh = fresh

    def find_due(self, destination_id: DestinationId, limit: int, now_ms: int) -> list[int]:
        """Ids of events that may be sent now and that nobody holds."""
        held = self._leases.find_held(destination_id)
        due = find_due(self._reader, destination_id, now_ms, limit + len(held))
        return [id_ for id_ in due if id_ not in held][:limit] if held else due

    def find_later(self, destination_id: DestinationId, now_ms: int) -> list[int]:
        """Ids of events whose next attempt lies ahead."""
        return find_later(self._reader, destination_id, now_ms)

    def seconds_until_due(self, destination_id: DestinationId, now_ms: int) -> float:
        """How long a lease that found nothing may sleep."""
        sleeps = [_LONGEST_SLEEP_SECONDS]
        next_due = find_next_due(self._reader, destination_id, now_ms)
        if next_due is not None:
            sleeps.append((next_due - now_ms) / 1000)
        next_end = self._leases.seconds_until_next_end(destination_id)
        if next_end is not None:
            sleeps.append(next_end)
        return min(sleeps)

    def take(
        self, destination_id: DestinationId, ids: Sequence[int], max_bytes: int, lease_for: timedelta
    ) -> EventsRead:
        """Read events and, when all are sound, hide them."""
        lease = self._leases.draw_number()
        fresh = self._fresh.read(destination_id, ids, max_bytes, lease)
        read = (
            EventsRead(fresh) if fresh is not None else read_events(self._reader, destination_id, ids, max_bytes, lease)
        )
        if read.is_sound:
            self._leases.hold(destination_id, read.events, lease_for)
        return read
